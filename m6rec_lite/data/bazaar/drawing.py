"""Pictures of items, drawn from hidden attributes: what a product looks like.

The pattern shows the style, the number of marks at the lower edge the level. The colour of the
ground gives a faint hint of interest and domain. Nothing of an item's popularity, quality or price
enters its picture.
"""

from __future__ import annotations

import numpy as np

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LEVELS
from m6rec_lite.data.bazaar.world import N_INTERESTS, World

SIDE = 32  #: height and width of a picture in pixels
GROUND = 0.5  #: brightness of the ground; brightness is between 0 and 1
CONTRAST = (0.15, 0.35)  #: least and greatest brightness of a pattern above the ground
SHIFT = 0.06  #: most that a pattern is moved, as a share of the side
TINT = 0.05  #: strength of the colours of interest and domain
NOISE = 0.1  #: standard deviation of the noise of each pixel and colour
_STREAM = 111  #: number of the random generator; see ``world.draw_world``


def pictures(world: World) -> np.ndarray:
    """Draw a picture of each item.

    Args:
        world: a world, such as ``dataset.oracle.world``.

    Returns:
        ``(n_items, 32, 32, 3)`` uint8, red, green and blue of each pixel; row ``i`` is the item
        ``FIRST_ITEM + i``, as in ``dataset.items``. The same world has the same pictures.
    """
    items = world.items
    n = len(items.domain)
    rng = np.random.default_rng([world.dials.seed, _STREAM])
    shift = rng.uniform(-SHIFT, SHIFT, (2, n, 1, 1)).astype(np.float32)
    contrast = rng.uniform(*CONTRAST, (n, 1, 1)).astype(np.float32)
    middle = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    y, x = middle[None, :, None] + shift[0], middle[None, None, :] + shift[1]

    bright = np.zeros((n, SIDE, SIDE), dtype=np.float32)
    for style in range(len(words.STYLES)):
        drawn = items.style == style
        bright[drawn] = _pattern(style, y[drawn], x[drawn])
    bright[:, 3 * SIDE // 4 :] = 0  # the marks of the level have the lower edge to themselves
    for mark in range(len(LEVELS)):
        bright += _mark(mark, y, x) * (items.level >= mark)[:, None, None]

    colour = _hue(items.interest / N_INTERESTS) + _hue(items.domain / len(DOMAINS))
    picture = rng.standard_normal((n, SIDE, SIDE, 3), dtype=np.float32) * np.float32(NOISE)
    picture += (GROUND + contrast * bright)[..., None]
    picture += (TINT * colour.astype(np.float32))[:, None, None]
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _pattern(style: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the pattern of a style, 0 to 1, at heights and widths given as shares of the side."""
    away = np.hypot(y - 0.4, x - 0.5)  # distance from the middle of the part above the marks
    frame = np.maximum(abs(y - 0.4), abs(x - 0.5))
    match words.STYLES[style]:
        case "minimal":  # one small disc
            pattern = away < 0.1
        case "playful":  # many dots
            pattern = np.sin(8 * np.pi * x) * np.sin(8 * np.pi * y) > 0.4
        case "classic":  # a double frame
            pattern = (abs(frame - 0.34) < 0.04) | (abs(frame - 0.2) < 0.03)
        case "cosy":  # a soft light
            pattern = np.exp(-((away / 0.25) ** 2))
        case "bold":  # broad stripes
            pattern = np.sin(3 * np.pi * (x + y)) > 0
        case name:
            raise ValueError(f"no pattern for the style {name!r}")
    return np.asarray(pattern, dtype=np.float32)


def _mark(number: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return one of the square marks at the lower edge."""
    centre = (number + 0.5) / len(LEVELS)
    return np.asarray((abs(y - 0.88) < 0.06) & (abs(x - centre) < 0.09), dtype=np.float32)


def _hue(angle: np.ndarray) -> np.ndarray:
    """Return ``(n, 3)``: a colour of each hue, a share of the colour circle, with mean 0."""
    return np.cos(2 * np.pi * (np.asarray(angle)[:, None] - np.arange(3) / 3))
