"""Model files made to break what reads them, a handful; bench/hostile_models.py has them all."""

import hostile_keras
import hostile_onnx
import pytest

from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.importing.load import load_network

ONNX = {
    "a link to /dev/zero": "is not a file",
    "six sparse gigabytes": "bytes; at most 2,147,483,648 are allowed",
    "NaN weights": "has values that are not finite",
    "complex weights": "no numbers",
    "an unknown type of weights": "no numbers",
    "data that are too short": "is not a whole ONNX model",
    "data of 40 GB": "bytes; at most 2,147,483,648 are allowed",
    "ConstantOfShape of 2^30": "would make 1,073,741,824 values",
    "a constant doubled 40 times": "would make 268,435,456 values",
    "a map resized to 2^30": "would make 1,073,741,824 values",
    "an axis that is not there": "does not fit what it is given",
    "a function that calls itself": "calls itself",
    "functions of 2^40 nodes": "has 1,099,511,627,777 nodes",
    "operator set 9999": "operator set 9999",
}
KERAS = {
    "a bomb as weights": "would unpack to 134,217,728 bytes",
    "os.system": "Could not locate class 'system'",
    "10^9 units": "cannot be loaded",
    "an upsampling to 2^30": "would make",
    "weights that are NaN": "has values that are not finite",
    "weights of 10^13 bytes": "would unpack to",
    "groups that hold themselves": "more than 64 levels deep",
    "an old Lambda in an .h5": "it holds a Lambda layer, which is code",
}


@pytest.mark.parametrize(("name", "sentence"), ONNX.items(), ids=list(ONNX))
def test_a_hostile_onnx_file_is_one_sentence(name, sentence, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    hostile_onnx.write(name, folder)
    refused(folder / "net.onnx", sentence)


@pytest.mark.parametrize(("name", "sentence"), KERAS.items(), ids=list(KERAS))
def test_a_hostile_keras_file_is_one_sentence(name, sentence, tmp_path):
    refused(tmp_path / hostile_keras.write(name, tmp_path), sentence)


def refused(path, sentence):
    with pytest.raises(EdgeSqueezeError) as caught:
        load_network(path, (3, 8, 8))
    said = str(caught.value)
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert len(said) < 500
