"""Text from files and users as a terminal or a report may show it."""

_MOST_SHOWN = 200


def printable(text: str, keep: str = "") -> str:
    r"""Text with everything that is no visible character escaped, as in ``\x1b`` or ``\u202e``.

    Control characters move a terminal's cursor, and bidirectional ones the text around them, so that a name
    could say what a program does not. The characters in ``keep`` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def printable_lines(text: str) -> str:
    """The same of a text whose line feeds are meant."""
    return printable(text, keep="\n")


def shown(value: object) -> str:
    """A value of any length as a part of a sentence: as Python writes it, or the beginning of that."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(text)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
