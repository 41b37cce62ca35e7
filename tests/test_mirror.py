"""The tests are laid out as the package is: a test of ``edgesqueeze/a/b.py`` is looked for in ``tests/a``."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "edgesqueeze"
NO_ROOM = {"bench", "docs", "golden", "shared"}
"""Scripts beside the package, documents, files that must decode for ever, and what tests of several rooms share."""


def test_every_folder_of_tests_is_a_folder_of_the_package():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    rooms = {folder for folder in folders if folder.parts and folder.parts[0] not in NO_ROOM}
    assert len(rooms) > 15
    assert [str(folder) for folder in sorted(rooms) if not (PACKAGE / folder / "__init__.py").exists()] == []
