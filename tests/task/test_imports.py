"""References to the user's code: installed or in the working directory, and nothing left behind."""

import sys

import pytest

from edgesqueeze.errors import TaskError
from edgesqueeze.task.imports import import_callable, working_directory_importable


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with a package of its own; modules imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refuse(reference, *words):
    path = list(sys.path)
    with pytest.raises(TaskError) as caught:
        import_callable(reference)
    assert sys.path == path
    message = str(caught.value)
    assert "\n" not in message
    for word in (repr(reference), *words):
        assert word in message, message


def test_installed_and_nested():
    assert import_callable("json:dumps")([1]) == "[1]"
    assert import_callable("collections:OrderedDict.fromkeys")("a") == {"a": None}


def test_working_directory(project):
    (project / "es_net").mkdir()
    (project / "es_net" / "__init__.py").touch()
    (project / "es_net" / "model.py").write_text("from es_sizes import SIZE\ndef make():\n    return SIZE\n")
    (project / "es_sizes.py").write_text("SIZE = 7\n")
    path = list(sys.path)
    assert import_callable("es_net.model:make")() == 7
    assert sys.path == path


def test_installed_module_wins_over_one_of_the_same_name(project):
    (project / "wave.py").write_text("def open():\n    return 'local'\n")
    assert import_callable("wave:open").__module__ == "wave"
    assert str(project) not in sys.modules["wave"].__file__


def test_path_is_restored_after_an_error(project):
    path = list(sys.path)
    with working_directory_importable():
        assert sys.path == [*path, str(project)]
    assert sys.path == path
    with pytest.raises(ZeroDivisionError), working_directory_importable():
        1 / 0  # noqa: B018 (it is the error that is wanted)
    assert sys.path == path


def test_path_that_already_has_the_directory_is_left_alone(project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    path = list(sys.path)
    with working_directory_importable():
        assert sys.path == path
    assert sys.path == path


def test_absent_module(project):
    refuse("es_absent.model:make", "there is no module 'es_absent'", str(project))
    (project / "es_half").mkdir()
    (project / "es_half" / "__init__.py").touch()
    refuse("es_half.model:make", "there is no module 'es_half.model'")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def make(:\n", "raised SyntaxError"),
        ("1 / 0\n", "raised ZeroDivisionError: division by zero"),
        ("import es_not_there\n", "raised ModuleNotFoundError: No module named 'es_not_there'"),
        ("raise ValueError('first\\nsecond')\n", "raised ValueError: first"),
        ("raise ValueError\n", "raised ValueError"),
        ("other = 1\n", "has no 'make'"),
        ("make = 3\n", "is of type int, which cannot be called"),
    ],
)
def test_modules_that_do_not_work(project, source, words):
    (project / "es_broken.py").write_text(source)
    refuse("es_broken:make", words)
