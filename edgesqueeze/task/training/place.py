"""Where a training runs: on which device, in which precision, and in how many processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from edgesqueeze.errors import RecipeError
from edgesqueeze.trees import Tree, map_tree

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32", "bf16-mixed"]
T = TypeVar("T")


class Place:
    """One process that trains on the CPU in float32; subclasses train elsewhere.

    The loop asks it for everything that depends on where it runs. Models come to a place and go back: outside
    of :func:`~edgesqueeze.task.training.fit.fit` everything is on the CPU, states on disk too.
    """

    device = torch.device("cpu")
    precision: Precision = "32"
    processes: int = 1
    rank: int = 0
    """Of this process; the first, 0, is the only one that writes and tells."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    def facts(self) -> dict[str, object]:
        """Plain values for a run's environment."""
        return {"device": self.device.type, "precision": self.precision, "processes": self.processes}

    def note(self) -> str | None:
        """What a stage's row says of where it trained; None for the ordinary place."""
        return None

    def put(self, tree: Tree) -> Tree:
        """Tensors on the device; those that are there already as they are."""
        return map_tree(lambda tensor: tensor.to(self.device), tree)

    def layout(self, model: nn.Module, x: Tree) -> torch.memory_format:
        """How maps are to lie in memory, for a model and inputs like ``x`` [N, ...]: as they come."""
        del model, x
        return torch.preserve_format

    def computing(self) -> AbstractContextManager[Any]:
        """The context of a forward pass: which precision its operations have."""
        return nullcontext()

    def share(self, count: int) -> slice:
        """Which examples of a batch of ``count`` this process computes."""
        return slice(0, count)

    def combine(self, model: nn.Module, loss: Tensor, weight: float, flag: bool) -> tuple[float, bool]:
        """Make a step's gradients and statistics those of the whole batch, behind the backward pass.

        Args:
            model: has this process's gradients, of its loss times ``weight``.
            loss: of this process's examples, a scalar.
            weight: their part of the batch.
            flag: what the first process says; that of others does not count.

        Returns:
            The loss of the whole batch, and the flag.
        """
        del model, weight
        return loss.item(), flag

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks."""
        return [value]

    def from_first(self, compute: Callable[[], T]) -> T:
        """What the first process computes, told to all."""
        return compute()

    def wait(self) -> None:
        """Until every process is here."""

    def random_state(self) -> dict[str, Tensor]:
        """Where the random numbers of this process are: of the CPU, and of the device where it is another."""
        return {"cpu": torch.get_rng_state()}

    def set_random_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`random_state`."""
        torch.set_rng_state(state["cpu"])


def in_layout(tree: Tree, layout: torch.memory_format) -> Tree:
    """The same numbers, maps [N, C, H, W] in a layout."""
    return map_tree(lambda x: x.contiguous(memory_format=layout) if x.dim() == 4 else x, tree)


def open_place(
    device: DeviceName, precision: Precision, *, needs_float64: bool = False, together: bool = False
) -> Place:
    """The place that a recipe asks for.

    Args:
        device: ``auto`` is the first that is there of cuda, mps and cpu.
        precision: ``bf16-mixed`` computes in bfloat16 what loses little by it; weights stay float32.
        needs_float64: whether something is computed in float64, which mps cannot: auto passes over it then.
        together: whether processes that torchrun has started work on one training.

    Raises:
        RecipeError: the device is not there, or cannot do what is asked.
    """
    chosen = _chosen(device, needs_float64)
    launched = together and torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    if (chosen, precision, launched) == ("cpu", "32", False):
        return Place()
    # Its import takes seconds, which the ordinary place need not spend.
    from edgesqueeze.task.training.fabric_place import FabricPlace

    return FabricPlace(chosen, precision, launched=launched)


def _chosen(device: DeviceName, needs_float64: bool) -> str:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, found in there.items() if found and not (needs_float64 and name == "mps"))
    if not there[device]:
        found = " and ".join(name for name, found in there.items() if found)
        raise RecipeError(f"device is {device}, which torch does not find here; there is {found}, or auto")
    if device == "mps" and needs_float64:
        raise RecipeError("device is mps, but qat rounds in float64, which mps has not; set device: cpu")
    return device
