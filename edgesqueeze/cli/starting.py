"""How a command that works in a run's directory begins: a new run of a recipe, or an earlier one again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.errors import EdgeSqueezeError, RecipeError
from edgesqueeze.pipeline import follow, place_of
from edgesqueeze.run.recipe import Recipe, load_recipe
from edgesqueeze.run.rundir import RunDir, check_place, default_place, new_run, open_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Place


@dataclass(frozen=True)
class Request:
    """The options that say which run."""

    recipe: str | None
    settings: Sequence[str]
    output: Path | None
    resume: Path | None
    redo_from: str | None = None


@dataclass(frozen=True)
class Begun:
    """A run that can go on: its recipe, its task, its directory, and where its stages train."""

    recipe: Recipe
    task: Task
    run: RunDir
    place: Place


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


def start(request: Request, check: Callable[[Recipe, Task], object], tell: Callable[[Path], None]) -> Begun:
    """The recipe, its task, the directory of the run, and where it trains.

    ``check`` is asked before there is a directory: a mistake leaves nothing behind. ``tell`` is told of a new
    directory before anything is in it. Of several processes that torchrun has started, the first checks and
    makes the directory.

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
        place = place_of(recipe, together=True)
        return Begun(recipe, load_task(recipe.task, recipe.seed), run, place)
    if request.redo_from is not None:
        raise RecipeError("--from redoes a stage of an earlier run: give --resume DIR with it")
    recipe, task = read_request(request)
    place = place_of(recipe, together=True)
    mistakes: list[EdgeSqueezeError] = []

    def directory() -> Path | None:
        try:
            check(recipe, task)
            path = request.output or default_place(recipe)
            tell(path)
            return new_run(recipe, path).path
        except EdgeSqueezeError as error:  # which the others must hear of before this process ends
            mistakes.append(error)
            return None

    path = place.from_first(directory)
    if mistakes:
        raise mistakes[0]
    if path is None:
        raise SystemExit(2)  # the first process says why
    return Begun(recipe, task, RunDir(path), place)


def train_along(begun: Begun, stages: Sequence[AnyStage]) -> None:
    """What a process does that is not the first.

    Raises:
        EdgeSqueezeError: the training fails, or another process has ended.
    """
    try:
        follow(begun.recipe, stages, begun.task, begun.run, begun.place)
    except EdgeSqueezeError as error:
        raise type(error)(f"in process {begun.place.rank}, {error}") from error
