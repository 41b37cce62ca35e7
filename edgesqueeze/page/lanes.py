"""A network as a list with lines beside it: which tensor runs past which node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LaneRow:
    """The lines beside one node, by their places from the left.

    ``reads`` are lines that end in the node, ``passes`` those that go on beside it; ``place`` is where the
    node stands, and ``goes_on`` whether a line leaves it.
    """

    place: int
    reads: tuple[int, ...]
    passes: tuple[int, ...]
    goes_on: bool

    @property
    def width(self) -> int:
        """How many places it takes."""
        return 1 + max((self.place, *self.reads, *self.passes))


def lane_rows(inputs: Mapping[str, Sequence[str]]) -> list[LaneRow]:
    """The lines of a network.

    Args:
        inputs: node name to the names of those it reads, in execution order.
    """
    readers = dict.fromkeys(inputs, 0)
    for names in inputs.values():
        for name in dict.fromkeys(names):
            readers[name] += 1
    lanes: dict[int, str] = {}
    rows = []
    for name, names in inputs.items():
        reads = tuple(place for place, owner in sorted(lanes.items()) if owner in names)
        for owner in dict.fromkeys(names):
            readers[owner] -= 1
        passes = tuple(place for place, owner in sorted(lanes.items()) if readers[owner])
        lanes = {place: lanes[place] for place in passes}
        place = next((p for p in reads if p not in lanes), _first_free(lanes))
        if readers[name]:
            lanes[place] = name
        rows.append(LaneRow(place, reads, passes, bool(readers[name])))
    return rows


def _first_free(lanes: Mapping[int, str]) -> int:
    return next(place for place in range(len(lanes) + 1) if place not in lanes)
