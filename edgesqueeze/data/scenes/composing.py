"""One scene: a background, clutter on it, items before it, light and noise over everything."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgesqueeze.data.scenes.draws import Draws
from edgesqueeze.data.scenes.items import Items

_TRIES = 12
"""So many places are tried for an item before it is left out."""
_NOBODY = -1
_Colours = NDArray[np.float32]


@dataclass(frozen=True)
class SceneSettings:
    """What scenes look like.

    Args:
        image_size: height and width.
        seed: decides every scene of both splits.
        objects: fewest and most items; where no place is left for one, there are fewer.
        scale: the longer side of an item, as shares of the image's shorter one, smallest and largest.
        overlap: no more than this share of an item's pixels is hidden by others.
        clutter: up to so many shapes on the background.
        shading: how far the light at one edge differs from that at the other, as a share.
        noise: standard deviation of the noise, as a share of full brightness.
    """

    image_size: tuple[int, int]
    seed: int = 0
    objects: tuple[int, int] = (1, 4)
    scale: tuple[float, float] = (0.25, 0.5)
    overlap: float = 0.3
    clutter: int = 4
    shading: float = 0.3
    noise: float = 0.03

    @property
    def largest(self) -> int:
        """The longest side of an item, in pixels."""
        return max(1, round(self.scale[1] * min(self.image_size)))


@dataclass(frozen=True, eq=False)
class Scene:
    """An image uint8 [3, H, W], and of every pixel the class + 1 of its item, 0 for none: uint8 [H, W].

    ``boxes`` are float32 [n, 4], x1, y1, x2, y2 around what can be seen of each item, ``labels`` int64 [n].
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def compose(settings: SceneSettings, items: Items, places: list[NDArray[np.intp]], draws: Draws) -> Scene:
    """The scene that the draws decide.

    Args:
        settings: what it looks like.
        items: what may be in it.
        places: for each class the places of its items, so that every class is equally frequent.
        draws: of this scene alone.
    """
    height, width = settings.image_size
    canvas = np.array(_background(settings, draws), np.float32)
    owner = np.full((height, width), _NOBODY, np.int16)
    areas: list[int] = []
    labels: list[int] = []
    for _ in range(draws.whole(*settings.objects)):
        alike = places[draws.whole(0, len(places) - 1)]
        place = int(alike[draws.whole(0, len(alike) - 1)])
        longest = max(2, round(draws.uniform(*settings.scale) * min(height, width)))
        cutout = items.cutout(place, longest, 0.25 + 0.75 * draws.uniforms(3))
        opaque = cutout[..., 3] >= 0.5
        corner = _free_corner(owner, opaque, areas, settings.overlap, draws)
        if corner is None or not opaque.any():
            continue
        window = np.s_[corner[0] : corner[0] + opaque.shape[0], corner[1] : corner[1] + opaque.shape[1]]
        canvas[window] = canvas[window] * (1 - cutout[..., 3:]) + cutout[..., :3]
        owner[window][opaque] = len(areas)
        areas.append(int(opaque.sum()))
        labels.append(int(items.labels[place]))
    image = _finished(canvas, settings, draws)
    classes = np.array([*labels, _NOBODY], np.int64) + 1
    boxes = np.array([_box(owner == number) for number in range(len(labels))], np.float32).reshape(-1, 4)
    return Scene(image, classes[owner].astype(np.uint8), boxes, np.array(labels, np.int64))


def _free_corner(
    owner: NDArray[np.int16], opaque: NDArray[np.bool_], areas: list[int], overlap: float, draws: Draws
) -> tuple[int, int] | None:
    """Row and column at which an item hides no other by more than is allowed; None if none is found."""
    height, width = opaque.shape
    visible = np.bincount(owner[owner != _NOBODY], minlength=len(areas))
    least = (1 - overlap) * np.array(areas)
    for _ in range(_TRIES):
        top = draws.whole(0, owner.shape[0] - height)
        left = draws.whole(0, owner.shape[1] - width)
        covered = owner[top : top + height, left : left + width][opaque]
        hidden = np.bincount(covered[covered != _NOBODY], minlength=len(areas))
        if (visible - hidden >= least).all():
            return top, left
    return None


def _background(settings: SceneSettings, draws: Draws) -> Image.Image:
    """Slow changes of colour, finer ones on top, and shapes that mean nothing."""
    height, width = settings.image_size
    colour = draws.uniforms(3)
    coarse = _upscaled(colour + 0.5 * (draws.uniforms(4 * 4 * 3).reshape(4, 4, 3) - 0.5), (width, height))
    fine = _upscaled(0.5 + 0.5 * (draws.uniforms(16 * 16 * 3).reshape(16, 16, 3) - 0.5), (width, height))
    image = Image.blend(coarse, fine, 0.25)
    pen = ImageDraw.Draw(image)
    for _ in range(draws.whole(0, settings.clutter)):
        _shape(pen, (width, height), draws)
    return image


def _upscaled(colours: NDArray[np.float64], size: tuple[int, int]) -> Image.Image:
    pixels = (np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def _shape(pen: ImageDraw.ImageDraw, size: tuple[int, int], draws: Draws) -> None:
    kind, x, y, w, h, *colour = draws.uniforms(8).tolist()
    left, top = x * size[0], y * size[1]
    right, bottom = left + (0.05 + 0.3 * w) * size[0], top + (0.05 + 0.3 * h) * size[1]
    fill = (int(255 * colour[0]), int(255 * colour[1]), int(255 * colour[2]))
    if kind < 1 / 3:
        pen.ellipse((left, top, right, bottom), fill)
    elif kind < 2 / 3:
        pen.rectangle((left, top, right, bottom), fill)
    else:
        pen.line((left, bottom, right, top), fill, max(1, min(size) // 32))


def _finished(canvas: _Colours, settings: SceneSettings, draws: Draws) -> NDArray[np.uint8]:
    if settings.shading:
        angle = 2 * np.pi * draws.uniform()
        strength = settings.shading * draws.uniform()
        height, width = settings.image_size
        across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
        light = 1 + strength * (np.cos(angle) * across[None] + np.sin(angle) * down[:, None])
        canvas = canvas * light[..., None].astype(np.float32)
    if settings.noise:
        canvas = canvas + np.float32(255 * settings.noise) * draws.noise(canvas.shape)
    return np.ascontiguousarray(np.clip(canvas + 0.5, 0, 255).astype(np.uint8).transpose(2, 0, 1))


def _box(shown: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
