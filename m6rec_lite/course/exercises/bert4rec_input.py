"""Exercise ``bert4rec_input``: what BERT4Rec is asked."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _question(history: list[int], max_length: int, mask: int) -> list[int]:
    return [*history[max(0, len(history) - max_length + 1) :], mask]


EXERCISE = Exercise(
    id="bert4rec_input",
    title="What BERT4Rec is asked",
    cases=(
        Case(([3, 14, 15], 10, 99), [3, 14, 15, 99]),
        Case(([3, 14, 15, 9, 2, 6], 4, 99), [9, 2, 6, 99], note="longer than max_length"),
        Case(([3, 14, 15], 3, 99), [14, 15, 99], note="as long as max_length"),
        Case(([], 5, 99), [99], note="an empty history"),
        Case(([3, 14], 1, 99), [99], note="room for the mask alone"),
        Case(([7, 3, 7, 7], 9, 99), [7, 3, 7, 7, 99], note="an item taken again"),
    ),
    known_wrong=(
        KnownWrong(
            lambda history, max_length, mask: history[-max_length:],
            "Nothing is asked: the mask is missing. Its place is where the next item will stand.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[-max_length:], mask],
            "That is one token too long: the network has max_length positions, the mask included.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[:-1][-(max_length - 1) :], mask],
            "The mask replaces the last item. At test that item is known, and it is the best clue: "
            "put the mask behind it.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[: max_length - 1], mask],
            "A long history is cut to its oldest items. Keep the latest.",
        ),
        KnownWrong(
            lambda history, max_length, mask: _question(history, max_length, mask)[::-1],
            "The order is reversed: the mask stands behind the latest item.",
        ),
        KnownWrong(
            lambda history, max_length, mask: (
                [mask] * (max_length - len(_question(history, max_length, mask)))
                + _question(history, max_length, mask)
            ),
            "The row is filled up with masks. Each is a question, and says that an item is hidden "
            "there; filling needs a token of its own, or none.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[-(max_length - 1) :], mask],
            "Where there is room for the mask alone everything is kept: history[-0:] is the whole "
            "list. Cut from the front, history[max(0, len(history) - max_length + 1) :].",
        ),
        KnownWrong(
            lambda history, max_length, mask: _question(
                list(dict.fromkeys(history)), max_length, mask
            ),
            "Items that come again are dropped. A history is a sequence: keep every event.",
        ),
    ),
    hints=(
        "Where will the next item stand, and what may stand there now?",
        "With the mask the row has at most max_length tokens.",
        "Mind max_length = 1 and an empty history: history[-0:] is all of it.",
    ),
    notice="In training most masks have neighbours on both sides; this one has none to its right. "
    "That is why a share of the training rows should hide the last item alone.",
)
