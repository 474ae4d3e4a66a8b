"""Exercise ``mask_tokens``: hide by 80/10/10."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

#: The ids of the exercise: what hides a token, and the target of one that is not asked for.
MASK, IGNORED = 4, -100
Pair = tuple[np.ndarray, np.ndarray]


def _hide(
    ids: np.ndarray,
    special: np.ndarray,
    luck: np.ndarray,
    fate: np.ndarray,
    other: np.ndarray,
    shares: tuple[float, float] = (0.8, 0.1),
) -> Pair:
    """The right answer; with other shares of masked and replaced, a wrong one."""
    chosen = (luck < 0.15) & ~special
    read = np.where(chosen & (fate < shares[0]), MASK, ids)
    read = np.where(chosen & (fate >= shares[0]) & (fate < sum(shares)), other, read)
    return read, np.where(chosen, ids, IGNORED)


def _specials_too(ids, special, luck, fate, other) -> Pair:
    return _hide(ids, np.zeros_like(special), luck, fate, other)


def _asked_everywhere(ids, special, luck, fate, other) -> Pair:
    return _hide(ids, special, luck, fate, other)[0], np.array(ids)


def _only_masked_asked(ids, special, luck, fate, other) -> Pair:
    read, targets = _hide(ids, special, luck, fate, other)
    return read, np.where(read == MASK, targets, IGNORED)


def _changed_asked(ids, special, luck, fate, other) -> Pair:
    read, targets = _hide(ids, special, luck, fate, other)
    return read, np.where(read != ids, targets, IGNORED)


def _fate_of_all(ids, special, luck, fate, other) -> Pair:
    read, targets = _hide(ids, special, luck, fate, other)
    changed = (fate >= 0.8) & (fate < 0.9) & ~special
    return np.where(changed, other, read), targets


def _targets_as_read(ids, special, luck, fate, other) -> Pair:
    read, targets = _hide(ids, special, luck, fate, other)
    return read, np.where(targets == IGNORED, IGNORED, read)


_IDS = np.array([1, 57, 23, 88, 40, 62, 35, 2])
_SPECIAL = np.array([True, False, False, False, False, False, False, True])
_LUCK = np.array([0.02, 0.09, 0.50, 0.14, 0.03, 0.15, 0.99, 0.10])
_FATE = np.array([0.40, 0.79, 0.10, 0.85, 0.95, 0.30, 0.84, 0.20])
_OTHER = np.array([11, 12, 13, 14, 15, 16, 17, 18])

EXERCISE = Exercise(
    id="mask_tokens",
    title="Hide by 80/10/10",
    cases=(
        Case(
            args=(_IDS, _SPECIAL, _LUCK, _FATE, _OTHER),
            expected=(
                [1, MASK, 23, 14, 40, 62, 35, 2],
                [IGNORED, 57, IGNORED, 88, 40, IGNORED, IGNORED, IGNORED],
            ),
            note="one masked, one replaced, one kept",
        ),
        Case(
            args=(_IDS[1:4], _SPECIAL[1:4], np.full(3, 0.5), _FATE[1:4], _OTHER[1:4]),
            expected=(_IDS[1:4], [IGNORED] * 3),
            note="nobody is chosen",
        ),
        Case(
            args=(_IDS[1:4], _SPECIAL[1:4], np.zeros(3), np.array([0.8, 0.9, 0.0]), _OTHER[1:4]),
            expected=([12, 23, MASK], _IDS[1:4]),
            note="all are chosen; at the borders",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _specials_too,
            "Special tokens are hidden too. [CLS] and [SEP] carry no word: never ask for them.",
        ),
        KnownWrong(
            _asked_everywhere,
            "Every place is a target. The model sees most of them, so copying is rewarded: only "
            "the chosen are asked for, the others are -100.",
        ),
        KnownWrong(
            _only_masked_asked,
            "Only what became [MASK] is asked for. The replaced and the kept are targets too: else "
            "nothing keeps the model from trusting all that it can see.",
        ),
        KnownWrong(
            _changed_asked,
            "A token that was chosen and kept is not asked for. It looks like any other, and that "
            "is the point of it.",
        ),
        KnownWrong(
            lambda *given: _hide(*given, shares=(1.0, 0.0)),
            "All that are chosen become [MASK], a token that no text holds when the model is used.",
        ),
        KnownWrong(
            lambda *given: _hide(*given, shares=(0.8, 0.2)),
            "A fifth of the chosen is replaced and none kept: the last tenth stays as it is.",
        ),
        KnownWrong(
            _fate_of_all,
            "Tokens that were not chosen are replaced too: fate is asked of the chosen alone.",
        ),
        KnownWrong(
            _targets_as_read,
            "The targets are taken from what the model reads. They are what stood there before.",
        ),
    ),
    hints=(
        "Three questions in order: who is chosen; what do they become; what is asked of whom?",
        "chosen = (luck < 0.15) & ~special. Both the read ids and the targets depend on it.",
        "np.where(chosen & (fate < 0.8), MASK, ids), then the same for 0.8 <= fate < 0.9.",
    ),
    notice="The kept tenth looks like a waste: the answer stands there. But the model cannot know "
    "that it does, so it must weigh every token it reads against what stands around it.",
)
