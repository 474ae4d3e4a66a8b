"""Scenes: the questions of a split whose target has one domain, ranked among the domain's items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.ids import index_of_ids
from m6rec_lite.data.tables import DataError


def scenes(split: Split, items: pd.DataFrame, column: str = "domain") -> dict[str, Split]:
    """Divide the questions of a split by an attribute of their target.

    A scene has the training rows and the histories of all domains, since one person meets them all.
    Its questions are those whose target is of the scene, and only the scene's items may be ranked:
    which domain the person visits is known, which item is not.

    Args:
        split: a split with one target in each row of test and validation.
        items: table of items with ``item_id`` and the column.
        column: name of the attribute, one value an item; items without a value have no scene.

    Returns:
        A split for each value that has test questions, by value, in alphabetical order. Its
        ``candidates`` are the items of the scene; those of ``split`` still hold.

    Raises:
        DataError: if the table lacks the column, an item of the split, or all values.
        ValueError: if a question has several targets.
    """
    if column not in items:
        raise DataError(f"items have no column {column!r} to divide by; got {list(items.columns)}")
    ids = items["item_id"].to_numpy()
    order = np.argsort(ids)
    index = order[index_of_ids(split.item_ids, ids[order], "item_id")]
    values = items[column].astype(object).to_numpy()[index]
    known = ~pd.isna(values)
    if not known.any():
        raise DataError(f"no item of the split has a {column}: there is nothing to divide by")
    parts = {}
    for value in sorted(set(values[known]), key=str):
        inside = known & (values == value)
        test = _of(split.test, inside)
        if len(test):
            allowed = inside if split.candidates is None else inside & split.candidates
            parts[str(value)] = replace(
                split,
                name=f"{split.name}, {value}",
                validation=_of(split.validation, inside),
                test=test,
                candidates=allowed,
            )
    return parts


def _of(holdout: Holdout, inside: np.ndarray) -> Holdout:
    """Return the questions whose target is inside, a mask of items."""
    if len(holdout.targets) != len(holdout):
        raise ValueError(
            f"{len(holdout)} questions have {len(holdout.targets)} targets: scenes need one each, "
            "as in leave_one_out"
        )
    return holdout[inside[holdout.targets]]
