"""Models that fit in about two seconds, measured on all users of a data set.

Chapters take a sample of the users at smoke scale, each its own. These rows stand on the default
split instead, so that a smoke run has a ladder that may be compared with the recorded one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.lesson_data import load
from m6rec_lite.data import leave_one_out

#: Draws of the bootstrap: enough for the whiskers of a figure.
DRAWS = 200


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

    A model that does not suit the data (no item texts, say) is left out and named.

    Args:
        dataset: as ``course.load`` takes it.
        board: where the rows go.
        scale: written into the rows.
        seed: of the models and the bootstrap.
        command: written into the rows.
        say: called with a line for each model that is left out.

    Returns:
        The number of rows added.
    """
    from m6rec_lite.evaluation import evaluate, fit_and_evaluate

    world = load(dataset)
    split = leave_one_out(world)
    options = {"items": world.items, "k": 10, "bootstrap": DRAWS, "seed": seed, "progress": False}
    reports, ceiling = [], None
    if world.oracle is not None:
        ceiling = evaluate(world.oracle.recommender(split.item_ids), split, **options)
        reports.append(ceiling)
    for model in quick_models(seed):
        try:
            reports.append(fit_and_evaluate(model, split, oracle=ceiling, **options))
        except Exception as error:  # whatever one model makes of foreign data, the others still run
            say(f"{model.name} is left out of the ladder: {type(error).__name__}: {error}")
    for report in reports:
        board.add(report, scale=scale, seed=seed, command=command)
    return len(reports)
