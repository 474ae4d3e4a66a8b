"""Attributions of the events of histories to the score of an item, for recommenders.

An attribution of ``n`` histories is ``(total,)``, one number for each entry of ``histories.items``.
The score is the log probability of the item among all items (softmax).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.sequential.gru4rec import GRU4RecNetwork
from m6rec_lite.recommenders.sequential.sasrec import SASRec, SASRecNetwork
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.trust.attribution import (
    Score,
    attention_rollout,
    gradient_times_input,
    integrated_gradients,
)

BATCH = 1024


def attribute(
    model: SequenceRecommender,
    histories: Histories,
    items: np.ndarray,
    method: Literal["gradient", "integrated", "attention", "rollout"] = "integrated",
    *,
    steps: int = 32,
) -> np.ndarray:
    """Return the attribution of each event by a method that looks inside a network.

    Args:
        model: a fitted network whose input is one embedding for each event, on the CPU: ``SASRec``,
            or ``GRU4Rec`` for gradients. ``deletion`` reads any recommender.
        histories: ``n`` histories with the catalogue of the model, each with at least one event.
        items: ``(n,)`` indices of the items whose score is explained; attention does not read them.
        method: ``gradient`` (gradient times input), ``integrated`` (integrated gradients from
            vectors of zeros), ``attention`` (of the last state in the last layer, the mean of the
            heads), or ``rollout`` (attention through all layers).
        steps: number of points of integrated gradients.

    Returns:
        ``(total,)`` float64; 0 for events that the model does not read.
    """
    items, result = _check(histories, items, least=1), np.zeros(len(histories.items))
    for row, item in enumerate(items):
        history = histories[row].last(model._read_length)
        if method in ("attention", "rollout"):
            if not isinstance(model, SASRec):
                raise TypeError(f"{model.name} gives no attention maps; SASRec does")
            maps = model.attention_maps(history)[0]
            values = attention_rollout(maps) if method == "rollout" else maps[-1].mean(axis=0)[-1]
        elif method in ("gradient", "integrated"):
            score, x = _item_score(model, history, int(item))
            if method == "gradient":
                values = gradient_times_input(score, x).numpy()
            else:
                values = integrated_gradients(score, x, steps=steps).numpy()
        else:
            raise ValueError(f"method: gradient, integrated, attention or rollout; got {method!r}")
        end = histories.offsets[row + 1]
        result[end - len(values) : end] = values
    return result


def deletion(
    model: Recommender, histories: Histories, items: np.ndarray, *, log_softmax: bool = True
) -> np.ndarray:
    """Return how much the score of an item falls if an event is deleted from the history.

    It is a counterfactual of the *model*, and reads its scores alone.

    Args:
        model: fitted.
        histories: ``n`` histories of at least two events.
        items: ``(n,)`` indices of the items whose score is explained.
        log_softmax: compare log probabilities, for scores that are logits; else the scores.

    Returns:
        ``(total,)`` float64: the score with all events minus the score without this one.
    """
    items = _check(histories, items, least=2)
    whole = _scores_of(model, histories, items, log_softmax)
    copies = _without_each(histories)
    return whole[histories.rows] - _scores_of(model, copies, items[histories.rows], log_softmax)


def without_events(histories: Histories, attribution: np.ndarray) -> Histories:
    """Return the histories without the event of the highest attribution of each.

    Of several events with the highest value the latest is deleted. No history may be empty.
    """
    order = np.lexsort((attribution, histories.rows))  # stable: the latest of equals comes last
    kept = np.delete(np.arange(len(attribution)), order[histories.offsets[1:] - 1])
    return _select(histories, kept, histories.lengths - 1, np.arange(len(histories)))


def first_items(model: Recommender, histories: Histories, seen: Histories) -> np.ndarray:
    """Return the index of the item that the model ranks first for each history.

    The items of ``seen``, one history for each of ``histories``, may not be recommended.
    """
    first = np.empty(len(histories), dtype=np.int64)
    for rows, scores in _in_batches(model, histories):
        scores[seen[rows].rows, seen[rows].items] = -np.inf
        first[rows] = scores.argmax(axis=1)
    return first


def _check(histories: Histories, items: np.ndarray, least: int) -> np.ndarray:
    """Return the items as an array; raise ``ValueError`` if the input is wrong."""
    items, n = np.asarray(items, dtype=np.int64), histories.n_items
    if items.shape != (len(histories),) or not ((items >= 0) & (items < n)).all():
        raise ValueError(f"items are indices below {n}, one for each history; got {items}")
    if histories.lengths.min(initial=least) < least:
        raise ValueError(f"use histories[histories.lengths >= {least}]; one is shorter")
    return items


def _item_score(model: SequenceRecommender, history: Histories, item: int) -> tuple[Score, Tensor]:
    """Return the log probability of an item as a function of the events' embeddings, and those."""
    network, t = model._network, len(history.items)
    if not isinstance(network, SASRecNetwork | GRU4RecNetwork):
        raise TypeError(f"{model.name} reads other vectors than one for each event: use deletion()")
    events = torch.from_numpy(history.items.astype(np.int64))
    embedding, bias = network.items, network.output_bias

    def score(x: Tensor) -> Tensor:
        def replaced(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            return x.reshape(output.shape)

        hook = embedding.register_forward_hook(replaced)
        try:
            packing = Packing(torch.full((len(x),), t))
            states = network.predict_state(events.repeat(len(x)), packing)
        finally:
            hook.remove()
        logits = states @ embedding.weight.detach().T
        logits = logits if bias is None else logits + bias
        return logits.log_softmax(dim=1)[:, item]

    return score, embedding.weight[events].detach()


def _in_batches(model: Recommender, histories: Histories) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some of the rows, and their scores."""
    for start in range(0, len(histories), BATCH):
        rows = slice(start, start + BATCH)
        yield rows, model.score(histories[rows])


def _scores_of(
    model: Recommender, histories: Histories, items: np.ndarray, logarithm: bool
) -> np.ndarray:
    """Return the score of one item for each history: ``(n,)``."""
    result = np.empty(len(histories))
    for rows, scores in _in_batches(model, histories):
        scores = log_softmax(scores.astype(np.float64), axis=1) if logarithm else scores
        result[rows] = np.take_along_axis(scores, items[rows, None], axis=1)[:, 0]
    return result


def _without_each(histories: Histories) -> Histories:
    """Return ``total`` histories: copy c is the history of event c, without that event."""
    lengths = histories.lengths[histories.rows]
    events = ranges(histories.offsets[:-1][histories.rows], lengths)
    kept = events[events != np.repeat(np.arange(len(histories.items)), lengths)]
    return _select(histories, kept, lengths - 1, histories.rows)


def _select(
    histories: Histories, events: np.ndarray, lengths: np.ndarray, rows: np.ndarray
) -> Histories:
    """Return histories of the users of ``rows`` that consist of the events with these indices."""
    return replace(
        histories,
        user_ids=histories.user_ids[rows],
        at=histories.at[rows],
        offsets=offsets_of(lengths),
        items=histories.items[events],
        events=histories.events[events],
        timestamps=histories.timestamps[events],
    )
