"""Templates: model files with their weights cut out, and what has to be filled in where.

A template is a list of pieces that follow each other in the file: literal bytes, runs (the last few bytes of
the literal before over and over again), and fills, each of them one array of one layer in one form. In block
M the pieces of a file are a list of numbers, and the literal bytes of all files lie behind all numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint, unzigzag, zigzag
from edgesqueeze.coding.decoder.layers import Layer
from edgesqueeze.coding.decoder.spread import Spread
from edgesqueeze.coding.decoder.swapped import swap_words
from edgesqueeze.errors import CorruptFileError

_END, _RUN, _FIRST_FORM = 0, 1, 2
MAX_PERIOD = 16
LARGEST_FILE = (1 << 32) - 1
MAX_FILES = 64
_PLAIN, _SWAPPED = 0, 1
_PERIODS_AT_A_TIME = 1 << 16
MAX_NAME = 100
_NAME_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(frozen=True)
class Form:
    """A way in which a file holds an array of a layer."""

    array: str
    dtype: str
    order: int = 0
    """Of a weight: AS_IT_IS, or one of the others."""


ORDERS = AS_IT_IS, IN_LAST, OUT_LAST, BLOCKS_LAST, IN_FIRST = range(5)
"""Orders of a weight [out, …]: unchanged; [out, in, rest] as [out, rest, in]; [out, rest] as [rest, out];
[out, blocks, rest] as [out, rest, blocks] with a number of blocks that the file says; [out, in, rest] as
[in, out, rest]."""
FORMS = (
    *(Form("weight", "<f4", order) for order in ORDERS),
    *(Form("weight", "<f2", order) for order in ORDERS),
    *(Form("int8_weight", "|i1", order) for order in ORDERS),
    *(Form("uint8_weight", "|u1", order) for order in ORDERS),
    Form("bias", "<f4"),
    Form("bias", "<f2"),
    Form("int32_bias", "<i4"),
    Form("scale", "<f4"),
    Form("bias_scale", "<f4"),
)  # fmt: skip
"""The forms by number."""
_SPREAD_FORM = len(FORMS)
"""Says that one of the forms follows, of an array that is spread."""


@dataclass(frozen=True)
class Literal:
    """Bytes of the file itself."""

    content: bytes

    @property
    def num_bytes(self) -> int:
        """How many."""
        return len(self.content)


@dataclass(frozen=True)
class Run:
    """The last ``period`` bytes of the literal just before, repeated for ``num_bytes`` more."""

    period: int
    num_bytes: int


@dataclass(frozen=True)
class Fill:
    """An array of a layer in one of the FORMS; ``spread`` if it is one of a transposed convolution."""

    form: int
    layer: int
    blocks: int
    num_bytes: int
    spread: Spread | None = None


Piece = Literal | Run | Fill


@dataclass(frozen=True)
class Template:
    """A file by name, piece after piece; ``swapped`` says in which form its literals are stored."""

    name: str
    pieces: tuple[Piece, ...]
    swapped: bool = False

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return sum(piece.num_bytes for piece in self.pieces)

    def fills(self) -> Iterator[tuple[int, Fill]]:
        """What has to be filled in, and where in the file."""
        offset = 0
        for piece in self.pieces:
            if isinstance(piece, Fill):
                yield offset, piece
            offset += piece.num_bytes

    def skeleton(self) -> Iterator[tuple[int, bytes]]:
        """Everything else, and where."""
        offset, last = 0, b""
        for piece in self.pieces:
            match piece:
                case Literal():
                    yield offset, piece.content
                    last = piece.content
                case Run():
                    pattern = last[-piece.period :] * min(_PERIODS_AT_A_TIME, piece.num_bytes)
                    for start in range(0, piece.num_bytes, len(pattern)):
                        yield offset + start, pattern[: piece.num_bytes - start]
                case Fill():
                    pass
            offset += piece.num_bytes


def make_fill(form: int, layer: int, blocks: int, layers: Sequence[Layer]) -> Fill:
    """A fill with its size.

    Raises:
        CorruptFileError: there is no such form or layer, or the blocks do not divide it.
    """
    if form >= len(FORMS) or not 0 <= layer < len(layers):
        raise CorruptFileError(f"a template wants form {form} of layer {layer} of {len(layers)}")
    wanted, found = FORMS[form], layers[layer]
    is_weight = wanted.array.endswith("weight")
    if wanted.order == BLOCKS_LAST and (blocks < 1 or found.num_weights // found.shape[0] % blocks):
        raise CorruptFileError(f"a template cuts layer {layer} of shape {found.shape} into {blocks} blocks")
    if wanted.order != AS_IT_IS and len(found.shape) == 1:
        raise CorruptFileError(f"a template wants the vector of layer {layer} in another order")
    count = found.num_weights if is_weight else found.num_channels
    if wanted.array.endswith("scale"):
        count = found.num_scales
    return Fill(form, layer, blocks, count * np.dtype(wanted.dtype).itemsize)


def make_spread_fill(form: int, layer: int, spread: Spread, layers: Sequence[Layer]) -> Fill:
    """A fill of an array that is spread, with its size.

    Raises:
        CorruptFileError: no weight of four dimensions can be spread so, or in this order.
    """
    plain = make_fill(form, layer, 1, layers)
    wanted, shape = FORMS[form], layers[layer].shape
    if len(shape) != 4 or wanted.order not in (AS_IT_IS, IN_LAST) or not spread.is_possible:
        raise CorruptFileError(f"a template spreads layer {layer} of shape {shape}, form {form}, by {spread}")
    if not wanted.array.endswith("weight"):
        return replace(plain, num_bytes=plain.num_bytes * prod(spread.stride), spread=spread)
    per_weight = plain.num_bytes // layers[layer].num_weights
    size = prod(spread.shape((shape[0], shape[1], shape[2], shape[3])))
    return replace(plain, num_bytes=per_weight * size, spread=spread)


def filled(fill: Fill, array: NDArray[Any]) -> NDArray[Any]:
    """The array that a fill names, [out, …], as its bytes lie in the file."""
    form = FORMS[fill.form]
    with np.errstate(over="ignore"):
        array = array.astype(form.dtype, copy=False)
    if fill.spread is not None:
        zero = 128 if form.dtype == "|u1" else 0
        is_weight = form.array.endswith("weight")
        array = fill.spread.weight(array, zero) if is_weight else fill.spread.channels(array)
    if form.order == AS_IT_IS:
        return array
    out = len(array)
    if form.order == OUT_LAST:
        return np.ascontiguousarray(array.reshape(out, -1).T)
    if form.order == IN_FIRST:
        return np.ascontiguousarray(array.swapaxes(0, 1))
    blocks = array.shape[1] if form.order == IN_LAST else fill.blocks
    return np.ascontiguousarray(array.reshape(out, blocks, -1).transpose(0, 2, 1))


def encode_templates(templates: Sequence[Template]) -> bytes:
    """The files section of block M: names and numbers of all files, then the literals of all files."""
    numbers, literals = [encode_varint(len(templates))], []
    for template in templates:
        name = template.name.encode("ascii")
        numbers += [encode_varint(len(name)), name, encode_varint(_SWAPPED if template.swapped else _PLAIN)]
        count, last_layer, offset = 0, 0, 0
        for piece in template.pieces:
            offset += piece.num_bytes
            if isinstance(piece, Literal):
                start = offset - piece.num_bytes
                literals.append(swap_words(piece.content, start) if template.swapped else piece.content)
                count = piece.num_bytes
                continue
            row = [count]
            if isinstance(piece, Run):
                row += [_RUN, piece.period, piece.num_bytes]
            else:
                row += _fill_numbers(piece, last_layer)
                last_layer = piece.layer
            numbers += [encode_varint(number) for number in row]
            count = 0
        numbers += [encode_varint(count), encode_varint(_END)]
    return b"".join(numbers + literals)


def _fill_numbers(fill: Fill, last_layer: int) -> list[int]:
    """The command of a fill and what follows it."""
    step = zigzag(fill.layer - last_layer)
    if fill.spread is not None:
        return [_FIRST_FORM + _SPREAD_FORM, step, fill.form, *fill.spread.stride, *fill.spread.fronts]
    blocks = [fill.blocks] if FORMS[fill.form].order == BLOCKS_LAST else []
    return [_FIRST_FORM + fill.form, step, *blocks]


def parse_templates(reader: ByteReader, layers: Sequence[Layer]) -> tuple[Template, ...]:
    """The files section, which ends block M.

    Raises:
        CorruptFileError: bytes that are no such section.
    """
    count = reader.varint()
    if count > MAX_FILES:
        raise CorruptFileError(f"templates of {count} files; allowed are {MAX_FILES}")
    drafts = [(_read_name(reader), _read_form(reader), _read_numbers(reader, layers)) for _ in range(count)]
    names = [name.lower() for name, _, _ in drafts]
    if len(set(names)) != len(names):
        raise CorruptFileError("two templates are for files of the same name")
    templates = []
    for name, swapped, draft in drafts:
        size = sum(piece if isinstance(piece, int) else piece.num_bytes for piece in draft)
        if size > LARGEST_FILE:
            raise CorruptFileError(f"the template of {name} is for a file of more than {LARGEST_FILE} bytes")
        templates.append(Template(name, tuple(_with_literals(reader, draft, swapped)), swapped))
    return tuple(templates)


def _with_literals(reader: ByteReader, draft: list[int | Run | Fill], swapped: bool) -> Iterator[Piece]:
    offset = 0
    for piece in draft:
        if isinstance(piece, int):
            content = bytes(reader.take(piece))
            yield Literal(swap_words(content, offset) if swapped else content)
        else:
            yield piece
        offset += piece if isinstance(piece, int) else piece.num_bytes


def _read_form(reader: ByteReader) -> bool:
    form = reader.varint()
    if form > _SWAPPED:
        raise CorruptFileError(f"literals are stored in form {form}; known are 0 and 1")
    return form == _SWAPPED


def _read_name(reader: ByteReader) -> str:
    length = reader.varint()
    if not 1 <= length <= MAX_NAME:
        raise CorruptFileError(f"a template for a file whose name has {length} bytes")
    name = bytes(reader.take(length))
    if name.startswith(b".") or not _NAME_BYTES.issuperset(name):
        raise CorruptFileError(f"a template for a file called {name!r}")
    return name.decode("ascii")


def _read_numbers(reader: ByteReader, layers: Sequence[Layer]) -> list[int | Run | Fill]:
    """Pieces of a file, with the sizes of literals in their place."""
    pieces: list[int | Run | Fill] = []
    layer = 0
    seen: set[tuple[str, int]] = set()
    while True:
        literal, command = reader.varint(), reader.varint()
        pieces += [literal] if literal else []
        if command == _END:
            return pieces
        if command == _RUN:
            run = Run(reader.varint(), reader.varint())
            if not 1 <= run.period <= min(literal, MAX_PERIOD) or run.num_bytes < 1:
                raise CorruptFileError(f"a run of {run.num_bytes} bytes repeats {run.period} of {literal}")
            pieces.append(run)
            continue
        layer += unzigzag(reader.varint())
        fill = _read_fill(reader, command - _FIRST_FORM, layer, layers)
        array = (FORMS[fill.form].array, layer)
        if array in seen:
            raise CorruptFileError(f"a template wants an array of layer {layer} twice")
        seen.add(array)
        pieces.append(fill)


def _read_fill(reader: ByteReader, form: int, layer: int, layers: Sequence[Layer]) -> Fill:
    """What follows the command and the number of the layer."""
    if form == _SPREAD_FORM:
        form, high, wide, top, left = (reader.varint() for _ in range(5))
        return make_spread_fill(form, layer, Spread((high, wide), (top, left)), layers)
    blocks = reader.varint() if form < len(FORMS) and FORMS[form].order == BLOCKS_LAST else 0
    return make_fill(form, layer, blocks, layers)
