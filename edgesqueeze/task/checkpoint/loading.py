"""The weights of a checkpoint into a model: all of them, or none and one sentence."""

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, nn

from edgesqueeze.errors import TaskError
from edgesqueeze.task.checkpoint.choice import Choice, chosen
from edgesqueeze.task.checkpoint.misfit import misfit
from edgesqueeze.task.checkpoint.naming import check_globs, fitted, named_tensors
from edgesqueeze.task.checkpoint.reading import read_checkpoint
from edgesqueeze.task.checkpoint.taken import Taken

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_checkpoint(model: nn.Module, path: Path, choice: Choice | None = None) -> Taken:
    """Load every parameter and buffer of a model from a file; on an error the model is left as it was.

    No code in the file runs. Prefixes of :data:`~edgesqueeze.task.checkpoint.naming.PREFIXES` that every name
    has are taken off if the names fit then, values are cast to the model's types, and batch norms whose
    counter of batches is missing keep their own.

    Args:
        model: whose weights are replaced.
        path: a file with one of :data:`~edgesqueeze.task.checkpoint.reading.SUFFIXES`.
        choice: which of the file's weights, and what is left out of them.

    Returns:
        What was taken of the file.

    Raises:
        TaskError: the file is missing, damaged, of another kind or of another model, holds a value that
            is not a finite number, or does not have what the choice names.
    """
    choice = choice or Choice()
    weights = chosen(read_checkpoint(path, choice.key), choice.key, path)
    found, own = named_tensors(weights.entries, choice.ignore, path), model.state_dict()
    fit = fitted(found, own, choice.ignore)
    check_globs([str(name) for name in weights.entries], choice.ignore, fit.prefix, path)
    source = {name: found[fit.names[name]] for name in own if name in fit.names}
    if not fit.holds or any(value.shape != own[name].shape for name, value in source.items()):
        raise TaskError(f"{path} is a checkpoint {misfit(fit, source, own, type(model).__name__)}")
    loaded = {name: _fitting(fit.names[name], value, own[name], path) for name, value in source.items()}
    casts = Counter((_kind(value), _kind(own[name])) for name, value in source.items())
    model.load_state_dict({**own, **loaded})
    ignored = (*fit.ignored, *(str(name) for name in weights.entries if name not in found))
    return Taken(
        path,
        len(loaded),
        weights.key,
        weights.others,
        fit.prefix,
        ignored,
        {types: count for types, count in casts.items() if types[0] != types[1]},
        len(own) - len(loaded),
    )


def _fitting(name: str, value: Tensor, own: Tensor, path: Path) -> Tensor:
    """The value in the model's type, if it is an ordinary tensor that the type can hold."""
    ordinary = value.layout == torch.strided and not value.is_quantized and not value.is_meta
    is_float = own.is_floating_point()
    # Whole states cast to half precision have their counters cast too; what is whole is the same number.
    if not ordinary or value.is_complex() or (is_float and value.dtype not in _FLOATS):
        raise TaskError(
            f"checkpoint {path}: tensor {name!r} is {_kind(value)}, "
            f"which does not fit the model's {_kind(own)}"
        )
    cast = value.to(own.dtype)
    if is_float and not bool(torch.isfinite(cast).all()):
        bad = int((~torch.isfinite(cast)).sum())
        raise TaskError(f"checkpoint {path}: tensor {name!r} has {bad} values that are NaN or infinite")
    if not is_float and not bool((cast.to(value.dtype) == value).all()):
        raise TaskError(f"checkpoint {path}: tensor {name!r} has values that {_kind(own)} cannot hold")
    return cast


def _kind(value: Tensor) -> str:
    layout = "" if value.layout == torch.strided else f" {str(value.layout).removeprefix('torch.')}"
    return f"{str(value.dtype).removeprefix('torch.')}{layout}{' without data' if value.is_meta else ''}"
