"""Layer by layer: what each holds, computes and costs, and how its weights are spread."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.histogram import BINS, Histogram
from edgesqueeze.page.network import LayerFacts
from edgesqueeze.page.svg import Scale, chart, label, line, path, rect
from edgesqueeze.page.view import Block, Cell, Column, Figure, Figures, Legend, Table, with_bars
from edgesqueeze.page.wording import NOTHING, count_text, shape_text, share_text
from edgesqueeze.text.digits import significant, span

_SIZE = (230, 124)
_LEFT, _RIGHT, _TOP, _BASE = 4, 226, 6, 94


def layers_block(run: RunFacts) -> Block | None:
    """A table with bars; without the network's file what the report says of layers."""
    network = run.network
    if network is None:
        return _from_report(run)
    columns = _columns(run, network.layers)
    rows = [list(cells) for cells in zip(*(cells for _, cells in columns), strict=True)]
    lead = (
        f"Read from {network.file} when this page was written. A bar is a share of the longest in its "
        "column. MACs are multiply-accumulates of one image; effective ones are those on weights that are "
        "not zero."
    )
    if any(layer.stored_bits is not None for layer in network.layers):
        lead += " Bits/weight: what the .sqz file spends on a layer's weights, over all of them, zeros too."
    if sqnr_of(run):
        lead += (
            " SQNR: signal to quantization noise of the layer's output in the int8 network against the "
            "float one; at 20 dB the noise has a hundredth of the power, at 40 dB a ten-thousandth."
        )
    return Block("layers", "Layers", lead, [Table("Layers", [column for column, _ in columns], rows)])


def weights_block(run: RunFacts) -> Block | None:
    """A histogram of every layer's weights."""
    if run.network is None:
        return None
    figures = [
        Figure(layer.counts.name, _histogram(layer, layer.histogram), (_spread(layer),))
        for layer in run.network.layers
        if layer.histogram is not None
    ]
    if not figures:
        return None
    before = any(x.histogram is not None and x.histogram.before is not None for x in run.network.layers)
    entries = [("hist-after", f"weights in {run.network.file}, without zeros")]
    if before:
        entries.append(("hist-before", f"the same layer in {run.baseline.label!r}"))
    entries.append(("hist-value", "the values that occur, where there are few"))
    lead = (
        "How the weights of each layer are spread. Each outline is scaled to its own peak, so heights "
        "compare within an outline only. Ticks below the axis are the centroids of a codebook, or the "
        "multiples of a step."
    )
    return Block("weights", "Weights", lead, [Legend(entries), Figures(figures)])


def sqnr_of(run: RunFacts) -> Mapping[str, float]:
    """Node name to its signal-to-quantization-noise ratio in decibels, where the run has measured it."""
    layers = run.report.parity.get("outputs", {}).get("layers", ())
    return {layer["name"]: layer["sqnr_db"] for layer in layers if layer.get("sqnr_db") is not None}


def _columns(run: RunFacts, layers: Sequence[LayerFacts]) -> list[tuple[Column, list[Cell]]]:
    """A table by columns; those of which nothing is known are left out."""
    bits = _asked_bits(run)
    sqnr = sqnr_of(run)
    columns = [
        _column("layer", [Cell(x.counts.name, x.counts.name, kind="name", tip=_said(x)) for x in layers]),
        _column("parameters", _bars([x.counts.params for x in layers], "part-float")),
        _column("MACs", _bars([x.counts.macs for x in layers], "bar-macs")),
        _column(
            "effective", _bars([x.counts.effective_macs for x in layers], "bar-macs", _most_macs(layers))
        ),
        _column("zeros", with_bars([_zeros(x.zeros, x.weights) for x in layers], "bar-zeros", 1.0)),
        _column(
            "distinct",
            [Cell(count_text(x.distinct), x.distinct) if x.weights else Cell(NOTHING) for x in layers],
        ),
    ]
    if bits:
        asked = [bits.get(x.counts.name) for x in layers]
        columns.append(_column("bits asked", [Cell(count_text(b), b) for b in asked]))
    if any(x.stored_bits is not None for x in layers):
        stored = [Cell(NOTHING if b is None else f"{b:.2f}", b) for b in (x.stored_bits for x in layers)]
        columns.append(_column("bits/weight", with_bars(stored, "part-codebook")))
    if any(x.int8 is False for x in layers):
        names = {True: "int8", False: "float", None: NOTHING}
        columns.append((Column("int8 form", numeric=False), [Cell(names[x.int8]) for x in layers]))
    if sqnr:
        found = [sqnr.get(x.counts.name) for x in layers]
        cells = [Cell(NOTHING if db is None else f"{db:.1f} dB", db) for db in found]
        columns.append(_column("int8 SQNR", with_bars(cells, "part-int8_form")))
    return columns


