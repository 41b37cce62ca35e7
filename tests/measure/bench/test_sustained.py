"""Minutes without a rest: what windows say, and the energy that the machine counts."""

import itertools

import pytest
from hostile import good_files

from edgesqueeze.measure.bench.sustained import sustain, sustained_of
from edgesqueeze.measure.bench.worker import Job
from edgesqueeze.measure.runtimes.energy import energy_meter
from edgesqueeze.measure.runtimes.runtime import RuntimeName


def test_burst_is_the_beginning_and_sustained_the_end():
    ends = [float(second) for second in range(1, 31)]
    times = [0.010] * 5 + [0.012] * 15 + [0.015] * 10
    found = sustained_of(ends, times, 2000, 60.0, "RAPL")
    assert (found.burst_s, found.sustained_s, found.seconds) == (0.010, 0.015, 30.0)
    assert found.ratio == pytest.approx(1.5)
    assert found.joules == pytest.approx(0.03)
    assert sustained_of([9.0], [0.01], 900, None, "").joules is None  # one window is beginning and end


def test_a_file_runs_alone_and_one_that_cannot_be_run_has_none(tmp_path):
    jobs = []
    for name, content in (("good.tflite", good_files()["good.tflite"]), ("bad.tflite", b"nothing")):
        (tmp_path / name).write_bytes(content)
        jobs.append(
            Job(str(tmp_path / name), "m", RuntimeName.LITERT, 1, ((1, 1, 6, 6),), (), samples=1, warmup=1)
        )
    good, bad = sustain(jobs, 1.0)
    assert bad is None
    assert good.seconds >= 1
    assert good.inferences * good.burst_s == pytest.approx(good.seconds, rel=0.5)


@pytest.fixture
def powercap(tmp_path):
    """Two packages and a part of one, as sysfs shows them."""
    for name, count in (("intel-rapl:0", 900), ("intel-rapl:1", 10), ("intel-rapl:0:0", 5)):
        folder = tmp_path / "powercap" / name
        folder.mkdir(parents=True)
        (folder / "energy_uj").write_text(f"{count}\n")
        (folder / "max_energy_range_uj").write_text("999\n")
    return tmp_path / "powercap"


def test_rapl_counts_packages_and_starts_again_at_its_range(powercap, tmp_path):
    meter = energy_meter(powercap, tmp_path / "none")
    (powercap / "intel-rapl:0" / "energy_uj").write_text("100\n")  # 99 to the range, 1 to 0, 100 more
    (powercap / "intel-rapl:1" / "energy_uj").write_text("60\n")
    meter.update()
    assert meter.source == "RAPL"
    assert meter.joules == pytest.approx(250e-6)
    meter.update()
    assert meter.joules == pytest.approx(250e-6)


def test_an_ina_meter_is_summed_up_over_time(tmp_path):
    folder = tmp_path / "hwmon" / "hwmon0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("ina226\n")
    (folder / "power1_input").write_text("4000000\n")  # 4 W
    meter = energy_meter(tmp_path / "none", tmp_path / "hwmon")
    ticks = itertools.count(0.0, 0.5)
    meter.clock = lambda: next(ticks)
    meter.__post_init__()
    meter.update()
    meter.update()
    assert (meter.source, meter.joules) == ("INA", pytest.approx(4.0))


def test_nothing_readable_is_no_source(tmp_path):
    assert energy_meter(tmp_path, tmp_path).source == ""
