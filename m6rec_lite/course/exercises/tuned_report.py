"""Exercise ``tuned_report``: choose on validation, report on test."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Answer = tuple[int, float]


def _tuned_report(validation: np.ndarray, test: np.ndarray) -> Answer:
    """The right answer."""
    chosen = int(np.argmax(validation.mean(axis=(1, 2))))
    return chosen, float(test[chosen].mean())


def _of_best_seed(validation: np.ndarray, test: np.ndarray) -> Answer:
    chosen = int(validation.mean(axis=2).max(axis=1).argmax())
    return chosen, float(test[chosen].mean())


def _best_seed(validation: np.ndarray, test: np.ndarray) -> Answer:
    chosen = _tuned_report(validation, test)[0]
    return chosen, float(test[chosen].mean(axis=1).max())


def _for_each_user(validation: np.ndarray, test: np.ndarray) -> Answer:
    chosen, _ = _tuned_report(validation, test)
    best = validation.mean(axis=1).argmax(axis=0)
    return chosen, float(test.mean(axis=1)[best, np.arange(len(best))].mean())


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    cases = []
    notes = ("three settings, two seeds, five users", "many settings that are equally good",
             "one seed", "two settings")  # fmt: skip
    shapes = ((3, 2, 5), (40, 3, 20), (6, 1, 8), (2, 4, 3))
    for shape, note in zip(shapes, notes, strict=True):
        validation, test = (rng.random(shape).round(2) for _ in range(2))
        cases.append(Case((validation, test), _tuned_report(validation, test), note=note))
    return tuple(cases)


EXERCISE = Exercise(
    id="tuned_report",
    title="Tuned on test",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda v, t: _tuned_report(t, t),
            "That is the fault to hunt: the setting is chosen on test, and test flatters it.",
        ),
        KnownWrong(
            lambda v, t: _tuned_report(v, v),
            "The validation score of the chosen setting is reported. It was chosen for being high.",
        ),
        KnownWrong(
            lambda v, t: (_tuned_report(v, t)[0], float(t.mean(axis=(1, 2)).max())),
            "The choice is right, the report is the best of test: another setting's score.",
        ),
        KnownWrong(
            lambda v, t: _tuned_report(v + t, t),
            "Test takes part in the choice. It must have no part in it.",
        ),
        KnownWrong(
            _of_best_seed,
            "The setting with the luckiest seed is chosen. Average the seeds first.",
        ),
        KnownWrong(
            _best_seed,
            "Of the chosen setting the best seed on test is reported. Report the mean of all.",
        ),
        KnownWrong(
            _for_each_user,
            "Another setting is taken for each user, by very few answers each. One setting is "
            "chosen for all.",
        ),
        KnownWrong(
            lambda v, t: (_tuned_report(-v, t)[0], float(t[_tuned_report(-v, t)[0]].mean())),
            "The worst setting is chosen: these are scores, higher is better.",
        ),
        KnownWrong(
            lambda v, t: (_tuned_report(v, t)[0], float(t.mean())),
            "The mean of all settings is reported, not that of the chosen one.",
        ),
    ),
    hints=(
        "validation.mean(axis=(1, 2)) is one number a setting.",
        "argmax of it is the choice; test is not looked at before.",
        "int(chosen), test[chosen].mean()",
    ),
    notice="With forty equally good settings the wrong code reports the luck of one. Tables in "
    "papers that say `best epoch on test` do the same.",
)
