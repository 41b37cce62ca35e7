"""The stages of a run in their order, each with its folder and the names it goes by."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgesqueeze.compression.stages import AnyStage, Train
from edgesqueeze.errors import RecipeError
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.rundir import RunDir

_START = "start"


@dataclass(frozen=True)
class Step:
    """One stage in its place; ``stages`` are those up to and including it.

    The first step is the model before the first stage, and has none.
    """

    folder: StageFolder
    stages: tuple[AnyStage, ...]

    @property
    def stage(self) -> AnyStage | None:
        """The stage itself."""
        return self.stages[-1] if self.stages else None

    @property
    def number(self) -> int:
        """Its place; 0 is before the first stage."""
        return len(self.stages)

    @property
    def trains(self) -> bool:
        """Whether the checkpoint of ``edgesqueeze train`` comes from here."""
        return self.stage is None or isinstance(self.stage, Train)

    @property
    def names(self) -> tuple[str, str]:
        """The name of its folder, and that of the stage."""
        return self.folder.path.name, _START if self.stage is None else self.stage.stage


def steps_of(run: RunDir, stages: Sequence[AnyStage]) -> tuple[Step, ...]:
    """The model before the first stage, and every stage."""
    names = (_START, *(stage.stage for stage in stages))
    return tuple(Step(run.stage(number, name), tuple(stages[:number])) for number, name in enumerate(names))


def named_step(name: str, steps: Sequence[Step]) -> Step:
    """The step that a stage's name, or its folder's, means.

    Raises:
        RecipeError: none or several of the steps have the name.
    """
    found = [step for step in steps if name in step.names]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(step.folder.path.name for step in found or steps)
    said = f"names {len(found)} stages, say which" if found else "names no stage of this run, allowed"
    raise RecipeError(f"--from {name!r} {said}: {listed}")
