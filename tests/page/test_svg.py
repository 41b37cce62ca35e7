import pytest
from markupsafe import Markup

from edgesqueeze.page.svg import Scale, chart, element, label


def test_what_is_no_markup_is_escaped():
    found = element("g", {"data-tip": "\"'<>&"}, "<b>", Markup("<i></i>"))
    assert found == '<g data-tip="&#34;&#39;&lt;&gt;&amp;">&lt;b&gt;<i></i></g>'
    assert "<script>" not in chart((10, 10), "<script>", "'\">", label((0, 0), "<script>"))


def test_numbers_have_at_most_two_digits_behind_the_point():
    assert element("rect", {"x": 1 / 3, "y": 2.0, "width": -0.5, "class": "a"}) == (
        '<rect x="0.33" y="2" width="-0.5" class="a"></rect>'
    )


def test_scales_go_from_end_to_end():
    even, by_logarithm = Scale(2, 4, 100, 0), Scale(10, 1000, 0, 10, logarithmic=True)
    assert [even(value) for value in (2, 3, 4)] == [100, 50, 0]
    assert [by_logarithm(value) for value in (10, 100, 1000)] == pytest.approx([0, 5, 10])
    assert Scale(5, 5, 0, 10)(5) == 5  # a single value stands in the middle


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0, 10, 0, 1), [0, 2, 4, 6, 8, 10]),
        (Scale(-0.13, 0.31, 0, 1), [-0.1, 0, 0.1, 0.2, 0.3]),
        (Scale(3, 3, 0, 1), [3]),
        (Scale(30, 600, 0, 1, logarithmic=True), [50, 100, 200, 500]),
        (Scale(1e-7, 1, 0, 1, logarithmic=True), [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]),
    ],
)
def test_ticks_are_round_and_within(scale, ticks):
    assert scale.ticks() == pytest.approx(ticks)
