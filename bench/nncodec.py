"""NNCodec in its own environment, asked through files."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CodecError

NNCODEC_PYTHON = Path("build/peers/nncodec/bin/python")
_SCRIPT = Path(__file__).absolute().parent / "peers" / "nncodec_run.py"


@dataclass(frozen=True)
class NncodecPoint:
    """One way to code: its settings, what it took, and where the decoded tensors lie (lossy only)."""

    settings: dict[str, Any]
    num_bytes: int
    encode_s: float
    decode_s: float
    decoded: Path | None = None


@dataclass(frozen=True)
class NncodecRun:
    """What one call of the peer did."""

    tool: str
    peak_rss_bytes: int
    idle_rss_bytes: int
    coded: tuple[NncodecPoint, ...]


def run_nncodec(
    python: Path,
    mode: Literal["lossless", "lossy"],
    tensors: Mapping[str, NDArray[Any]],
    folder: Path,
    options: Sequence[str] = (),
) -> NncodecRun:
    """Code tensors; ``folder`` is made, and keeps what the peer wrote.

    Raises:
        CodecError: the environment is not there, or nncodec failed.
    """
    if not python.is_file():
        raise CodecError(f"{python} is not there; make it with bench/peers/make_environments.sh nncodec")
    folder.mkdir()
    np.savez(folder / "tensors.npz", **dict(tensors))
    command = [str(python.absolute()), "-E", str(_SCRIPT), mode, "tensors.npz", ".", *options]
    # In its folder, because it leaves its bit stream in the working directory, whatever it is asked.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CodecError(f"nncodec failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found = json.loads((folder / "points.json").read_text())
    points = tuple(
        NncodecPoint(**point, decoded=folder / f"{i}.npz" if mode == "lossy" else None)
        for i, point in enumerate(found.pop("coded"))
    )
    return NncodecRun(**found, coded=points)
