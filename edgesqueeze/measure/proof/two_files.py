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
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.inexact import TOLERANCE
from edgesqueeze.network.integers.reference import Int8s

_WHY = "float operators between int8 grids in ONNX Runtime"


def compare_files(one: Path, other: Path, x: Floats) -> FileParity:
    """Compare two int8 files with each other when the network they came from is not at hand.

    Where ONNX Runtime computes in float between two grids, an ONNX file may differ by one unit from a TFLite
    file; it is then run on from the TFLite file's integers.

    Args:
        one: an ONNX or TFLite file, int8.
        other: likewise.
        x: float32 [N, C, H, W].

    Raises:
        ExportError: a file cannot be run or is not int8.
        ParityError: the files compute tensors of different shapes.
    """
    outputs = {path: load_model(path).predict_integers(x) for path in (one, other)}
    swapped = FileFormat.known(one) is FileFormat.TFLITE and FileFormat.known(other) is FileFormat.ONNX
    pair = _Pair(other, one) if swapped else _Pair(one, other)
    walk = Walk(outputs[pair.follower], np.zeros(len(x), np.bool_), {})
    if pair.inexact:
        walk = pair.walk(x, {*pair.inexact, *(name for names in pair.inexact.values() for name in names)})
    expected = outputs[pair.leader]
    if walk.output.shape != expected.shape:
        raise ParityError(f"{one.name} answers with another shape than {other.name}")
    entry = replace(
        difference(one.name, walk.output, expected, 0.0),
        reference=other.name,
        first=walk.first(),
        inexact=walk.layers(dict.fromkeys(pair.inexact, _WHY)),
    )
    if entry.holds:
        return entry
    chosen = x[walk.wrong | differing_images(walk.output, expected, 0.0)][:LAYER_IMAGES]
    return replace(entry, first=pair.walk(chosen, pair.names).first() or entry.first)


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

    def walk(self, x: Floats, compared: Collection[str]) -> Walk:
        """Compare at some nodes; what the follower answers in the end."""
        stops: dict[str, Stop] = {}
        given: dict[str, Int8s] = {}
        wrong = np.zeros(len(x), np.bool_)
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
        return Walk(self._at(self._file.names[-1], x, given), wrong, stops)

    def _at(self, name: str, x: Floats, given: Mapping[str, Int8s]) -> Int8s:
        """A node of the follower, computed behind given integers of others."""
        if not given:
            return self._file.at(name, x)
        shapes = {node: (1, *q.shape[1:]) for node, q in given.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cut.onnx"
            path.write_bytes(self._onnx.cut(name, shapes))
            feeds = {self._onnx.given_name(node): q for node, q in given.items()}
            return predict_onnx_given(path, x, feeds)
