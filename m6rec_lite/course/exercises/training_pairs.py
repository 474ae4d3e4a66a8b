"""Exercise ``training_pairs``: training pairs and positions."""

from __future__ import annotations

from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Pairs = tuple[list[int], list[int], list[int]]


def _pairs(history: list[int], max_length: int) -> Pairs:
    inputs, targets = history[:-1][-max_length:], history[1:][-max_length:]
    return inputs, targets, list(range(len(inputs)))[::-1]


def _changed(change: Callable[[list[int], list[int], list[int]], Pairs]) -> Callable[..., Pairs]:
    """The right pairs, then changed."""
    return lambda history, max_length: change(*_pairs(history, max_length))


def _unshifted(history: list[int], max_length: int) -> Pairs:
    inputs = history[-max_length:]
    return inputs, inputs, list(range(len(inputs)))[::-1]


def _oldest(history: list[int], max_length: int) -> Pairs:
    inputs, targets = history[:-1][:max_length], history[1:][:max_length]
    return inputs, targets, list(range(len(inputs)))[::-1]


def _cut_first(history: list[int], max_length: int) -> Pairs:
    return _pairs(history[-max_length:], max_length)


EXERCISE = Exercise(
    id="training_pairs",
    title="Training pairs and positions",
    cases=(
        Case(
            args=([3, 14, 15, 9], 10),
            expected=([3, 14, 15], [14, 15, 9], [2, 1, 0]),
            note="three questions",
        ),
        Case(
            args=([3, 14, 15, 9, 2, 6], 3),
            expected=([15, 9, 2], [9, 2, 6], [2, 1, 0]),
            note="longer than max_length",
        ),
        Case(args=([8, 1], 2), expected=([8], [1], [0]), note="one question"),
        Case(args=([8], 5), expected=([], [], []), note="one item teaches nothing"),
    ),
    known_wrong=(
        KnownWrong(
            _unshifted,
            "The targets are not shifted: every item is asked to foretell itself, which it sees. "
            "The loss falls to nearly 0, and nothing is learnt.",
        ),
        KnownWrong(
            lambda history, max_length: (
                history[1:][-max_length:],
                history[:-1][-max_length:],
                _pairs(history, max_length)[2],
            ),
            "Inputs and targets are exchanged: this learns what came before.",
        ),
        KnownWrong(
            _changed(lambda x, y, back: (x, y, back[::-1])),
            "The positions count from the oldest item. Then the position asked at test depends on "
            "the history's length; from the end it is always 0.",
        ),
        KnownWrong(
            _changed(lambda x, y, back: (x, y, [p + 1 for p in back])),
            "The positions are off by one: the latest input is 0 steps back, as at test.",
        ),
        KnownWrong(
            _oldest,
            "A long history is cut to its oldest items. Keep the latest: they are what test asks "
            "from.",
        ),
        KnownWrong(
            _cut_first,
            "The history is cut to max_length before the last item is split off, so that only "
            "max_length - 1 inputs are read.",
        ),
    ),
    hints=(
        "A history of n items holds n - 1 questions.",
        "history[:-1] are the inputs, history[1:] the targets; cut both to the last max_length.",
        "The positions of m inputs are m - 1, ..., 1, 0.",
    ),
    notice="max_length bounds what the network reads, so a history of max_length + 1 items loses "
    "nothing. And the last training question stands at position 0, exactly where test asks.",
)
