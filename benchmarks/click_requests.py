"""Requests to click models on the bazaar, for the benchmarks of late interaction and few bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from m6rec_lite.language import Tokenizer
    from m6rec_lite.m6rec import Scoring

#: A request: the tokens that are known, and those that are written.
Row = tuple[np.ndarray, np.ndarray]


def bazaar_rows(n: int) -> tuple[Tokenizer, Callable[[Scoring], list[Row]]]:
    """Return a tokenizer, and a function that encodes ``n`` drawn impressions for a task."""
    from m6rec_lite.data import load_dataset
    from m6rec_lite.language import BehaviourText, Tokenizer
    from m6rec_lite.language.models.hub import find_model
    from m6rec_lite.m6rec import PromptBuilder

    dataset = load_dataset("bazaar")
    tokenizer = Tokenizer.load(find_model("bazaar-m6rec"))
    prompts = PromptBuilder(BehaviourText(dataset), tokenizer, 256)
    assert dataset.impressions is not None
    drawn = np.random.default_rng(0).permutation(len(dataset.impressions))[:n]
    shown = dataset.impressions.iloc[drawn]

    def rows_of(task: Scoring) -> list[Row]:
        examples = task.encode(shown, dataset, prompts, fit=True)
        return list(zip(examples.known, examples.written, strict=True))

    return tokenizer, rows_of


def alternate(
    sides: Mapping[str, tuple[Callable[..., float], list[Row]]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Time the requests of each side, one side after the other, and print each round.

    Args:
        sides: a function that answers a request, and its requests, by name.
        rounds: number of turns of each side.

    Returns:
        p50 and p95 of each side in milliseconds: medians over the rounds.
    """
    from m6rec_lite.m6rec import measure_latency

    times: dict[str, list[float]] = {name: [] for name in sides}
    tails: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name, (answer, rows) in sides.items():
            latency = measure_latency(partial(_answer, answer, rows), len(rows))
            times[name].append(latency.p50)
            tails[name].append(latency.p95)
        shown = ", ".join(f"{name} {times[name][-1]:.2f}" for name in sides)
        print(f"round {turn + 1}, median milliseconds: {shown}", flush=True)
    p50 = {name: float(np.median(values)) for name, values in times.items()}
    return p50, {name: float(np.median(values)) for name, values in tails.items()}


def _answer(answer: Callable[..., float], rows: list[Row], i: int) -> float:
    return answer(*rows[i])
