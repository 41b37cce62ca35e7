"""References to the user's code: installed or in the working directory, and nothing left behind."""

import json
import os
import site
import sys
from pathlib import Path

import pytest
import torchvision
from safetensors.torch import load_file
from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.task import Task
from edgesqueeze.task.imports import import_callable, working_directory_importable


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with a package of its own; modules imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("es_"):
            del sys.modules[name]


def refuse(reference, *words, makes=nn.Module):
    path = list(sys.path)
    with pytest.raises(TaskError) as caught:
        import_callable(reference, makes)
    assert sys.path == path
    message = str(caught.value)
    assert "\n" not in message
    for word in (repr(reference), *words):
        assert word in message, message


@pytest.mark.parametrize("reference", ["torchvision.models:resnet18", "torchvision:models.resnet18"])
def test_installed_and_nested(reference):
    code = import_callable(reference, nn.Module)
    assert (code.call, code.reference) == (torchvision.models.resnet18, reference)
    assert code.origin("task.model") == f"task.model {reference} from {code.file}"
    assert code.file.is_file()
    assert code.file == Path(sys.modules[reference.partition(":")[0]].__file__)


def test_working_directory(project):
    (project / "es_net").mkdir()
    (project / "es_net" / "__init__.py").touch()
    (project / "es_net" / "model.py").write_text("from es_sizes import SIZE\ndef make():\n    return SIZE\n")
    (project / "es_sizes.py").write_text("SIZE = 7\n")
    path = list(sys.path)
    code = import_callable("es_net.model:make", nn.Module)
    assert (code.call(), code.file) == (7, project / "es_net" / "model.py")
    assert sys.path == path


def test_a_folder_without_an_init_file(project):
    (project / "es_plain" / "deep").mkdir(parents=True)
    (project / "es_plain" / "deep" / "model.py").write_text("def make():\n    return 8\n")
    assert import_callable("es_plain.deep.model:make", nn.Module).call() == 8


def test_installed_module_wins_over_one_of_the_same_name(project):
    (project / "safetensors.py").write_text("def safe_open():\n    return 'local'\n")
    code = import_callable("safetensors.torch:load_file", nn.Module)
    assert code.call is load_file
    assert project not in code.file.parents


CALLABLES = """
import functools, os, pathlib, subprocess, sys
from os import path, system
from torch import nn

class Net(nn.Module):
    @classmethod
    def small(cls, width=2):
        return nn.Linear(width, width)

@functools.lru_cache
def cached():
    return Net()

with_width = functools.partial(Net.small, width=3)
listing = functools.partial(os.listdir, ".")
home = pathlib.Path.home
word = str.upper
walk = functools.lru_cache(os.walk)
net = Net()

class Other:
    def __call__(self):
        return net
"""


@pytest.mark.parametrize(
    "name", ["Net", "Net.small", "cached", "with_width", "nn.Identity", "nn.init.zeros_"]
)
def test_callables_that_may_make_a_model(project, name):
    (project / "es_calls.py").write_text(CALLABLES)
    assert callable(import_callable(f"es_calls:{name}", nn.Module).call)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("system", "is of type builtin_function_or_method; a function or a subclass of Module is needed"),
        ("listing", "is of type builtin_function_or_method"),
        ("sys.exit", "is of type builtin_function_or_method"),
        ("word", "is of type method_descriptor"),
        ("net", "is of type Net"),
        ("os", "is of type module"),
        ("path.join", "is posixpath.join of Python's standard library"),
        ("subprocess.run", "is subprocess.run of Python's standard library"),
        ("subprocess.Popen", "is subprocess.Popen of Python's standard library"),
        ("home", "is pathlib.Path.home of Python's standard library"),
        ("walk", "is os.walk of Python's standard library"),
        ("Other", "is the class es_calls.Other; a function or a subclass of Module is needed"),
    ],
)
def test_callables_that_are_refused_before_they_are_called(project, name, words):
    (project / "es_calls.py").write_text(CALLABLES)
    refuse(f"es_calls:{name}", words)


