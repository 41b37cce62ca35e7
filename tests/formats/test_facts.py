"""What is said of a file's inputs."""

from edgesqueeze.formats.facts import TensorFact, input_line
from edgesqueeze.normalization import Normalization


def test_wide_limits_are_written_without_an_exponent() -> None:
    line = input_line(TensorFact("x", (1, 1, 4, 4), "float32"), "NCHW", Normalization((0.25,), (1 / 80_000,)))
    assert line.startswith("input 'x': float32 NCHW [1, 1, 4, 4], -20,000 to 60,000: ")
