"""For mkdocs: documents that lie beside ``docs/`` become pages, and links between all of them are kept.

A link is written as it works in the repository: ``docs/format.md`` in README, ``../bench/README.md`` in a
page. On the site everything in ``docs/`` stands at the top, and README is the first page.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

BESIDE = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/**/*.*",
    "bench/**/*.md",
    "bench/**/*.yaml",
    "bench/**/command.txt",
)
"""What is shown beside ``docs/``, from the root of the repository."""
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents beside ``docs/``."""
    root = Path(config.docs_dir).parent
    for path in sorted(path for pattern in BESIDE for path in root.glob(pattern)):
        if "__pycache__" not in path.parts:
            place = place_of(path.relative_to(root).as_posix())
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between places in the repository into links between places on the site."""
    del config, files
    here = path_of(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[2]))
        relative = posixpath.relpath(place_of(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"{link[1]}{relative}{link[3]}"

    return LINK.sub(moved, markdown)


def place_of(path: str) -> str:
    """Where a file of the repository is on the site."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def path_of(place: str) -> str:
    """Where a page of the site is in the repository."""
    if place == "index.md":
        return "README.md"
    beside = place in BESIDE or place.startswith(("bench/", "examples/"))
    return place if beside else f"docs/{place}"
