"""Whatever stands in a table or a sentence, a terminal of a hundred columns shows it."""

from edgesqueeze.columns import WIDTH, fitting, narrow_table, shortened, wrapped


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
