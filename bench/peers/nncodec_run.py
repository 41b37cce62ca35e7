"""NNCodec (ISO/IEC 15938-17) on tensors in an .npz file.

Runs in the environment of requirements-nncodec.txt:

    python nncodec_run.py lossless TENSORS.npz DIRECTORY
    python nncodec_run.py lossy TENSORS.npz DIRECTORY --qp -38 -32 [--nonweight-qp -75] [--lambda-scale 0]

Both write DIRECTORY/points.json: bytes and seconds of every way to code that is tried. ``lossless`` takes
integers and checks that they come back exactly. ``lossy`` takes float32 tensors and writes DIRECTORY/N.npz,
the decoded tensors of point N.
"""

import contextlib
import io
import json
import time
from argparse import ArgumentParser, Namespace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from nncodec import nnc

Tensors = dict[str, np.ndarray]


def code(tensors: Tensors, settings: dict[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    """Encode and decode once: the decoded tensors, and bytes and seconds."""
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        stream = nnc.compress(tensors, return_bitstream=True, **settings)
        encoded = time.perf_counter()
        decoded = nnc.decompress(stream)
        end = time.perf_counter()
    facts = {"num_bytes": len(stream), "encode_s": encoded - start, "decode_s": end - encoded}
    return {name: np.asarray(decoded[name]) for name in tensors}, {"settings": settings, **facts}


def lossless(tensors: Tensors) -> list[dict[str, Any]]:
    """Integers, with and without skipping of rows that are zero.

    Raises:
        ValueError: a tensor came back changed.
    """
    integers = {name: values.astype(np.int32) for name, values in tensors.items()}
    tried = []
    for row_skipping in (False, True):
        decoded, facts = code(integers, {"use_dq": False, "row_skipping": row_skipping})
        for name, values in integers.items():
            if not np.array_equal(decoded[name].reshape(values.shape), values):
                raise ValueError(f"{name} came back changed")
        tried.append(facts)
    return tried


def lossy(tensors: Tensors, arguments: Namespace) -> list[dict[str, Any]]:
    """Floats with dependent quantization, at every combination of the given parameters."""
    tried = []
    for qp, nonweight_qp, lambda_scale in product(
        arguments.qp, arguments.nonweight_qp, arguments.lambda_scale
    ):
        settings = {"use_dq": True, "qp": qp, "nonweight_qp": nonweight_qp, "lambda_scale": lambda_scale}
        decoded, facts = code(tensors, settings)
        np.savez(arguments.directory / f"{len(tried)}.npz", **decoded)
        tried.append(facts)
    return tried


def main() -> None:
    """Do what the command line says."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("lossless", "lossy"))
    parser.add_argument("tensors", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--qp", type=int, nargs="+", default=[-38])
    parser.add_argument("--nonweight-qp", type=int, nargs="+", default=[-75])
    parser.add_argument("--lambda-scale", type=float, nargs="+", default=[0.0])
    arguments = parser.parse_args()
    with np.load(arguments.tensors) as file:
        tensors = {name: file[name] for name in file.files}
    idle = peak_rss_bytes()
    coded = lossless(tensors) if arguments.mode == "lossless" else lossy(tensors, arguments)
    facts = {
        "tool": f"nncodec {version('nncodec')}",
        "peak_rss_bytes": peak_rss_bytes(),
        "idle_rss_bytes": idle,
        "coded": coded,
    }
    (arguments.directory / "points.json").write_text(json.dumps(facts))


def peak_rss_bytes() -> int:
    """The largest resident set of this process since it was started (Linux: VmHWM, in KiB).

    Not ru_maxrss, which a child takes over from the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


if __name__ == "__main__":
    main()
