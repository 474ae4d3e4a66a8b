"""Which questions of a split can be asked, and which items may be ranked in answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of


@dataclass(frozen=True, eq=False)
class Batch:
    """Some questions, ready to be ranked.

    Attributes:
        histories: what the model is shown; ``n`` rows.
        rows: ``(total,)`` row of each target, ascending; every row has at least one.
        targets: ``(total,)`` place of each target in the catalogue, once a row.
        out: ``(n, n_items)`` bool, items that may not be ranked.
    """

    histories: Histories
    rows: np.ndarray
    targets: np.ndarray
    out: np.ndarray


class Questions:
    """The questions of a split that can be asked.

    A target that may not be ranked (seen before while seen items are excluded, or not among the
    candidates) cannot be hit by any model, so it is left out and counted; a user left without a
    target is left out and counted. A target named twice counts once.

    Args:
        split: whose questions.
        on: ``test`` or ``validation``.
        filter_viewed: whether items of the history may be ranked.

    Attributes:
        holdout: the questions that are asked.
        n_skipped: users left out.
        n_targets_out: targets left out.

    Raises:
        ValueError: on another ``on``, candidates of the wrong length, or if nothing is left to ask.
    """

    def __init__(self, split: Split, on: str = "test", filter_viewed: bool = True) -> None:
        if on not in ("test", "validation"):
            raise ValueError(f"on must be 'test' or 'validation'; got {on!r}")
        everyone: Holdout = getattr(split, on)
        n_items = len(split.item_ids)
        self.filter_viewed = filter_viewed
        self.candidates = split.candidates
        if self.candidates is not None and np.shape(self.candidates) != (n_items,):
            raise ValueError(
                f"split.candidates must be a mask of the {n_items} items of the catalogue; got "
                f"shape {np.shape(self.candidates)}"
            )
        pairs = np.unique(everyone.target_rows * n_items + everyone.targets)
        allowed = np.ones(len(pairs), dtype=bool)
        if self.candidates is not None:
            allowed = np.asarray(self.candidates, dtype=bool)[pairs % max(n_items, 1)]
        if filter_viewed:
            history = everyone.histories
            seen = history.rows * n_items + history.items
            padded = np.append(pairs, -1)
            place = np.searchsorted(pairs, seen)
            allowed[place[padded[place] == seen]] = False
        kept = pairs[allowed]
        self.n_targets_out = len(pairs) - len(kept)
        counts = np.bincount(kept // max(n_items, 1), minlength=len(everyone))
        asked = np.flatnonzero(counts)
        self.n_skipped = len(everyone) - len(asked)
        if not len(asked):
            raise ValueError(
                f"nothing to ask on {on} of split {split.name!r}: none of its {len(everyone)} "
                f"users has a target that may be ranked ({self.n_targets_out} targets were seen "
                f"before or are not candidates). With repeats as targets, pass filter_viewed=False"
            )
        targets = (kept % n_items).astype(np.int32)
        offsets = offsets_of(counts[asked])
        self.holdout = Holdout(everyone.histories[asked], targets, offsets)

    def __len__(self) -> int:
        return len(self.holdout)

    def batch(self, start: int, stop: int) -> Batch:
        """The questions from ``start`` up to ``stop``, with the items that may not be ranked."""
        part = self.holdout[start:stop]
        histories = part.histories
        if self.candidates is None:
            out = np.zeros((len(part), histories.n_items), dtype=bool)
        else:
            out = np.tile(~np.asarray(self.candidates, dtype=bool), (len(part), 1))
        if self.filter_viewed:
            out[histories.rows, histories.items] = True
        return Batch(histories, part.target_rows, part.targets, out)


def all_but_sample(batch: Batch, n: int, rng: np.random.Generator) -> np.ndarray:
    """Leave each row its targets and ``n`` others that may be ranked, drawn uniformly.

    Rows with fewer others keep them all. The draws do not depend on how rows fall into batches, so
    every model meets the same negatives under one seed.

    Returns:
        ``(rows, n_items)`` bool, items that may not be ranked.
    """
    free = ~batch.out
    free[batch.rows, batch.targets] = False
    keys = rng.random(free.shape, dtype=np.float32)
    keys[~free] = 2.0
    if n < free.shape[1]:
        chosen = np.argpartition(keys, n, axis=1)[:, :n]
        drawn = np.zeros_like(free)
        np.put_along_axis(drawn, chosen, True, axis=1)
        free &= drawn
    free[batch.rows, batch.targets] = True
    return ~free
