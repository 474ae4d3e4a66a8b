"""Rows that count as positive for models of implicit feedback."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from m6rec_lite.data.contracts import report
from m6rec_lite.data.tables import EVENTS, DataError, Dataset, Dropped

log = logging.getLogger(__name__)


def positives(
    dataset: Dataset, *, at_least: float | None = None, min_event: str | None = None
) -> Dataset:
    """Return the data set with the rows that say that a user liked, or took, an item.

    Models of implicit feedback take every row for a positive: a returned order or one star, too.
    Apply this before the split, so that no such row is a target either.

    Args:
        dataset: a data set.
        at_least: least value, such as 4 of 5 stars, or 1 for quantities of which returns are
            negative. None keeps all values.
        min_event: weakest event that counts, in the order of ``EVENTS``: ``"cart"`` keeps carts
            and purchases. None keeps all events.

    Returns:
        A data set of the same tables; what was left out is in ``dropped``, and in the log.

    Raises:
        DataError: if no row is left.
        ValueError: if there is no such event, or the threshold is not a number.
    """
    if min_event is not None and min_event not in EVENTS:
        raise ValueError(f"min_event must be one of {EVENTS}, weakest first, not {min_event!r}")
    if at_least is not None and not np.isfinite(at_least):
        raise ValueError(f"at_least must be a number, not {at_least!r}")
    rows = dataset.interactions
    keep = np.ones(len(rows), dtype=bool)
    dropped = []
    tests = []
    if at_least is not None:
        tests.append(
            ("value", f"are below {at_least:g}", rows["value"].to_numpy() < np.float32(at_least))
        )
    if min_event is not None:
        strength = rows["event"].map({name: rank for rank, name in enumerate(EVENTS)})
        weak = strength.to_numpy(dtype=np.int64) < EVENTS.index(min_event)
        tests.append(("event", f"are weaker than {min_event!r}", weak))
    for column, problem, out in tests:
        out = out & keep
        if out.any():
            first = tuple(np.flatnonzero(out)[:5].tolist())
            dropped.append(Dropped("interactions", column, problem, int(out.sum()), first))
            keep &= ~out
    if not keep.any():
        raise DataError(
            f"{dataset.name}: none of the {len(rows)} rows has at_least={at_least} and "
            f"min_event={min_event!r}; lower the threshold (values go up to "
            f"{rows['value'].max():g})"
        )
    return replace(
        dataset,
        interactions=rows[keep].reset_index(drop=True),
        dropped=(*dataset.dropped, *report(dropped)),
    )
