"""Two int8 files compared with each other, when the network they came from is not at hand."""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgesqueeze.errors import ParityError
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.formats.onnx.cut import OnnxFile
from edgesqueeze.measure.proof.first_difference import Stop, Walk
from edgesqueeze.measure.proof.inner_tensors import (
    LAYER_IMAGES,
    InnerTensors,
    difference,
    differing_images,
)
from edgesqueeze.measure.proof.parity_report import FileParity
from edgesqueeze.measure.runtimes.onnx_runtime import predict_onnx_given
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.integers.inexact import TOLERANCE
from edgesqueeze.network.integers.reference import Int8s
from edgesqueeze.trees import Tree, length_of, rows_of

_WHY = "float operators between int8 grids in ONNX Runtime"


def compare_files(one: Path, other: Path, x: Tree) -> list[FileParity]:
    """Compare two int8 files with each other when the network they came from is not at hand.

    Where ONNX Runtime computes in float between two grids, an ONNX file may differ by one unit from a TFLite
    file; it is then run on from the TFLite file's integers.

    Args:
        one: an ONNX or TFLite file, int8.
        other: likewise.
        x: float32 [N, C, H, W], or of several inputs a tuple.

    Returns:
        One comparison for every output.

    Raises:
        ExportError: a file cannot be run or is not int8.
        ParityError: the files compute tensors of different shapes.
    """
    swapped = FileFormat.known(one) is FileFormat.TFLITE and FileFormat.known(other) is FileFormat.ONNX
    pair = _Pair(other, one) if swapped else _Pair(one, other)
    found, expected = (load_model(path).integers_of_all(x) for path in (pair.follower, pair.leader))
    if {n: y.shape for n, y in found.items()} != {n: y.shape for n, y in expected.items()}:
        raise ParityError(f"{one.name} answers with another shape than {other.name}, or another output")
    walk = Walk(found, np.zeros(length_of(x), np.bool_), {})
    if pair.inexact:
        walk = pair.walk(x, {*pair.inexact, *(name for names in pair.inexact.values() for name in names)})
    entries = [
        replace(difference(one.name, walk.outputs[name], y, 0.0), reference=other.name)
        for name, y in expected.items()
    ]
    if len(entries) > 1:
        entries = [replace(entry, output=name) for entry, name in zip(entries, expected, strict=True)]
    first, inexact = walk.first(), walk.layers(dict.fromkeys(pair.inexact, _WHY))
    entries[0] = replace(entries[0], first=first, inexact=inexact)
    if all(entry.holds for entry in entries):
        return entries
    wrong = walk.wrong.copy()
    for name, y in expected.items():
        wrong |= differing_images(walk.outputs[name], y, 0.0)
    chosen = rows_of(rows_of(x, wrong), slice(LAYER_IMAGES))
    first = pair.walk(chosen, pair.names).first() or first
    return [entry if entry.holds else replace(entry, first=first) for entry in entries]


class _Pair:
    """A file that leads, and one that continues from the leader's integers behind an inexact node.

    ``names`` are the nodes both know, ``inexact`` those among them that the follower computes by a rule of
    its own, each with the nodes it reads.
    """

    def __init__(self, follower: Path, leader: Path) -> None:
        self.follower, self.leader = follower, leader
        self._file, self._led = InnerTensors(follower, integers=True), InnerTensors(leader, integers=True)
        self.names = tuple(name for name in self._file.names if name in self._led.names)
        self.inexact: Mapping[str, tuple[str, ...]] = {}
        if FileFormat.known(follower) is FileFormat.ONNX is not FileFormat.known(leader):
            self._onnx = OnnxFile(follower)
            known = self._onnx.read_in_float()
            self.inexact = {name: known[name] for name in self.names if name in known}

    def walk(self, x: Tree, compared: Collection[str]) -> Walk:
        """Compare at some nodes; what the follower answers in the end."""
        stops: dict[str, Stop] = {}
        given: dict[str, Int8s] = {}
        wrong = np.zeros(length_of(x), np.bool_)
        for name in (name for name in self.names if name in compared):
            expected, found = self._led.at(name, x), self._at(name, x, given)
            if found.shape != expected.shape:
                raise ParityError(
                    f"{self.follower.name} and {self.leader.name} differ in the shape of {name!r}"
                )
            stops[name] = Stop(TOLERANCE if name in self.inexact else 0)
            wrong |= stops[name].add(found, expected)
            if name in self.inexact:
                given[name] = expected
        outputs = {name: self._at(node, x, given) for name, node in self._file.results.items()}
        return Walk(outputs, wrong, stops)

    def _at(self, name: str, x: Tree, given: Mapping[str, Int8s]) -> Int8s:
        """A node of the follower, computed behind given integers of others."""
        if not given:
            return self._file.at(name, x)
        shapes = {node: (1, *q.shape[1:]) for node, q in given.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cut.onnx"
            path.write_bytes(self._onnx.cut(name, shapes))
            feeds = {self._onnx.given_name(node): q for node, q in given.items()}
            return predict_onnx_given(path, x, feeds)
