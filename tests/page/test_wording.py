import pytest

from edgesqueeze.page.wording import NOTHING, shape_text, share_text, size_text, tick_text, time_text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (None, NOTHING),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (38_375, "38.4 kB"),
        (999_900, "1.00 MB"),
    ],
)
def test_sizes_have_three_digits(num_bytes, text):
    assert size_text(num_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, NOTHING), (39e-6, "39.0 µs"), (0.000391, "0.391 ms"), (0.0123, "12.3 ms"), (1.5, "1,500 ms")],
)
def test_times_have_three_digits(seconds, text):
    assert time_text(seconds) == text


def test_other_numbers():
    assert tick_text(2e6) == "2 MB"
    assert (share_text(1, 3), share_text(0, 0)) == ("33.3 %", NOTHING)
    assert (shape_text((20, 24, 24)), shape_text(())) == ("20×24×24", "scalar")
