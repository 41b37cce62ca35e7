"""What results show, and that it is what was promised; bench/test_reproduction.py compares recipes with them."""

import json
from pathlib import Path
from statistics import median

import pytest

from edgesqueeze.bundled import bundled_recipes
from edgesqueeze.run.report import Report

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "explanation" / "results.md"


def report_of(recipe, data):
    return Report.from_json(json.loads((RESULTS / recipe / data / "report.json").read_text()))


RUNS = sorted(
    folder.relative_to(RESULTS).as_posix()
    for recipe in bundled_recipes()
    for folder in (RESULTS / recipe).glob("*")
    if "seeds" not in json.loads((folder / "report.json").read_text())
)


@pytest.mark.parametrize("run", RUNS)
def test_a_result_is_called_after_its_data(run):
    recipe, data = run.split("/")
    data = data.partition("_seed")[0]
    report = report_of(*run.split("/"))
    assert report.recipe["name"] == recipe
    found = report.recipe["task"]["data"]
    if "scenes" in found:
        assert data == "scenes"
        return
    named = found if isinstance(found, str) else found["named"]
    assert data in (named, f"{named}_96")
    assert data == named or found["image_size"] == [96, 96]


@pytest.mark.parametrize("data", ["mnist_sample", "fashion_mnist"])
def test_the_default_recipe_keeps_its_promise(data):
    rows = {row.label: row for row in report_of("deep_compression", data).rows}
    assert rows["model.sqz"].compression_ratio >= 39
    assert rows["model.sqz"].metric_change >= -0.005


FROM_NOTHING = {
    "LeNet-300-100": ("lenet300_squeeze", "fashion_mnist", 130),
    "LeNet-5": ("lenet5_squeeze", "fashion_mnist", 150),
    "SqueezeNet 1.1, 64 × 64": ("squeezenet_squeeze", "fashion_mnist", 35),
    "AlexNet, 96 × 96": ("alexnet_squeeze", "fashion_mnist_96", 120),
}


def _of_seeds(recipe, data):
    return [report_of(recipe, f"{data}_seed{seed}") for seed in range(3)]


def _sqz_files(reports):
    return [next(row for row in report.rows if row.label == "model.sqz") for report in reports]


@pytest.mark.parametrize("network", FROM_NOTHING)
def test_the_results_show_the_smallest_files_of_three_seeds(network):
    recipe, data, least = FROM_NOTHING[network]
    reports = _of_seeds(recipe, data)
    assert [report.recipe["seed"] for report in reports] == [0, 1, 2]
    files = _sqz_files(reports)
    before = median(report.rows[0].primary for report in reports)
    after, changes = median(file.primary for file in files), [100 * file.metric_change for file in files]
    sizes, ratios = [file.num_bytes for file in files], [file.compression_ratio for file in files]
    assert median(ratios) >= least
    assert min(changes) >= -0.5
    line = (
        f"| {network} | {reports[0].rows[0].num_bytes:,} | {100 * before:.2f} % | {100 * after:.2f} % | "
        f"{median(changes):+.2f} ({min(changes):+.2f} to {max(changes):+.2f}) | {median(sizes):,.0f} | "
        f"{median(ratios):.1f}× ({min(ratios):.1f} to {max(ratios):.1f}) |"
    )
    assert line in PAGE.read_text()


def test_squeezenet_on_smaller_images_takes_the_place_of_an_alexnet_three_thousand_times_as_large():
    alexnets = [report.rows[0] for report in _of_seeds("alexnet_squeeze", "fashion_mnist_96")]
    files = _sqz_files(_of_seeds("squeezenet_squeeze", "fashion_mnist"))
    assert min(file.primary for file in files) > max(row.primary for row in alexnets)
    ratios = [row.num_bytes / file.num_bytes for row, file in zip(alexnets, files, strict=True)]
    assert min(ratios) >= 2000
    assert f"{median(ratios):,.0f}× smaller ({min(ratios):,.0f} to {max(ratios):,.0f})" in PAGE.read_text()


def test_squeezenet_takes_the_place_of_an_alexnet_a_thousand_times_as_large():
    alexnets = [report.rows[0] for report in _of_seeds("alexnet_squeeze", "fashion_mnist_96")]
    squeezenet = report_of("squeezenet_squeeze", "fashion_mnist_96")
    file = next(row for row in squeezenet.rows if row.label == "model.sqz")
    ratio = alexnets[0].num_bytes / file.num_bytes
    assert ratio >= 1000
    assert file.primary >= median(row.primary for row in alexnets) - 0.005
    said = f"{file.num_bytes:,} bytes and {100 * file.primary:.2f} %, {ratio:,.0f}× smaller"
    assert said in PAGE.read_text()


ONE_SHOT = {"lenet300_100": 0.7, "lenet5": 0.7, "squeezenet1_1": 0.7, "efficientnet_lite0": 0.82}
"""The largest share of the peer's bytes at equal accuracy; EfficientNet-Lite0 is not at the seven tenths yet."""


