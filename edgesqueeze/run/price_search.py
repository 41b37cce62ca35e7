"""The highest price of `squeeze` whose file keeps its metric: one try after the other, each a file that runs.

Every try begins from the same weights and draws the same numbers. Its file is written, loaded back and run
over the validation split, which neither trains nor calibrates nor makes a table.
"""

import hashlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgesqueeze.compression.stages import Squeeze
from edgesqueeze.compression.state import State, answers_of, network_of, state_of
from edgesqueeze.errors import NoWeightLeftError, OutputError, RecipeError
from edgesqueeze.exports.squeezed import SqueezedExport
from edgesqueeze.files import write_atomically
from edgesqueeze.measure.checks.accuracy.accuracy import allowed_loss
from edgesqueeze.measure.checks.accuracy.most_lost import most_lost_of
from edgesqueeze.numerics.bisection import highest
from edgesqueeze.numerics.proportions import fewest_images
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.folders.tries import Tries, Try, read_tries, write_tries
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.rows import Scored, file_candidate, scored
from edgesqueeze.task.metrics.wording import written, written_change
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Keeper, Session

LOWEST_PRICE, HIGHEST_PRICE = 1e-6, 100.0
"""Of losses as small as the squared error of a picture, and the most that a recipe may ask."""
MOST_TRIES = 8
"""Halvings of eight decades: the last leaves prices 8 % apart."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What a file is worth against the baseline, on the validation split.

    ``task`` has that split for its test split; ``export`` writes the file; ``before`` is what the baseline,
    called ``baseline``, is worth; ``allowed`` is in the metric's own unit.
    """

    task: Task
    export: SqueezedExport
    baseline: str
    before: Scored
    allowed: float

    @classmethod
    def of(cls, stage: Squeeze, task: Task, export: SqueezedExport, baseline: tuple[str, State]) -> "Judge":
        """A judge for a stage; the baseline has its label and is loaded."""
        assert task.validation is not None
        on_validation = replace(task, test=task.validation)
        before = scored(on_validation, *answers_of(baseline[1], on_validation))
        allowed = allowed_loss(task.primary, stage.max_drop, before.columns["metrics"][task.primary_metric])
        # Files of a try are looked at and thrown away: what other files are decoded to is not asked.
        return cls(on_validation, export.model_copy(update={"templates": ()}), baseline[0], before, allowed)

    def judged(self, price: float, state: State) -> Try:
        """The file of a state, written, loaded back and run.

        Raises:
            RecipeError: the metric cannot be compared on the same images.
        """
        graph, spec = network_of(state, self.task)
        with tempfile.TemporaryDirectory() as folder:
            (artifact,) = self.export.write(graph, spec, Path(folder))
            predictor = self.export.load(artifact, 1)
            found = file_candidate(artifact.path, predictor, self.task, graph.returns)
        measure, metric = self.task.primary, found.row.metrics[self.task.primary_metric]
        change = metric - self.before.columns["metrics"][self.task.primary_metric]
        test = found.answers.against(self.before.answers, measure, change)
        if math.isnan(metric):
            return Try(price, num_bytes=artifact.num_bytes, metric=metric, lost=math.inf, most_lost=math.inf)
        if test is None:
            raise RecipeError(
                f"squeeze.price auto compares files image by image, and {self.task.primary_metric!r} cannot "
                "be computed of resampled images; give a number"
            )
        lost, most = measure.gain(metric, metric - change), most_lost_of(test, measure, len(self.task.test))
        return Try(price, most <= self.allowed, artifact.num_bytes, metric, lost, most)

    def said(self, one: Try) -> str:
        """A try in words."""
        if one.metric is None or one.lost is None or one.most_lost is None:
            return f"price {one.price:g} leaves a layer no weight"
        unit = self.task.primary.unit
        lost, most = (written_change(value, unit) for value in (one.lost, one.most_lost))
        metric = f"{self.task.primary_metric} {written(one.metric, unit)}"
        return f"price {one.price:g} makes {one.num_bytes:,} bytes, {metric}, {lost} lost, at most {most}"

    def bound(self) -> str:
        """What is asked of a file, the end of a sentence."""
        allowed = written_change(self.allowed, self.task.primary.unit)
        return (
            f"surely loses no more than {allowed} of {self.task.primary_metric} against {self.baseline!r} on "
            f"{len(self.task.test):,} validation images"
        )


