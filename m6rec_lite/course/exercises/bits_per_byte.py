"""Exercise ``bits_per_byte``: perplexity and bits a byte."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Logs = list[float]


def _by_product(logprobs: Logs, text: str) -> tuple[float, float]:
    p = float(np.prod(np.exp(logprobs)))
    with np.errstate(divide="ignore"):
        return float(np.power(p, -1 / len(logprobs))), -np.log2(p) / len(text.encode())


def _by_python_product(logprobs: Logs, text: str) -> tuple[float, float]:
    p = math.prod(math.exp(log) for log in logprobs)
    return p ** (-1 / len(logprobs)), -math.log2(p) / len(text.encode())


def _judge(logprobs: Logs, text: str) -> tuple[float, float]:
    nats = -sum(logprobs)
    return math.exp(nats / len(logprobs)), nats / math.log(2) / len(text.encode())


_HALVES = [math.log(1 / 2), math.log(1 / 8), math.log(1 / 2), math.log(1 / 8)]
_CHINESE = [math.log(1 / 4), math.log(1 / 16), math.log(1 / 2)]

EXERCISE = Exercise(
    id="bits_per_byte",
    title="Perplexity and bits a byte",
    cases=(
        Case(args=(_HALVES, "boots"), expected=(4.0, 8 / 5), note="8 bits, 4 tokens, 5 bytes"),
        Case(
            args=(_CHINESE, "爵士乐"),
            expected=(128 ** (1 / 3), 7 / 9),
            note="three characters of three bytes each",
        ),
        Case(args=([math.log(1 / 2)] * 6, "oh no"), expected=(2.0, 6 / 5), note="a coin a token"),
        Case(args=([0.0, 0.0], "ok"), expected=(1.0, 0.0), note="every token is certain"),
        Case(
            args=([math.log(1 / 4)] * 4, " hm \n"), expected=(4.0, 8 / 5), note="spaces are bytes"
        ),
        Case(
            args=([math.log(1 / 1024)] * 400, "x" * 1000),
            expected=(1024.0, 4.0),
            note="the probability of the whole text is 0 in floating point",
        ),
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
        KnownWrong(
            _by_product,
            "The probability of a long text is 0 in floating point: multiplying underflows. Add "
            "up the logarithms, and never leave them.",
        ),
        KnownWrong(
            lambda logprobs, text: _judge(logprobs, text.strip()),
            "Spaces and line ends at the ends of the text are bytes, too: do not strip it.",
        ),
        KnownWrong(
            lambda logprobs, text: _judge(logprobs, text)[::-1],
            "The two numbers are exchanged: the perplexity first, then the bits a byte.",
        ),
        KnownWrong(
            _by_python_product,
            "0 has no negative power in Python, and the product of many probabilities is 0 in "
            "floating point. Add up the logarithms.",
        ),
    ),
    hints=(
        "Add up first: how surprised was the model by the whole text, in nats?",
        "Perplexity: e to the nats a token. Bits: nats over ln 2.",
        "Bytes: len(text.encode()).",
    ),
    notice="Perplexity 4 on four tokens and perplexity 2 on six may be about equally good on the "
    "same text. Only bits a byte compares models whose tokens differ.",
)