def test_a_class_is_one_of_what_is_made(project):
    (project / "es_calls.py").write_text(CALLABLES)
    refuse(
        "es_calls:Net", "is the class es_calls.Net; a function or a subclass of Task is needed", makes=Task
    )


@pytest.mark.parametrize(
    "reference", ["os:system", "builtins:exec", "subprocess:run", "os.path:join", "posix:fork"]
)
def test_the_standard_library_is_refused(reference):
    module = reference.partition(":")[0].partition(".")[0]
    refuse(reference, f"{module!r} belongs to Python's standard library")


def test_a_name_of_the_standard_library_in_the_working_directory(project):
    (project / "wave.py").write_text("raise RuntimeError\n")
    refuse("wave:open", "'wave' belongs to Python's standard library")


@pytest.fixture
def elsewhere(project, tmp_path_factory, monkeypatch):
    """A folder that Python imports from, with a module and a package that leave a trace when they run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "es_package").mkdir()
    source = "import pathlib\npathlib.Path('trace').touch()\ndef make():\n    return 9\n"
    for file in ("es_module.py", "es_package/__init__.py", "es_package/inner.py"):
        (folder / file).write_text(source)
    monkeypatch.syspath_prepend(folder)
    return folder


MODULES = ["es_module", "es_package", "es_package.inner"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_from_elsewhere_is_refused_before_it_runs(project, elsewhere, module):
    refuse(f"{module}:make", str(elsewhere), "neither in the working directory nor installed", "PYTHONPATH")
    assert not (project / "trace").exists()


@pytest.mark.parametrize("module", MODULES)
def test_a_folder_of_pythonpath_counts_as_installed(elsewhere, monkeypatch, module):
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}{elsewhere}")
    assert import_callable(f"{module}:make", nn.Module).call() == 9


def installed_in(folder, monkeypatch):
    """Make a folder the one of installed packages."""
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(folder)])


@pytest.mark.parametrize("module", MODULES)
def test_an_installed_module(elsewhere, monkeypatch, module):
    installed_in(elsewhere, monkeypatch)
    assert import_callable(f"{module}:make", nn.Module).call() == 9


def test_a_folder_that_an_installed_file_adds(elsewhere, monkeypatch, tmp_path_factory):
    packages = tmp_path_factory.mktemp("packages")
    (packages / "own.pth").write_text(f"# mine\nimport os\n\n{elsewhere}\n")
    installed_in(packages, monkeypatch)
    assert import_callable("es_module:make", nn.Module).call() == 9


@pytest.mark.parametrize("editable", [True, False])
def test_a_project_that_is_installed_in_place(elsewhere, monkeypatch, tmp_path_factory, editable):
    packages = tmp_path_factory.mktemp("packages")
    (packages / "own-1.0.dist-info").mkdir()
    (packages / "own-1.0.dist-info" / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    direct = {"url": elsewhere.parent.as_uri(), "dir_info": {"editable": editable}}
    (packages / "own-1.0.dist-info" / "direct_url.json").write_text(json.dumps(direct))
    installed_in(packages, monkeypatch)
    if editable:
        assert import_callable("es_package.inner:make", nn.Module).call() == 9
    else:
        refuse("es_package.inner:make", "neither in the working directory nor installed")


def test_the_program_that_runs_is_no_module_of_a_recipe():
    refuse("__main__:make")


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
        ("import sys\nsys.exit(3)\n", "raised SystemExit: 3"),
        ("other = 1\n", "has no 'make'"),
        ("make = 3\n", "is of type int; a function or a subclass of Module is needed"),
    ],
)
def test_modules_that_do_not_work(project, source, words):
    (project / "es_broken.py").write_text(source)
    refuse("es_broken:make", words)
