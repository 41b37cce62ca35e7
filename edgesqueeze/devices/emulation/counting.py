"""How many instructions a run's files take on an emulated board's processor: exact, and no latency."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edgesqueeze.devices.emulation.boards import Board
from edgesqueeze.devices.emulation.check import model_names, unpacked_bundle
from edgesqueeze.devices.emulation.counter import Count, Counter, make_counter
from edgesqueeze.devices.emulation.counts import Decoded, EmulatedCounts, FileCount
from edgesqueeze.devices.emulation.cycles import Model, find_model
from edgesqueeze.devices.emulation.emulated import Emulated, why_it_ended
from edgesqueeze.devices.emulation.root import ready_root
from edgesqueeze.devices.native.decoder import build_decoder, read_decoding
from edgesqueeze.errors import DeviceError
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.run.rundir import open_run

PASSES = 5
"""Inferences counted one by one, behind the first three; the fewest instructions of one are kept."""
_INFERENCE = f"""
import gc, os, sys
import numpy as np
from edge import Model, read_manifest

def mark(which):
    try:
        os.getpriority(os.PRIO_USER, 0xE50000 | which)
    except OSError:
        pass

(facts,) = [facts for facts in read_manifest()["models"] if facts["file"] == sys.argv[1]]
model = Model(facts)
call = model.prepare(np.load(facts["golden"][0])["input"][:1])
gc.disable()
for _ in range(3):
    call()
mark(1)
mark(2)
for _ in range({PASSES}):
    mark(1)
    call()
    mark(2)
print(model.version)
"""


@dataclass(frozen=True)
class Bench:
    """An emulated board that counts, and the model of its cycles, None without llvm-mca."""

    emulated: Emulated
    counter: Counter
    model: Model | None
    folder: Path

    def inference(self, bundle: Path, file: str) -> FileCount:
        """Count one inference of a file of an unpacked bundle."""
        done = self.emulated.run([self.emulated.python, "-c", _INFERENCE, file], bundle, self.counter)
        if done.returncode:
            return FileCount(file, "", reason=why_it_ended(done))
        return self._modelled(FileCount(file, done.stdout.strip()), _fewest(self.counter.counts()))

    def decoding(self, decoder: Path, file: Path) -> Decoded:
        """Count the decoding of a .sqz file by the static program."""
        with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as output:
            done = self.emulated.run([str(decoder), str(file), output], self.folder, self.counter)
        if done.returncode:
            return Decoded(FileCount(file.name, "", reason=why_it_ended(done)))
        took = read_decoding(done.stdout)
        counted = self._modelled(FileCount(file.name, "decoder in C"), _fewest(self.counter.counts()))
        return Decoded(counted, took.heap_bytes, took.file_bytes)

    def _modelled(self, row: FileCount, count: Count) -> FileCount:
        row = replace(row, instructions=count.instructions, classes=dict(count.classes))
        if self.model is None:
            return row
        cycles = self.model.cycles(count, self.folder)
        return replace(row, cycles=cycles.cycles, covered=cycles.covered, reason=cycles.reason)


def _fewest(counts: Sequence[Count]) -> Count:
    """The cheapest of what was counted behind an empty pair of marks, without what marks cost."""
    empty, *rest = counts
    if not rest:
        raise DeviceError("the emulator has counted no whole pair of marks")
    best = min(rest, key=lambda count: count.instructions)
    classes = {name: max(0, number - empty.classes[name]) for name, number in best.classes.items()}
    return Count(best.instructions - empty.instructions, classes, best.blocks)


@contextmanager
def counting(board: Board, cache: Path) -> Iterator[Bench]:
    """An emulated board that counts, for as long as a ``with`` block lasts.

    Args:
        board: whose processor.
        cache: where the emulated system is kept.

    Raises:
        DeviceError: the emulator or its packages cannot be fetched, or there is no C compiler here.
    """
    root = ready_root(cache)
    with tempfile.TemporaryDirectory(prefix="edgesqueeze-") as temporary, Emulated(root, board) as emulated:
        folder = Path(temporary)
        yield Bench(emulated, make_counter(cache, folder), find_model(board.schedule), folder)


def count_run(run: Path, board: Board, cache: Path) -> EmulatedCounts:
    """Count an inference of every .onnx and .tflite file of a run, and the decoding of its .sqz files.

    Raises:
        OutputError: the run is not finished, or has no such file.
        DeviceError: the emulator or its packages cannot be fetched, or there is no C compiler here.
        ExportError: a file cannot be bundled.
    """
    names = model_names(run)
    folder, _ = open_run(run)
    squeezed = sorted(p for p in folder.artifacts.glob("*") if FileFormat.known(p) is FileFormat.SQZ)
    with counting(board, cache) as bench, unpacked_bundle(run, names) as bundle:
        files = tuple(bench.inference(bundle, name) for name in names)
        decoded = _decoded(bench, squeezed)
    version = None if bench.model is None else bench.model.version
    return EmulatedCounts(board, ready_root(cache).versions, version, files, decoded)


def _decoded(bench: Bench, squeezed: Sequence[Path]) -> tuple[Decoded, ...]:
    if not squeezed:
        return ()
    try:
        decoder = build_decoder(bench.folder / "decode")
    except DeviceError as error:
        return tuple(Decoded(FileCount(path.name, "", reason=str(error))) for path in squeezed)
    return tuple(bench.decoding(decoder, path.resolve()) for path in squeezed)
