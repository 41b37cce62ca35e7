"""YAML from people: what PyYAML stumbles over is one sentence, and nothing grows without bound."""

import pytest
from hostile import LAUGHS, SCALARS

from edgesqueeze.errors import RecipeError
from edgesqueeze.text.yaml_text import MOST_LEVELS, parse_yaml


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: !!int abc", r"'abc' is no int .line 1."),
        ("a: 1\nb: 2024-99-99", r"'2024-99-99' is no timestamp .line 2."),
        ("0b_", "'0b_' is no int"),
        ("9" * 5000, r"'9999.*… .5002 characters. is no int"),
        ("0x" + "f" * 100, "is an integer of more than 64 bits"),
        ("!!bool maybe", "'maybe' is no bool"),
        ("[" * 350 + "]" * 350, f"more than {MOST_LEVELS} levels deep"),
        ("{" * 5000, f"more than {MOST_LEVELS} levels deep"),
        ("".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 99)).replace("*a0", "x"), "levels deep"),
        (LAUGHS, "more than 100000 values"),
        ("&a [*a]", "a value that holds itself"),
        ('"\\ud800"', "holds a character that is no text"),
        ('"a\\0"', "holds a character that is no text"),
        ("{a: 1, a: 2}", "key 'a' is given twice"),
        ("? [a]\n: b", "unhashable key"),
        ("a: [1", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_one_sentence(text, sentence):
    with pytest.raises(RecipeError, match=sentence) as refused:
        parse_yaml(text, "r.yaml")
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: [1, 2.5, yes], b: null, c: 'x'}", {"a": [1, 2.5, True], "b": None, "c": "x"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("9223372036854775808", 2**63),
        ("", None),
        ("[" * MOST_LEVELS + "]" * MOST_LEVELS, eval("[" * MOST_LEVELS + "]" * MOST_LEVELS)),
    ],
)
def test_plain_values_are_read(text, value):
    assert parse_yaml(text, "r.yaml") == value


def test_nothing_else_escapes():
    for text in SCALARS:
        try:
            parse_yaml(text, "r.yaml")
        except RecipeError as error:
            assert str(error).startswith("r.yaml is not valid YAML: ")  # noqa: PT017 - either outcome is right
