"""Making a task from a recipe's settings or from the user's own function."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from edgesqueeze.data.splits import Split
from edgesqueeze.data.task_data import TaskData, renormalized
from edgesqueeze.errors import EdgeSqueezeError, TaskError
from edgesqueeze.importing.keras.load import is_keras_model, network_of
from edgesqueeze.importing.keras.network import KerasNetwork
from edgesqueeze.importing.load import load_network, network_files
from edgesqueeze.importing.names import KERAS, is_model_file
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.task.data_config import ImagesData
from edgesqueeze.task.data_loading import load_data
from edgesqueeze.task.fidelity import answered_by
from edgesqueeze.task.from_recipe import check_output, task_from_recipe
from edgesqueeze.task.imports import UserCode, import_callable, one_line, working_directory_importable
from edgesqueeze.task.preprocess import PREPROCESSING
from edgesqueeze.task.task import BuildModel, Task
from edgesqueeze.task.task_config import Scalar, TaskConfig, is_reference
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, leaves, map_tree

T = TypeVar("T")


def load_task(config: TaskConfig | str, seed: int) -> Task:
    """Make the task of a recipe and check that its parts fit each other.

    Args:
        config: settings, or ``package.module:build_task``, a function without arguments that returns a Task.
        seed: decides the initial weights; torch's global random state is left as it was.

    Raises:
        TaskError: a part is missing, cannot be loaded, or does not fit the others.
    """
    data = None
    if isinstance(config, str):
        task = _task_from_function(config, seed)
    else:
        task, data = _task_from_settings(config, seed)
    task = replace(task, build_model=_reproducible(task.build_model, seed))
    _check_splits(task)
    model = task.build_model()
    output = _run_example(model, task)
    if isinstance(model, KerasNetwork):
        model.check_agreement(task.example_input)
    if data is not None:
        check_output(output, data)
    if task.decoding is not None:
        task.decoding.decode(map_tree(Tensor.numpy, output))
    task.load_weights(model)
    return task if task.labelled else answered_by(model, task)


# -- from the user's function --------------------------------------------------------------------------


def _task_from_function(reference: str, seed: int) -> Task:
    if not is_reference(reference):
        raise TaskError(
            f"task {reference!r} is neither a mapping with model and data nor 'package.module:build_task'"
        )
    code = import_callable(reference, Task)
    task = _call(_with_seed(code.call, seed), reference)
    if not isinstance(task, Task):
        raise TaskError(f"{reference!r} returned {type(task).__name__}, not an edgesqueeze.task.Task")
    if not task.metrics:
        raise TaskError(f"{reference!r} returned a task without metrics; at least one is needed")
    return replace(task, code=(code.origin("task"), *task.code))


# -- from settings ------------------------------------------------------------------------------------


def _task_from_settings(config: TaskConfig, seed: int) -> tuple[Task, TaskData]:
    # What may not be called is refused before any data are read.
    own = config.model not in BUILT_IN_MODELS and not is_model_file(config.model)
    code = import_callable(config.model, nn.Module) if own else None
    data = _data_for(config)
    factory = _factory_for(config, data) if code is None else _user_factory(code, config.model_args)
    task = task_from_recipe(config, data, _reproducible(factory, seed))
    origin = () if code is None else (code.origin("task.model"),)
    files = network_files(Path(config.model)) if is_model_file(config.model) else ()
    return replace(task, code=origin, given=_given(config, task), model_files=files), data


def _given(config: TaskConfig, task: Task) -> str:
    """The name of the weights that a model comes with; code that is to be trained may make random ones."""
    if is_model_file(config.model):
        return f"weights of {PurePath(config.model).name}"
    own = config.model not in BUILT_IN_MODELS and not task.labelled
    return f"weights of {config.model}" if own else ""


def _data_for(config: TaskConfig) -> TaskData:
    says_pixels = config.preprocess is not None or getattr(config.data, "mean", None) is not None
    if isinstance(config.data, ImagesData) and config.task_kind != "reconstruction" and not says_pixels:
        raise TaskError(
            "images without labels cannot show whether pixels are what the network takes: set "
            "task.preprocess, as in 0..1, or mean and std of the data"
        )
    data = load_data(config.data, config.task_kind)
    if config.preprocess is None:
        return data
    if data.kind == "reconstruction":
        raise TaskError("a reconstruction is of images in [0, 1]: leave task.preprocess out")
    if getattr(config.data, "mean", None) is not None:
        raise TaskError("task.preprocess takes the place of the data's mean and std: leave those out")
    rule = PREPROCESSING[config.preprocess]
    if rule.reversed_channels and PurePath(config.model).suffix not in KERAS:
        raise TaskError(
            f"task.preprocess {config.preprocess} turns the channels around, which is for Keras files; "
            "found model " + repr(config.model)
        )
    return renormalized(data, rule.normalization(data.image_shape[0]))


def _user_factory(code: UserCode, arguments: Mapping[str, Scalar]) -> BuildModel:
    return lambda: _call(lambda: code.call(**arguments), code.reference)


def _factory_for(config: TaskConfig, data: TaskData) -> BuildModel:
    """The factory of a built-in network, or of one from a file, whose sizes are those of the data."""
    if is_model_file(config.model):
        network = load_network(Path(config.model), data.image_shape)
        if isinstance(network, KerasNetwork) and config.preprocess is not None:
            network.takes_bgr = PREPROCESSING[config.preprocess].reversed_channels
        return lambda: network
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
    except (Exception, SystemExit) as error:
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
        if is_keras_model(model):
            model = network_of(model, "the model factory")
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
