"""Exercise ``choose_network``: choose on validation, and count the labels."""

from __future__ import annotations

from collections.abc import Mapping

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Scores = Mapping[str, float]


def _choose(validation: Scores, k: int, n_validation: int) -> tuple[str, int]:
    """The right answer."""
    chosen = max(validation, key=lambda name: validation[name])
    return chosen, k + (n_validation if len(validation) > 1 else 0)


def _lowest(validation: Scores, k: int, n_validation: int) -> tuple[str, int]:
    chosen = min(validation, key=lambda name: validation[name])
    return chosen, _choose(validation, k, n_validation)[1]


def _last(validation: Scores, k: int, n_validation: int) -> tuple[str, int]:
    best = max(validation.values())
    names = [name for name, value in validation.items() if value == best]
    return names[-1], _choose(validation, k, n_validation)[1]


_TWO = {"not adapted": 0.072, "adapted at 3e-4": 0.068}
_FOUR = {"not adapted": 0.05, "1e-4": 0.06, "3e-4": 0.08, "1e-3": 0.08}

EXERCISE = Exercise(
    id="choose_network",
    title="Choose on validation, and count the labels",
    cases=(
        Case((_TWO, 10, 341), ("not adapted", 351), note="validation keeps the network as it was"),
        Case((_FOUR, 200, 341), ("3e-4", 541), note="two rates are equal: the first"),
        Case(({"not adapted": 0.05}, 0, 341), ("not adapted", 0), note="nothing to choose"),
        Case(({"adapted": 0.05}, 64, 341), ("adapted", 64), note="one network was adapted"),
        Case(({"a": 0.0, "b": -0.1}, 5, 20), ("a", 25), note="a score of 0"),
    ),
    known_wrong=(
        KnownWrong(
            lambda validation, k, n: (_choose(validation, k, n)[0], k),
            "Only the examples are counted. The validation answers chose the network, so the "
            "result depends on them too.",
        ),
        KnownWrong(
            lambda validation, k, n: (_choose(validation, k, n)[0], k + n),
            "With one network there is nothing to choose, so validation changed nothing: its "
            "answers do not count.",
        ),
        KnownWrong(
            lambda validation, k, n: (
                _choose(validation, k, n)[0],
                k + (n * len(validation) if len(validation) > 1 else 0),
            ),
            "The same answers judge every network: they count once, however many networks there "
            "are.",
        ),
        KnownWrong(
            lambda validation, k, n: (
                _choose(validation, k, n)[0],
                n if len(validation) > 1 else k,
            ),
            "The examples are forgotten: labels that train count as well as labels that choose.",
        ),
        KnownWrong(_lowest, "The worst network is chosen: a higher NDCG is better."),
        KnownWrong(_last, "Of equal networks the last is chosen; wanted is the first."),
        KnownWrong(
            lambda validation, k, n: (
                next(iter(validation)) if k == 0 else _choose(validation, k, n)[0],
                k if next(iter(validation)) == _choose(validation, k, n)[0] else k + n,
            ),
            "If validation chooses the network that was not adapted, its answers were used all the "
            "same.",
        ),
    ),
    hints=(
        "Which labels would change the result if they were others?",
        "max(validation, key=validation.get) returns the first of equal ones.",
        "Validation counts if there is more than one network, and then once.",
    ),
    notice="Few-shot tables that name the training examples only hide most of their labels (Perez "
    "et al., 2021).",
)
