"""Numbers for readers: groups instead of exponents, so many digits, signs that are kept."""

import pytest

from edgesqueeze.text.digits import limit, short_count, short_times, significant, span, three_digits, times


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1474.23, 3, "1,470"),
        (999.7, 3, "1,000"),
        (123456.7, 5, "123,460"),
        (12345.6, 5, "12,346"),
        (-2.5e9, 3, "-2,500,000,000"),
        (889.75, 3, "890"),
        (0.0123456, 3, "0.0123"),
        (1.5e-7, 3, "1.5e-07"),
        (2, 3, "2"),
        (0.0, 3, "0"),
        (float("inf"), 3, "inf"),
        (float("nan"), 3, "nan"),
    ],
)
def test_significant_digits(value, digits, text):
    assert significant(value, digits) == text


def test_signs_are_kept():
    assert [significant(v, 3, "+") for v in (1234.5, -1234.5, 0.5)] == ["+1,230", "-1,230", "+0.5"]


def test_ratios_counts_and_spans():
    assert [times(v) for v in (0.847, 1373.68, 6236.987)] == ["0.85×", "1,373.68×", "6,236.99×"]
    assert times(3.14159, 1) == "3.1×"
    assert [short_times(v) for v in (0.847, 1474.2, 2.0, 96.99)] == ["0.847×", "1,470×", "2.00×", "97.0×"]
    assert [three_digits(v) for v in (0.0123, 0.9999, 999.4, 999.6)] == ["0.0123", "1.00", "999", "1,000"]
    counts = (0, 999, 999_499, 999_500, 266_200, 1_814_073_344, 2_293_000, 56_510_400)
    assert [short_count(v) for v in counts] == [
        *("0", "999", "999 k", "1.00 M", "266 k", "1.81 G", "2.29 M", "56.5 M"),
    ]
    assert span(0.5, 12345, 3) == "0.5 to 12,300"


def test_limits_that_are_whole_are_written_whole():
    assert [limit(v) for v in (0.0, 255.0, 65535.000000001, -1.0)] == ["0", "255", "65,535", "-1"]
    assert [limit(v) for v in (-0.42421296, 2.8214867, 1e-7, 65534.6)] == [
        *("-0.4242", "2.821", "1e-07", "65,530"),
    ]
