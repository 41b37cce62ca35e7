"""Every stage moves all it computes with to the device: tried on one that has shapes and no values.

A GPU is not needed for that. Torch's meta device stands in for it, and every operation is asked whether its
tensors are on one device. What is read from the device is made up, so that nothing is said of numbers.
"""

import pytest
import torch
from small_task import build_model, small_task
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training import Recorder

from edgesqueeze.compression.stages import Prune, Qat, Share, Squeeze, Train
from edgesqueeze.task.training import Place, Session, TrainingStateFile

COMMON = {"epochs": 2, "batch_size": 32}
MOVES = ("aten._to_copy.default", "aten.copy_.default")
STAGES = [
    Train(**COMMON, ema=0.9, clip_norm=1.0),
    Prune(sparsity=0.5, **COMMON),
    Share(num_bits=2, **COMMON),
    Squeeze(price=0.01, settle_after=0.9, **COMMON),
    Qat(distill=0.5, **COMMON),
    Qat(method="moving_average", **COMMON),
]


class Elsewhere(Place):
    device = torch.device("meta")

    def combine(self, model, loss, weight, flag):
        return 0.5, flag


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, but for single values, and counts those on the device."""

    def __init__(self):
        super().__init__()
        self.there = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [
            leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.ndim
        ]
        devices = {tensor.device.type for tensor in tensors}
        assert len(devices) < 2 or str(func) in MOVES, f"{func} is given tensors of {devices}"
        self.there += "meta" in devices
        return func(*args, **(kwargs or {}))


@pytest.fixture
def made_up(monkeypatch):
    """What is read from a device that has no values: ones."""
    to_cpu = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda t: torch.ones(t.shape, dtype=t.dtype) if t.is_meta else to_cpu(t)
    )
    for name, one in (("__float__", 1.0), ("__int__", 1)):
        number = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda t, n=number, one=one: one if t.is_meta else n(t))
    # A parameter then stays the same object when it moves, as it does on its way to a GPU.
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.stage}-{getattr(stage, 'method', '')}")
def test_a_stage_computes_on_the_device_alone_and_keeps_its_state_on_the_cpu(stage, made_up, tmp_path):
    keeper, mode = TrainingStateFile(tmp_path / "training.pt"), OneDevice()
    task = small_task(validation=None)
    session = Session(stage.stage, 7, Recorder(), keeper=keeper, save_minutes=1e-9, place=Elsewhere())
    with mode:
        found = stage.apply(build_model(), task, session)
    assert mode.there > 100
    state = keeper.load()
    assert state["place"]["device"] == "meta"
    kept = [leaf for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor)]
    assert {tensor.device.type for tensor in kept} == {"cpu"}
    assert {tensor.device.type for tensor in found.state_dict().values()} <= {"cpu"}
