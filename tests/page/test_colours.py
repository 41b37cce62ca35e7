"""Text can be read in both themes: WCAG 2 asks for a contrast of 4.5, of 3 for marks."""

import re
from importlib.resources import files

import pytest

STYLE = files("edgesqueeze.page").joinpath("templates", "page.css").read_text()
PALETTE = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", STYLE))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(name, ground, theme):
    one, other = sorted(luminance(PALETTE[n].split(", ")[theme]) for n in (name, ground))
    return (other + 0.05) / (one + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_marks_stand_out(theme):
    for name in ("text", "quiet", "accent", "good", "bad", "unsure"):
        assert contrast(name, "card", theme) >= 4.5, name
        assert contrast(name, "ground", theme) >= 4.5, name
    for name in ("c1", "c2", "c3", "c4", "c5", "c6"):
        assert contrast(name, "card", theme) >= 3, name


def test_every_colour_is_of_the_palette():
    rules = STYLE.split("}", 1)[1].split("@media print")[0]
    assert not re.search(r"#[0-9a-f]{3,6}\b", rules)
    assert set(re.findall(r"var\(--([\w-]+)\)", STYLE)) - {"shade"} <= PALETTE.keys()
