"""What a benchmark measures: a float network, its calibration images, and the images that score its files."""

from argparse import ArgumentParser, Namespace, _MutuallyExclusiveGroup
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.errors import RecipeError
from edgesqueeze.files import sha256_of
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.task.imports import import_callable
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.metrics import top1_accuracy
from edgesqueeze.task.task import Task

RANDOM_IMAGES = 32
RANDOM_CLASSES = 1000
_FEWEST_SAMPLES = 32


@dataclass(frozen=True)
class Subject:
    """A network with its data. Without ``has_labels`` its files are timed and weighed, not scored."""

    task: Task
    has_labels: bool

    @property
    def model(self) -> nn.Module:
        """The float network with the weights to start from."""
        return self.task.initial_model().eval()

    @property
    def calibration(self) -> Floats:
        """All calibration images, float32 [N, C, H, W]."""
        return np.concatenate([x.numpy() for x, _ in self.task.calibration.batches(64)])

    def facts(self) -> dict[str, Any]:
        """What was measured on what, as plain JSON values."""
        checkpoint = self.task.checkpoint
        return asdict(
            SubjectFacts(
                name=self.task.name,
                input_shape=tuple(self.task.example_input.shape),
                calibration_images=len(self.task.calibration),
                test_images=len(self.task.test) if self.has_labels else None,
                data_fingerprint=self.task.fingerprint,
                checkpoint_sha256=None if checkpoint is None else sha256_of(checkpoint),
            )
        )


@dataclass(frozen=True)
class SubjectFacts:
    """A subject in a report; ``test_images`` is None if its files are not scored."""

    name: str
    input_shape: tuple[int, ...]
    calibration_images: int
    test_images: int | None
    data_fingerprint: str
    checkpoint_sha256: str | None


def add_subject_arguments(parser: ArgumentParser) -> _MutuallyExclusiveGroup:
    """The arguments that :func:`subject_from` reads; what names the network, of which one is given."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--recipe", help="a recipe (of a run, say) whose task is the network and its data")
    which.add_argument("--random", metavar="MODEL", help="a built-in name or package.module:factory")
    parser.add_argument("--checkpoint", type=Path, help="weights of the recipe's network")
    parser.add_argument("--image-size", type=int, default=224, help="of a --random network")
    return which


def subject_from(arguments: Namespace) -> Subject:
    """The subject that a command line names.

    Raises:
        EdgeSqueezeError: the recipe, its task or the checkpoint cannot be loaded.
    """
    if arguments.random is not None:
        if arguments.checkpoint is not None:
            raise RecipeError("--checkpoint is for the network of a --recipe; --random has random weights")
        return random_subject(arguments.random, arguments.image_size)
    overrides = [] if arguments.checkpoint is None else [f"task.checkpoint={arguments.checkpoint}"]
    recipe = load_recipe(arguments.recipe, overrides)
    task = load_task(recipe.task, recipe.seed)
    if task.checkpoint is None:
        raise RecipeError(f"recipe {arguments.recipe!r} names no trained weights; give --checkpoint")
    return Subject(task, has_labels=True)


def random_subject(name: str, image_size: int) -> Subject:
    """A network with 1000 classes and random weights whose activations have the scales of a trained one."""
    images = noise_images(RANDOM_IMAGES, (3, image_size, image_size))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        entry = BUILT_IN_MODELS.get(name)
        if entry is not None:
            model = entry.build(RANDOM_CLASSES, 3, (image_size, image_size))
        else:
            model = import_callable(name, nn.Module).call(num_classes=RANDOM_CLASSES)
        settle(model, images[:8])
    title = f"{name.rpartition(':')[2]} at {image_size} × {image_size}, random weights"
    return unlabelled_subject(title, model, images, f"{RANDOM_IMAGES} images of 1/f noise, seed 0")


def unlabelled_subject(name: str, model: nn.Module, images: Tensor, fingerprint: str) -> Subject:
    """A network with images [N, C, H, W] to calibrate on, and nothing to score it by."""
    split = ArraySplit(images, torch.zeros(len(images), dtype=torch.long))
    task = Task(
        name=name,
        build_model=lambda: model,
        train=split,
        calibration=split,
        test=split,
        example_input=images[:1],
        loss=nn.functional.cross_entropy,
        metrics={"accuracy": top1_accuracy},
        fingerprint=fingerprint,
    )
    return Subject(task, has_labels=False)


def noise_images(count: int, shape: tuple[int, int, int]) -> Tensor:
    """Seeded pictures with the 1/f spectrum of photographs, of variance 1: float32 [count, C, H, W]."""
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(shape[1])[:, None], np.fft.rfftfreq(shape[2])[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(shape[1:]))
    size = (count, shape[0], *frequency.shape)
    spectrum = (rng.normal(size=size) + 1j * rng.normal(size=size)) / frequency
    images = np.fft.irfft2(spectrum, s=shape[1:])
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(images.astype(np.float32))


@torch.no_grad()
def settle(model: nn.Module, x: Tensor, offsets: tuple[float, float] = (-0.3, 0.3)) -> None:
    """Give a random network the activation scales of a trained one, layer by layer, from one batch.

    ``offsets`` are the least and largest of the norms. Positive ones leave most units in their linear part,
    without which rounding grows from layer to layer of a deep network with norms.

    Data-dependent initialization in the manner of LSUV (Mishkin and Matas 2016, arXiv 1511.06422), with
    a gain and a shift per channel so that channels differ as trained ones do.
    """
    generator = torch.Generator().manual_seed(0)
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average: the statistics of this batch
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, *offsets, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            hooks.append(module.register_forward_hook(_Normalize(generator)))
    model.train(any(isinstance(module, nn.BatchNorm2d) for module in model.modules()))(x)
    for hook in hooks:
        hook.remove()
    model.eval()


@dataclass(frozen=True)
class _Normalize:
    """A forward hook that rescales a layer, once, to outputs of a drawn spread and mean per channel."""

    generator: torch.Generator

    def __call__(self, layer: nn.Module, inputs: object, y: Tensor) -> Tensor:
        del inputs
        axis = y.ndim - 1 if isinstance(layer, nn.Linear) else 1
        dims = [d for d in range(y.ndim) if d != axis]
        mean, std = y.mean(dims), y.std(dims)
        if y.numel() < _FEWEST_SAMPLES * len(mean):
            # A few images say little of a channel with a single place: what hardly varies would be blown up.
            std = y.std().expand_as(std)
        std = std.clamp_min(1e-3)
        gain = (torch.rand(len(mean), generator=self.generator) * 1.5 + 0.5) / std
        shift = torch.randn(len(mean), generator=self.generator) * 0.3
        layer.weight.mul_(gain.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - mean) * gain + shift)
        channels = tuple(-1 if d == axis else 1 for d in range(y.ndim))
        return (y - mean.view(channels)) * gain.view(channels) + shift.view(channels)
