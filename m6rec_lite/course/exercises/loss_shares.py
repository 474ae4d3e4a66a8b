"""Exercise ``loss_shares``: the shares of a joint loss."""

from __future__ import annotations

from collections.abc import Mapping

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Weights = Mapping[str, float]


def _shares(alpha: float, beta: float, tasks: Weights, finetune: Weights) -> dict[str, float]:
    """The right answer: weighted means in each part, and the parts added."""
    shares = {"adapt": beta}
    for part, among in ((alpha, tasks), (1.0, finetune)):
        for name, weight in among.items():
            shares[name] = shares.get(name, 0.0) + part * weight / sum(among.values())
    return shares


def _unnormalised(alpha: float, beta: float, tasks: Weights, finetune: Weights) -> dict[str, float]:
    shares = {"adapt": beta} | {name: alpha * weight for name, weight in tasks.items()}
    for name, weight in finetune.items():
        shares[name] = shares.get(name, 0.0) + weight
    return shares


def _overwritten(alpha: float, beta: float, tasks: Weights, finetune: Weights) -> dict[str, float]:
    first = _shares(alpha, beta, tasks, {})
    return first | {n: w / sum(finetune.values()) for n, w in finetune.items()}


def _alpha_on_both(
    alpha: float, beta: float, tasks: Weights, finetune: Weights
) -> dict[str, float]:
    shares = _shares(alpha, beta, tasks, {})
    for name, weight in finetune.items():
        shares[name] = shares.get(name, 0.0) + alpha * weight / sum(finetune.values())
    return shares


def _finetune_not_divided(
    alpha: float, beta: float, tasks: Weights, finetune: Weights
) -> dict[str, float]:
    shares = _shares(alpha, beta, tasks, {})
    return shares | {name: shares.get(name, 0.0) + w for name, w in finetune.items()}


def _one_mean(alpha: float, beta: float, tasks: Weights, finetune: Weights) -> dict[str, float]:
    total = sum(tasks.values()) + sum(finetune.values())
    shares = _unnormalised(alpha, beta, tasks, finetune)
    return {name: share if name == "adapt" else share / total for name, share in shares.items()}


def _all_to_one(alpha: float, beta: float, tasks: Weights, finetune: Weights) -> dict[str, float]:
    shares = _shares(alpha, beta, tasks, finetune)
    return {name: share / sum(shares.values()) for name, share in shares.items()}


EXERCISE = Exercise(
    id="loss_shares",
    title="The shares of a joint loss",
    cases=(
        Case(
            (0.5, 0.2, {"query": 1.0, "design": 3.0}, {"explanation": 1.0}),
            {"adapt": 0.2, "query": 0.125, "design": 0.375, "explanation": 1.0},
            note="the lesson's",
        ),
        Case(
            (2.0, 0.5, {"query": 1.0, "design": 1.0}, {"query": 3.0, "scoring": 1.0}),
            {"adapt": 0.5, "query": 1.75, "design": 1.0, "scoring": 0.25},
            note="one in both",
        ),
        Case((1.0, 0.1, {"query": 4.0}, {}), {"adapt": 0.1, "query": 1.0}, note="no fine-tuning"),
    ),
    known_wrong=(
        KnownWrong(
            _unnormalised,
            "Each part is a weighted *mean*: divide by the sum of its weights, or a further task "
            "makes all of them louder.",
        ),
        KnownWrong(
            _overwritten,
            "A task in both parts counts twice: add its two shares; the second must not replace "
            "the first.",
        ),
        KnownWrong(
            _alpha_on_both,
            "alpha multiplies what is wanted most, too; that part counts 1.",
        ),
        KnownWrong(
            _all_to_one,
            "The shares are made to add up to 1. Then a larger beta would make the other parts "
            "smaller, and alpha and beta would mean something else in each run.",
        ),
        KnownWrong(
            lambda alpha, beta, tasks, finetune: {
                name: share
                for name, share in _shares(alpha, beta, tasks, finetune).items()
                if name != "adapt"
            },
            "`adapt`, the pretraining objectives, is missing: its share is beta.",
        ),
        KnownWrong(
            _one_mean,
            "One weighted mean over all tasks. Each part is a mean of its own: alpha would else "
            "mean something else in each run.",
        ),
        KnownWrong(
            _finetune_not_divided,
            "The weights of the tasks that are wanted most are not divided by their sum: that part "
            "is a weighted mean, too.",
        ),
    ),
    hints=(
        "Begin with {'adapt': beta}; then go through the two parts, one with alpha, one with 1.",
        "Within a part a task has weight / sum of the part's weights.",
        "shares[name] = shares.get(name, 0) + … adds where a task is in both.",
    ),
    notice="The package does the same (`Weights.shares`), and refuses weights that are all 0: a "
    "run that learns nothing should not look like one that does.",
)
