"""Exercise ``prefix_lm_targets``: labels that let the model copy."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _targets(ids: np.ndarray, n: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The right answer: positions that predict, and the tokens they predict."""
    tokens = np.flatnonzero((np.arange(len(ids)) > n) & (ids != pad))
    return tokens - 1, ids[tokens]


def _real(ids: np.ndarray, first: int, pad: int) -> np.ndarray:
    return np.flatnonzero((np.arange(len(ids)) >= first) & (ids != pad))


def _filtered_by_state(ids: np.ndarray, n: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    states = _real(ids[:-1], n, pad)
    return states, ids[states + 1]


_ROW = np.array([1, 21, 22, 5, 23, 2, 3, 31, 32, 33, 4, 0, 0])  # 6 known, then [BOS] … [EOS]

EXERCISE = Exercise(
    id="prefix_lm_targets",
    title="Labels that let the model copy",
    cases=(
        Case((_ROW, 6, 0), ([6, 7, 8, 9], [31, 32, 33, 4]), note="two pads behind"),
        Case((_ROW[:11], 6, 0), ([6, 7, 8, 9], [31, 32, 33, 4]), note="no padding"),
        Case((np.array([1, 2, 3, 41, 4]), 2, 0), ([2, 3], [41, 4]), note="an empty user region"),
        Case(
            (np.array([1, 21, 5, 22, 5, 2, 3, 31, 32, 5, 33, 8, 9, 9]), 6, 9),
            ([6, 7, 8, 9, 10], [31, 32, 5, 33, 8]),
            note="two spans with [MASK] (5) between; [EOS] is 8, and 9 is padding",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n, pad), ids[_real(ids, n, pad)]),
            "The token at t is predicted from the state at t, which has read it: copying is "
            "enough. Ask the state before.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n, pad) - 1, ids[_real(ids, n, pad)]),
            "[BOS] is a target too. It always follows [EOS'], and the model never has to write "
            "it: a token that costs nothing makes the mean look better.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, 1, pad) - 1, ids[_real(ids, 1, pad)]),
            "The user region is a target. Each of its states has seen the next token already, "
            "since it reads both ways.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n + 1, pad), ids[_real(ids, n + 1, pad) - 1]),
            "Shifted the wrong way: the state at t predicts what stood at t - 1.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n + 1, pad)[:-1] - 1, ids[_real(ids, n + 1, pad)[:-1]]),
            "[EOS] is not a target: the model will not know where to stop.",
        ),
        KnownWrong(
            lambda ids, n, pad: tuple(
                part[_targets(ids, n, pad)[1] != 5] for part in _targets(ids, n, pad)
            ),
            "The [MASK] between two written spans is not a target. The model must write it: it "
            "says where a span ends.",
        ),
        KnownWrong(
            lambda ids, n, pad: _targets(ids, n, 0),
            "Padding is taken to be 0. Its number is `pad`.",
        ),
        KnownWrong(
            lambda ids, n, pad: tuple(
                part[: list(_targets(ids, n, pad)[1]).index(4) + 1]
                if 4 in _targets(ids, n, pad)[1]
                else part[:0]
                for part in _targets(ids, n, pad)
            ),
            "The end is looked for as token 4. Which number [EOS] has is up to the tokenizer: "
            "stop at the padding.",
        ),
        KnownWrong(
            lambda ids, n, pad: (np.arange(n, len(ids) - 1), ids[n + 1 :]),
            "Padding is a target. It is no text, and easy to predict.",
        ),
        KnownWrong(
            lambda ids, n, pad: _targets(ids, n, pad)[::-1],
            "The two are exchanged: the positions first, then the tokens.",
        ),
        KnownWrong(
            _filtered_by_state,
            "Padding is left out by the token of the state, not by the token that it predicts: the "
            "state of [EOS] then predicts padding.",
        ),
        KnownWrong(
            lambda ids, n, pad: (
                np.arange(len(ids)),
                np.where((np.arange(len(ids)) > n) & (ids != pad), ids, -100),
            ),
            "That is a label for every position, -100 where there is none. Return the positions "
            "that predict something, and the tokens that they predict.",
        ),
    ),
    hints=(
        "Which state is the first that has something to predict? And the last?",
        "The first target stands at n + 1, behind [BOS]; [EOS] is a target too.",
        "With t the positions of the targets, return t - 1 and ids[t].",
    ),
    notice="A loss near 0 after minutes is never good news. Replace the target by "
    "another: if the state that predicts it moves, the answer is in the question.",
)
