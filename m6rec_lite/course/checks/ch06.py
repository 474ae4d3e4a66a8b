"""Exercises of chapter 06: perplexity, nucleus sampling; merges, masks, pooling from beside."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.checks.byte_pairs_and_borders import MERGE, PACKED_MASK
from m6rec_lite.course.checks.pooled_states import POOL
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 06.2 Perplexity and bits a byte by hand

Logs = list[float]


def _judge(logprobs: Logs, text: str) -> tuple[float, float]:
    nats = -sum(logprobs)
    return math.exp(nats / len(logprobs)), nats / math.log(2) / len(text.encode())


def _by_products(logprobs: Logs, text: str) -> list[float]:
    """By the probability of the whole text."""
    p = float(np.prod(np.exp(logprobs)))
    return [p ** (-1 / len(logprobs)), -math.log2(p) / len(bytes(text, "utf-8"))]


_HALVES = [math.log(1 / 2), math.log(1 / 8), math.log(1 / 2), math.log(1 / 8)]
_CHINESE = [math.log(1 / 4), math.log(1 / 16), math.log(1 / 2)]

BITS = Exercise(
    id="06.2",
    title="Perplexity and bits a byte",
    answer="judge",
    cases=(
        Case(args=(_HALVES, "boots"), wanted=(4.0, 8 / 5), note="8 bits, 4 tokens, 5 bytes"),
        Case(
            args=(_CHINESE, "爵士乐"),
            wanted=(128 ** (1 / 3), 7 / 9),
            note="three characters of three bytes each",
        ),
        Case(args=([math.log(1 / 2)] * 6, "oh no"), wanted=(2.0, 6 / 5), note="a coin a token"),
        Case(args=([0.0, 0.0], "ok"), wanted=(1.0, 0.0), note="everything foreseen"),
    ),
    known_wrong=(
        KnownWrong(
            lambda logprobs, text: (_judge(logprobs, text)[0], -np.mean(logprobs) / math.log(2)),
            "The perplexity is right; the bits are per token. Divide all bits by the bytes of the "
            "text: tokens are the tokenizer's choice, bytes are not.",
        ),
        KnownWrong(
            lambda logprobs, text: (
                _judge(logprobs, text)[0],
                -sum(logprobs) / math.log(2) / len(text),
            ),
            "len(text) counts characters. A Chinese one is three bytes in UTF-8: "
            "len(text.encode()).",
        ),
        KnownWrong(
            lambda logprobs, text: (
                _judge(logprobs, text)[0],
                -sum(logprobs) / len(text.encode()),
            ),
            "These are nats a byte. A bit is ln 2 nats: divide by math.log(2).",
        ),
        KnownWrong(
            lambda logprobs, text: (
                1 / float(np.mean(np.exp(logprobs))),
                _judge(logprobs, text)[1],
            ),
            "That is one over the mean probability. Perplexity is the geometric mean: average the "
            "logarithms, then exp. (One impossible token must make it infinite.)",
        ),
        KnownWrong(
            lambda logprobs, text: (math.exp(-sum(logprobs)), _judge(logprobs, text)[1]),
            "Not divided by the number of tokens: that is one over the probability of the whole "
            "text, and it grows with every token.",
        ),
        KnownWrong(
            lambda logprobs, text: (2 ** -float(np.mean(logprobs)), _judge(logprobs, text)[1]),
            "2 to the power of nats. Natural logarithms go with exp, those of base 2 with 2 **.",
        ),
    ),
    correct_alternatives=(
        _judge,
        lambda logprobs, text: _by_products(logprobs, text),
    ),
    hints=(
        "Add up first: how surprised was the model by the whole text, in nats?",
        "Perplexity: e to the nats a token. Bits: nats over ln 2.",
        "Bytes: len(text.encode()).",
    ),
    notice="Perplexity 4 on four tokens and perplexity 2 on six may be about equally good on the "
    "same text. Only bits a byte compares models whose tokens differ.",
)


# 06.4 Nucleus sampling


def _order(probs: np.ndarray) -> np.ndarray:
    return np.argsort(-np.asarray(probs), kind="stable")


def _keep(probs: np.ndarray, n: int) -> np.ndarray:
    kept = np.zeros(len(probs))
    chosen = _order(probs)[:n]
    kept[chosen] = np.asarray(probs)[chosen]
    return kept


def _size(probs: np.ndarray, p: float) -> int:
    """How many of the likeliest reach p."""
    return int((np.cumsum(np.asarray(probs)[_order(probs)]) < p).sum()) + 1


def _normal(kept: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return kept / kept.sum()


def _nucleus(probs: np.ndarray, p: float) -> np.ndarray:
    return _normal(_keep(probs, _size(probs, p)))


def _in_a_loop(probs: np.ndarray, p: float) -> list[float]:
    """The same, one token at a time."""
    kept, total = [0.0] * len(probs), 0.0
    for i in sorted(range(len(probs)), key=lambda i: (-probs[i], i)):
        kept[i] = float(probs[i])
        total += kept[i]
        if total >= p:
            break
    return [value / total for value in kept]


_FALLING = np.array([0.5, 0.25, 0.125, 0.125])
_MIXED = np.array([0.125, 0.5, 0.0625, 0.25, 0.0625])

NUCLEUS = Exercise(
    id="06.4",
    title="Nucleus sampling",
    answer="nucleus",
    cases=(
        Case(args=(_FALLING, 0.7), wanted=[2 / 3, 1 / 3, 0, 0], note="1/2 is too little"),
        Case(args=(_FALLING, 0.75), wanted=[2 / 3, 1 / 3, 0, 0], note="exactly reached"),
        Case(args=(_MIXED, 0.8), wanted=_nucleus(_MIXED, 0.8), note="not in order"),
        Case(args=(_MIXED, 0.3), wanted=[0, 1, 0, 0, 0], note="one token is enough: greedy"),
        Case(args=(_FALLING, 1.0), wanted=_FALLING, note="p = 1 keeps everything"),
        Case(args=(_FALLING, 0.8), wanted=_nucleus(_FALLING, 0.8), note="a tie: the earlier one"),
    ),
    known_wrong=(
        KnownWrong(
            lambda probs, p: _normal(_keep(probs, max(1, _size(probs, p) - 1))),
            "The token that crosses p is left out, so what is kept sums to less than p. Keep the "
            "smallest set that *reaches* p.",
        ),
        KnownWrong(
            lambda probs, p: _normal(
                _keep(probs, int((np.cumsum(np.sort(probs)[::-1]) <= p).sum()) + 1)
            ),
            "Where the sum is exactly p one token too many is kept: `<`, not `<=`, before adding "
            "the last one.",
        ),
        KnownWrong(
            lambda probs, p: _keep(probs, _size(probs, p)),
            "What is kept does not sum to one. Divide by its sum.",
        ),
        KnownWrong(
            lambda probs, p: -np.sort(-_nucleus(probs, p)),
            "The probabilities come back sorted, so they belong to other tokens now. Put each "
            "where it was.",
        ),
        KnownWrong(
            lambda probs, p: _normal(np.where(np.asarray(probs) >= 1 - p, probs, 0)),
            "A token is kept or not by its own probability. The nucleus goes by the sum of the "
            "likeliest.",
        ),
        KnownWrong(
            lambda probs, p: _normal(_keep(probs, math.ceil(p * len(probs)))),
            "A share p of the *tokens* is kept, that is top-k with k = p times the vocabulary. A "
            "share p of the *probability* is asked.",
        ),
        KnownWrong(
            lambda probs, p: _normal(
                np.where(np.cumsum(probs) - np.asarray(probs) < p, np.asarray(probs), 0)
            ),
            "The sum runs in the order of the vocabulary. Sort by probability first, likeliest in "
            "front.",
        ),
    ),
    correct_alternatives=(_nucleus, _in_a_loop),
    hints=(
        "Sort, likeliest first, and add up: where does the sum reach p?",
        "order = np.argsort(-probs, kind='stable'); before = np.cumsum(probs[order]) - "
        "probs[order] is what stood before each.",
        "Keep those with before < p; write them back to their places; divide by their sum.",
    ),
    notice="The nucleus breathes: one token where the model is sure, dozens where it is not. "
    "Top-k keeps k in both places, too many and too few.",
)


EXERCISES = (MERGE, BITS, PACKED_MASK, NUCLEUS, POOL)
