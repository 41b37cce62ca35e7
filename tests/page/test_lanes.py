from edgesqueeze.page.lanes import LaneRow, lane_rows


def test_a_chain_is_one_line():
    assert lane_rows({"a": (), "b": ("a",), "c": ("b",)}) == [
        LaneRow(0, (), (), True),
        LaneRow(0, (0,), (), True),
        LaneRow(0, (0,), (), False),
    ]


def test_a_tensor_that_is_needed_later_runs_past_its_first_reader():
    rows = lane_rows({"x": (), "left": ("x",), "right": ("x",), "sum": ("left", "right")})
    assert rows[1] == LaneRow(1, (0,), (0,), True)  # the line of x goes on, so left stands beside it
    assert rows[2] == LaneRow(0, (0,), (1,), True)  # right is its last reader and takes its place
    assert rows[3] == LaneRow(0, (0, 1), (), False)
    assert [row.width for row in rows] == [1, 2, 2, 2]


def test_a_tensor_that_is_read_twice_by_one_node_ends_there():
    assert lane_rows({"x": (), "square": ("x", "x"), "y": ("square",)})[1] == LaneRow(0, (0,), (), True)
