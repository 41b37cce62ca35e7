"""The vectors of docs/coder.md, compiled and as plain Python."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgesqueeze.coding.byte_strings import encode_bytes
from edgesqueeze.coding.symbols import encode_symbols
from edgesqueeze.coding.weight_tensor import encode_weights

_DOCUMENT = Path(__file__).parents[2] / "docs" / "coder.md"

_SCRIPT = """
import hashlib
import numpy as np
from edgesqueeze.coding.byte_strings import decode_bytes, encode_bytes
from edgesqueeze.coding.compiled import IS_COMPILED
from edgesqueeze.coding.symbols import price_candidates
from edgesqueeze.coding.weight_tensor import decode_weights, encode_weights

rng = np.random.default_rng(2)
levels = np.rint(rng.laplace(scale=3, size=(8, 3, 3, 3))) * (rng.random((8, 3, 3, 3)) < 0.4)
tensors = [
    levels.astype(np.float32) * np.float32(0.01) + np.float32(0),
    (levels % 5).reshape(8, 27).astype(np.float32) ** 3 / np.float32(7) + np.float32(0),
    rng.normal(size=40).astype(np.float32),
    np.where(levels.reshape(27, 8) > 3, np.float32(-1e30), np.float32(0)),
]
digest = hashlib.sha256()
for tensor in tensors:
    payload = encode_weights(tensor)
    assert decode_weights(payload, tensor.shape).tobytes() == tensor.tobytes()
    digest.update(payload)
text = b"features.0.weight " * 9 + np.arange(40, dtype="<u4").tobytes()
assert decode_bytes(encode_bytes(text)) == text
symbols = levels.astype(np.int32)
digest.update(encode_bytes(text) + price_candidates(symbols, np.stack([symbols, symbols * 0 + 1], -1)).tobytes())
print(IS_COMPILED, digest.hexdigest())
"""


def test_the_document_holds_what_the_encoder_writes():
    lines = re.findall(
        r"^\| (symbols|weights|bytes) `(.*?)` \| `(.*?)` \|$", _DOCUMENT.read_text(), re.MULTILINE
    )
    assert [kind for kind, _, _ in lines] == ["symbols", "weights", "weights", "weights", "bytes"]
    for kind, given, coded in lines:
        if kind == "bytes":
            payload = encode_bytes(given.encode())
        elif kind == "symbols":
            payload = encode_symbols(np.array(json.loads(given), np.int32))
        else:
            payload = encode_weights(np.array(json.loads(given), np.float32))
        assert payload == bytes.fromhex(coded)


def test_plain_python_writes_the_same_bytes(capsys):
    without_numba = 'import sys; sys.modules["numba"] = None\n' + _SCRIPT
    plain = subprocess.run(
        [sys.executable, "-c", without_numba], capture_output=True, text=True, check=True
    ).stdout
    exec(compile(_SCRIPT, "compiled", "exec"), {})
    compiled = capsys.readouterr().out
    assert plain.split()[0] == "False"
    assert compiled.split()[0] == "True"
    assert plain.split()[1] == compiled.split()[1]
