"""What right answers tell: an interval for one share, an exact test for two on the same images."""

from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
"""A p-value below this says that two shares differ."""
_HALVINGS = 50


@dataclass(frozen=True)
class Interval:
    """Where a share lies with 95 % confidence; both ends in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same images.

    ``lost`` counts the images that only the first has right, ``won`` those that only the second has right;
    ``p_value`` is how likely a split at least as uneven is if neither is better.
    """

    lost: int
    won: int
    p_value: float


def wilson_interval(right: int, total: int) -> Interval:
    """The 95 % score interval of a share of ``right`` among ``total`` (at least 1).

    Source: Wilson 1927, Journal of the American Statistical Association 22:209-212; recommended for any
    number of trials by Brown, Cai and DasGupta 2001, Statistical Science 16:101-133.
    """
    z2 = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2
    share = right / total
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = sqrt(z2 * (share * (1 - share) + z2 / (4 * total)) / total) / (1 + z2 / total)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def mcnemar_exact(lost: int, won: int) -> PairedTest:
    """The exact two-sided McNemar test: were ``lost`` and ``won`` drawn with a fair coin?

    Source: McNemar 1947, Psychometrika 12:153-157, with the binomial distribution instead of its
    approximation; for comparing classifiers on one test set Dietterich 1998, Neural Computation 10:1895-1923.
    """
    draws = lost + won
    ways, tail = 1, 0  # whole numbers: nothing is rounded before the one division
    for k in range(min(lost, won) + 1):
        tail += ways
        ways = ways * (draws - k) // (k + 1)
    return PairedTest(lost, won, min(1.0, 2 * tail / 2**draws))


def losing_p_value(test: PairedTest) -> float:
    """The one-sided p-value: how likely so many more losses than wins are if the second is no worse.

    With a fair coin both sides are alike, so that it is half of the two-sided one.
    """
    return test.p_value / 2 if test.lost > test.won else 1.0


def smallest_visible_loss() -> int:
    """How many images must be lost, with none won, before the test calls it a difference."""
    lost = 1
    while mcnemar_exact(lost, 0).p_value >= SIGNIFICANT:
        lost += 1
    return lost


def most_lost(test: PairedTest, total: int) -> float:
    """The largest loss, as a share of the images, that what was found does not rule out (one-sided, 5 %).

    It is the loss at which Tango's score statistic for paired shares is at its 5 % point: 1998, Statistics in
    Medicine 17:891-908. With no image won it is the upper end of a score interval of one share.

    Args:
        test: of the two on the same images.
        total: the number of images, at least 1.
    """
    limit = NormalDist().inv_cdf(1 - SIGNIFICANT)
    low, high = max(0.0, (test.lost - test.won) / total), 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _score_below(test, total, middle) < limit else (low, middle)
    return high


def _score_below(test: PairedTest, total: int, loss: float) -> float:
    """How many standard errors what was found lies below a loss that is above it, if that loss is true."""
    a, b = 2 * total, (2 * total - test.lost + test.won) * loss - test.lost - test.won
    won = (sqrt(b * b + 4 * a * test.won * loss * (1 - loss)) - b) / (2 * a)  # likeliest share of wins
    variance = total * (2 * won + loss * (1 - loss))
    return (total * loss - test.lost + test.won) / sqrt(variance) if variance > 0 else inf


def fewest_images(loss: float) -> int:
    """Of how many images at least none must be lost, to rule out a loss of this share (one-sided, 5 %)."""
    return ceil(NormalDist().inv_cdf(1 - SIGNIFICANT) ** 2 * (1 - loss) / loss)


def images_to_tell(test: PairedTest, total: int) -> int | None:
    """About how many images would show the same difference, None if there is none.

    From the approximation (|lost - won| - 1)^2 / (lost + won) = z^2 (Edwards 1948, Psychometrika 13:185-187),
    solved for the factor by which both counts must grow.
    """
    difference = abs(test.lost - test.won)
    if difference == 0:
        return None
    spread = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * sqrt(test.lost + test.won)
    root = (spread + sqrt(spread**2 + 4 * difference)) / (2 * difference)
    return round(total * root**2)
