"""The task that a recipe's settings describe: loss, metrics and checks by what the network is asked to do."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from edgesqueeze.data.splits import DataSplit
from edgesqueeze.data.task_data import TaskData, held_out
from edgesqueeze.errors import TaskError
from edgesqueeze.numerics.boxes import BoxDecoding
from edgesqueeze.task.checkpoint import Choice
from edgesqueeze.task.data_loading import data_name
from edgesqueeze.task.fidelity import check_answers, no_loss
from edgesqueeze.task.losses import loss_of, of_probabilities
from edgesqueeze.task.metrics import metrics_of
from edgesqueeze.task.metrics.fidelity import fidelity_metrics
from edgesqueeze.task.task import BuildModel, Task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.trees import Tree


def task_from_recipe(config: TaskConfig, data: TaskData, build_model: BuildModel) -> Task:
    """The task of these settings; ``build_model`` makes the network with random weights.

    Raises:
        TaskError: the training split is too small, or a detector does not say its strides.
    """
    if not data.labelled:
        return _without_labels(config, data, build_model)
    train, validation, fingerprint = _held_out(config, data)
    if config.calibration_images > len(train):
        raise TaskError(
            f"calibration_images is {config.calibration_images}, but the training split has only {len(train)}"
        )
    calibration = train.first(config.calibration_images)
    model = build_model()
    decoding = decoding_of(model, data) if data.kind == "detection" else None
    loss = loss_of(data.kind, decoding)
    return Task(
        name=f"{config.model} on {data_name(config.data)}",
        build_model=build_model,
        train=train,
        calibration=calibration,
        validation=validation,
        test=data.test,
        example_input=next(iter(calibration.batches(1)))[0],
        loss=of_probabilities(loss) if getattr(model, "gives_probabilities", False) else loss,
        metrics=metrics_of(data.kind, data.classes, decoding),
        checkpoint=config.checkpoint,
        checkpoint_choice=Choice(config.checkpoint_key, config.ignore),
        fingerprint=fingerprint,
        kind=data.kind,
        classes=data.classes,
        decoding=decoding,
        normalization=data.normalization,
    )


def _held_out(config: TaskConfig, data: TaskData) -> tuple[DataSplit, DataSplit | None, str]:
    """What trains or calibrates, the validation split if there is to be one, and the data's fingerprint."""
    if config.validation is None:
        return data.train, None, data.fingerprint
    train, validation = held_out(data, config.validation)
    return train, validation, f"{data.fingerprint} without {len(validation)}"


def _without_labels(config: TaskConfig, data: TaskData, build_model: BuildModel) -> Task:
    """The task of images alone; what is right is not known before there are trained weights."""
    train, validation, fingerprint = _held_out(config, data)
    calibration = train.first(config.calibration_images)
    return Task(
        name=f"{config.model} on {data_name(config.data)}",
        build_model=build_model,
        train=train,
        calibration=calibration,
        validation=validation,
        test=data.test,
        example_input=next(iter(calibration.batches(1)))[0],
        loss=no_loss,
        metrics=fidelity_metrics(data.kind),
        checkpoint=config.checkpoint,
        checkpoint_choice=Choice(config.checkpoint_key, config.ignore),
        fingerprint=fingerprint,
        kind=data.kind,
        normalization=data.normalization,
        labelled=False,
    )


def decoding_of(model: nn.Module, data: TaskData) -> BoxDecoding:
    """How a detector's outputs are read: its attribute ``strides`` says of which levels they are.

    Raises:
        TaskError: it has none.
    """
    strides = getattr(model, "strides", None)
    numbers = isinstance(strides, tuple | list) and all(isinstance(s, int) and s > 0 for s in strides)
    if not numbers or not strides:
        raise TaskError(
            f"{type(model).__name__} is a detector without an attribute strides, the levels of its outputs "
            "from fine to coarse, as in (8, 16)"
        )
    return BoxDecoding(data.image_shape[1:], tuple(strides))


def check_output(output: Tree, data: TaskData) -> None:
    """Refuse a network whose answer to one example is not what its task takes.

    Raises:
        TaskError: what is returned, and what is needed.
    """
    if data.labelled:
        _CHECKS[data.kind](output, data)
    else:
        check_answers(output, data.kind)


def _class_scores(output: Tree, data: TaskData) -> None:
    found, count = _tensor(output, "one tensor of class scores"), data.num_classes
    if list(found.shape) == [1, count]:
        return
    way_out = (
        f"set task.model_args: {{num_classes: {count}}}"
        if found.ndim == 2
        else f"class scores of shape [1, {count}] are needed"
    )
    raise TaskError(f"the model returns {list(found.shape)} but the data has {count} classes; {way_out}")


def _pixel_scores(output: Tree, data: TaskData) -> None:
    wanted = [1, data.num_classes, *data.image_shape[1:]]
    found = _tensor(output, "one tensor of scores for every pixel")
    if list(found.shape) != wanted:
        raise TaskError(
            f"the model returns {list(found.shape)}; scores of {data.num_classes} classes for every pixel, "
            f"{wanted}, are needed"
        )


def _picture(output: Tree, data: TaskData) -> None:
    wanted, found = [1, *data.image_shape], _tensor(output, "one picture")
    if list(found.shape) != wanted:
        raise TaskError(
            f"the model returns {list(found.shape)}; a picture like its input, {wanted}, is needed"
        )


def _boxes_and_scores(output: Tree, data: TaskData) -> None:
    if not isinstance(output, Mapping) or set(output) != {"boxes", "scores"}:
        found = (
            f"keys {', '.join(map(str, output))}" if isinstance(output, Mapping) else type(output).__name__
        )
        raise TaskError(f"a detector returns a dictionary of boxes and scores; the model returns {found}")
    shapes = {name: list(part.shape) for name, part in output.items()}
    boxes, scores = shapes["boxes"], shapes["scores"]
    if len(boxes) != 3 or boxes[2] != 4 or scores != [*boxes[:2], data.num_classes]:
        raise TaskError(
            f"the model returns boxes {boxes} and scores {scores}; boxes [1, A, 4] and scores "
            f"[1, A, {data.num_classes}] are needed, A places"
        )


def _tensor(output: Tree, what: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise TaskError(f"the model returns {type(output).__name__}; {what} is needed")
    return output


_CHECKS: dict[str, Callable[[Any, TaskData], None]] = {
    "classification": _class_scores,
    "detection": _boxes_and_scores,
    "segmentation": _pixel_scores,
    "reconstruction": _picture,
}
