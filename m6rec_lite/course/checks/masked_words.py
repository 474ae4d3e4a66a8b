"""Exercises 07.1 and 07.2: hiding tokens by 80/10/10, and the loss over those asked for alone."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

#: The ids of the exercise: what hides a token, and the target of one that is not asked for.
MASK, IGNORED = 4, -100

Pair = tuple[np.ndarray, np.ndarray]

# 07.1 Hide by 80/10/10


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


def _one_by_one(ids, special, luck, fate, other) -> tuple[list[int], list[int]]:
    read, targets = [], []
    for token, mark, lot, way, chance in zip(ids, special, luck, fate, other, strict=True):
        asked = lot < 0.15 and not mark
        targets.append(int(token) if asked else IGNORED)
        if asked and way < 0.8:
            read.append(MASK)
        else:
            read.append(int(chance) if asked and way < 0.9 else int(token))
    return read, targets


_IDS = np.array([1, 57, 23, 88, 40, 62, 35, 2])
_SPECIAL = np.array([True, False, False, False, False, False, False, True])
_LUCK = np.array([0.02, 0.09, 0.50, 0.14, 0.03, 0.15, 0.99, 0.10])
_FATE = np.array([0.40, 0.79, 0.10, 0.85, 0.95, 0.30, 0.84, 0.20])
_OTHER = np.array([11, 12, 13, 14, 15, 16, 17, 18])

HIDE = Exercise(
    id="07.1",
    title="Hide by 80/10/10",
    answer="hide",
    cases=(
        Case(
            args=(_IDS, _SPECIAL, _LUCK, _FATE, _OTHER),
            wanted=(
                [1, MASK, 23, 14, 40, 62, 35, 2],
                [IGNORED, 57, IGNORED, 88, 40, IGNORED, IGNORED, IGNORED],
            ),
            note="one masked, one replaced, one kept",
        ),
        Case(
            args=(_IDS[1:4], _SPECIAL[1:4], np.full(3, 0.5), _FATE[1:4], _OTHER[1:4]),
            wanted=(_IDS[1:4], [IGNORED] * 3),
            note="nobody is chosen",
        ),
        Case(
            args=(_IDS[1:4], _SPECIAL[1:4], np.zeros(3), np.array([0.8, 0.9, 0.0]), _OTHER[1:4]),
            wanted=([12, 23, MASK], _IDS[1:4]),
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
    correct_alternatives=(_hide, _one_by_one),
    hints=(
        "Three questions in order: who is chosen; what do they become; what is asked of whom?",
        "chosen = (luck < 0.15) & ~special. Both the read ids and the targets depend on it.",
        "np.where(chosen & (fate < 0.8), MASK, ids), then the same for 0.8 <= fate < 0.9.",
    ),
    notice="The kept tenth looks like a waste: the answer stands there. But the model cannot know "
    "that it does, so it must weigh every token it reads against what stands around it.",
)


# 07.2 Error hunt: the loss that fell too well


def _masked_loss(log_p: np.ndarray, ids: np.ndarray, asked: np.ndarray) -> float:
    rows = np.flatnonzero(asked)
    return float(-log_p[rows, np.asarray(ids)[rows]].mean())


def _each(log_p: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,): the logarithm of what each place gives to its own token."""
    return log_p[np.arange(len(ids)), ids]


_P = np.array(
    [
        [0.97, 0.01, 0.01, 0.01],
        [0.25, 0.25, 0.25, 0.25],
        [0.01, 0.01, 0.97, 0.01],
        [0.10, 0.20, 0.20, 0.50],
        [0.01, 0.97, 0.01, 0.01],
    ]
)
_WORDS = np.array([0, 3, 2, 0, 1])
_ASKED = np.array([False, True, False, True, False])

MASKED_LOSS = Exercise(
    id="07.2",
    title="The loss that fell too well",
    answer="masked_loss",
    cases=(
        Case(
            args=(np.log(_P), _WORDS, _ASKED),
            wanted=(np.log(4) + np.log(10)) / 2,
            note="two of five are asked for",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.array([False, True, False, False, False])),
            wanted=np.log(4),
            note="one of five",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.ones(5, dtype=bool)),
            wanted=float(-_each(np.log(_P), _WORDS).mean()),
            note="all are asked for",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda log_p, ids, asked: float(-_each(log_p, ids).mean()),
            "All places count. At most of them the model reads the answer, so that copying brings "
            "the loss near 0: count those asked for alone.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-(_each(log_p, ids) * asked).mean()),
            "The sum is over those asked for, and the count is of all: fewer questions would mean "
            "a smaller loss.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-(_each(log_p, ids) * asked).sum()),
            "That is the sum; a batch with more questions would weigh more. Take the mean.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: -_masked_loss(log_p, ids, asked),
            "The sign: logarithms of chances are negative, and a loss is not.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(
                -(_each(log_p, ids) * ~asked).sum() / max(1, (~asked).sum())
            ),
            "The mask is turned round: this counts the places whose answer is in plain sight.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-log_p[asked].max(axis=1).mean()),
            "That is how sure the model is of its own favourite, right or wrong.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-np.log(np.exp(_each(log_p, ids)[asked]).mean())),
            "The logarithm of the mean is not the mean of the logarithms.",
        ),
    ),
    correct_alternatives=(
        _masked_loss,
        lambda log_p, ids, asked: (
            -sum(log_p[i, ids[i]] for i in range(len(ids)) if asked[i]) / sum(asked)
        ),
    ),
    hints=(
        "At how many places of the example is there anything to guess?",
        "log_p[np.arange(len(ids)), ids] is what each place gives to its own token.",
        "Choose the places asked for, take the mean, turn the sign.",
    ),
    notice="The slip has no other symptom than a loss near 0 within minutes, and vectors that are "
    "good for nothing. Compare with what knows nothing: ln(vocabulary), or the word counts.",
)
