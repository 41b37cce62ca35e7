"""Making a task from a recipe's settings or from the user's own function."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from edgesqueeze.data.idx import load_idx_directory
from edgesqueeze.data.image_folder import ImageSettings, load_image_folder
from edgesqueeze.data.named import load_named
from edgesqueeze.data.splits import ClassificationData, Normalization, Sizing, Split, resized
from edgesqueeze.errors import EdgeSqueezeError, TaskError
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.task.checkpoint import load_checkpoint
from edgesqueeze.task.imports import import_callable, one_line, working_directory_importable
from edgesqueeze.task.metrics import top1_accuracy
from edgesqueeze.task.task import BuildModel, Task
from edgesqueeze.task.task_config import (
    DataConfig,
    IdxData,
    ImageFolderData,
    NamedData,
    TaskConfig,
    is_reference,
)
from edgesqueeze.task.training import call
from edgesqueeze.task.validation import hold_out
from edgesqueeze.trees import Tree, leaves, map_tree

T = TypeVar("T")


def load_task(config: TaskConfig | str, seed: int) -> Task:
    """Make the task of a recipe and check that its parts fit each other.

    Args:
        config: settings, or ``package.module:build_task``, a callable without arguments that returns a Task.
        seed: decides the initial weights; torch's global random state is left as it was.

    Raises:
        TaskError: a part is missing, cannot be loaded, or does not fit the others.
    """
    num_classes = None
    if isinstance(config, str):
        task = _task_from_function(config, seed)
    else:
        factory = _user_factory(config)
        data = _load_data(config.data)
        num_classes = data.num_classes
        task = _classification_task(config, data, factory or _built_in_factory(config, data))
    task = replace(task, build_model=_reproducible(task.build_model, seed))
    _check_splits(task)
    model = task.build_model()
    output = _run_example(model, task)
    if num_classes is not None:
        _check_output(output, num_classes)
    if task.checkpoint is not None:
        load_checkpoint(model, task.checkpoint)
    return task


# -- from the user's function --------------------------------------------------------------------------


def _task_from_function(reference: str, seed: int) -> Task:
    if not is_reference(reference):
        raise TaskError(
            f"task {reference!r} is neither a mapping with model and data nor 'package.module:build_task'"
        )
    function = import_callable(reference)
    task = _call(_with_seed(function, seed), reference)
    if not isinstance(task, Task):
        raise TaskError(f"{reference!r} returned {type(task).__name__}, not an edgesqueeze.task.Task")
    if not task.metrics:
        raise TaskError(f"{reference!r} returned a task without metrics; at least one is needed")
    return task


# -- from settings: classification ---------------------------------------------------------------------


def _classification_task(config: TaskConfig, data: ClassificationData, build_model: BuildModel) -> Task:
    train, validation, fingerprint = data.train, None, data.fingerprint
    if config.validation is not None:
        train, validation = hold_out(data.train, config.validation)
        fingerprint = f"{fingerprint} without {len(validation)}"
    if config.calibration_images > len(train):
        raise TaskError(
            f"calibration_images is {config.calibration_images}, but the training split has only {len(train)}"
        )
    calibration = train.first(config.calibration_images)
    return Task(
        name=f"{config.model} on {_data_name(config.data)}",
        build_model=build_model,
        train=train,
        calibration=calibration,
        validation=validation,
        test=data.test,
        example_input=next(iter(calibration.batches(1)))[0],
        loss=F.cross_entropy,
        metrics={"accuracy": top1_accuracy},
        checkpoint=config.checkpoint,
        fingerprint=fingerprint,
    )


def _load_data(config: DataConfig) -> ClassificationData:
    if isinstance(config, IdxData):
        if config.mean is None or config.std is None:
            return load_idx_directory(config.idx)
        return load_idx_directory(config.idx, normalization=Normalization(config.mean, config.std))
    if isinstance(config, ImageFolderData):
        settings = ImageSettings(config.image_size, Normalization(config.mean, config.std))
        return load_image_folder(config.image_folder, settings)
    if isinstance(config, NamedData):
        data = resized(load_named(config.named), Sizing(config.image_size, config.channels))
        return data if config.train_images is None else _fewer(data, config.train_images)
    return load_named(config)


def _fewer(data: ClassificationData, count: int) -> ClassificationData:
    """The same data with only the first images of its training split."""
    if count > len(data.train):
        raise TaskError(f"train_images is {count}, but the training split has only {len(data.train)}")
    return replace(data, train=data.train.first(count), fingerprint=f"{data.fingerprint} first {count}")


def _data_name(config: DataConfig) -> str:
    if isinstance(config, IdxData):
        return str(config.idx)
    if isinstance(config, NamedData):
        size = "" if config.image_size is None else " at {} × {}".format(*config.image_size)
        part = "" if config.train_images is None else f", {config.train_images} training images"
        return f"{config.named}{size}{part}"
    return str(config.image_folder) if isinstance(config, ImageFolderData) else config


def _user_factory(config: TaskConfig) -> BuildModel | None:
    """The factory a reference names, its arguments bound; None for a built-in name."""
    if config.model in BUILT_IN_MODELS:
        return None
    factory = import_callable(config.model)
    return lambda: _call(lambda: factory(**config.model_args), config.model)


def _built_in_factory(config: TaskConfig, data: ClassificationData) -> BuildModel:
    channels, height, width = data.image_shape
    entry = BUILT_IN_MODELS[config.model]
    return lambda: entry.build(data.num_classes, channels, (height, width), config.model_args)


# -- models --------------------------------------------------------------------------------------------


def _call(function: Callable[[], T], reference: str) -> T:
    """Call the user's code, which may raise anything."""
    try:
        with working_directory_importable():
            return function()
    except EdgeSqueezeError:
        raise
    except Exception as error:
        raise TaskError(f"{reference!r} raised {one_line(error)}") from error


