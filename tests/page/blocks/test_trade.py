import pytest

from edgesqueeze.page.blocks.trade import Point, pareto_front, scatter
from edgesqueeze.run.row import Row


def point(mark, size, value, higher_is_better=True):
    row = Row(mark, mark, "r", False, {"m": value}, "m", num_bytes=size, higher_is_better=higher_is_better)
    return Point(mark, 1, row, size, value)


def test_the_front_has_those_that_no_other_beats_in_both():
    points = [
        point("a", 100, 0.9),
        point("b", 50, 0.8),
        point("c", 60, 0.7),
        point("d", 50, 0.5),
        point("e", 200, 0.9),
    ]
    assert [p.mark for p in pareto_front(points)] == ["b", "a"]


def test_less_is_better_where_the_metric_says_so():
    points = [point("a", 100, 0.1, False), point("b", 50, 0.8, False), point("c", 120, 0.2, False)]
    assert [p.mark for p in pareto_front(points)] == ["b", "a"]


@pytest.mark.parametrize("count", [1, 5])
def test_every_point_has_a_mark(count):
    figure = scatter([point(str(i), 100 * (i + 1), 0.5) for i in range(count)])
    assert figure.picture.count("<circle") == count
    assert len(figure.notes) == count
