"""In what a checkpoint is that of another model, in a sentence's second half."""

from collections.abc import Mapping

from torch import Tensor

from edgesqueeze.task.checkpoint.naming import Fit

_SHOWN_GLOBS = 5


def misfit(fit: Fit, source: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str) -> str:
    """What "is a checkpoint" goes on with, for a file whose names or shapes do not fit.

    Args:
        fit: how the names fit.
        source: the file's tensors by the model's names, as far as it has them.
        own: the model's tensors.
        model: the name of its class.
    """
    needed = [name for name in fit.ignored if name.removeprefix(fit.prefix) in fit.missing]
    if needed:
        return f"without {needed[0]!r}, which task.ignore names and {model} needs"
    shapes = [name for name, value in source.items() if value.shape != own[name].shape]
    sizes = {name: (source[name].shape, own[name].shape) for name in shapes}
    if fit.holds and all(a and b and a[1:] == b[1:] for a, b in sizes.values()):
        return _other_classes({name: (a[0], b[0]) for name, (a, b) in sizes.items()}, model)
    if fit.unknown and not fit.missing and not shapes:
        return f"of more than {model}: {_unknown(fit)}{_way_out(fit)}"
    problems = []
    if fit.missing:
        problems.append(
            f"{len(fit.missing)} of {len(own)} tensors are missing, the first is {fit.missing[0]!r}"
        )
    if fit.unknown:
        problems.append(_unknown(fit))
    if shapes:
        theirs, ours = sizes[shapes[0]]
        problems.append(
            f"{len(shapes)} have another shape, the first is {shapes[0]!r} with {list(theirs)} "
            f"where the model has {list(ours)}"
        )
    return f"of another model than {model}: {'; '.join(problems)}"


def _other_classes(outputs: Mapping[str, tuple[int, int]], model: str) -> str:
    """The same of a last layer with other outputs: those of its tensors in the file and in the model.

    Where every shape fits but for first dimensions, which are outputs, no layer with weights takes those
    outputs: its own second dimension would differ. So the layer is a last one.
    """
    layers = {name.rpartition(".")[0]: counts for name, counts in outputs.items()}
    said = " and ".join(
        f"{layer!r} has {theirs:,} outputs (classes) in the file and {ours:,} in the model"
        for layer, (theirs, ours) in layers.items()
    )
    return f"for another number of classes than {model} has: the last layer {said}"


def _unknown(fit: Fit) -> str:
    return f"the model does not know {len(fit.unknown)} of its names, the first is {fit.unknown[0]!r}"


def _way_out(fit: Fit) -> str:
    """Globs that match the unknown names, as a list of YAML, if they are few."""
    parts = (name.removeprefix(fit.prefix).partition(".") for name in fit.unknown)
    globs = list(dict.fromkeys(f"{first}{dot}*" if dot else first for first, dot, _ in parts))
    return f"; task.ignore: {globs} leaves them out" if len(globs) <= _SHOWN_GLOBS else ""
