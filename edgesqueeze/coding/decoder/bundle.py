"""Decoders to carry along: the Python modules of this package in one file, and the C sources.

``unsqueeze.pyz`` is a zip archive that Python runs or imports from. It holds the very modules that
edgesqueeze itself decodes with, found by following their imports; they need numpy only, and use numba where
it is there.
"""

import ast
import io
import zipfile
from pathlib import Path

from edgesqueeze.bundled import ROOT
from edgesqueeze.files import make_directory, write_atomically

_PACKAGE = "edgesqueeze"
_ENTRY = f"{_PACKAGE}.coding.decoder.unsqueeze"
_MAIN = f"import sys\n\nfrom {_ENTRY} import main\n\nsys.exit(main(sys.argv[1:]))\n"
_SOURCES = ("unsqueeze.c", "unsqueeze.h")
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip archive can say: the same modules give the same bytes."""


def write_bundle(directory: Path) -> list[Path]:
    """Write unsqueeze.pyz, unsqueeze.c and unsqueeze.h; the paths.

    Raises:
        OutputError: the directory or a file cannot be written.
    """
    make_directory(directory)
    files = {"unsqueeze.pyz": archive()}
    files |= {name: (Path(__file__).parent / name).read_bytes() for name in _SOURCES}
    for name, content in files.items():
        write_atomically(directory / name, content)
    return [directory / name for name in files]


def archive() -> bytes:
    """The bytes of unsqueeze.pyz."""
    modules = _modules()
    entries = {"__main__.py": _MAIN, f"{_PACKAGE}/__init__.py": '"""The decoder of .sqz files."""\n'}
    for name in sorted(modules):
        entries[modules[name].relative_to(ROOT).as_posix()] = modules[name].read_text(encoding="utf-8")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in entries.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, text)
    return buffer.getvalue()


def _modules() -> dict[str, Path]:
    """Every module of ours that the decoder imports, and the packages they are in."""
    found: dict[str, Path] = {}
    wanted = [_ENTRY]
    while wanted:
        name = wanted.pop()
        if name in found or name == _PACKAGE:
            continue
        path = ROOT.joinpath(*name.split("."))
        found[name] = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        wanted += [name.rpartition(".")[0], *_imports(found[name])]
    return found


def _imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [module for module in modules if module.startswith(f"{_PACKAGE}.")]
