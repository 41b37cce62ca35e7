"""Products of two tensors summed over a dimension: matmul, bmm, einsum.

Each is written with letters for dimensions, as in einsum. What both factors and the result have is a batch of
matrices; what only the factors have is summed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from string import ascii_letters

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Conv, Dense, Floats, MatMul
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import (
    constant_node,
    dims_of,
    keep_dims,
    name_of,
    pointwise_conv,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.views import Atom, Atoms, Dims, Layout
from edgesqueeze.network.reading.torch.fx import refuse


@dataclass(frozen=True)
class Factor:
    """A computed tensor: its node, the dimensions that torch sees, and a letter for each of them."""

    node: AnyNode
    dims: Dims
    letters: str
    name: str
    """What it is called where it has to move."""

    @property
    def parts(self) -> dict[str, Atoms]:
        """The dimensions that are more than 1 long."""
        return {letter: atoms for letter, atoms in zip(self.letters, self.dims, strict=True) if atoms}

    @property
    def lengths(self) -> dict[str, int]:
        """How long they are."""
        return {letter: prod(atom.size for atom in atoms) for letter, atoms in self.parts.items()}


@dataclass(frozen=True)
class _Roles:
    """Letters of a product: those of the batch, summed over, of the left factor only, of the right one."""

    batch: str
    summed: str
    rows: str
    columns: str


def _roles(fx: FxNode, left: Sequence[str], right: Sequence[str], result: str) -> _Roles:
    lost = (set(left) ^ set(right)) - set(result)
    if lost:
        raise refuse(fx, f"sums over dimensions of one factor alone ({', '.join(sorted(lost))})")
    both = [letter for letter in left if letter in right]
    return _Roles(
        batch="".join(letter for letter in result if letter in both),
        summed="".join(letter for letter in both if letter not in result),
        rows="".join(letter for letter in result if letter in left and letter not in both),
        columns="".join(letter for letter in result if letter in right and letter not in both),
    )


def _merged(parts: Mapping[str, Atoms], letters: str) -> Atoms:
    return tuple(atom for letter in letters for atom in parts[letter])


def _length(lengths: Mapping[str, int], letters: str) -> int:
    return prod(lengths[letter] for letter in letters)


def contracted(
    builder: Builder, fx: FxNode, factors: tuple[Factor, Factor], result: str, name: str
) -> Factor:
    """Append the product of two computed tensors.

    The left one is read as [1, summed, batch, rows], the right one as [1, summed, batch, columns] or
    [1, columns, batch, summed], whichever its channels suggest.

    Raises:
        UnsupportedLayerError: a dimension of one factor alone would be summed over.
    """
    left, right = factors
    roles = _roles(fx, list(left.parts), list(right.parts), result)
    one, other = left.parts, right.parts
    summed = _merged(other, roles.summed)
    on_channels = bool(summed) and all(atom.axis == 1 for atom in summed)
    sides = [_merged(other, roles.columns), summed]
    outer, last = reversed(sides) if on_channels else sides
    layouts: tuple[Layout, Layout] = (
        (_merged(one, roles.summed), _merged(one, roles.batch), _merged(one, roles.rows)),
        (outer, _merged(other, roles.batch), last),
    )
    inputs = [rearranged(builder, f.node, lay, f.name) for f, lay in zip(factors, layouts, strict=True)]
    node = MatMul(
        name=builder.unused(name),
        inputs=(inputs[0].name, inputs[1].name),
        shape=(
            1,
            _length(right.lengths, roles.columns),
            _length(left.lengths, roles.batch),
            _length(left.lengths, roles.rows),
        ),
        along="channels" if on_channels else "width",
    )
    builder.nodes[node.name] = node
    atoms = {
        **_on_axis(1, right.lengths, roles.columns),
        **_on_axis(2, left.lengths, roles.batch),
        **_on_axis(3, left.lengths, roles.rows),
    }
    return Factor(node, tuple(atoms.get(letter, ()) for letter in result), result, node.name)


def _on_axis(axis: int, lengths: Mapping[str, int], letters: str) -> dict[str, Atoms]:
    """The dimensions that lie on one axis of a result, outermost first."""
    found: dict[str, Atoms] = {}
    step = 1
    for letter in reversed(letters):
        found[letter] = (Atom(axis, lengths[letter], step),)
        step *= lengths[letter]
    return found


def _product(
    builder: Builder, fx: FxNode, values: Sequence[object], letters: Sequence[str], result: str
) -> None:
    """One of torch's products: of two computed tensors, or of one and a stored one."""
    factors = [
        factor_of(builder, value, own) if isinstance(value, FxNode) and value in builder.made else None
        for value, own in zip(values, letters, strict=True)
    ]
    left, right = factors
    if left is not None and right is not None:
        show_product(builder, fx, contracted(builder, fx, (left, right), result, fx.name))
    elif left is not None:
        _with_stored(builder, fx, left, (values[1], letters[1]), result)
    elif right is not None:
        _with_stored(builder, fx, right, (values[0], letters[0]), result)


