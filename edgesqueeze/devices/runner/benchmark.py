"""How long one inference takes here: python benchmark.py [--json].

Every model is warmed up and timed by the wall clock, one input at a time, conversions of input and output
left out. The state of the machine is taken before and after; a measurement during which the processor was
throttled, short of voltage or busy with something else is marked invalid and printed as no number.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from edge import HERE, Model, add_key, chosen_models, main, read_manifest

_THROTTLED_NOW = 0xF  # under-voltage, frequency capped, throttled, soft temperature limit
_BUSY = 0.5  # processors that others kept busy, on average


def machine() -> Dict[str, Any]:
    """Facts that decide how fast this machine is just now; None for what it does not say."""
    frequency = _number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    heat = _number("/sys/class/thermal/thermal_zone0/temp")
    model = _text("/proc/device-tree/model") or _line("/proc/cpuinfo", "model name")
    return {
        "model": model or platform.processor() or platform.machine(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "mhz": None if frequency is None else frequency / 1000,
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


def measure(model: Model, x: Any, rounds: int, seconds: float) -> Dict[str, Any]:
    """Seconds of one inference: median and quartiles; the first one by itself."""
    call = model.prepare(x)
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()
    start = time.perf_counter()
    call()
    repeats = max(1, int(0.005 / max(time.perf_counter() - start, 1e-7)))
    times = []
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - start) / repeats)
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75)).tolist()
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return {
        "median_s": median,
        "p25_s": low,
        "p75_s": high,
        "first_s": first,
        "rounds": rounds,
        "cpu_share": busy,
    }


def why_invalid(before: Dict[str, Any], after: Dict[str, Any], found: Dict[str, Any]) -> Optional[str]:
    """Why a measurement says nothing about the model; None if it does."""
    for state in (before, after):
        if state["throttled"] is not None and state["throttled"] & _THROTTLED_NOW:
            return f"the firmware says throttled or short of voltage ({state['throttled']:#x})"
    if before["mhz"] and after["mhz"] and after["mhz"] < 0.9 * before["mhz"]:
        return f"the clock fell from {before['mhz']:.0f} to {after['mhz']:.0f} MHz"
    if found["cpu_share"] < 1 - _BUSY:
        return f"this process had {100 * found['cpu_share']:.0f} % of a processor only"
    if found["p75_s"] > 1.5 * found["p25_s"]:
        return "the quartiles are more than half apart"
    return None


def benchmark(arguments: List[str]) -> int:
    """Time the models of the bundle."""
    parser = argparse.ArgumentParser(prog="benchmark.py", description="How long one inference takes here.")
    parser.add_argument("--model", help="one model file of the bundle; by default all that can run here")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--warm-up", type=float, default=1.0, metavar="SECONDS", help="minutes show heat")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    add_key(parser)
    given = parser.parse_args(arguments)
    manifest = read_manifest(key=given.key)
    rows = []
    for facts in chosen_models(manifest, given.model):
        before, start = machine(), time.perf_counter()
        model = Model(facts, threads=given.threads)
        load = time.perf_counter() - start
        x = np.load(HERE / facts["golden"][0], allow_pickle=False)["input"][:1]
        found = measure(model, x, given.rounds, given.warm_up)
        after = machine()
        row = {"file": facts["file"], "runtime": model.version, "threads": given.threads, "load_s": load}
        reason = why_invalid(before, after, found)
        rows.append({**row, **found, "before": before, "after": after, "invalid": reason})
    if given.json:
        print(json.dumps({"name": manifest["name"], "rows": rows}, indent=1))
    else:
        _print(rows)
    return 0


def _print(rows: List[Dict[str, Any]]) -> None:
    state = rows[0]["before"]
    print(
        f"{state['model']}, {state['machine']}, Python {state['python']}, governor {state['governor'] or '?'}"
    )
    for row in rows:
        name = f"{row['file']} ({row['runtime']}, {row['threads']} threads)"
        if row["invalid"] is not None:
            print(f"{name}: invalid, {row['invalid']}")
            continue
        low, median, high = (1000 * row[key] for key in ("p25_s", "median_s", "p75_s"))
        first, load = 1000 * row["first_s"], 1000 * row["load_s"]
        print(f"{name}: {median:.3f} ms [{low:.3f}–{high:.3f}], first {first:.1f} ms, load {load:.1f} ms")


if __name__ == "__main__":
    main(benchmark)
