"""Exercise ``picture_patches``: cut pictures into patches."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _cut(
    pictures: np.ndarray,
    size: int,
    order: tuple[int, ...] = (0, 1, 3, 2, 4, 5),
    *,
    by_rows: bool = False,
) -> np.ndarray:
    """The right answer; another order of axes makes the known mistakes."""
    n, side = pictures.shape[:2]
    rows = side // size
    if by_rows:
        return pictures.reshape(n, rows * rows, size * size * 3)
    cut = pictures.reshape(n, rows, size, rows, size, 3)
    return cut.transpose(order).reshape(n, rows * rows, size * size * 3)


def _one_by_one(pictures: np.ndarray, size: int) -> np.ndarray:
    """The patches of the first picture only."""
    return _cut(pictures[:1], size)


def _sliding(pictures: np.ndarray, size: int) -> np.ndarray:
    """Overlapping windows, one for each pixel at which a whole patch begins."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (size, size), axis=(1, 2))
    moved = windows.transpose(0, 1, 2, 4, 5, 3)
    return moved.reshape(len(pictures), -1, size * size * 3)


def _cases() -> tuple[Case, ...]:
    grey = np.repeat(np.arange(16).reshape(1, 4, 4, 1), 3, axis=3)
    draw = np.random.default_rng(0)
    colour = draw.integers(0, 256, (2, 6, 6, 3))
    rows = (
        (grey, 2, "a grey picture of 4 x 4 pixels, numbered row by row"),
        (colour, 2, "two pictures, nine patches each"),
        (colour, 3, "four patches of nine pixels"),
        (colour, 6, "one patch is the whole picture"),
    )
    return tuple(Case((p, size), _cut(p, size), note=note) for p, size, note in rows)


EXERCISE = Exercise(
    id="picture_patches",
    title="Cut pictures into patches",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda p, size: _cut(p, size, by_rows=True),
            "The picture is only reshaped: such a patch is a strip of whole pixel rows. Give rows "
            "and columns of patches axes of their own, and transpose.",
        ),
        KnownWrong(
            lambda p, size: _cut(p, size, (0, 3, 1, 2, 4, 5)),
            "The patches are counted column by column. The second patch is the one to the right of "
            "the first.",
        ),
        KnownWrong(
            lambda p, size: _cut(p, size, (0, 1, 3, 4, 2, 5)),
            "The pixels inside a patch are counted column by column.",
        ),
        KnownWrong(
            lambda p, size: _cut(p, size, (0, 1, 3, 5, 2, 4)),
            "The patch has all its reds first, then the greens. The three colours of a pixel stay "
            "together.",
        ),
        KnownWrong(_one_by_one, "Only the first picture is cut: the first axis counts pictures."),
        KnownWrong(
            _sliding,
            "The windows overlap. Patches tile the picture: each pixel is in one of them.",
        ),
        KnownWrong(
            lambda p, size: _cut(p, size).reshape(len(p), -1),
            "The patches of a picture are joined into one vector. Each patch is its own token.",
        ),
    ),
    hints=(
        "With rows = side // size there are rows * rows patches of size * size * 3 numbers.",
        "reshape(n, rows, size, rows, size, 3): picture, row of patches, row in the patch, column "
        "of patches, column in the patch, colour.",
        "transpose(0, 1, 3, 2, 4, 5) brings the two axes that count patches together.",
    ),
    notice="A reshape never moves a number, a transpose only relabels axes: it takes both, in this "
    "order. A linear map of such patches is a convolution whose stride is its width.",
)
