"""Pictures as arrays: checks, scaling, and patches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from m6rec_lite.data.tables import DataError


def check_pictures(pictures: np.ndarray) -> np.ndarray:
    """Return ``(n, side, side, 3)`` uint8 pictures unchanged.

    Raises:
        DataError: if the shape or the type is another one. The message says how to convert.
    """
    pictures = np.asarray(pictures)
    shape = pictures.shape
    if pictures.ndim != 4 or shape[3] != 3 or shape[1] != shape[2] or shape[1] == 0:
        raise DataError(
            f"pictures must be (n, side, side, 3), square, with red, green and blue on the last "
            f"axis, got shape {shape}: cut or scale them, repeat a grey channel three times, or "
            "move the colours, pictures.transpose(0, 2, 3, 1)"
        )
    if pictures.dtype != np.uint8:
        raise DataError(
            f"pictures must be uint8, brightness from 0 to 255, got {pictures.dtype}: for numbers "
            "from 0 to 1 write np.rint(255 * pictures).astype(np.uint8)"
        )
    return pictures


def picture_column(items: pd.DataFrame, column: str = "picture") -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures of a table of items, and which items have one.

    Args:
        items: table whose ``column`` has a ``(side, side, 3)`` uint8 array for each item, None for
            an item without a picture; as in ``items.assign(picture=list(pictures))``.
        column: name of the column.

    Returns:
        ``(n, side, side, 3)`` uint8, 0 for items without a picture; and ``(n,)`` bool.

    Raises:
        DataError: if there is no such column, no item has a picture, or sizes or types differ.
    """
    if column not in items:
        raise DataError(
            f"the table of items has no column {column!r} of pictures; it has "
            f"{list(items.columns)}. Add it: items.assign({column}=list(pictures))"
        )
    present = np.array([isinstance(value, np.ndarray) for value in items[column]], dtype=bool)
    if not present.any():
        raise DataError(
            f"none of the {len(items)} items has a picture in {column!r} (an array of shape (side, "
            "side, 3)): leave 'picture' out of the modalities"
        )
    shapes = items[column][present].map(np.shape)
    usual = shapes.mode()[0]
    if len(others := shapes[shapes != usual]):
        raise DataError(
            f"pictures must have one size: most are {usual}, that of row {others.index[0]!r} is "
            f"{others.iloc[0]}; scale it, or give None for no picture"
        )
    some = check_pictures(np.stack(items[column][present].tolist()))
    pictures = np.zeros((len(items), *some.shape[1:]), dtype=np.uint8)
    pictures[present] = some
    return pictures, present


def to_patches(pictures: Tensor, size: int) -> Tensor:
    """Cut ``(n, side, side, 3)`` pictures into square patches, row by row.

    Returns:
        ``(n, (side / size) ** 2, size * size * 3)``, the three colours of a pixel together.

    Raises:
        ValueError: if ``size`` does not divide the side.
    """
    n, side, _, colours = pictures.shape
    if size < 1 or side % size:
        divisors = [k for k in range(1, side + 1) if side % k == 0]
        raise ValueError(f"patches of {size} do not tile {side} pixels; sizes that do: {divisors}")
    rows = side // size
    cut = pictures.reshape(n, rows, size, rows, size, colours)
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(n, rows * rows, size * size * colours)
