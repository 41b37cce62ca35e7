"""Which values of a node a torch tensor's dimensions run over: reordering without moving anything.

A view of a node is a tuple of dimensions, each a tuple of :class:`Atom`, outermost first. An atom runs over a
part of one axis of the node (1 is its channels), and a dimension of length 1 has none. So permute, transpose,
squeeze, unsqueeze, reshape and flatten change this description only; values move where an operation reads
them in an order that its node does not have, see ``reading.torch.dims.layouts``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from edgesqueeze.network.graph.nodes import Shape


@dataclass(frozen=True)
class Atom:
    """``size`` places of a node's axis, ``step`` of its values apart; size is at least 2."""

    axis: int
    size: int
    step: int


Atoms = tuple[Atom, ...]
Dims = tuple[Atoms, ...]
"""The dimensions of a torch tensor; the first is its batch, which has none where the batch is 1."""
Layout = tuple[Atoms, ...]
"""The axes of a node behind its batch."""


def natural(shape: Shape) -> Dims:
    """A node's own axes."""
    return tuple(() if n == 1 or axis == 0 else (Atom(axis, n, 1),) for axis, n in enumerate(shape))


def lengths(dims: Sequence[Atoms]) -> Shape:
    """The shape that torch sees."""
    return tuple(prod(atom.size for atom in atoms) for atoms in dims)


def regrouped(dims: Sequence[Atoms], shape: Sequence[int]) -> Dims | None:
    """The same values in the same order as another shape; None if an atom would have to be split unevenly."""
    left = [atom for atoms in dims for atom in atoms]
    found = []
    for length in shape:
        taken, wanted = [], length
        while wanted > 1:
            atom = left.pop(0)
            if wanted % atom.size == 0:
                taken.append(atom)
                wanted //= atom.size
            elif atom.size % wanted == 0:
                inner = atom.size // wanted
                taken.append(Atom(atom.axis, wanted, atom.step * inner))
                left.insert(0, Atom(atom.axis, inner, atom.step))
                wanted = 1
            else:
                return None
        found.append(merged(taken))
    return tuple(found)


def merged(atoms: Sequence[Atom]) -> Atoms:
    """Neighbours that run over one axis in its order as one atom: equal views are equal tuples."""
    found: list[Atom] = []
    for atom in atoms:
        last = found[-1] if found else None
        if last is not None and last.axis == atom.axis and last.step == atom.size * atom.step:
            found[-1] = Atom(atom.axis, last.size * atom.size, atom.step)
        else:
            found.append(atom)
    return tuple(found)


def is_whole(atoms: Atoms, axis: int, shape: Shape) -> bool:
    """Whether a dimension is an axis of a node."""
    return atoms == (() if shape[axis] == 1 else (Atom(axis, shape[axis], 1),))


def is_outermost(atom: Atom, shape: Shape) -> bool:
    """Whether a part of an atom is one piece of its axis."""
    return atom.size * atom.step == shape[atom.axis]


def in_order(atoms: Sequence[Atom]) -> list[Atom]:
    """Atoms as their node holds them."""
    return sorted(atoms, key=lambda atom: (atom.axis, -atom.step))


def laid_out(layout: Layout) -> Mapping[Atom, Atom]:
    """What every atom becomes in a node that has the atoms of a layout as its axes."""
    found: dict[Atom, Atom] = {}
    for axis, atoms in enumerate(layout, 1):
        step = 1
        for atom in reversed(atoms):
            found[atom] = Atom(axis, atom.size, step)
            step *= atom.size
    return found


def renamed(dims: Sequence[Atoms], names: Mapping[Atom, Atom]) -> Dims:
    """The dimensions with every atom replaced."""
    return tuple(merged([names[atom] for atom in atoms]) for atoms in dims)
