"""What a file may have lost at most, by the test against the baseline on the same images."""

from statistics import NormalDist

from edgesqueeze.measure.checks.image_answers import AnyPairedTest
from edgesqueeze.numerics.proportions import SIGNIFICANT, PairedTest, most_lost
from edgesqueeze.task.metrics import Measure


def most_lost_of(test: AnyPairedTest, measure: Measure, total: int) -> float:
    """The largest loss of a metric, in its own unit, that the images do not rule out (one-sided, 5 %).

    Of a metric that counts images it is that of the score test, of others the loss found and 1.64 standard
    errors of it.

    Args:
        test: against the baseline.
        measure: the metric.
        total: the number of images.
    """
    if isinstance(test, PairedTest):
        return most_lost(test, total)
    lost = -test.change if measure.higher_is_better else test.change
    return lost + NormalDist().inv_cdf(1 - SIGNIFICANT) * test.standard_error
