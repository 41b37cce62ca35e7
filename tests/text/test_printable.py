"""No name moves the cursor or turns the text around it."""

from hostile_files import ESCAPES

from edgesqueeze.text.printable import printable, printable_lines, shown


def test_ordinary_text_is_as_it_was():
    for text in ("conv1.weight", "größe 3 × 3 – ½", "卷积", "", "a b"):
        assert printable(text) == text


def test_what_a_terminal_obeys_is_visible():
    assert printable("\x1b[31mred") == r"\x1b[31mred"
    assert printable("\u202eevil\x9b") == r"\u202eevil\x9b"
    assert printable("a\nb\t\r") == r"a\nb\t\r"
    assert printable("\udc80") == r"\udc80"
    assert printable_lines("a\n\x1bb\n") == "a\n\\x1bb\n"
    for text in ESCAPES:
        assert printable(text).isprintable()
        assert printable(text) != text


def test_a_long_value_is_cut():
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown("x" * 5000).endswith("xxx… (5002 characters)")
    assert len(shown("x" * 5000)) < 250