def _with_seed(function: Callable[[], T], seed: int) -> Callable[[], T]:
    def seeded() -> T:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return function()

    return seeded


def _reproducible(build_model: BuildModel, seed: int) -> BuildModel:
    """Build with a fixed seed, and check what comes back."""

    def build() -> nn.Module:
        model = _call(_with_seed(build_model, seed), "build_model")
        if not isinstance(model, nn.Module):
            raise TaskError(f"the model factory returned {type(model).__name__}, not a torch.nn.Module")
        if any(is_lazy(p) for p in (*model.parameters(), *model.buffers())):
            raise TaskError(
                f"{type(model).__name__} has lazy layers, whose sizes are not known yet; give the sizes"
            )
        # A factory may hand out one and the same module; stages change what they are given.
        return deepcopy(model)

    return build


@torch.no_grad()
def _run_example(model: nn.Module, task: Task) -> object:
    """The model's output for the example input; an error names the layer that refused, and both shapes."""
    last = ""

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            nonlocal last
            weight = getattr(module, "weight", None)
            if isinstance(weight, Tensor) and inputs and isinstance(inputs[0], Tensor):
                last = f"; layer {name!r} with weight {list(weight.shape)} was given {list(inputs[0].shape)}"

        return hook

    handles = [m.register_forward_pre_hook(note(n)) for n, m in model.named_modules() if n]
    try:
        return call(model.eval(), task.example_input)
    except Exception as error:  # the user's module may raise anything
        shape, name = _shapes(task.example_input), type(model).__name__
        raise TaskError(
            f"an input of shape {shape} does not run through {name}{last} ({one_line(error)})"
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _check_output(output: object, num_classes: int) -> None:
    if not isinstance(output, Tensor):
        raise TaskError(f"the model returns {type(output).__name__}; one tensor of class scores is needed")
    if list(output.shape) == [1, num_classes]:
        return
    way_out = (
        f"set task.model_args: {{num_classes: {num_classes}}}"
        if output.ndim == 2
        else f"class scores of shape [1, {num_classes}] are needed"
    )
    raise TaskError(
        f"the model returns {list(output.shape)} but the data has {num_classes} classes; {way_out}"
    )


# -- splits --------------------------------------------------------------------------------------------


def _check_splits(task: Task) -> None:
    for example in leaves(task.example_input):
        if example.ndim not in (2, 3, 4) or len(example) != 1 or example.dtype != torch.float32:
            raise TaskError(
                f"example_input is {example.dtype} {list(example.shape)}; "
                "one float32 image [1, C, H, W], signal [1, C, L] or vector [1, features] "
                "is needed for every input"
            )
    wanted = _shapes(task.example_input)
    splits = {"training": task.train, "calibration": task.calibration, "test": task.test}
    if task.validation is not None:
        splits["validation"] = task.validation
    for name, split in splits.items():
        if not isinstance(split, Split):
            raise TaskError(f"the {name} split is {type(split).__name__}, which has no len() or batches()")
        if len(split) == 0:
            raise TaskError(f"the {name} split has no images")
        found = _shapes(next(iter(split.batches(1)))[0])
        if found != wanted:
            raise TaskError(f"the {name} split has images of shape {found}, the example input {wanted}")


def _shapes(inputs: Tree) -> Tree:
    """The shapes of the inputs, in their structure."""
    return map_tree(lambda x: list(x.shape), inputs)
