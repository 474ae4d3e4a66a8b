"""The true causes of an item in a simulated world, and the agreement of attributions with them.

The oracle of a bazaar knows the hidden state of a shopper. Without a past event the state
would be another one, and so would the probability of the next item: a fact about the world.
An attribution explains a *model*, and can be faithful to a model that is wrong about the world.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from m6rec_lite.data.bazaar.oracle import BATCH, FIRST_ITEM, Oracle
from m6rec_lite.data.bazaar.simulate import Trail
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.evaluation.ranking import TargetRanks


def world_deletion(oracle: Oracle, histories: Histories, items: np.ndarray) -> np.ndarray:
    """Return how much the true log probability of an item falls without a past item.

    All events of the shopper with that item are deleted; the other events, with the hidden state
    that each served, stay. Both probabilities are those at the time ``histories.at``.

    Args:
        oracle: oracle of the world.
        histories: ``n`` histories of its shoppers.
        items: ``(n,)`` indices into ``histories.item_ids``.

    Returns:
        ``(total,)`` float64, one number for each event: log p with all events minus log p without.
    """
    rows = np.concatenate([np.arange(len(histories)), histories.rows])  # the whole ones first
    never = np.full(len(histories), -1)  # no item is deleted from the whole histories
    deleted = np.concatenate([never, histories.item_ids[histories.items] - FIRST_ITEM])
    target = np.asarray(histories.item_ids)[np.asarray(items)[rows]]
    shopper = np.asarray(histories.user_ids)[rows] - 1
    at, trail = histories.at[rows], oracle.trail
    logs = np.empty(len(rows))
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        first, end = trail.offsets[shopper[part]], trail.offsets[shopper[part] + 1]
        events = ranges(first, end - first)
        copy = np.repeat(np.arange(len(first)), end - first)
        kept = trail.item[events] != deleted[part][copy]
        events, copy = events[kept], copy[kept]
        world = replace(oracle.world, shoppers=oracle.world.shoppers[shopper[part]])
        columns = (getattr(trail, name)[events] for name in ("item", "at", "event", "hidden"))
        counts = np.bincount(copy, minlength=len(first))
        copies = Oracle(world, Trail(offsets_of(counts), *columns))
        probability = copies.scores(np.arange(len(first)) + 1, oracle.item_ids, at[part])
        chosen = np.take_along_axis(probability, target[part, None] - FIRST_ITEM, axis=1)[:, 0]
        logs[part] = np.log(np.maximum(chosen, 1e-12))
    whole, without = logs[: len(histories)], logs[len(histories) :]
    return whole[histories.rows] - without


def main_cause(
    histories: Histories, effects: np.ndarray, *, at_least: float = float(np.log(2))
) -> np.ndarray:
    """Return the event with the largest effect of each history.

    Args:
        histories: ``n`` histories.
        effects: ``(total,)`` from ``world_deletion``.
        at_least: smallest effect that counts; ln 2 halves the probability of the item.

    Returns:
        ``(n,)`` int64: index within the history, from the oldest event; -1 for no such event.
    """
    table = _padded(histories, effects)
    if not table.size:
        return np.full(len(histories), -1)
    return np.where(table.max(axis=1) >= at_least, table.argmax(axis=1), -1)


def event_ranks(histories: Histories, attribution: np.ndarray, causes: np.ndarray) -> TargetRanks:
    """Rank the events of each history by their attribution, and find the rank of the cause.

    ``evaluation.hr(ranks, 1)`` is the share of explanations whose first event is the cause, with
    its expectation over tied events.

    Args:
        histories: ``n`` histories.
        attribution: ``(total,)``, finite.
        causes: ``(n,)`` from ``main_cause``; -1 for no target.
    """
    if not np.isfinite(attribution).all():
        raise ValueError("an attribution is NaN or infinite; give an unread event 0")
    known = np.flatnonzero(causes >= 0)
    return TargetRanks.from_scores(_padded(histories, attribution), known, causes[known])


def _padded(histories: Histories, values: np.ndarray) -> np.ndarray:
    """Return ``(n, longest)`` values, with -inf behind the last event of a history."""
    table = np.full((len(histories), int(histories.lengths.max(initial=0))), -np.inf)
    within = np.arange(len(histories.items)) - histories.offsets[:-1][histories.rows]
    table[histories.rows, within] = values
    return table
