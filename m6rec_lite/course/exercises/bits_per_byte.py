"""Exercise ``bits_per_byte``: perplexity and bits a byte."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Logs = list[float]


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
        Case(args=([0.0, 0.0], "ok"), expected=(1.0, 0.0), note="everything foreseen"),
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
    hints=(
        "Add up first: how surprised was the model by the whole text, in nats?",
        "Perplexity: e to the nats a token. Bits: nats over ln 2.",
        "Bytes: len(text.encode()).",
    ),
    notice="Perplexity 4 on four tokens and perplexity 2 on six may be about equally good on the "
    "same text. Only bits a byte compares models whose tokens differ.",
)