@dataclass(frozen=True, eq=False)
class PriceSearch:
    """A stage whose price is to be found, where its tries are kept, and who judges them.

    ``module`` gives the network before the stage, anew each time.
    """

    stage: Squeeze
    task: Task
    folder: StageFolder
    module: Callable[[], nn.Module]
    judge: Judge

    def found(self, session: Session) -> bytes:
        """The state at the highest price that serves, or of the file that lost least if none does.

        Raises:
            NoWeightLeftError: not one price leaves every layer a weight.
            OutputError: what an earlier process has kept is damaged.
        """
        tries = read_tries(self.folder.tries, self.folder.way_out)

        def serves(price: float) -> bool:
            nonlocal tries
            known = tries.at(price)
            if known is None:
                known, state = self._try(price, len(tries.tried) + 1, session)
                tries = replace(tries, tried=(*tries.tried, known))
                if tries.best is known:
                    write_atomically(self.folder.best, state)
                write_tries(self.folder.tries, tries)
                verdict = "good enough" if known.serves else "too much"
                count = f"try {len(tries.tried)} of {MOST_TRIES}"
                session.progress.message(f"squeeze: {count}: {self.judge.said(known)}: {verdict}")
            return known.serves

        highest(serves, LOWEST_PRICE, HIGHEST_PRICE, MOST_TRIES)
        tell_price(session, self.stage, None)
        best = tries.best
        if best is None:
            said = self.judge.said(tries.tried[-1])
            raise NoWeightLeftError(f"squeeze.price auto: {said}, as do all others")
        state = self._kept_state(best)
        session.notes.extend(best.notes)
        session.history.extend(best.epochs)
        if session.watch is not None:  # one curve a stage: of the try that is kept
            for epoch in best.epochs:
                session.watch(epoch)
        write_tries(self.folder.tries, replace(tries, unmet=self._concluded(tries, best, session)))
        return state

    def _try(self, price: float, number: int, session: Session) -> tuple[Try, bytes]:
        own = replace(session, label=f"squeeze, try {number}", notes=[], history=[], watch=None)
        tell_price(session, self.stage, price)
        model = squeezed_at(self.stage, price, self.module, self.task, own)
        if model is None:
            known, state = Try(price), b""
        else:
            kept = state_of(model)
            known, state = self.judge.judged(price, kept), kept.save()
            known = replace(
                known,
                state=hashlib.sha256(state).hexdigest(),
                notes=tuple(own.notes),
                epochs=tuple(own.history),
            )
        return known, state

    def _kept_state(self, best: Try) -> bytes:
        state = self.folder.best.read_bytes() if self.folder.best.is_file() else b""
        if hashlib.sha256(state).hexdigest() != best.state:
            raise OutputError(f"{self.folder.best} is damaged or gone; {self.folder.way_out}")
        return state

    def _concluded(self, tries: Tries, best: Try, session: Session) -> str:
        """Tell what was found; the sentence for the end of the run if nothing was."""
        if best.serves:
            session.note(
                f"price {best.price:g} is the highest of {len(tries.tried)} tried that {self.judge.bound()}"
            )
            return ""
        sentence = (
            f"squeeze.price auto: none of {len(tries.tried)} prices makes a file that {self.judge.bound()}; "
            f"the closest was taken, {self.judge.said(best)}"
        )
        session.progress.message(sentence)
        return sentence


def check_search(recipe: Recipe, task: Task) -> None:
    """Refuse a search that cannot find anything, and a validation split that nothing looks at.

    Raises:
        RecipeError: there is no validation split, or it is too small to tell; or there is one without need.
    """
    stage = recipe.searched
    if stage is None:
        if task.validation is not None and not task.labelled:
            raise RecipeError(
                "task.validation judges epochs by labels, and the images have none; leave it out where no "
                "squeeze stage has price: auto"
            )
        return
    if task.validation is None:
        raise RecipeError(
            f"squeeze.price auto is judged on a validation split and {task.name!r} has none; set "
            "task.validation: 0.1 to hold that share of the training split out, or give your own Task one"
        )
    assert stage.max_drop is not None
    needed = fewest_images(stage.max_drop / 100) if task.primary.unit == "share" else 0
    if len(task.validation) < needed:
        raise RecipeError(
            f"squeeze.max_drop is {stage.max_drop:g} points, which {len(task.validation):,} validation "
            f"images cannot tell from none; {needed:,} are the fewest, set task.validation or max_drop higher"
        )


def tell_price(session: Session, stage: Squeeze, price: float | None) -> float | None:
    """The price that all processes train at now, told by the first; None where the search is over."""
    return session.place.from_first(lambda: price) if stage.epochs else price


def squeezed_at(
    stage: Squeeze, price: float, before: Callable[[], nn.Module], task: Task, session: Session
) -> nn.Module | None:
    """One try on the network before the stage; None if the price leaves a layer no weight.

    Every try draws the same random numbers, those of a stage with this price.
    """
    keeper = None if session.keeper is None else OfPrice(session.keeper, price)
    # Dropout shall not drop the same in the share of every process.
    torch.manual_seed(session.seed + (session.place.rank << 32))
    try:
        return stage.at(price).apply(before(), task, replace(session, keeper=keeper))
    except NoWeightLeftError:
        return None


@dataclass(frozen=True)
class OfPrice:
    """A keeper that has no state of a training at another price."""

    keeper: Keeper
    price: float

    def load(self) -> dict[str, Any] | None:
        """See :class:`~edgesqueeze.task.training.session.Keeper`."""
        state = self.keeper.load()
        return state if state is not None and state["settings"].get("price") == self.price else None

    def save(self, state: dict[str, Any]) -> None:
        """See :class:`~edgesqueeze.task.training.session.Keeper`."""
        self.keeper.save(state)
