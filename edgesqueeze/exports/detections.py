"""Files of a detector that decode and suppress boxes themselves, beside those that return what it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgesqueeze.errors import ParityError
from edgesqueeze.exports.base import Artifact, Export, write_artifact
from edgesqueeze.formats.detections import onnx_with_detections, tflite_with_detections
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.numerics.boxes import BoxDecoding, Detections
from edgesqueeze.trees import Tree

_WRITERS: dict[FileFormat, Callable[[bytes, BoxDecoding], bytes]] = {
    FileFormat.ONNX: onnx_with_detections,
    FileFormat.TFLITE: tflite_with_detections,
}
_PIXELS = 0.05
"""How far a side may be off: float32 sums in another order, and one operator's logarithm and power."""
_SHARE = 1e-4
Written = Sequence[tuple[Export, Artifact]]


def write_detections(files: Written, decoding: BoxDecoding) -> list[tuple[Export, Artifact]]:
    """Write one file more for each of those whose export asks for it; it takes one image at a time.

    Raises:
        ExportError: the network's outputs are not those of such a detector.
    """
    wanted = [(export, raw) for export, raw in files if export.finds_boxes and raw.format in RUNNABLE]
    return [(export, _write(raw, decoding)) for export, raw in wanted]


def _write(raw: Artifact, decoding: BoxDecoding) -> Artifact:
    path = raw.path.with_name(f"{raw.path.stem}_detections{raw.path.suffix}")
    data = _WRITERS[raw.format](raw.path.read_bytes(), decoding)
    return write_artifact(path, data, raw.format, raw.precision)


def raw_file(whole: Artifact) -> Artifact:
    """The file that one was made of."""
    path = whole.path.with_name(whole.path.name.replace("_detections", ""))
    return replace(whole, path=path, num_bytes=path.stat().st_size)


def found_by(outputs: Mapping[str, Floats]) -> list[Detections]:
    """What such a file found in each image, from its outputs."""
    return [
        Detections(boxes[: int(count)], scores[: int(count)], labels[: int(count)].astype(np.int64))
        for boxes, scores, labels, count in zip(
            *(outputs[name] for name in ("boxes", "scores", "labels", "count")), strict=True
        )
    ]


def check_detections(whole: Artifact, decoding: BoxDecoding, x: Tree) -> None:
    """A file must find what decoding the answers of the file that it was made of finds.

    Raises:
        ParityError: it finds other boxes, and how many.
    """
    expected = decoding.decode(load_model(raw_file(whole).path).predict_all(x))
    found = found_by(load_model(whole.path).predict_all(x))
    wrong = [place for place, pair in enumerate(zip(expected, found, strict=True)) if not _alike(*pair)]
    if wrong:
        raise ParityError(
            f"{whole.path.name} does not find the boxes that its network finds, in {len(wrong)} of "
            f"{len(found)} images, the first of them number {wrong[0]}"
        )


def _alike(one: Detections, other: Detections) -> bool:
    """Equal but for the order of equal scores, and for which of them come last where there are too many."""
    if len(one.labels) != len(other.labels) or not np.allclose(one.scores, other.scores, atol=_SHARE):
        return False
    if not len(one.labels):
        return True
    sure = one.scores > one.scores[-1] + _SHARE
    left = list(range(len(other.labels)))
    for place in np.flatnonzero(sure):
        same = [
            other_place
            for other_place in left
            if other.labels[other_place] == one.labels[place]
            and abs(other.scores[other_place] - one.scores[place]) <= _SHARE
            and np.abs(other.boxes[other_place] - one.boxes[place]).max() <= _PIXELS
        ]
        if not same:
            return False
        left.remove(same[0])
    return True
