"""Exercises of chapter 11: a run on paper, what slows it, what breaks it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.checks.bottlenecks import BOTTLENECK
from m6rec_lite.course.checks.sixteen_bits import DIVERGES
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 11.1 Predict the memory of base


def _step_bytes(
    V: int,
    d: int,
    L: int,
    lines: int,
    time: int,
    w: int,
    *,
    embeddings: int = 1,
    weight: int = 4,
    moments: int = 2,
    stream: int = 4,
    wide: int = 4,
    blocks: int | None = None,
    cells: int | None = None,
) -> dict[str, int]:
    """The right answer; what is behind the star makes the known mistakes."""
    n = embeddings * V * d + L * (12 * d * d + 13 * d) + 2 * d
    a_cell = (2 * stream + 7 * w + 2 * wide * w) * d + w * time
    cells = lines * time if cells is None else cells
    return {
        "weights": weight * n,
        "moments": 4 * moments * n,
        "activations": (L if blocks is None else blocks) * cells * a_cell,
    }


def _step_bytes_by_parts(V: int, d: int, L: int, lines: int, time: int, w: int) -> dict[str, int]:
    attention, feed_forward, norms = 4 * d * d + 4 * d, 8 * d * d + 5 * d, 4 * d
    weights = V * d + 2 * d + sum(attention + feed_forward + norms for _ in range(L))
    kept = 0
    for _ in range(L):
        kept += lines * time * (8 * d + 15 * d * w) + lines * time * time * w
    return {"weights": 4 * weights, "moments": 2 * 4 * weights, "activations": kept}


BASE, SMALL = (4096, 1024, 24, 64, 1024, 2), (300, 8, 2, 3, 5, 4)

MEMORY = Exercise(
    id="11.1",
    title="Predict the memory of base",
    answer="step_bytes",
    cases=(
        Case(SMALL, _step_bytes(*SMALL), note="a tiny model in float32"),
        Case(BASE, _step_bytes(*BASE), note="`base` in bf16, 64 lines"),
    ),
    known_wrong=(
        KnownWrong(
            lambda *a: _step_bytes(*a, weight=a[-1]),
            "Weights are counted with w bytes. Only copies for products have 16 bits; the weights "
            "themselves, which small updates must move, stay at 4 bytes.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, moments=1),
            "Adam keeps two moments of every weight, m and v, of 4 bytes each.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, embeddings=2),
            "The embedding is counted twice: the head shares it.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, blocks=1),
            "The activations are those of one block. All L blocks keep theirs until the way back.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, cells=a[3]),
            "The activations are those of one token a line: a batch has lines * time of them.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, wide=1),
            "What is before and behind the bend of the feed-forward net is 4 d wide, twice.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, stream=a[-1]),
            "The stream itself is counted with w bytes; it stays in float32, twice a block.",
        ),
    ),
    correct_alternatives=(_step_bytes, _step_bytes_by_parts),
    hints=(
        "N = V d + L (12 d^2 + 13 d) + 2 d; the weights take 4 N bytes, the moments 8 N.",
        "A block keeps, a token: 2 d numbers of 4 bytes, 7 d and 2 * 4 d of w bytes, and w * time.",
        "Times the tokens of a batch, lines * time, times the L blocks.",
    ),
    notice="Half the lines halve the activations and leave the rest: that, with accumulation, is "
    "how a large model comes to fit. `m6rec.budget` adds the small parts, and a margin.",
)


# 11.4 Budget a run

Figures = dict[str, float]


def _budget(
    parameters: float,
    tokens: float,
    teraflops: float,
    utilisation: float,
    devices: int,
    watts: float,
    price_an_hour: float,
) -> Figures:
    """The right answer."""
    flops = 6 * parameters * tokens
    hours = flops / (devices * teraflops * 1e12 * utilisation) / 3600
    paid = devices * hours
    return {
        "flops": flops,
        "hours": hours,
        "kWh": paid * watts / 1000,
        "price": paid * price_an_hour,
    }


def _budget_by_device_hours(
    parameters, tokens, teraflops, utilisation, devices, watts, price_an_hour
) -> Figures:
    a_second = teraflops * 1e12 * utilisation
    seconds = 2 * parameters * tokens / a_second + 4 * parameters * tokens / a_second
    return {
        "flops": parameters * tokens * 6.0,
        "hours": seconds / devices / 3600,
        "kWh": watts * seconds / 3.6e6,
        "price": price_an_hour * seconds / 3600,
    }


def _times(found: Figures, **by: float) -> Figures:
    return {name: value * by.get(name, 1.0) for name, value in found.items()}


def _budget_cases() -> tuple[Case, ...]:
    rows = (
        ((1e9, 2e10, 1000.0, 0.5, 1, 500.0, 2.0), "one device"),
        ((3.06e8, 6.1e9, 989.0, 0.4, 8, 700.0, 3.0), "`base`, 20 tokens a weight, eight cards"),
    )
    return tuple(Case(given, _budget(*given), note=note) for given, note in rows)


BUDGET = Exercise(
    id="11.4",
    title="Budget a run",
    answer="budget",
    cases=_budget_cases,
    known_wrong=(
        KnownWrong(
            lambda *a: _times(_budget(*a), flops=1 / 3, hours=1 / 3, kWh=1 / 3, price=1 / 3),
            "Two operations a weight are those of the way forward. The way back has twice as many: "
            "six in all.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[3], kWh=a[3], price=a[3]),
            "The peak is taken for the speed: divide by the utilisation too.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[3] ** 2, kWh=a[3] ** 2, price=a[3] ** 2),
            "The time is multiplied by the utilisation. The less of the peak is used, the longer "
            "it takes.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[4]),
            "The hours are those of one device working alone; several share the work, and the "
            "clock shows fewer.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), kWh=1 / a[4], price=1 / a[4]),
            "Energy and price are counted by the clock, for one device: each of them draws power "
            "and is paid for.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), kWh=1000.0),
            "That energy is in watt-hours; a kilowatt-hour is a thousand of them.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=3600.0, kWh=3600.0, price=3600.0),
            "The time is in seconds; an hour has 3,600 of them.",
        ),
    ),
    correct_alternatives=(_budget, _budget_by_device_hours),
    hints=(
        "Operations: six a weight and token.",
        "Speed: devices * teraflops * 1e12 * utilisation operations a second.",
        "Energy and money follow from device-hours, hours * devices.",
    ),
    notice="More devices make the run shorter and not cheaper: device-hours stay, and grow as soon "
    "as utilisation falls. Only utilisation is a guess: measure it with a few steps.",
)


# 11.5 Error hunt: a mean of means

Gradients = Sequence[np.ndarray]


def _accumulated(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    """The right answer: means weighed by what they are means of."""
    return np.average(np.stack(gradients), axis=0, weights=counts)


def _accumulated_by_loop(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    total = np.zeros_like(gradients[0], dtype=float)
    for gradient, count in zip(gradients, counts, strict=True):
        total += gradient * (count / sum(counts))
    return total


def _weighed_sum(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    return sum(n * g for g, n in zip(gradients, counts, strict=True))


def _accumulate_cases() -> tuple[Case, ...]:
    rows = (
        (([np.array([2.0]), np.array([6.0])], [3, 1]), "the chapter's"),
        (([np.array([1.0, -1.0]), np.array([4.0, 0.0]), np.array([0.0, 2.0])], [5, 1, 2]), "three"),
    )
    return tuple(Case(given, _accumulated(*given), note=note) for given, note in rows)


ACCUMULATE = Exercise(
    id="11.5",
    title="A mean of means",
    answer="accumulated",
    cases=_accumulate_cases,
    known_wrong=(
        KnownWrong(
            lambda gradients, counts: np.mean(np.stack(gradients), axis=0),
            "A mean of means: a part with one token has as much say as one with a hundred.",
        ),
        KnownWrong(
            lambda gradients, counts: np.sum(np.stack(gradients), axis=0),
            "The parts' means are added: the step grows with the number of parts.",
        ),
        KnownWrong(
            _weighed_sum,
            "Weighed, and not divided by the number of tokens: the step grows with the batch.",
        ),
        KnownWrong(
            lambda gradients, counts: _weighed_sum(gradients, counts) / len(gradients),
            "Weighed by tokens, and divided by the number of parts: divide by the tokens of all.",
        ),
        KnownWrong(
            lambda gradients, counts: (
                sum(g / n for g, n in zip(gradients, counts, strict=True))
                / sum(1 / n for n in counts)
            ),
            "The weights are turned round: a part with *more* tokens counts more.",
        ),
    ),
    correct_alternatives=(_accumulated, _accumulated_by_loop),
    hints=(
        "Each gradient is a mean over its part's tokens. What is the sum over them?",
        "Add the sums, count * gradient, and divide once, by all tokens.",
        "np.average(gradients, axis=0, weights=counts).",
    ),
    notice="With parts of one size both agree, which is how the slip survives its first test. In "
    "2024 it was found in several libraries' language-model training.",
)

EXERCISES = (MEMORY, BOTTLENECK, DIVERGES, BUDGET, ACCUMULATE)
