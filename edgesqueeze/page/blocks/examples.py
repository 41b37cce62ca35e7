"""Test images and what the files say of them."""

import base64

from markupsafe import Markup

from edgesqueeze.page.examples import Example
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block, Figure, Figures

_WORDS = {True: "right", False: "wrong", None: ""}


def examples_block(run: RunFacts) -> Block | None:
    """The images that the page was asked for."""
    if not run.examples:
        return None
    figures = [figure for example in run.examples for figure in _figures(example)]
    told = (
        "Test images with what is right, and what the float file and the int8 file say. Those that the two "
        "answer differently come first, if some were found; the rest are the first of the test split."
        if len(run.examples[0].pictures) == 1
        else "The first test images: what is right, and what the float file and the int8 file find."
    )
    return Block("examples", "Examples", told, [Figures(figures, "three")])


def _figures(example: Example) -> list[Figure]:
    """One figure of a classified image, else one for every picture."""
    if len(example.pictures) == 1:
        lines = [
            f"{answer.who}: {answer.text}{f', {_WORDS[answer.right]}' if answer.right is not None else ''}"
            for answer in example.answers
        ]
        return [Figure(f"image {example.number}", _image(example.pictures[0], "; ".join(lines)), lines)]
    titles = [f"image {example.number}, {answer.who}" for answer in example.answers]
    return [
        Figure(title, _image(picture, title)) for title, picture in zip(titles, example.pictures, strict=True)
    ]


def _image(png: bytes, said: str) -> Markup:
    source = base64.b64encode(png).decode()
    return Markup('<img class="photo" alt="{}" src="data:image/png;base64,{}">').format(said, source)
