"""Other places than one process on a CPU in float32: lightning-fabric knows devices, precisions, processes.

Fabric finds the device, switches precisions and connects processes. Gradients are summed here and not by
``DistributedDataParallel``: stages change what they train under way (qat fixes its grids, the weight behind a
codebook has no gradient), and the last batch of an epoch may have fewer images than there are processes.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.task.training.evaluation import call
from edgesqueeze.task.training.place import Place, Precision, in_layout
from edgesqueeze.trees import Tree, rows_of

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=1)
"""The first process measures and writes alone; one that has died is noticed at once all the same."""


class FabricPlace(Place):
    """A device in a precision, and the processes that torchrun has started, if it has.

    Raises:
        RecipeError: there are too few devices for the processes, or the device has no bfloat16.
    """

    def __init__(self, device: str, precision: Precision, *, launched: bool) -> None:
        # torchrun's own words for how many it has started: here, and on all hosts.
        here = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
        hosts = int(os.environ["WORLD_SIZE"]) // here if launched else 1
        _check(device, precision, here)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would print a banner
        self._fabric = Fabric(
            accelerator=device,
            strategy=DDPStrategy(timeout=LONGEST_WAIT) if launched else "auto",
            devices=here,
            num_nodes=hosts,
            precision="bf16-mixed" if precision == "bf16-mixed" else "32-true",
        )
        self._fabric.launch()
        self.device, self.precision = self._fabric.device, precision
        self.processes, self.rank = self._fabric.world_size, self._fabric.global_rank

    def facts(self) -> dict[str, object]:
        """See :class:`Place`; with the name of a GPU."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else None
        return super().facts() | ({} if name is None else {"device_name": name})

    def note(self) -> str | None:
        """See :class:`Place`."""
        facts = self.facts()
        device = f"{facts['device']} ({facts['device_name']})" if "device_name" in facts else facts["device"]
        together = f" by {self.processes} processes" if self.processes > 1 else ""
        return f"trained on {device} in precision {self.precision}{together}"

    def layout(self, model: nn.Module, x: Tree) -> torch.memory_format:
        """See :class:`Place`: kernels for bfloat16 are fastest with channels last.

        A network that takes views of maps may refuse that; such a one gets them as they come.
        """
        if self.precision == "32":
            return torch.preserve_format
        training = model.training
        try:
            with torch.no_grad(), self.computing():
                call(model.eval(), in_layout(rows_of(x, slice(0, 1)), torch.channels_last))
        except RuntimeError:
            return torch.preserve_format
        finally:
            model.train(training)
        return torch.channels_last

    def computing(self) -> AbstractContextManager[Any]:
        """See :class:`Place`."""
        return self._fabric.autocast()

    def share(self, count: int) -> slice:
        """See :class:`Place`; the first process never has none."""
        start, stop = (-(-count * rank // self.processes) for rank in (self.rank, self.rank + 1))
        return slice(start, stop)

    def combine(self, model: nn.Module, loss: Tensor, weight: float, flag: bool) -> tuple[float, bool]:
        """See :class:`Place`; one message has gradients, statistics of batch norm, loss and flag."""
        if self.processes == 1:
            return loss.item(), flag
        parameters = [p for p in model.parameters() if p.requires_grad]
        # A parameter without a gradient must stay so, or weight decay would move it.
        moved = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        statistics = list(_statistics(model))
        told = [(loss.detach() * weight).reshape(1), torch.tensor([float(flag and self.is_first)])]
        parts = [*gradients, *(buffer * weight for buffer in statistics), moved, *told]
        flat: Any = torch.cat([part.reshape(-1).float().to(self.device) for part in parts])
        with _others_alive(self.rank):
            flat = self._fabric.all_reduce(flat, reduce_op="sum")
        summed: tuple[Tensor, ...] = flat.split([part.numel() for part in parts])
        for parameter, total, count in zip(parameters, summed, summed[-3].tolist(), strict=False):
            parameter.grad = total.view_as(parameter).clone() if count else None
        for buffer, total in zip(statistics, summed[len(parameters) :], strict=False):
            buffer.copy_(total.view_as(buffer))
        return float(summed[-2]), bool(summed[-1])

    def gathered(self, value: T) -> list[T]:
        """See :class:`Place`."""
        if self.processes == 1:
            return [value]
        values: list[Any] = [None] * self.processes
        with _others_alive(self.rank):
            torch.distributed.all_gather_object(values, value)
        return values

    def from_first(self, compute: Callable[[], T]) -> T:
        """See :class:`Place`."""
        value: Any = compute() if self.is_first else None
        with _others_alive(self.rank):
            told: T = self._fabric.broadcast(value)
        return told

    def wait(self) -> None:
        """See :class:`Place`."""
        with _others_alive(self.rank):
            self._fabric.barrier()

    def random_state(self) -> dict[str, Tensor]:
        """See :class:`Place`."""
        of_device = _random_numbers(self.device.type)
        return super().random_state() | ({} if of_device is None else {"device": of_device.get_rng_state()})

    def set_random_state(self, state: dict[str, Tensor]) -> None:
        """See :class:`Place`."""
        super().set_random_state(state)
        of_device = _random_numbers(self.device.type)
        if of_device is not None:
            of_device.set_rng_state(state["device"])


def _check(device: str, precision: Precision, processes: int) -> None:
    devices = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, processes)
    if processes > devices:
        raise RecipeError(
            f"torchrun has started {processes} processes on a host with {devices} {device} devices; "
            f"start {devices} with --nproc-per-node, or set device: cpu"
        )
    if device == "cuda" and precision != "32" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name()
        raise RecipeError(f"precision is {precision}, but {name} has no bfloat16; set precision: '32'")


def _random_numbers(device: str) -> Any:
    return {"cuda": torch.cuda, "mps": torch.mps}.get(device)


def _statistics(model: nn.Module) -> Iterator[Tensor]:
    """The running means and variances of batch norm."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            yield from (module.running_mean, module.running_var)


@contextmanager
def _others_alive(rank: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise TaskError(
            f"process {rank} has lost the others: one of them has ended, see what it said"
        ) from error
