"""Pruning: remove n-grams that a shorter context predicts almost as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from m6rec_lite.language.ngrams.counts import UNSEEN, Counts, Matches
from m6rec_lite.language.ngrams.smoothing import Estimate


def gains(counts: Counts, estimate: Estimate, order: int) -> np.ndarray:
    """Return how much each n-gram adds to the log-likelihood of the training text.

    Source: Seymore and Rosenfeld, *Scalable backoff language models*, 1996 (weighted difference):
    ``c(h, w) * [log P(w | h) - log P_without(w | h)]``, where without the n-gram its ``alpha`` is
    added to ``gamma(h)``.

    Returns:
        ``(size,)`` in nats.
    """
    c, prefix, _ = counts.level(order)
    alpha, gamma = estimate.alphas[order - 1][:-1], estimate.gammas[order - 1][prefix]
    lower = np.full(len(c), estimate.floor)
    if estimate.recursive:
        words = counts.words(order)
        contexts = counts.contexts(words[:, 1:-1])  # (order, m), of h'
        entries = counts.contexts(words[:, 1:])[1:]  # (order - 1, m), of h' with the word
        entries = np.vstack([np.maximum(entries, UNSEEN), np.full((1, len(c)), UNSEEN)])
        matches = Matches(entries, contexts)
        lower = estimate.probs(matches)
    with np.errstate(divide="ignore"):
        return c * (np.log(alpha + gamma * lower) - np.log((alpha + gamma) * lower))


def prune(counts: Counts, estimate: Estimate, keep: list[np.ndarray]) -> tuple[Counts, Estimate]:
    """Remove entries; their ``alpha`` is added to ``gamma`` of their context.

    The probabilities after every context still sum to one. Prefixes of kept n-grams are kept too.

    Args:
        counts: the tables.
        estimate: parameters estimated from them.
        keep: for orders 2, 3, …: ``(size,)`` bool.

    Returns:
        New tables and parameters.
    """
    keep = [np.ones(counts.size(1), dtype=bool), *(np.array(mask, dtype=bool) for mask in keep)]
    for order in range(counts.order, 2, -1):
        prefix = counts.level(order)[1]
        keep[order - 2][prefix[keep[order - 1]]] = True
    keys, values = [], [counts.values[0]]
    alphas, gammas = [estimate.alphas[0]], [estimate.gammas[0]]
    for order in range(2, counts.order + 1):
        c, prefix, n = counts.level(order)
        mask, alpha = keep[order - 1], estimate.alphas[order - 1]
        renumbered = np.cumsum(keep[order - 2]) - 1
        word = counts.keys[order - 2][mask] % counts.n_words
        keys.append(renumbered[prefix[mask]] * counts.n_words + word)
        values.append(c[mask])
        removed = np.bincount(prefix[~mask], alpha[:-1][~mask], minlength=n)
        gammas.append(np.append((estimate.gammas[order - 1][:-1] + removed)[keep[order - 2]], 1.0))
        alphas.append(np.append(alpha[:-1][mask], 0.0))
    pruned = replace(estimate, alphas=alphas, gammas=gammas)
    return Counts(counts.n_words, keys, values), pruned
