"""Turning a .sqz file back into the model files that it has templates of; only numpy is needed."""

import filecmp
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgesqueeze.coding.coders import unpack_bytes
from edgesqueeze.coding.decoder.container import Block, read_container
from edgesqueeze.coding.decoder.layers import LayerValues, Part, split_tensors
from edgesqueeze.coding.decoder.meta import MAX_META_BYTES, Meta, check_plausible, parse_meta
from edgesqueeze.coding.decoder.templates import FORMS, Fill, filled
from edgesqueeze.errors import CodecError, EdgeSqueezeError, OutputError
from edgesqueeze.text.printable import printable


@dataclass(frozen=True)
class SqueezedFile:
    """A .sqz file whose checksums are right and whose block M is understood; tensors are still coded."""

    meta: Meta
    meta_block: Block
    tensors_block: Block
    parts: tuple[tuple[Part, ...], ...]

    def layers(self) -> Iterator[LayerValues]:
        """Its layers, one after another."""
        for layer, parts in zip(self.meta.layers, self.parts, strict=True):
            scale = None if layer.grid is None else self.meta.grids[layer.grid].scale
            yield LayerValues(layer, self.meta.coder, scale, parts)


def open_squeezed(data: bytes | memoryview) -> SqueezedFile:
    """Read all of a file but its tensors.

    Raises:
        UnsupportedVersionError: another version than 2.
        CorruptFileError: the bytes are no such file.
    """
    meta_block, tensors_block = read_container(data)
    meta = parse_meta(unpack_bytes(meta_block.payload, MAX_META_BYTES))
    check_plausible(meta, len(tensors_block.payload))
    return SqueezedFile(meta, meta_block, tensors_block, split_tensors(tensors_block.payload, meta.layers))


def fill_templates(squeezed: SqueezedFile, outputs: Mapping[str, BinaryIO]) -> None:
    """Write every file that the .sqz has a template of, layer by layer; all other tensors are checked, too.

    Args:
        squeezed: the file.
        outputs: for each template, by name, a seekable file to write to.

    Raises:
        CorruptFileError: the tensors cannot be decoded.
    """
    wanted = _by_layer(squeezed, outputs)
    for template in squeezed.meta.files:
        for offset, content in template.skeleton():
            outputs[template.name].seek(offset)
            outputs[template.name].write(content)
    for place, values in enumerate(squeezed.layers()):
        values.check()
        for output, offset, fill in wanted.get(place, []):
            output.seek(offset)
            output.write(filled(fill, getattr(values, FORMS[fill.form].array)).data)


def _by_layer(
    squeezed: SqueezedFile, outputs: Mapping[str, BinaryIO]
) -> dict[int, list[tuple[BinaryIO, int, Fill]]]:
    """What each layer is wanted for: the output, the place there, and the fill."""
    wanted: dict[int, list[tuple[BinaryIO, int, Fill]]] = {}
    for template in squeezed.meta.files:
        for offset, fill in template.fills():
            wanted.setdefault(fill.layer, []).append((outputs[template.name], offset, fill))
    return wanted


@contextmanager
def written_beside(squeezed: SqueezedFile, directory: Path) -> Iterator[dict[str, Path]]:
    """Write the files of all templates under temporary names; what is not renamed is removed at the end.

    Yields:
        The name of each file and where it is.

    Raises:
        CorruptFileError: the tensors cannot be decoded.
        OutputError: the directory or a file cannot be written.
    """
    parts = {template.name: directory / f".{template.name}.part" for template in squeezed.meta.files}
    try:
        with ExitStack() as stack:
            directory.mkdir(parents=True, exist_ok=True)
            opened = {name: stack.enter_context(path.open("wb")) for name, path in parts.items()}
            fill_templates(squeezed, opened)
        yield parts
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or directory}: {error.strerror}") from error
    finally:
        for path in parts.values():
            with suppress(OSError):  # the first error is the one to report
                path.unlink(missing_ok=True)


def is_missing(path: Path, other: Path) -> bool:
    """Whether a file must still be written; one that is there must be equal to the other one.

    Raises:
        OutputError: it has other bytes.
    """
    if not path.exists():
        return True
    if path.is_dir() or not filecmp.cmp(path, other, shallow=False):
        raise OutputError(f"{path} exists with other content; choose another directory or remove it")
    return False


def unsqueeze(path: Path, directory: Path) -> list[Path]:
    """Write the files of all templates. Files that are there already with the same bytes are left alone.

    Raises:
        CodecError: the .sqz file cannot be read, is not valid, or has no templates.
        OutputError: a file of that name with other bytes exists, or the directory cannot be written.
    """
    try:
        squeezed = open_squeezed(path.read_bytes())
    except OSError as error:
        raise CodecError(f"cannot read {path}: {error.strerror}") from error
    if not squeezed.meta.files:
        raise CodecError(f"{path} has no templates of model files; decode it with edgesqueeze")
    with written_beside(squeezed, directory) as parts:
        missing = [name for name, part in parts.items() if is_missing(directory / name, part)]
        for name in missing:
            parts[name].replace(directory / name)
    return [directory / name for name in parts]


def main(arguments: Sequence[str]) -> int:
    """``unsqueeze FILE.sqz DIRECTORY``; errors are one line on standard error and exit code 2."""
    if len(arguments) != 2:
        sys.stderr.write("usage: unsqueeze FILE.sqz DIRECTORY\n")
        return 2
    try:
        for path in unsqueeze(Path(arguments[0]), Path(arguments[1])):
            sys.stdout.write(f"{printable(str(path))}  {path.stat().st_size:,} bytes\n")
    except EdgeSqueezeError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 2
    return 0
