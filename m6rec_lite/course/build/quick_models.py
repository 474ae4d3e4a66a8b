"""Models that fit in about two seconds, evaluated on all users of a data set.

At smoke scale each lesson takes its own sample of the users. These models use the default split
instead, so that the leaderboard of a smoke run can be compared with the recorded one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.lesson_data import load
from m6rec_lite.data import leave_one_out

#: Bootstrap samples: enough for the error bars of a figure.
BOOTSTRAP_SAMPLES = 200


def quick_models(seed: int = 0) -> list[Any]:
    """Return unfitted recommenders that fit in about two seconds on five thousand users."""
    from m6rec_lite.recommenders import (
        EASE,
        IALS,
        Bigram,
        ContentBased,
        Hybrid,
        ItemKNN,
        Markov,
        Popularity,
        UserKNN,
    )

    return [
        Popularity(),
        ContentBased(),
        UserKNN(),
        ItemKNN(),
        ItemKNN(decay=0.8),
        Hybrid([ContentBased(), ItemKNN()]),
        EASE(),
        EASE(decay=0.8),
        Bigram(),
        Markov(weight=0),
        Markov("kneser-ney"),
        Markov(),
        IALS(factors=128, regularization=60.0, alpha=10.0, decay=0.8, seed=seed),
    ]


def measure_quick_models(
    dataset: str,
    board: Leaderboard,
    *,
    scale: str,
    seed: int = 0,
    command: str = "",
    say: Callable[[str], object] = lambda line: print(line, file=sys.stderr),
) -> int:
    """Fit each quick model on the default split of a data set and add its row to a leaderboard.

    A model that cannot be fitted on the data (no item texts, for example) is skipped.

    Args:
        dataset: name or path for ``course.load``.
        board: receives the rows.
        scale: scale written to the rows.
        seed: seed of the models and of the bootstrap.
        command: command written to the rows.
        say: called with a message for each skipped model.

    Returns:
        The number of rows added.
    """
    from m6rec_lite.evaluation import evaluate, fit_and_evaluate

    data = load(dataset)
    split = leave_one_out(data)
    options: dict[str, Any] = {
        "items": data.items,
        "k": 10,
        "bootstrap": BOOTSTRAP_SAMPLES,
        "seed": seed,
        "progress": False,
    }
    reports, oracle = [], None
    if data.oracle is not None:
        oracle = evaluate(data.oracle.recommender(split.item_ids), split, **options)
        reports.append(oracle)
    for model in quick_models(seed):
        try:
            reports.append(fit_and_evaluate(model, split, oracle=oracle, **options))
        except Exception as error:  # one model must not stop the others
            say(f"{model.name} is left out of the leaderboard: {type(error).__name__}: {error}")
    for report in reports:
        board.add(report, scale=scale, seed=seed, command=command)
    return len(reports)
