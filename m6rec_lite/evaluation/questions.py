"""Questions of a split: histories, their targets, and the items that may be ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of

#: Largest score matrix of a batch: 64 MB in float64.
MAX_CELLS = 2**23


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of ``n`` questions.

    Attributes:
        histories: the model's input, ``n`` rows.
        rows: ``(total,)`` row of each target, ascending; every row has at least one.
        targets: ``(total,)`` index of each target in the catalogue, without repeats in a row.
        out: ``(n, n_items)`` bool, True for items that are excluded from the ranking.
    """

    histories: Histories
    rows: np.ndarray
    targets: np.ndarray
    out: np.ndarray


class Questions:
    """The questions of a split that can be evaluated.

    A target that may not be ranked (seen before while seen items are excluded, or not among the
    candidates) cannot be hit by any model. Such targets are excluded and counted, and so are users
    without any other target. A repeated target counts once.

    Args:
        split: the split.
        on: ``test`` or ``validation``.
        filter_viewed: whether to exclude items of the history from the ranking.

    Attributes:
        holdout: the questions that remain.
        n_skipped: number of users excluded.
        n_targets_out: number of targets excluded.

    Raises:
        ValueError: if ``on`` is invalid, the candidates have a wrong length, or no question
            remains.
    """

    def __init__(self, split: Split, on: str = "test", filter_viewed: bool = True) -> None:
        if on not in ("test", "validation"):
            raise ValueError(f"on must be 'test' or 'validation'; got {on!r}")
        holdout: Holdout = getattr(split, on)
        n_items = len(split.item_ids)
        self.filter_viewed = filter_viewed
        self.candidates = split.candidates
        if self.candidates is not None and np.shape(self.candidates) != (n_items,):
            raise ValueError(
                f"split.candidates must be a mask of the {n_items} items of the catalogue; got "
                f"shape {np.shape(self.candidates)}"
            )
        pairs = np.unique(holdout.target_rows * n_items + holdout.targets)
        allowed = np.ones(len(pairs), dtype=bool)
        if self.candidates is not None:
            allowed = np.asarray(self.candidates, dtype=bool)[pairs % max(n_items, 1)]
        if filter_viewed:
            history = holdout.histories
            seen = history.rows * n_items + history.items
            padded = np.append(pairs, -1)
            position = np.searchsorted(pairs, seen)
            allowed[position[padded[position] == seen]] = False
        remaining = pairs[allowed]
        self.n_targets_out = len(pairs) - len(remaining)
        counts = np.bincount(remaining // max(n_items, 1), minlength=len(holdout))
        rows = np.flatnonzero(counts)
        self.n_skipped = len(holdout) - len(rows)
        if not len(rows):
            raise ValueError(
                f"no question to evaluate on {on} of split {split.name!r}: none of its "
                f"{len(holdout)} users has a target that may be ranked "
                f"({self.n_targets_out} targets were seen before or are not candidates). With "
                "repeats as targets, pass filter_viewed=False"
            )
        targets = (remaining % n_items).astype(np.int32)
        offsets = offsets_of(counts[rows])
        self.holdout = Holdout(holdout.histories[rows], targets, offsets)

    def __len__(self) -> int:
        return len(self.holdout)

    def draw(self, n: int, seed: int = 0) -> None:
        """Keep at most ``n`` questions, drawn at random without replacement, in their order."""
        if len(self) > n:
            rows = np.random.default_rng(seed).choice(len(self), n, replace=False)
            self.holdout = self.holdout[np.sort(rows)]

    def batches(self, largest: int = 1024) -> Iterator[Batch]:
        """Yield all questions in batches whose scores have at most ``MAX_CELLS`` numbers.

        Args:
            largest: maximum number of questions of a batch.
        """
        step = max(1, min(largest, MAX_CELLS // max(self.holdout.histories.n_items, 1)))
        for start in range(0, len(self), step):
            yield self.batch(start, min(start + step, len(self)))

    def batch(self, start: int, stop: int) -> Batch:
        """Return the questions from ``start`` to ``stop``."""
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
    """Exclude all items but each row's targets and ``n`` negatives, drawn uniformly.

    Rows with fewer than ``n`` possible negatives keep them all. The draws do not depend on the
    batch size, so every model gets the same negatives for one seed.

    Returns:
        ``(rows, n_items)`` bool, True for items that are excluded from the ranking.
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
