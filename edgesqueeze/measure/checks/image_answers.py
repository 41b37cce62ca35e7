"""What is known of a model's answers image by image: enough for an interval, and for a test against others.

A metric that counts right answers has Wilson's interval and McNemar's exact test. Any other has those of the
bootstrap, from its parts, or by calling it on resampled rows if that is affordable.
"""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from edgesqueeze.measure.checks.right_answers import Counted, counted_images, paired_right, share_interval
from edgesqueeze.numerics.bootstrap import (
    RESAMPLES,
    BootstrapTest,
    Draws,
    bootstrap_interval,
    draws_of,
    paired_bootstrap,
)
from edgesqueeze.numerics.proportions import Interval, PairedTest
from edgesqueeze.task.metrics import Measure, Parts, Scores, Weights
from edgesqueeze.trees import Tree, length_of, rows_of

MOST_SECONDS = 20.0
"""A metric without parts is resampled if all its calls together take no longer."""

AnyPairedTest = PairedTest | BootstrapTest


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """One model's answers to the test split, as far as the primary metric goes.

    Either ``counted`` images, or ``draws``: the metric of resampled images, with the ``parts`` that they come
    from if the metric has any. Nothing of these if nothing can be told.
    """

    counted: Counted | None = None
    draws: Draws | None = None
    parts: Parts | None = None

    def interval(self, value: float) -> Interval | None:
        """The 95 % interval of the metric, whose value on all images is given."""
        if self.counted is not None:
            return share_interval(self.counted)
        return None if self.draws is None else bootstrap_interval(self.draws, value)

    def right(self, measure: Measure) -> Counted | None:
        """Which images are right, [N]; None where the metric says nothing of single images' classes."""
        if self.counted is not None:
            return self.counted if measure.higher_is_better else ~self.counted
        if self.parts is not None and {"predicted", "target"} <= self.parts.keys():
            return np.asarray(self.parts["predicted"] == self.parts["target"])
        return None

    def against(self, before: "ImageAnswers", measure: Measure, change: float) -> AnyPairedTest | None:
        """The test against another model on the same images; None if one of the two is not known so.

        Args:
            before: the other model's answers.
            measure: the metric of both.
            change: this model's metric less the other's.
        """
        if self.counted is not None and before.counted is not None:
            return paired_right(before.counted, self.counted, measure)
        if self.draws is not None and before.draws is not None and len(self.draws) == len(before.draws):
            return paired_bootstrap(before.draws, self.draws, change)
        return None


def image_answers(measure: Measure, scores: Scores, outputs: Tree, targets: Tree) -> ImageAnswers:
    """What is known of answers image by image.

    Args:
        measure: the primary metric.
        scores: of these answers; where the parts come from.
        outputs: [N, ...].
        targets: [N, ...].
    """
    if scores.parts is not None:
        parts = scores.parts()
        return ImageAnswers(draws=draws_from(measure, parts, length_of(targets)), parts=parts)
    counted = counted_images(measure, outputs, targets)
    if counted is not None:
        return ImageAnswers(counted)
    return ImageAnswers(draws=_called(measure, outputs, targets))


def draws_from(measure: Measure, parts: Parts, total: int) -> Draws | None:
    """The metric of resampled images from its parts; None if it has none any more."""
    value = measure.value
    return None if value is None else draws_of(lambda weights: value(parts, weights), total)


def _called(measure: Measure, outputs: Tree, targets: Tree) -> Draws | None:
    """The metric of resampled rows; None if it raises on them, or if it would take too long."""

    def value(weights: Weights) -> float:
        rows = np.repeat(np.arange(len(weights)), weights)
        return float(measure(rows_of(outputs, rows), rows_of(targets, rows)))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as of single images
            before = time.perf_counter()
            value(np.ones(length_of(outputs), np.int64))
            if (time.perf_counter() - before) * RESAMPLES > MOST_SECONDS:
                return None
            return draws_of(value, length_of(outputs))
    except Exception:  # the user's metric may raise anything on drawn images: then nothing can be told
        return None
