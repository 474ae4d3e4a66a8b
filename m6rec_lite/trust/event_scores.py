"""Attributions of the events of histories to the score of an item, for recommenders.

An attribution of ``n`` histories is an array ``(total,)`` with one number for each event, in the
order of ``histories.items``. The score is the log of the softmax probability of the item among all
items, so that an event that raises all scores alike gets no credit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor

from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.m6rec.retriever_network import RetrieverNetwork, gap_codes
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sasrec import SASRec
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
    method: Literal["gradient", "integrated"] = "integrated",
    *,
    steps: int = 32,
) -> np.ndarray:
    """Return the attribution of each event by gradients at the embeddings of the events.

    Args:
        model: a fitted network whose input is one vector for each event: ``SASRec``, ``GRU4Rec``,
            or ``M6RecRetriever`` without its optional inputs.
        histories: ``n`` histories with the catalogue of the model, each with at least one event.
        items: ``(n,)`` indices of the items whose score is explained.
        method: ``gradient`` (gradient times input) or ``integrated`` (integrated gradients from
            vectors of zeros).
        steps: number of points of integrated gradients.

    Returns:
        ``(total,)`` float64; 0 for events that the model does not read.

    Raises:
        TypeError: if the network has another kind of input.
        ValueError: if a history is empty, or the number of items is not that of the histories.
    """
    if method not in ("gradient", "integrated"):
        raise ValueError(f"method must be 'gradient' or 'integrated', got {method!r}")
    items = _check(model, histories, items, least=1)
    result = np.zeros(len(histories.items))
    for row, item in enumerate(items):
        history = histories[row].last(model._read_length)
        score, x = _item_score(model, history, int(item))
        if method == "gradient":
            values = gradient_times_input(score, x)
        else:
            values = integrated_gradients(score, x, steps=steps)
        end = histories.offsets[row + 1]
        result[end - len(values) : end] = values.cpu().numpy()
    return result


def attention(model: SASRec, histories: Histories, *, rollout: bool = False) -> np.ndarray:
    """Return the attention of the last state to each event; no item is read.

    Args:
        model: a fitted network.
        histories: with the catalogue of the model.
        rollout: follow the attention through all layers (``attention_rollout``); otherwise the mean
            over the heads of the last layer.

    Returns:
        ``(total,)`` float64; 0 for events that the model does not read.
    """
    result = np.zeros(len(histories.items))
    for row, maps in enumerate(model.attention_maps(histories)):
        end = histories.offsets[row + 1]
        values = attention_rollout(maps) if rollout else maps[-1].mean(axis=0)[-1:].ravel()
        result[end - len(values) : end] = values
    return result


def deletion(
    model: Recommender, histories: Histories, items: np.ndarray, *, log_softmax: bool = True
) -> np.ndarray:
    """Return how much the score of an item falls if an event is deleted from the history.

    It is a counterfactual of the *model*: what it would have said. Any recommender can be asked.

    Args:
        model: fitted.
        histories: ``n`` histories of at least two events.
        items: ``(n,)`` indices of the items whose score is explained.
        log_softmax: compare log probabilities, for models whose scores are logits; otherwise
            compare the scores themselves.

    Returns:
        ``(total,)`` float64: the score with all events minus the score without this one.

    Raises:
        ValueError: if a history has fewer than two events, or the number of items is not that of
            the histories.
    """
    items = _check(model, histories, items, least=2)
    whole = _scores_of(model, histories, items, log_softmax)
    copies = _without_each(histories)
    return whole[histories.rows] - _scores_of(model, copies, items[histories.rows], log_softmax)


def without_events(histories: Histories, attribution: np.ndarray) -> Histories:
    """Return the histories without the event of the highest attribution of each.

    Of several events with the highest value the latest is deleted.

    Args:
        histories: each with at least one event.
        attribution: ``(total,)``.
    """
    order = np.lexsort((np.arange(len(attribution)), attribution, histories.rows))
    last = order[histories.offsets[1:] - 1]
    kept = np.ones(len(attribution), dtype=bool)
    kept[last] = False
    return _select(histories, np.flatnonzero(kept), histories.lengths - 1)


def first_items(model: Recommender, histories: Histories, seen: Histories) -> np.ndarray:
    """Return the index of the item that the model ranks first for each history.

    Args:
        model: fitted.
        histories: the input.
        seen: as many histories, whose items may not be recommended: the whole histories, where
            ``histories`` lack an event.

    Returns:
        ``(n,)`` int64.
    """
    first = np.empty(len(histories), dtype=np.int64)
    for start in range(0, len(histories), BATCH):
        rows = slice(start, start + BATCH)
        scores, known = model.score(histories[rows]), seen[rows]
        scores[known.rows, known.items] = -np.inf
        first[rows] = scores.argmax(axis=1)
    return first


def _check(model: Recommender, histories: Histories, items: np.ndarray, least: int) -> np.ndarray:
    """Return the items as an array; raise ``ValueError`` if the input is wrong."""
    items = np.asarray(items, dtype=np.int64)
    if items.shape != (len(histories),):
        raise ValueError(f"{len(histories)} histories need one item each; got {items.shape}")
    if (items < 0).any() or (items >= histories.n_items).any():
        raise ValueError(f"items are indices from 0 to {histories.n_items - 1}, not ids")
    if len(histories) and histories.lengths.min() < least:
        raise ValueError(
            f"a history has {histories.lengths.min()} events and {least} are needed; leave it out: "
            f"histories[histories.lengths >= {least}]"
        )
    return items


def _item_score(model: SequenceRecommender, history: Histories, item: int) -> tuple[Score, Tensor]:
    """Return the log probability of an item as a function of the events' vectors, and those.

    Args:
        model: fitted.
        history: one history.
        item: index of an item.
    """
    network, t = model._network, len(history.items)
    events = torch.from_numpy(history.items.astype(np.int64))

    if isinstance(network, NextItemNetwork):
        embedding, bias = network.items, network.output_bias

        def logits(x: Tensor) -> Tensor:
            def replaced(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
                if output.shape != (len(x) * t, x.shape[2]):
                    raise TypeError(f"{model.name} reads other vectors than those of the events")
                return x.reshape(output.shape)

            hook = embedding.register_forward_hook(replaced)
            try:
                packing = Packing(torch.full((len(x),), t))
                states = network.predict_state(events.repeat(len(x)), packing)
            finally:
                hook.remove()
            scores = states @ embedding.weight.detach().T
            return scores if bias is None else scores + bias

        vectors = embedding.weight[events]
    elif isinstance(network, RetrieverNetwork) and network.memory is None:
        if network.linear is not None or network.profile is not None:
            raise TypeError("attribute() explains M6RecRetriever without its optional inputs")
        catalogue = network.catalogue().detach()
        targets = network.retrieval.items(catalogue).detach().T / network.retrieval.tau
        codes = [torch.from_numpy(code) for code in gap_codes(history)]

        def logits(x: Tensor) -> Tensor:
            n = len(x)
            batch = {"items": torch.arange(n * t)}
            batch |= dict(zip(("before", "after"), (c.repeat(n) for c in codes), strict=True))
            packing = Packing(torch.full((n,), t))
            states = network(x.reshape(n * t, -1), batch, packing)[packing.ends]
            return network.retrieval.people(states, None) @ targets

        vectors = catalogue[events]
    else:
        raise TypeError(f"attribute() does not know the network of {model.name}; use deletion()")
    return (lambda x: logits(x).log_softmax(dim=1)[:, item]), vectors.detach()


def _scores_of(
    model: Recommender, histories: Histories, items: np.ndarray, logarithm: bool
) -> np.ndarray:
    """Return the score of one item for each history: ``(n,)``."""
    result = np.empty(len(histories))
    for start in range(0, len(histories), BATCH):
        rows = slice(start, start + BATCH)
        scores = model.score(histories[rows]).astype(np.float64)
        scores = log_softmax(scores, axis=1) if logarithm else scores
        result[rows] = np.take_along_axis(scores, items[rows, None], axis=1)[:, 0]
    return result


def _without_each(histories: Histories) -> Histories:
    """Return ``total`` histories: copy c is the history of event c, without that event."""
    lengths = histories.lengths[histories.rows]
    events = ranges(histories.offsets[:-1][histories.rows], lengths)
    kept = events[events != np.repeat(np.arange(len(histories.items)), lengths)]
    copies = replace(
        histories,
        user_ids=histories.user_ids[histories.rows],
        at=histories.at[histories.rows],
    )
    return _select(copies, kept, lengths - 1)


def _select(histories: Histories, events: np.ndarray, lengths: np.ndarray) -> Histories:
    """Return histories that consist of the given events, by index."""
    return replace(
        histories,
        offsets=offsets_of(lengths),
        items=histories.items[events],
        events=histories.events[events],
        timestamps=histories.timestamps[events],
    )
