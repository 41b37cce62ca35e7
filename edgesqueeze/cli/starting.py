"""How a command that works in a run's directory begins: a new run of a recipe, or an earlier one again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.errors import RecipeError
from edgesqueeze.run.recipe import Recipe, load_recipe
from edgesqueeze.run.rundir import RunDir, check_place, default_place, new_run, open_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task


@dataclass(frozen=True)
class Request:
    """The options that say which run."""

    recipe: str | None
    settings: Sequence[str]
    output: Path | None
    resume: Path | None
    redo_from: str | None = None


def read_request(request: Request) -> tuple[Recipe, Task]:
    """The recipe of a new run, and its task.

    Raises:
        EdgeSqueezeError: an earlier run is meant, or what is wrong with recipe, task or directory.
    """
    if request.resume is not None:
        raise RecipeError("--dry-run is about a new run; leave --resume out")
    if request.recipe is None:
        raise RecipeError("nothing to do: give --recipe FILE or --resume DIR")
    recipe = load_recipe(request.recipe, request.settings)
    if request.output is not None:
        check_place(request.output)
    return recipe, load_task(recipe.task, recipe.seed)


def start(
    request: Request, check: Callable[[Recipe, Task], object], begun: Callable[[Path], None]
) -> tuple[Recipe, Task, RunDir]:
    """The recipe, its task, and the directory of the run.

    ``check`` is asked before there is a directory: a mistake leaves nothing behind. ``begun`` is told of a
    new directory before anything is in it.

    Raises:
        EdgeSqueezeError: options that do not go together, or what is wrong with recipe, task or directory.
    """
    if request.resume is not None:
        options = (("--recipe", request.recipe), ("--set", request.settings), ("--output", request.output))
        given = [name for name, value in options if value]
        if given:
            raise RecipeError(
                f"--resume continues a run with its own recipe; leave {' and '.join(given)} out"
            )
        run, recipe = open_run(request.resume)
        return recipe, load_task(recipe.task, recipe.seed), run
    if request.redo_from is not None:
        raise RecipeError("--from redoes a stage of an earlier run: give --resume DIR with it")
    recipe, task = read_request(request)
    check(recipe, task)
    place = request.output or default_place(recipe)
    begun(place)
    return recipe, task, new_run(recipe, place)
