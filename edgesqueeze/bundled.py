"""The files that ship beside the code: inside the wheel, or in the checkout it runs from."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
ROOT = _PACKAGE.parent
"""What the package lies in: the checkout, or where packages are installed."""


def bundled_folder(name: str) -> Path:
    """The folder of bundled ``recipes`` or ``bench`` suites."""
    packaged = _PACKAGE / "bundled" / name
    return packaged if packaged.is_dir() else ROOT / name


def bundled_recipes() -> dict[str, Path]:
    """Bare name to path of every recipe that ships with edgesqueeze."""
    return {path.stem: path for path in sorted(bundled_folder("recipes").glob("*.yaml"))}


def first_comment(path: Path) -> str:
    """What a recipe says about itself: its first line, without the comment sign."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
