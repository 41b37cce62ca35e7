"""How long one inference takes here: python benchmark.py [--sustained SECONDS] [--json].

Every model is warmed up and timed by the wall clock, one input at a time, conversions of input and output
left out: a burst, and with ``--sustained`` for so long without a rest. The state of the machine is taken
before, during and after; a measurement during which the processor was throttled, short of voltage or busy
with something else is marked invalid, and has no number, also in the JSON.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
from edge import HERE, BundleError, Model, add_key, chosen_models, main, read_manifest

_THROTTLED_NOW = 0xF  # under-voltage, frequency capped, throttled, soft temperature limit
_THROTTLED_SINCE = 0xF0000  # the same, once since the machine was started
_CORES = {"0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57"}
_CORES.update({"0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1"})
_WINDOW_S = 1.0
_LOOK_S = 10.0  # between two looks at the machine
_BURST_S = 5.0  # the beginning that is called the burst
_END_SHARE = 1 / 3  # the end that is called sustained
_TIMES = ("median_s", "p25_s", "p75_s", "first_s", "load_s")
_BUSY = 0.5  # processors that others kept busy, on average


def machine() -> Dict[str, Any]:
    """Facts that decide how fast this machine is just now; None for what it does not say."""
    frequencies = "/sys/devices/system/cpu/cpu0/cpufreq"
    frequency, most = (_number(f"{frequencies}/{name}") for name in ("scaling_cur_freq", "scaling_max_freq"))
    heat = _number("/sys/class/thermal/thermal_zone0/temp")
    part = _line("/proc/cpuinfo", "CPU part")
    cpu = _line("/proc/cpuinfo", "model name") or _CORES.get(part or "", part)
    return {
        "model": _text("/proc/device-tree/model") or cpu or platform.processor() or platform.machine(),
        "cpu": cpu,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "mhz": None if frequency is None else frequency / 1000,
        "max_mhz": None if most is None else most / 1000,
        "celsius": None if heat is None else heat / 1000,
        "throttled": _throttled(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "available_mb": _memory("MemAvailable"),
    }


def _text(path: str) -> Optional[str]:
    try:
        return Path(path).read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _number(path: str) -> Optional[float]:
    text = _text(path)
    return float(text) if text is not None and text.isdigit() else None


def _line(path: str, key: str) -> Optional[str]:
    for line in (_text(path) or "").splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip() or None
    return None


def _memory(key: str) -> Optional[int]:
    text = _line("/proc/meminfo", key)
    return None if text is None else int(text.split()[0]) // 1024


def _throttled() -> Optional[int]:
    """The flags of a Raspberry Pi's firmware; None on other machines."""
    try:
        found = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5)
        return int(found.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def measure(call: Callable[[], Any], rounds: int, seconds: float) -> Dict[str, Any]:
    """Seconds of one inference: median, quartiles, the first one by itself; the machine half way through."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()
    start = time.perf_counter()
    call()
    repeats = max(1, int(0.005 / max(time.perf_counter() - start, 1e-7)))
    times: List[float] = []
    spent, worked, during = 0.0, 0.0, []
    while len(times) < rounds:
        if len(times) == rounds // 2:
            during.append(machine())
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            call()
        took = time.perf_counter() - start
        spent, worked = spent + took, worked + time.process_time() - cpu
        times.append(took / repeats)
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75)).tolist()
    found = {"median_s": median, "p25_s": low, "p75_s": high, "first_s": first}
    return {**found, "rounds": rounds, "cpu_share": worked / spent, "during": during}


def sustain(call: Callable[[], Any], seconds: float) -> Dict[str, Any]:
    """The same without a rest: medians over windows of a second, at first and in the end."""
    ends: List[float] = []
    times: List[float] = []
    states, looked = [machine()], 0.0
    total, begin = 0, time.perf_counter()
    while not ends or ends[-1] < seconds:
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < _WINDOW_S:
            call()
            count += 1
        times.append((time.perf_counter() - start) / count)
        ends.append(time.perf_counter() - begin)
        total += count
        if ends[-1] - looked >= _LOOK_S:
            states.append(machine())
            looked = ends[-1]
    states.append(machine())
    burst = [t for end, t in zip(ends, times) if end <= max(_BURST_S, ends[0])]
    rest = [t for end, t in zip(ends, times) if end > (1 - _END_SHARE) * ends[-1]]
    found = {"seconds": ends[-1], "inferences": total, "states": states, "invalid": why_throttled(states)}
    shown = found["invalid"] is None
    found["burst_s"] = float(np.median(burst)) if shown else None
    found["sustained_s"] = float(np.median(rest)) if shown else None
    return found


def why_throttled(states: Sequence[Dict[str, Any]]) -> Optional[str]:
    """What the firmware of a Raspberry Pi says against a measurement; None if nothing, or if it has none."""
    flags = [state["throttled"] for state in states if state["throttled"] is not None]
    since = flags[-1] & ~flags[0] & _THROTTLED_SINCE if flags else 0
    found = next((flag for flag in flags if flag & _THROTTLED_NOW), since)
    return f"the firmware says throttled or short of voltage ({found:#x})" if found else None


def why_invalid(states: Sequence[Dict[str, Any]], found: Dict[str, Any]) -> Optional[str]:
    """Why a burst says nothing about the model; None if it does."""
    throttled = why_throttled(states)
    if throttled is not None:
        return throttled
    clocks = [state["mhz"] for state in states if state["mhz"]]
    if clocks and min(clocks) < 0.9 * clocks[0]:
        return f"the clock fell from {clocks[0]:.0f} to {min(clocks):.0f} MHz"
    if found["cpu_share"] < 1 - _BUSY:
        return f"this process had {100 * found['cpu_share']:.0f} % of a processor only"
    if found["p75_s"] > 1.5 * found["p25_s"]:
        return "the quartiles are more than half apart"
    return None


def benchmark(arguments: List[str]) -> int:
    """Time the models of the bundle."""
    parser = argparse.ArgumentParser(prog="benchmark.py", description="How long one inference takes here.")
    parser.add_argument("--model", help="one model file of the bundle; by default all that can run here")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="several for a row of each")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--warm-up", type=float, default=1.0, metavar="SECONDS", help="before the rounds")
    parser.add_argument("--sustained", type=float, metavar="SECONDS", help="then so long without a rest")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    add_key(parser)
    given = parser.parse_args(arguments)
    if given.rounds < 1 or min(given.threads) < 1:
        raise BundleError("--rounds and --threads are 1 or more")
    manifest = read_manifest(key=given.key)
    models = chosen_models(manifest, given.model)
    rows = [_row(facts, threads, given) for facts in models for threads in given.threads]
    if given.json:
        print(json.dumps({"name": manifest["name"], "rows": rows}, indent=1))
    else:
        _print(rows)
    return 0


def _row(facts: Dict[str, Any], threads: int, given: argparse.Namespace) -> Dict[str, Any]:
    before, start = machine(), time.perf_counter()
    model = Model(facts, threads=threads)
    load = time.perf_counter() - start
    call = model.prepare(np.load(HERE / facts["golden"][0], allow_pickle=False)["input"][:1])
    found = measure(call, given.rounds, given.warm_up)
    after = machine()
    row = {"file": facts["file"], "runtime": model.version, "threads": threads, "load_s": load, **found}
    row = {**row, "before": before, "after": after}
    row["invalid"] = why_invalid([before, *found["during"], after], found)
    if row["invalid"] is not None:
        row.update(dict.fromkeys(_TIMES))
    row["sustained"] = None if given.sustained is None else sustain(call, given.sustained)
    return row


def _print(rows: List[Dict[str, Any]]) -> None:
    state = rows[0]["before"]
    print(
        f"{state['model']}, {state['machine']}, Python {state['python']}, governor {state['governor'] or '?'}"
    )
    for row in rows:
        name = f"{row['file']} ({row['runtime']}, {row['threads']} threads)"
        if row["invalid"] is None:
            low, median, high = (1000 * row[key] for key in ("p25_s", "median_s", "p75_s"))
            first, load = 1000 * row["first_s"], 1000 * row["load_s"]
            print(f"{name}: {median:.3f} ms [{low:.3f}–{high:.3f}], first {first:.1f} ms, load {load:.1f} ms")
        else:
            print(f"{name}: invalid, {row['invalid']}")
        if row["sustained"] is not None:
            print(f"{name}, {row['sustained']['seconds']:.0f} s without a rest: {_ends(row['sustained'])}")


def _ends(found: Dict[str, Any]) -> str:
    if found["invalid"] is not None:
        return f"invalid, {found['invalid']}"
    burst, end = 1000 * found["burst_s"], 1000 * found["sustained_s"]
    return f"{burst:.3f} ms at first, {end:.3f} ms in the end"


if __name__ == "__main__":
    main(benchmark)
