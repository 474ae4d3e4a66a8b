"""Exercises of chapter 09 about writing only what exists: masks over tokens, and a trie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 09.4 Error hunt: a mask of zeros


def _softmax(logits: np.ndarray) -> np.ndarray:
    chances = np.exp(logits - logits.max())
    return chances / chances.sum()


def _constrained(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The right answer: what is forbidden has -inf."""
    return _softmax(np.where(allowed, logits, -np.inf))


def _shared_out(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    chances = _softmax(logits) * allowed
    return chances / chances.sum()


def _without_maximum(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        chances = np.where(allowed, np.exp(logits), 0.0)
        return chances / chances.sum()


_LOGITS = np.array([-3.0, 2.0, -4.0, -1.5])
_SOME = np.array([True, False, True, False])

MASKED_LOGITS = Exercise(
    id="09.4",
    title="A mask of zeros",
    answer="constrained",
    cases=(
        Case((_LOGITS, _SOME), _constrained(_LOGITS, _SOME), note="what is allowed is unlikely"),
        Case((_LOGITS, np.ones(4, dtype=bool)), _softmax(_LOGITS), note="all is allowed"),
        Case((_LOGITS, np.arange(4) == 2), [0.0, 0.0, 1.0, 0.0], note="one token is"),
        Case((-_LOGITS, _SOME), _constrained(-_LOGITS, _SOME), note="what is allowed is likely"),
        Case(
            (100 * _LOGITS, _SOME),
            _constrained(100 * _LOGITS, _SOME),
            note="what is allowed is most unlikely",
        ),
        Case(
            (_LOGITS + 1000, _SOME),
            _constrained(_LOGITS + 1000, _SOME),
            note="e to the 1000 is infinite",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda logits, allowed: _softmax(logits * allowed),
            "A logit of 0 is not a chance of 0: it is e⁰ = 1 before normalising, more than any "
            "negative logit has.",
        ),
        KnownWrong(
            lambda logits, allowed: _softmax(logits) * allowed,
            "What is left does not add up to 1: divide by its sum, or mask before the softmax.",
        ),
        KnownWrong(
            lambda logits, allowed: _constrained(logits, ~allowed | allowed.all()),
            "The mask is turned round: `allowed` is True where a token may come.",
        ),
        KnownWrong(
            lambda logits, allowed: _softmax(np.where(allowed, logits, -1.0)),
            "A small logit is still a chance. Only -inf is none.",
        ),
        KnownWrong(
            lambda logits, allowed: _softmax(np.where(allowed, logits, -100.0)),
            "-100 is a small logit, and still larger than -300. Only -inf is no chance.",
        ),
        KnownWrong(
            _without_maximum,
            "The numbers overflow: e to the 1000 is infinite, and infinite over infinite is NaN. "
            "Take the largest logit off first.",
        ),
        KnownWrong(
            lambda logits, allowed: (
                np.where(allowed, logits, -np.inf) == logits[allowed].max()
            ).astype(float),
            "That is the likeliest token alone. Wanted are the chances of all of them.",
        ),
    ),
    correct_alternatives=(_constrained, _shared_out),
    hints=(
        "What is exp(0)? And what is exp(-inf)?",
        "np.where(allowed, logits, -np.inf), then the softmax.",
        "The forbidden token must have exactly 0, and all together 1.",
    ),
    notice="It is also what the model thinks, given that only these may come: chances among the "
    "allowed keep their ratios.",
)


# 09.5 What may come next, by a trie

Titles = Sequence[Sequence[int]]


def _follow(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    """The right answer."""
    n = len(begun)
    ended = [(*title, end) for title in titles]
    return sorted({one[n] for one in ended if len(one) > n and list(one[:n]) == list(begun)})


def _follow_by_trie(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    root: dict[int, dict] = {}
    for title in titles:
        node = root
        for token in (*title, end):
            node = node.setdefault(token, {})
    for token in begun:
        if token not in root:
            return []
        root = root[token]
    return sorted(root)


def _without_end(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    return [token for token in _follow(titles, begun, end) if token != end]


def _end_alone(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    found = _follow(titles, begun, end)
    return [end] if end in found else found


def _any_branch(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    n = len(begun)
    if not _follow(titles, begun, end):
        return []
    return sorted({(*title, end)[n] for title in titles if len(title) >= n})


def _always_end(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    return sorted({*_follow(titles, begun, end), end})


def _repeated(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    n = len(begun)
    ended = [(*title, end) for title in titles]
    return sorted(one[n] for one in ended if len(one) > n and list(one[:n]) == list(begun))


def _from_the_start(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    return _follow(titles, begun, end) or _follow(titles, [], end)


def _by_the_last_two(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    n = len(begun)
    ended = [(*title, end) for title in titles]
    return sorted(
        {one[n] for one in ended if len(one) > n and list(one[:n])[-2:] == list(begun)[-2:]}
    )


_TITLES = [[11, 12, 13], [11, 14, 15], [11, 14, 15, 16, 17], [18, 15, 12], [19, 14, 15, 20]]

TRIE = Exercise(
    id="09.5",
    title="What may come next, by a trie",
    answer="may_follow",
    cases=tuple(
        Case((_TITLES, begun, 2), _follow(_TITLES, begun, 2), note=note)
        for begun, note in (
            ([], "nothing is written yet"),
            ([11], "two titles go on alike"),
            ([11, 14, 15], "a whole title, and the beginning of a longer one"),
            ([11, 12, 13], "a whole title"),
            ([11, 15], "no title begins so"),
            ([19, 14, 15], "two titles have the same two tokens here, behind another first"),
            ([11, 12, 13, 2], "the title has ended"),
        )
    ),
    known_wrong=(
        KnownWrong(
            _without_end,
            "The end is missing: where a title is whole, `end` may follow, or nothing ever ends.",
        ),
        KnownWrong(
            _end_alone,
            "A title may begin another: where one is whole, the longer one may still go on.",
        ),
        KnownWrong(
            _any_branch,
            "Tokens of other branches: only titles that begin with *all* of what is written count.",
        ),
        KnownWrong(
            _by_the_last_two,
            "Only the last two tokens are compared: a title that begins otherwise goes on there, "
            "too. Compare everything that is written.",
        ),
        KnownWrong(
            _always_end,
            "`end` may follow only where a title is whole; elsewhere half a title would end.",
        ),
        KnownWrong(
            _from_the_start,
            "What begins no title has nothing to follow: return an empty list, do not begin anew.",
        ),
        KnownWrong(
            _repeated,
            "A token comes several times. Each may follow or may not: name it once.",
        ),
    ),
    correct_alternatives=(_follow, _follow_by_trie),
    hints=(
        "Put `end` behind every title first; then one rule is enough.",
        "Which titles begin with `begun`? Their next token may follow.",
        "A set names each token once; sorted() makes a list of it.",
    ),
    notice="Going through all titles for every token is slow; a trie walks one edge instead, "
    "whatever the size of the catalogue.",
)
