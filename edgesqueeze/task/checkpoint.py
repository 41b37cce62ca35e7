"""Checkpoints: weights from .safetensors, .pt or .pth files into a model, all of them or none."""

import pickle
import pickletools
import shlex
import warnings
import zipfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import MAGIC_NUMBER

from edgesqueeze.errors import TaskError

_SUFFIXES = (".safetensors", ".pt", ".pth")
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PARALLEL_PREFIX = "module."


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Load every parameter and buffer of a model from a file; on an error the model is left as it was.

    A ``.pt`` or ``.pth`` file holds a state_dict, alone or under the key ``state_dict``, ``model`` or
    ``model_state_dict``. It is read with ``weights_only=True``, so no code in it can run. The prefix
    ``module.`` that DataParallel puts before every name is taken off. Values are cast to the model's types.

    Raises:
        TaskError: the file is missing, damaged, of another kind or of another model, or holds a value that
            is not a finite number.
    """
    own = model.state_dict()
    found = _without_parallel_prefix(read_checkpoint(path), own)
    _check_names(own, found, path, type(model).__name__)
    loaded = {name: _fitting(name, found[name], own[name], path) for name in own}
    model.load_state_dict(loaded)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named tensors in a checkpoint file, on the CPU.

    Raises:
        TaskError: see :func:`load_checkpoint`.
    """
    if path.suffix not in _SUFFIXES:
        raise TaskError(
            f"checkpoint {path} ends in {path.suffix or 'nothing'!r}; allowed: {', '.join(_SUFFIXES)}"
        )
    try:
        # Opened first, so that what the loaders raise is about the content.
        path.open("rb").close()
    except OSError as error:
        raise TaskError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise TaskError(f"checkpoint {path} is not a whole safetensors file: {error}") from error
    return _state_dict(_unpickle(path), path)


def _unpickle(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a TorchScript archive before it refuses it
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch.load raise many unrelated types
        if _wants_more_than_weights(error, path):
            raise TaskError(
                f"checkpoint {path} holds more than weights, and reading that could run code in it; "
                f"if you trust the file, convert it with: {conversion_command(path)}"
            ) from error
        text = str(error).strip()
        reason = "its pickle is broken" if isinstance(error, pickle.UnpicklingError) else text.split(". ")[0]
        reason = reason.splitlines()[0] if reason else "it ends too early"
        raise TaskError(f"checkpoint {path} is damaged or not a torch file: {reason}") from error


def _wants_more_than_weights(error: Exception, path: Path) -> bool:
    """Whether torch.load refused a whole file, and not a broken one."""
    text = str(error)
    if not isinstance(error, pickle.UnpicklingError):
        return "TorchScript" in text
    # A cut or altered pickle can seem to ask for some type too: its names are cut.
    return "Unsupported operand" not in text and _pickles_are_whole(path)


def _pickles_are_whole(path: Path) -> bool:
    """Whether every pickle of a file outside torch's zip format can be parsed; nothing in it is run."""
    if zipfile.is_zipfile(path):
        return True  # the zip reader has found its directory at the end and checks each part
    with path.open("rb") as file:
        try:
            arguments = [argument for _, argument, _ in pickletools.genops(file)]
            # torch's old format is five pickles in a row, then the numbers; a plain pickle is one.
            for _ in range(4 if MAGIC_NUMBER in arguments else 0):
                deque(pickletools.genops(file), maxlen=0)
        except Exception:  # pickletools raises many unrelated types
            return False
    return True


def conversion_command(path: Path) -> str:
    """A shell command that unpickles a trusted checkpoint and saves its state_dict beside it."""
    target = path.with_name(f"{path.stem}_weights{path.suffix}")
    keys = " or ".join(f"c.get({key!r})" for key in _WRAPPERS)
    code = (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"c = ({keys} or c) if isinstance(c, dict) else c; "
        f"torch.save(c if isinstance(c, dict) else c.state_dict(), {str(target)!r})"
    )
    plain = not set(code) & set('"$`\\!')
    return f'python -c "{code}"' if plain else f"python -c {shlex.quote(code)}"


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    inner = content
    if isinstance(content, Mapping):
        inner = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)), content)
    if not isinstance(inner, Mapping):
        raise TaskError(f"checkpoint {path} holds {_a(type(inner).__name__)}, not a state_dict")
    wrong = [
        name for name, value in inner.items() if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if wrong or not inner:
        entry = f"entry {wrong[0]!r} is {_a(type(inner[wrong[0]]).__name__)}" if wrong else "it is empty"
        raise TaskError(
            f"checkpoint {path} is not a state_dict of names and tensors: {entry}; "
            f"save model.state_dict(), alone or under the key {' or '.join(map(repr, _WRAPPERS))}"
        )
    return dict(inner)


def _without_parallel_prefix(found: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefixed = all(name.startswith(_PARALLEL_PREFIX) for name in found)
    # A model may have a part that is really called "module"; then the names are right as they are.
    if not prefixed or any(name.startswith(_PARALLEL_PREFIX) for name in own):
        return found
    return {name.removeprefix(_PARALLEL_PREFIX): value for name, value in found.items()}


def _check_names(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, model_name: str) -> None:
    missing = [name for name in own if name not in found]
    unexpected = [name for name in found if name not in own]
    shapes = [n for n in own if n in found and own[n].shape != found[n].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(own)} tensors are missing, the first is {missing[0]!r}")
    if unexpected:
        problems.append(f"{len(unexpected)} are unknown to the model, the first is {unexpected[0]!r}")
    if shapes:
        name = shapes[0]
        problems.append(
            f"{len(shapes)} have another shape, the first is {name!r} with {list(found[name].shape)} "
            f"where the model has {list(own[name].shape)}"
        )
    if problems:
        raise TaskError(f"{path} is a checkpoint of another model than {model_name}: {'; '.join(problems)}")


def _fitting(name: str, value: Tensor, own: Tensor, path: Path) -> Tensor:
    """The value in the model's type, if it is an ordinary tensor of finite numbers of the same kind."""
    ordinary = value.layout == torch.strided and not value.is_quantized and not value.is_meta
    if not ordinary or value.is_floating_point() != own.is_floating_point() or value.is_complex():
        raise TaskError(
            f"checkpoint {path}: tensor {name!r} is {_kind(value)}, "
            f"which does not fit the model's {_kind(own)}"
        )
    cast = value.to(own.dtype)
    if cast.is_floating_point() and not bool(torch.isfinite(cast).all()):
        bad = int((~torch.isfinite(cast)).sum())
        raise TaskError(f"checkpoint {path}: tensor {name!r} has {bad} values that are NaN or infinite")
    return cast


def _kind(value: Tensor) -> str:
    layout = "" if value.layout == torch.strided else f" {str(value.layout).removeprefix('torch.')}"
    return f"{str(value.dtype).removeprefix('torch.')}{layout}{' without data' if value.is_meta else ''}"


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
