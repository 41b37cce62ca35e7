"""Checkpoint files, read without running anything that is in them."""

import pickle
import pickletools
import shlex
import warnings
import zipfile
from collections import deque
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import MAGIC_NUMBER

from edgesqueeze.errors import TaskError
from edgesqueeze.task.checkpoint.choice import AVERAGE_KEYS, PLAIN_KEYS

SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar", ".ckpt", ".bin")


def read_checkpoint(path: Path, key: str | None = None) -> object:
    """What a checkpoint file holds, its tensors on the CPU; pickles are read with ``weights_only=True``.

    Args:
        path: the file.
        key: which of its weights are wanted, for the command that converts a file which is refused.

    Raises:
        TaskError: the file is missing, damaged, of another kind, or holds more than plain values.
    """
    if suffix_of(path) is None:
        raise TaskError(
            f"checkpoint {path} ends in {path.suffix or 'nothing'!r}; allowed: {', '.join(SUFFIXES)}"
        )
    try:
        # Opened first, so that what the loaders raise is about the content.
        path.open("rb").close()
    except (OSError, ValueError) as error:  # a name with a zero byte is no OSError
        reason = error.strerror if isinstance(error, OSError) else error
        raise TaskError(f"checkpoint {path} cannot be read: {reason}") from error
    if path.suffix != ".safetensors":
        return _unpickle(path, key)
    if key is not None:
        raise TaskError(f"checkpoint {path} has no keys to choose from; leave task.checkpoint_key out")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise TaskError(f"checkpoint {path} is not a whole safetensors file: {error}") from error


def suffix_of(path: Path) -> str | None:
    """The ending of a checkpoint's name, as it is allowed; None for any other."""
    return next((suffix for suffix in reversed(SUFFIXES) if path.name.endswith(suffix)), None)


def _unpickle(path: Path, key: str | None) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a TorchScript archive before it refuses it
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch.load raise many unrelated types
        if _wants_more_than_weights(error, path):
            what = "is a TorchScript program" if _is_torchscript(error) else "holds more than weights"
            without_key = "" if key is None else " and leave task.checkpoint_key out,"
            raise TaskError(
                f"checkpoint {path} {what}, and reading that could run code in it; if you trust the file, "
                f"convert it{without_key} with: {conversion_command(path, key)}"
            ) from error
        text = str(error).strip()
        reason = "its pickle is broken" if isinstance(error, pickle.UnpicklingError) else text.split(". ")[0]
        reason = reason.splitlines()[0] if reason else "it ends too early"
        raise TaskError(f"checkpoint {path} is damaged or not a torch file: {reason}") from error


def _wants_more_than_weights(error: Exception, path: Path) -> bool:
    """Whether torch.load refused a whole file, and not a broken one."""
    if not isinstance(error, pickle.UnpicklingError):
        return _is_torchscript(error)
    # A cut or altered pickle can seem to ask for some type too: its names are cut.
    return "Unsupported operand" not in str(error) and _pickles_are_whole(path)


def _is_torchscript(error: Exception) -> bool:
    return not isinstance(error, pickle.UnpicklingError) and "TorchScript" in str(error)


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


def conversion_command(path: Path, key: str | None = None) -> str:
    """A shell command that unpickles a trusted checkpoint and saves its state_dict beside it.

    Args:
        path: the checkpoint.
        key: under which its weights lie, as in :class:`~edgesqueeze.task.checkpoint.Choice`.
    """
    suffix = suffix_of(path) or path.suffix
    target = path.with_name(f"{path.name.removesuffix(suffix)}_weights{suffix}")
    if key is None:
        known = f"[k for k in {(*PLAIN_KEYS, *AVERAGE_KEYS)} if c.get(k) is not None]"
        weights = f"next((c[k] for k in {known}), c) if isinstance(c, dict) else c"
    else:
        weights = "c" + "".join(f"[{part!r}]" for part in key.split("."))
    code = (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"c = {weights}; torch.save(c if isinstance(c, dict) else c.state_dict(), {str(target)!r})"
    )
    plain = not set(code) & set('"$`\\!')
    return f'python -c "{code}"' if plain else f"python -c {shlex.quote(code)}"