def test_every_result_of_one_shot_is_held_to_a_share():
    assert {path.parent.name for path in (RESULTS / "one_shot").glob("*/report.json")} == set(ONE_SHOT)


def test_one_shot_keeps_what_a_network_of_imagenet_answers():
    points = json.loads((RESULTS / "one_shot" / "efficientnet_lite0" / "report.json").read_text())["points"]
    assert all(point["accuracy"] >= 0.95 for point in points if point["coder"] == "edgesqueeze")


@pytest.mark.parametrize("network", ONE_SHOT)
def test_one_shot_needs_a_share_of_the_peers_bytes_at_equal_accuracy(network):
    points = json.loads((RESULTS / "one_shot" / network / "report.json").read_text())["points"]
    ours = [point for point in points if point["coder"] == "edgesqueeze"]
    theirs = [point for point in points if point["coder"].startswith("nncodec")]
    assert len(ours) >= 3
    for point in ours:
        as_good = [peer["num_bytes"] for peer in theirs if peer["accuracy"] >= point["accuracy"]]
        assert point["num_bytes"] <= ONE_SHOT[network] * min(as_good)


NETWORKS = {"SqueezeNet 1.1": "squeezenet1_1_fashion64", "MobileNet v2": "mobilenet_v2_fashion64"}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_results_show_the_measured_int8_files(network):
    report = json.loads((RESULTS / "int8_table" / NETWORKS[network] / "report.json").read_text())
    rows = {(row["label"], row["runtime"].split()[0]): row for row in report["rows"]}
    onnx, tflite = (rows["min_max", runtime] for runtime in ("onnxruntime", "ai-edge-litert"))
    cells = [f"{100 * rows[label, 'onnxruntime']['accuracy']:.2f} %" for label in ("float", "min_max", "QAT")]
    cells += [f"{onnx[key]:.2f}×, {tflite[key]:.2f}×" for key in ("smaller", "speedup")]
    assert f"| {network} | {' | '.join(cells)} |" in PAGE.read_text()
    for label, _ in rows:
        assert rows[label, "onnxruntime"]["accuracy"] == rows[label, "ai-edge-litert"]["accuracy"]


FLOORS = {"detector_int8": 0.99, "detector_qat": 0.99, "segmenter_int8": 0.99, "segmenter_qat": 0.99}
"""The least share of the float metric in an int8 file: more than the 95 and 96 % of MLPerf Mobile."""


@pytest.mark.parametrize("recipe", FLOORS)
def test_int8_files_of_other_tasks_keep_what_the_float_network_has(recipe):
    report = report_of(recipe, "scenes")
    rows = {row.label: row for row in report.rows}
    for name in ("model_int8.onnx", "model_int8.tflite"):
        assert rows[name].primary >= FLOORS[recipe] * rows[report.baseline].primary


@pytest.mark.parametrize("recipe", ["autoencoder_int8", "autoencoder_qat"])
def test_int8_autoencoders_stay_within_three_tenths_of_a_decibel(recipe):
    report = report_of(recipe, "fashion_mnist")
    rows = {row.label: row for row in report.rows}
    for name in ("model_int8.onnx", "model_int8.tflite"):
        assert rows[name].primary >= rows[report.baseline].primary - 0.3


@pytest.mark.parametrize(
    ("recipe", "data"), [("detector_squeeze", "scenes"), ("segmenter_squeeze", "scenes")]
)
def test_squeezed_networks_of_other_tasks_are_ten_times_smaller(recipe, data):
    rows = {row.label: row for row in report_of(recipe, data).rows}
    assert rows["model.sqz"].compression_ratio >= 10


OTHER_TASKS = {
    "detection, mAP@[.5:.95]": ("detector", "scenes"),
    "segmentation, mIoU": ("segmenter", "scenes"),
    "reconstruction, PSNR": ("autoencoder", "fashion_mnist"),
}


def worth(row):
    return f"{row.primary:.2f} dB" if row.unit == "dB" else f"{100 * row.primary:.2f} %"


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_the_results_of_other_tasks_are_those_of_their_files(task):
    name, data = OTHER_TASKS[task]
    rows = {}
    for way in ("int8", "qat", "squeeze"):
        report = report_of(f"{name}_{way}", data)
        rows[way] = {row.label: row for row in report.rows} | {"float": report.rows[0]}
    file, squeezed = rows["int8"]["model_int8.tflite"], rows["squeeze"]["model.sqz"]
    cells = [
        *(worth(row) for row in (rows["int8"]["float"], file, rows["qat"]["model_int8.tflite"])),
        f"{file.num_bytes:,}, {file.compression_ratio:.2f}×",
        worth(squeezed),
        f"{squeezed.num_bytes:,}, {squeezed.compression_ratio:.1f}×",
    ]
    assert f"| {task} | {' | '.join(cells)} |" in PAGE.read_text()
