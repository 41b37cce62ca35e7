"""The gradual pruning schedule of Zhu & Gupta 2017 (arXiv 1710.01878)."""

from edgesqueeze.errors import RecipeError


def cubic_sparsity(step: int, num_steps: int, initial: float, final: float) -> float:
    """The sparsity to prune to at a step: s_f + (s_i - s_f) × (1 - t / n)³ (their equation 1).

    Many weights go early, while the network is redundant, and few late.

    Args:
        step: t, from 0 (gives ``initial``) to ``num_steps`` (gives ``final``).
        num_steps: n, at least 1.
        initial: sparsity before the first step, fraction of zeros in [0, 1).
        final: sparsity after the last step, in [initial, 1).

    Raises:
        RecipeError: a value outside these limits.
    """
    if num_steps < 1 or not 0 <= step <= num_steps:
        raise RecipeError(f"pruning step {step} of {num_steps}; steps run from 0 to a count of at least 1")
    if not 0.0 <= initial <= final < 1.0:
        raise RecipeError(f"sparsity from {initial} to {final}; allowed is 0 <= initial <= final < 1")
    left = 1.0 - step / num_steps
    return final + (initial - final) * left**3