def _from_report(run: RunFacts) -> Block | None:
    layers = run.report.layers
    if not layers:
        return None
    zeros = with_bars([_zeros(layer.zeros, layer.weights) for layer in layers], "bar-zeros", 1.0)
    columns = [
        _column("layer", [Cell(layer.name, layer.name, kind="name") for layer in layers]),
        _column("weights", _bars([layer.weights for layer in layers], "part-float")),
        _column("zeros", zeros),
        _column("distinct", [Cell(count_text(layer.distinct), layer.distinct) for layer in layers]),
        _column("bits asked", [Cell(count_text(layer.num_bits), layer.num_bits) for layer in layers]),
    ]
    rows = [list(cells) for cells in zip(*(cells for _, cells in columns), strict=True)]
    lead = (
        "From report.json. Shapes, MACs and histograms need a .sqz file or a quantized stage, which this "
        "run has not, or no longer."
    )
    return Block("layers", "Layers", lead, [Table("Layers", [column for column, _ in columns], rows)])


def _column(title: str, cells: list[Cell]) -> tuple[Column, list[Cell]]:
    return Column(
        title, numeric=title != "layer", wide=any(cell.picture is not None for cell in cells)
    ), cells


def _bars(values: list[int], kind: str, largest: float | None = None) -> list[Cell]:
    return with_bars([Cell(count_text(value), value) for value in values], kind, largest)


def _most_macs(layers: Sequence[LayerFacts]) -> float:
    return max((layer.counts.macs for layer in layers), default=0)


def _zeros(zeros: int, weights: int) -> Cell:
    return Cell(share_text(zeros, weights), zeros / weights) if weights else Cell(NOTHING)


def _asked_bits(run: RunFacts) -> dict[str, int]:
    return {layer.name: layer.num_bits for layer in run.report.layers if layer.num_bits is not None}


def _said(layer: LayerFacts) -> str:
    counts = layer.counts
    return f"{counts.name}\n{counts.kind}, {counts.nonzero_params:,} parameters that are not zero"


def _spread(layer: LayerFacts) -> str:
    said = (
        f"{shape_text(layer.shape)}: {layer.weights:,} weights, {share_text(layer.zeros, layer.weights)} zero"
    )
    return f"{said}, {layer.distinct:,} distinct other values"


def _histogram(layer: LayerFacts, found: Histogram | None) -> Markup:
    assert found is not None
    across = Scale(found.low, found.high, _LEFT, _RIGHT)
    marks = []
    if found.before is not None:
        marks.append(_outline(found.before, "hist-before"))
    marks += _bars_of(found)
    marks += [line((across(v), _BASE + 1), (across(v), _BASE + 7), "hist-value") for v, _ in found.values]
    marks.append(line((_LEFT, _BASE), (_RIGHT, _BASE), "axis"))
    ticks = [value for value in across.ticks(4) if abs(value) > 1e-12 or found.low <= 0 <= found.high]
    marks += [label((min(max(across(v), 16), _SIZE[0] - 16), _BASE + 23), significant(v, 3)) for v in ticks]
    description = f"Weights from {span(found.low, found.high, 3)}; {_spread(layer)}."
    return chart(_SIZE, f"Weights of {layer.counts.name}", description, *marks)


def _outline(counts: tuple[int, ...], kind: str) -> Markup:
    up = Scale(0, max(counts) or 1, _BASE, _TOP)
    width = (_RIGHT - _LEFT) / BINS
    points = [(float(_LEFT), float(_BASE))]
    for i, count in enumerate(counts):
        points += [(_LEFT + i * width, up(count)), (_LEFT + (i + 1) * width, up(count))]
    return path([*points, (float(_RIGHT), float(_BASE))], kind, closed=True)


def _bars_of(found: Histogram) -> list[Markup]:
    up = Scale(0, max(found.counts) or 1, _BASE, _TOP)
    width = (_RIGHT - _LEFT) / BINS
    step = (found.high - found.low) / BINS
    return [
        rect(
            _LEFT + i * width + 0.4,
            up(count),
            width - 0.8,
            _BASE - up(count),
            "hist-after",
            f"{span(found.low + i * step, found.low + (i + 1) * step, 3)}\n{count:,} weights",
        )
        for i, count in enumerate(found.counts)
        if count
    ]
