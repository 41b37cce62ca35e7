"""What every kind of file holds, in the same columns: parameters, bytes, multiply-accumulates, memory."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.errors import ExportError
from edgesqueeze.files import is_file, sha256_of
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.trial import input_shapes
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import count_graph

_BITS = {"float64": 64, "float32": 32, "int32": 32, "float16": 16, "bfloat16": 16, "int16": 16}
_BITS.update({"int8": 8, "uint8": 8, "int4": 4, "uint4": 4})
_CHUNK = 1 << 20
_GZIP_HEADER = 31
"""What makes zlib write gzip's own header and checksum."""


@dataclass(frozen=True)
class Counts:
    """What a file holds; ``?`` is None, and ``doubts`` say why, one sentence each.

    ``macs`` are multiply-accumulates of one input, ``effective_macs`` those on weights that are not zero;
    ``gzip_bytes`` the size behind gzip at its usual level; ``weight_bytes`` what the parameters take as
    stored, before any runtime makes another form of them. ``batch`` is how many inputs the file takes at
    once, None for any number.
    """

    precision: str
    params: int
    nonzero_params: int
    macs: int | None
    effective_macs: int | None
    num_bytes: int
    gzip_bytes: int | None
    weight_bytes: int | None
    sha256: str
    batch: int | None
    doubts: tuple[str, ...] = ()

    @property
    def flops(self) -> int | None:
        """Floating-point operations: a multiply-accumulate is two."""
        return None if self.macs is None else 2 * self.macs

    @property
    def effective_flops(self) -> int | None:
        """Those on weights that are not zero."""
        return None if self.effective_macs is None else 2 * self.effective_macs


@dataclass(frozen=True)
class Counted:
    """A file's counts, and the facts of its inputs where a runtime of files runs it."""

    counts: Counts
    facts: FileFacts | None

    def shapes(self, model: str, batch: int, sizes: tuple[int, ...] | None) -> tuple[tuple[int, ...], ...]:
        """The shapes of its inputs, with so many of them at once.

        Raises:
            ExportError: a size stays open, or the file takes another number at once.
        """
        if self.facts is None:
            return ((batch, *built_in_model(model).input_shape),)
        return input_shapes(self.facts, batch, sizes)


def count_file(path: Path, model: str, sizes: Sequence[int] | None = None) -> Counted:
    """The counts of an .onnx, .tflite or .sqz file, or of the weights of the built-in ``model``.

    ``sizes`` are those of an input without the batch, for a file that leaves some of them open.

    Raises:
        ExportError: there is no such file, or its bytes are not what its suffix says.
        CodecError: a .sqz file is damaged.
    """
    form = FileFormat.known(path)
    if form is FileFormat.SQZ:
        return Counted(_of_sqz(path), None)
    if form is None:
        return Counted(_of_module(path, model), None)
    facts = read_model_file(path, sizes)
    return Counted(_of_facts(facts), facts)


def network_params(name: str) -> int:
    """The parameters of a built-in network as torch has it, before batch norm is folded into a file's layers.

    Raises:
        RecipeError: there is no such network.
    """
    import torch

    with torch.device("meta"):
        model = built_in_model(name).build()
    return sum(parameter.numel() for parameter in model.parameters())


def _of_facts(facts: FileFacts) -> Counts:
    batch = 1 if facts.batch == "open" else facts.batch
    doubts = [f"MACs: {facts.macs_unknown}"] if facts.macs_unknown else []
    alone = facts.num_bytes == facts.path.stat().st_size
    if not alone:
        doubts.append("gzip: its weights lie in files of their own")
    known = all(dtype in _BITS for dtype in facts.weight_dtypes)
    if not known:
        doubts.append(f"weights: the size of {', '.join(sorted(facts.weight_dtypes))} is not known")
    bits = sum(_BITS.get(dtype, 0) * count for dtype, count in facts.weight_dtypes.items())
    return Counts(
        precision=facts.precision,
        params=facts.params,
        nonzero_params=facts.nonzero_params,
        macs=None if facts.macs is None else facts.macs // batch,
        effective_macs=None if facts.effective_macs is None else facts.effective_macs // batch,
        num_bytes=facts.num_bytes,
        gzip_bytes=_gzipped(facts.path) if alone else None,
        weight_bytes=-(-bits // 8) if known else None,
        sha256=sha256_of(facts.path),
        batch=None if facts.batch == "open" else facts.batch,
        doubts=tuple(doubts),
    )


def _of_sqz(path: Path) -> Counts:
    from edgesqueeze.formats.sqz.file import naming_file, read_sqz

    if not is_file(path):
        raise ExportError(f"{path}: there is no such file")
    with naming_file(path):
        graph, _ = read_sqz(path.read_bytes())
    count = count_graph(graph)
    return Counts(
        precision="sqz",
        params=count.params,
        nonzero_params=count.nonzero_params,
        macs=count.macs,
        effective_macs=count.effective_macs,
        num_bytes=path.stat().st_size,
        gzip_bytes=_gzipped(path),
        weight_bytes=None,
        sha256=sha256_of(path),
        batch=None,
        doubts=("latency, weights: a .sqz file does not run; `edgesqueeze decode` makes files that do",),
    )


def _of_module(path: Path, model: str) -> Counts:
    import torch
    from safetensors.torch import load_file

    from edgesqueeze.network.reading.torch.build import build_graph

    entry = built_in_model(model)
    module = entry.build()
    module.load_state_dict(load_file(path))
    count = count_graph(build_graph(module, torch.zeros(1, *entry.input_shape)))
    params = [parameter.detach() for parameter in module.parameters()]
    return Counts(
        precision="fp32",
        params=sum(values.numel() for values in params),
        nonzero_params=sum(int(torch.count_nonzero(values)) for values in params),
        macs=count.macs,
        effective_macs=count.effective_macs,
        num_bytes=path.stat().st_size,
        gzip_bytes=_gzipped(path),
        weight_bytes=sum(values.numel() * values.element_size() for values in params),
        sha256=sha256_of(path),
        batch=None,
    )


def _gzipped(path: Path) -> int:
    packer = zlib.compressobj(wbits=_GZIP_HEADER)
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total += len(packer.compress(chunk))
    return total + len(packer.flush())
