"""Exercise ``loss_shares``: the shares of a joint loss."""

from __future__ import annotations

from collections.abc import Mapping

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Given = Mapping[str, float]


def _shares(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    """The right answer: weighted means in each part, and the parts added."""
    found = {"adapt": beta}
    for part, among in ((alpha, tasks), (1.0, finetune)):
        for name, weight in among.items():
            found[name] = found.get(name, 0.0) + part * weight / sum(among.values())
    return found


def _unnormalised(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = {"adapt": beta} | {name: alpha * weight for name, weight in tasks.items()}
    for name, weight in finetune.items():
        found[name] = found.get(name, 0.0) + weight
    return found


def _overwritten(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    first = _shares(alpha, beta, tasks, {})
    return first | {n: w / sum(finetune.values()) for n, w in finetune.items()}


def _alpha_on_both(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = _shares(alpha, beta, tasks, {})
    for name, weight in finetune.items():
        found[name] = found.get(name, 0.0) + alpha * weight / sum(finetune.values())
    return found


def _all_to_one(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = _shares(alpha, beta, tasks, finetune)
    return {name: share / sum(found.values()) for name, share in found.items()}


def _share_cases() -> tuple[Case, ...]:
    rows = (
        ((0.5, 0.2, {"query": 1.0, "design": 3.0}, {"explanation": 1.0}), "the chapter's"),
        ((2.0, 0.5, {"query": 1.0, "design": 1.0}, {"query": 3.0, "scoring": 1.0}), "one in both"),
        ((1.0, 0.1, {"query": 4.0}, {}), "nothing is wanted most"),
    )
    return tuple(Case(given, _shares(*given), note=note) for given, note in rows)


EXERCISE = Exercise(
    id="loss_shares",
    title="The shares of a joint loss",
    cases=_share_cases,
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
    ),
    hints=(
        "Begin with {'adapt': beta}; then go through the two parts, one with alpha, one with 1.",
        "Within a part a task has weight / sum of the part's weights.",
        "found[name] = found.get(name, 0) + … adds where a task is in both.",
    ),
    notice="The package does the same (`Weights.shares`), and refuses weights that are all 0: a "
    "run that learns nothing should not look like one that does.",
)
