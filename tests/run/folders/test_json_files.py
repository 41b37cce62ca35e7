"""How JSON is laid out, and how a file that is none is refused."""

import json

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.run.folders.json_files import read_json, write_json


def test_a_row_of_numbers_stands_on_one_line(tmp_path):
    data = {
        "confusion": [[1, 2], [3, 4.5]],
        "text": "[\n 1,\n 2]",
        "names": ["a", "b"],
        "empty": [],
        "n": [None],
    }
    write_json(tmp_path / "x.json", data)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == data
    assert "  [1, 2],\n" in text
    assert '"n": [null]' in text
    assert ' "names": [\n  "a",\n' in text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"rows": [', "it is not valid JSON"),
        (b"\xff\xfe{}", "it is not valid JSON"),
        (b"[" * 100_000, "it is not valid JSON"),
        (b"[]", "it holds list, not an object"),
        (b"3", "it holds int, not an object"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(content, found, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(OutputError) as refused:
        read_json(path, "write it anew")
    assert str(refused.value).startswith(f"{path} is damaged: {found}")
    assert str(refused.value).endswith("; write it anew")
    with pytest.raises(OutputError, match="gone.json cannot be read: No such file"):
        read_json(tmp_path / "gone.json", "write it anew")
