"""Exercise ``honest_report``: a report whose numbers flatter."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Report = dict[str, float]


def _report(lists: np.ndarray, targets: np.ndarray, taken: np.ndarray, n_users: int) -> Report:
    """The right answer: the three numbers of a report on lists."""
    lists, targets, taken = np.asarray(lists), np.asarray(targets), np.asarray(taken)
    hits = (lists == targets[:, None]).any(axis=1)
    bits = -np.log2(np.maximum(taken, 1) / n_users)
    return {
        "coverage": len(np.unique(lists)) / len(taken),
        "novelty": float(bits[lists].mean()),
        "recall": float(hits.mean()),
    }


def _with(**wrong: object) -> KnownWrong:
    """A mistake in one number: ``key=function of the arguments`` and ``message``."""
    message = str(wrong.pop("message"))
    ((key, function),) = wrong.items()
    assert callable(function)

    def answer(lists: np.ndarray, targets: np.ndarray, taken: np.ndarray, n_users: int) -> Report:
        arguments = np.asarray(lists), np.asarray(targets), np.asarray(taken), n_users
        return _report(*arguments) | {key: float(function(*arguments))}

    return KnownWrong(answer, message)


def _flattering(lists: np.ndarray, targets: np.ndarray, taken: np.ndarray, n_users: int) -> Report:
    """What the exercise shows: every number flatters."""
    lists, targets, taken = np.asarray(lists), np.asarray(targets), np.asarray(taken)
    return {
        "coverage": lists.shape[1] / len(taken),
        "novelty": 1.0,
        "recall": float((lists[:, 0] == targets).mean()),
    }


_LISTS = np.array([[1, 2], [1, 3], [1, 2]])
_TAKEN = np.array([3, 2, 2, 1])
_WIDE = np.array([[0, 4, 5], [5, 4, 2], [0, 5, 4], [4, 0, 1]])
_WIDE_TAKEN = np.array([8, 0, 4, 1, 2, 8, 0, 1])

EXERCISE = Exercise(
    id="honest_report",
    title="A report whose numbers flatter",
    cases=(
        Case(
            (_LISTS, np.array([2, 3, 0]), _TAKEN, 4),
            _report(_LISTS, np.array([2, 3, 0]), _TAKEN, 4),
            note="three lists of two; four items in the catalogue",
        ),
        Case(
            (_WIDE, np.array([5, 0, 7, 4]), _WIDE_TAKEN, 8),
            _report(_WIDE, np.array([5, 0, 7, 4]), _WIDE_TAKEN, 8),
            note="four lists of three; eight items, of which two were taken by nobody",
        ),
        Case(
            (np.array([[6]]), np.array([6]), _WIDE_TAKEN, 8),
            _report(np.array([[6]]), np.array([6]), _WIDE_TAKEN, 8),
            note="one list of an item that nobody took: it counts as taken by one person",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _flattering,
            "That is the report as it was. None of its numbers reads the lists as it should: begin "
            "with the coverage, which is the same for every model.",
        ),
        _with(
            coverage=lambda lists, targets, taken, n: lists.shape[1] / len(taken),
            message="Coverage is still list length over catalogue, a constant. Count the different "
            "items over all lists.",
        ),
        _with(
            coverage=lambda lists, targets, taken, n: lists.size / len(taken),
            message="Items that are in several lists are counted several times: coverage can "
            "exceed 1. Count different items.",
        ),
        _with(
            coverage=lambda lists, targets, taken, n: (
                len(np.unique(lists)) / len(np.union1d(lists, targets))
            ),
            message="The catalogue is taken for the items that occur in lists and targets: then "
            "the truth chooses what counts. `taken` has one entry for each item of the catalogue.",
        ),
        _with(
            coverage=lambda lists, targets, taken, n: len(np.unique(lists)),
            message="That is the number of different items; coverage is their share of the "
            "catalogue.",
        ),
        _with(
            novelty=lambda lists, targets, taken, n: 1.0,
            message="Novelty is still the share of the list that is new to the user, which is 1 "
            "once met items are filtered out. Use the bits of how rare an item is.",
        ),
        _with(
            novelty=lambda lists, targets, taken, n: (
                -np.log(np.maximum(taken, 1) / n)[lists].mean()
            ),
            message="The natural logarithm gives nats. Bits need the logarithm to base 2.",
        ),
        _with(
            novelty=lambda lists, targets, taken, n: np.log2(np.maximum(taken, 1) / n)[
                lists
            ].mean(),
            message="The sign of the novelty is turned: rare items must have many bits.",
        ),
        _with(
            novelty=lambda lists, targets, taken, n: (
                -np.log2(np.maximum(taken, 1) / np.maximum(taken, 1).sum())[lists].mean()
            ),
            message="The share is one of all events. Novelty asks for the share of *people* who "
            "took the item: divide by n_users.",
        ),
        _with(
            novelty=lambda lists, targets, taken, n: (
                -np.log2(np.maximum(taken, 1) / n)[np.unique(lists)].mean()
            ),
            message="Each item counts once. An item in three lists counts three times: take the "
            "mean over the lists.",
        ),
        _with(
            recall=lambda lists, targets, taken, n: (lists[:, 0] == targets).mean(),
            message="Only the first item of each list is compared: that is the weighted recall of "
            "two columns of labels, which is accuracy. Ask whether the target is anywhere in the "
            "list.",
        ),
        _with(
            recall=lambda lists, targets, taken, n: np.isin(lists, targets).mean(),
            message="An item counts if it is the target of any user. Compare each list with the "
            "target of its own user.",
        ),
        _with(
            recall=lambda lists, targets, taken, n: np.isin(targets, lists).mean(),
            message="A target counts if it is in anybody's list. Compare each list with the target "
            "of its own user.",
        ),
        _with(
            recall=lambda lists, targets, taken, n: (lists == targets[:, None]).mean(),
            message="That divides by the number of places: it is the precision. With one target a "
            "user, recall is the share of the users whose list holds it.",
        ),
    ),
    hints=(
        "Which of the three numbers would change if the lists were replaced by random ones?",
        "np.unique(lists) has the different items; -np.log2(np.maximum(taken, 1) / n_users) the "
        "bits of each item.",
        "(lists == targets[:, None]).any(axis=1) says for each user whether the target is in the "
        "list.",
    ),
    notice="A number that is the same for a model of random scores measures the protocol, not the "
    "model.",
)
