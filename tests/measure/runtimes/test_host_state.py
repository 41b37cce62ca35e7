"""The machine's state as Linux and a Raspberry Pi tell it, and nothing where nobody does."""

from dataclasses import replace

import pytest

from edgesqueeze.measure.runtimes import host_state as module
from edgesqueeze.measure.runtimes.host_state import HostState, host_state, stolen_share, was_throttled

NOTHING = HostState(None, (), None, None, None, None, None)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two cores at two clocks, two zones, and a board that is capped."""
    for core, clock in enumerate((600_000, 1_400_000)):
        folder = tmp_path / f"cpu{core}"
        for name, text in (
            ("cpufreq/scaling_cur_freq", clock),
            ("cpufreq/scaling_governor", "ondemand"),
            ("thermal_throttle/core_throttle_count", 2),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{text}\n")
        zone = tmp_path / f"thermal_zone{core}"
        zone.mkdir()
        (zone / "temp").write_text(f"{40_000 + 10_000 * core}\n")
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1\n")
    board = tmp_path / "vcgencmd"
    board.write_text("#!/bin/sh\necho throttled=0x50006\n")
    board.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name, place in (("_CPUS", ""), ("_ZONES", ""), ("_STAT", "stat")):
        monkeypatch.setattr(module, name, tmp_path / place)
    monkeypatch.setattr(module.os, "sysconf", lambda name: 100)
    return tmp_path


def test_what_the_system_tells_is_read(machine):
    found = host_state()
    assert (found.governors, found.mhz, found.celsius) == (("ondemand",), 1000.0, 50.0)
    assert (found.throttle_count, found.stolen_s) == (4, 2.5)
    assert found.throttled == ("frequency capped", "throttled")
    assert "governor ondemand, 1000 MHz, 50 °C, frequency capped, throttled" in found.sentence()


def test_what_it_does_not_tell_is_none(tmp_path, monkeypatch):
    for name in ("_CPUS", "_ZONES", "_STAT"):
        monkeypatch.setattr(module, name, tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = host_state()
    assert replace(found, load=None) == NOTHING
    assert NOTHING.sentence() == "nothing known"


def test_throttling_is_a_flag_or_a_count_that_grows():
    assert not was_throttled([NOTHING, NOTHING])
    assert not was_throttled([replace(NOTHING, throttle_count=4, throttled=())] * 3)
    assert was_throttled([replace(NOTHING, throttle_count=count) for count in (4, 4, 5)])
    assert was_throttled([NOTHING, replace(NOTHING, throttled=("throttled",)), NOTHING])


def test_stolen_time_is_a_share_of_all_cores():
    first, last = replace(NOTHING, stolen_s=10.0), replace(NOTHING, stolen_s=30.0)
    assert stolen_share(first, last, wall_s=100.0, cores=2) == 0.1
    assert stolen_share(NOTHING, last, 100.0, 2) == stolen_share(first, last, 0.0, 2) == 0.0
