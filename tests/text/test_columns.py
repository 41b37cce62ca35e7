"""Whatever stands in a table or a sentence, a terminal of a hundred columns shows it."""

from edgesqueeze.text.columns import (
    WIDTH,
    ends_of_paths,
    fitting,
    names_fit,
    narrow_table,
    shortened,
    wrapped,
)


def widest(text):
    return max(map(len, text.splitlines()))


def test_names_keep_both_ends():
    assert shortened("out/artifacts/model.onnx", 24) == "out/artifacts/model.onnx"
    assert shortened("out/artifacts/model.onnx", 12) == "out/ar….onnx"
    assert len(shortened("x" * 50, 13)) == 13


def test_a_table_takes_the_room_that_it_needs_and_no_more():
    header = ["name", "bytes", "much longer than its numbers"]
    short = narrow_table(header, [["a", "1", "2"]])
    assert widest(short) < 50
    body = [["x" * 200, "1,000,000", "2"], ["y" * 70, "3", "4"]]
    assert widest(narrow_table(header, body)) == WIDTH
    assert widest(narrow_table(["n" * 200, *header[1:]], body)) <= WIDTH
    assert "1,000,000" in narrow_table(header, body)
    assert narrow_table(header, body, "github").startswith("| name")


def test_names_that_would_look_alike_are_numbered_and_stand_in_full_below():
    names = [f"{'x' * 80}{k}{'y' * 80}" for k in range(3)]
    text = narrow_table(["name", "bytes"], [[name, "1"] for name in (*names, "z", names[0])])
    lines = text.splitlines()
    assert [line.split()[-2] for line in lines[2:5]] == ["[1]", "[2]", "[3]"]
    assert lines[6] == lines[2]
    assert "".join(lines[8:]) == "".join(f"[{k}] {name}" for k, name in enumerate(names, 1))
    assert widest(text) <= WIDTH
    assert "[" not in narrow_table(["name", "bytes"], [["a", "1"], ["a", "2"], ["b", "3"]])


def test_paths_are_told_by_their_ends():
    found = ends_of_paths(
        ["runs/a/art/m.onnx", "runs/b/art/m.onnx", "/far/away/n.onnx", "art/m.onnx", "x", "d/e"]
    )
    assert list(found.values()) == ["…/a/art/m.onnx", "…/b/art/m.onnx", "…/n.onnx", "art/m.onnx", "x", "d/e"]


def test_headers_take_no_room_of_their_own():
    assert narrow_table(["name", "bytes now"], [["model", "1"]]).splitlines() == [
        "name   bytes now",
        "-----  ---------",
        "model          1",
    ]
    assert names_fit(["name", "b"], [["x" * 97, "1"]])
    assert not names_fit(["name", "b"], [["x" * 98, "1"]])


def test_columns_that_fit():
    header = ["name", *(f"column {k}" for k in range(30))]
    body = [["x" * 90, *("1.00" for _ in range(30))]]
    count = fitting(header, body)
    kept = narrow_table(header[:count], [body[0][:count]])
    assert widest(kept) <= WIDTH
    assert widest(narrow_table(header[: count + 1], [body[0][: count + 1]])) > WIDTH
    assert fitting(header[:4], [body[0][:4]]) == 4


def test_sentences_are_broken_between_words():
    lines = wrapped("- ok faster: " + "word " * 40 + "\nshort\n\n" + "other " * 30).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line[:4] for line in lines[:3]] == ["- ok", "  wo", "  wo"]
    assert "short" in lines
    assert "" in lines
