"""What each layer takes, where that was asked for."""

from edgesqueeze.measure.bench.layer_times import LayerProfile, LayerTime
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block, Cell, Column, Part, Remarks, Table, with_bars
from edgesqueeze.page.wording import NOTHING, time_text

_UNKNOWN = "?"


def layer_times_block(run: RunFacts) -> Block | None:
    """A row for each layer, in the order in which they run, and a bar for each file."""
    if run.layer_times is None:
        return None
    profiles = run.layer_times.profiles
    names = _names(list(profiles.values()))
    longest = max((part.median_s or 0 for p in profiles.values() for part in p.layers), default=0.0)
    columns = [Column("layer", numeric=False)]
    cells = [[Cell(name, name, kind="name") for name in names]]
    for number, (label, profile) in enumerate(profiles.items()):
        columns += [Column(label, wide=True), Column("share")]
        parts = {_name(part): part for part in profile.layers}
        times = [_time(label, name, parts.get(name)) for name in names]
        cells.append(with_bars(times, ("part-float", "part-int8_form")[number % 2], longest or None))
        cells.append([_share(parts.get(name)) for name in names])
    rows = [list(row) for row in zip(*cells, strict=True)]
    table = Table("Times of layers", columns, rows, kind="tall" if len(rows) > 30 else "")
    lead = (
        f"Measured on {run.layer_times.cpu} when this page was written, not when the run was: medians of "
        "ONNX Runtime's own profiler, which counts whole microseconds. All bars have one scale. Names in "
        f"brackets are operators that the runtime has put in; {NOTHING} is a layer that it has joined with "
        "another in this file, or that the file has not."
    )
    remarks = [_said(label, profile) for label, profile in profiles.items()]
    shown: list[Part] = [table, Remarks(remarks)]
    return Block("layer-times", "Times of layers", lead, shown)


def layer_tips(run: RunFacts, layer: str) -> str:
    """Lines with what a layer takes in each file; none where that was not asked for."""
    if run.layer_times is None:
        return ""
    found = [
        f"\n{label}: {_micro(part.median_s)}"
        for label, profile in run.layer_times.profiles.items()
        for part in profile.layers
        if part.layer == layer and part.median_s is not None
    ]
    return "".join(found)


def _names(profiles: list[LayerProfile]) -> list[str]:
    """All names in the order of the first file; what only others have stands behind what it follows there."""
    names: list[str] = []
    for profile in profiles:
        place = 0
        for part in profile.layers:
            name = _name(part)
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    return names


def _name(part: LayerTime) -> str:
    return f"[{', '.join(dict.fromkeys(part.operators))}]" if part.layer is None else part.layer


def _time(label: str, name: str, part: LayerTime | None) -> Cell:
    if part is None:
        return Cell(NOTHING)
    operators = ", ".join(dict.fromkeys(part.operators))
    if part.median_s is None:
        return Cell(_UNKNOWN, tip=f"{name} in {label}\n{operators}")
    between = f"quartiles {_micro(part.p25_s)} to {_micro(part.p75_s)}"
    tip = f"{name} in {label}\n{_micro(part.median_s)}, {between}\n{operators}"
    return Cell(_micro(part.median_s), part.median_s, tip=tip)


def _micro(seconds: float | None) -> str:
    """Whole microseconds, which is what the profiler counts."""
    return _UNKNOWN if seconds is None else f"{1e6 * seconds:,.0f} µs"


def _share(part: LayerTime | None) -> Cell:
    if part is None:
        return Cell(NOTHING)
    return Cell(_UNKNOWN if part.share is None else f"{100 * part.share:.1f} %", part.share)


def _said(label: str, profile: LayerProfile) -> str:
    threads = f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    whole = (
        f"{_UNKNOWN}, since {', and '.join(profile.doubts)}"
        if profile.run_s is None
        else f"a whole run takes {time_text(profile.run_s)} while profiled, the median of {profile.runs}"
    )
    return f"{label} in {profile.runtime}, batch {profile.batch}, {threads}: {whole}."