def factor_of(builder: Builder, value: FxNode, letters: str) -> Factor:
    """What is read as a factor."""
    node = builder.nodes[builder.made[value]]
    return Factor(node, dims_of(builder, value), letters, name_of(builder, value))


def show_product(builder: Builder, fx: FxNode, found: Factor) -> None:
    """Say that an operation gives a product."""
    builder.same(fx, found.node)
    keep_dims(builder, fx, found.dims)


def _with_stored(
    builder: Builder, fx: FxNode, factor: Factor, stored: tuple[object, str], result: str
) -> None:
    """A product with a parameter: a layer, or, of batches of matrices, a product with a constant."""
    value, letters = stored
    values = builder.constant(fx, value)
    if values is None:
        raise refuse(fx, "has a factor that is neither computed nor stored")
    known = {letter: n for letter, n in zip(letters, values.shape, strict=True) if n > 1}
    roles = _roles(fx, list(factor.parts), list(known), result)
    order = [letters.index(letter) for letter in (*roles.columns, *roles.batch, *roles.summed)]
    rest = [axis for axis in range(values.ndim) if axis not in order]
    lengths = [_length(known, part) for part in (roles.columns, roles.batch, roles.summed)]
    matrices = values.transpose(*order, *rest).reshape(lengths)
    if roles.batch:
        node = constant_node(builder, f"{fx.name}_stored", np.ascontiguousarray(matrices))
        atoms = {
            letter: found
            for axis, part in enumerate((roles.columns, roles.batch, roles.summed), 1)
            for letter, found in _on_axis(axis, known, part).items()
        }
        own = Factor(node, tuple(atoms.get(letter, ()) for letter in letters), letters, node.name)
        show_product(builder, fx, contracted(builder, fx, (factor, own), result, fx.name))
        return
    show_product(builder, fx, _layer(builder, fx, factor, (matrices[:, 0], known, roles), result))


def along(builder: Builder, fx: FxNode, factor: Factor, letter: str, matrix: Floats) -> Factor:
    """One dimension of a tensor multiplied by a stored matrix [out, in]."""
    if not factor.parts.get(letter):  # a single value: every row has one weight
        raise refuse(fx, "resamples a dimension of length 1")
    roles = _Roles("", letter, "".join(other for other in factor.parts if other != letter), "Z")
    known = {"Z": len(matrix), letter: matrix.shape[1]}
    found = _layer(builder, fx, factor, (matrix, known, roles), factor.letters.replace(letter, "Z"))
    return replace(found, letters=factor.letters)


def _layer(
    builder: Builder,
    fx: FxNode,
    factor: Factor,
    stored: tuple[Floats, Mapping[str, int], _Roles],
    result: str,
) -> Factor:
    """A product with one matrix [columns, summed]: a dense layer, or a 1 × 1 convolution."""
    weight, known, roles = stored
    parts = factor.parts
    layout: Layout = (_merged(parts, roles.summed), (), _merged(parts, roles.rows))
    source = rearranged(builder, factor.node, layout[:1] if not roles.rows else layout, factor.name)
    name, columns = builder.unused(fx.name), len(weight)
    if len(source.shape) == 2:
        node: Conv | Dense = Dense(name=name, inputs=(source.name,), shape=(1, columns), activation="none")
    else:
        weight = weight[:, :, np.newaxis, np.newaxis]
        node = pointwise_conv(name, source, columns)
    builder.add_weighted(fx, node, np.ascontiguousarray(weight), None)
    atoms = {**_on_axis(1, known, roles.columns), **_on_axis(3, factor.lengths, roles.rows)}
    return Factor(node, tuple(atoms.get(letter, ()) for letter in result), result, node.name)


def _matmul(builder: Builder, fx: FxNode) -> None:
    """matmul, bmm, mm: batches of matrices, spread where one has fewer."""
    values = fx.args[:2]
    ranks = [len(value.meta["val"].shape) for value in values if isinstance(value, FxNode)]
    if min(ranks) < 2:
        raise refuse(fx, "multiplies with a vector; give it a second dimension")
    batch = ascii_letters[: max(ranks) - 2]
    own = [batch[len(batch) - rank + 2 :] for rank in ranks]
    _product(builder, fx, values, [f"{own[0]}YZ", f"{own[1]}ZX"], f"{batch}YX")


def _einsum(builder: Builder, fx: FxNode) -> None:
    """Einstein sum of two tensors; a dimension that one of them has alone must be in the result."""
    equation, values = fx.args[:2]
    text = str(equation).replace(" ", "")
    operands, arrow, result = text.partition("->")
    letters = operands.split(",")
    if len(letters) != 2 or not arrow or "." in text or not isinstance(values, Sequence):
        raise refuse(fx, f"is {text!r}; two tensors, a letter for every dimension and an arrow are allowed")
    if any(len(set(own)) < len(own) for own in (*letters, result)):
        raise refuse(fx, f"takes a diagonal in {text!r}")
    _product(builder, fx, values, letters, result)


MATMULS: dict[str, Translation] = {
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "einsum": _einsum,
}
"""What torch calls them; they read tensors in any order."""
