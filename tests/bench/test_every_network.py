"""The table of networks: its pure parts, and one row of it."""

from dataclasses import asdict

from bench.network_list import NETWORKS
from bench.network_row import IMAGES, NetworkRow, blank_row, measure_network
from bench.network_table import kind_of_failure, reasons, report
from edgesqueeze.importing.keras.load import keras_on_torch

BLANK = asdict(NetworkRow("timm/a", "timm", "a", "convolutional", 64))


def row(**changes):
    return {**BLANK, "failure": "operation 'x.y' (layer) of 12 inputs", **changes}


def test_every_model_file_is_listed_once_per_library():
    files = [(network.library, network.file) for network in NETWORKS.values() if network.library != "keras"]
    assert len(set(files)) == len(files)
    assert sum(library == "timm" for library, _ in files) == 98


def test_every_network_of_keras_applications_is_listed():
    keras = keras_on_torch()
    named = {name for name in dir(keras.applications) if callable(getattr(keras.applications, name))}
    assert {network.variant for network in NETWORKS.values() if network.library == "keras"} == named


def test_reasons_are_ranked_by_how_many_networks_they_stop():
    rows = [row(), row(name="timm/b", failure="operation 'z' (layer) of 3 inputs"), row(failure="other")]
    assert reasons(rows)[0] == ("operation '…' (layer) of n inputs", ["timm/a", "timm/b"])
    assert kind_of_failure("") == "no message"


def test_the_report_counts_what_is_read_equal_and_wrong():
    measured = {"nodes": 9, "float_error": {"onnx": 1e-6, "tflite": 2e-6}, "failure": None, "step": "done"}
    measured |= {"gate": "equal", "differing": {"onnx and tflite": 0, "of": 40}}
    measured |= {"sqnr_db": {"onnx": 20.0, "tflite": 20.0}, "islands": {"onnx": 0, "tflite": 1}}
    text = "\n".join(report([row(), row(**measured), row(**{**measured, "gate": "differs at 'c'"})]))
    assert "Of 3 networks 2 are read, 2 are right in fp32 in both formats, 1 have" in text
    assert "1 are wrong" in text


def test_a_network_is_measured_to_its_end():
    rows = []
    network = NETWORKS["torchvision/squeezenet1_1"]
    measure_network(blank_row(network), network.settled, network.images(IMAGES), ("read",), rows.append)
    assert [r.step for r in rows] == ["build", "read", "done"]
    assert rows[-1].nodes == 40
    assert rows[-1].failure is None
