"""Exercise ``allowed_next_tokens``: what may come next, by a trie."""

from __future__ import annotations

from collections.abc import Sequence

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Titles = Sequence[Sequence[int]]


def _follow(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    """The right answer."""
    n = len(begun)
    ended = [(*title, end) for title in titles]
    return sorted({one[n] for one in ended if len(one) > n and list(one[:n]) == list(begun)})


def _without_end(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    return [token for token in _follow(titles, begun, end) if token != end]


def _end_alone(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    following = _follow(titles, begun, end)
    return [end] if end in following else following


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


def _first_match(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    return [_unsorted(titles, begun, end)[0]] if _unsorted(titles, begun, end) else []


def _unsorted(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    n = len(begun)
    ended = [(*title, end) for title in titles]
    return list(dict.fromkeys(t[n] for t in ended if len(t) > n and list(t[:n]) == list(begun)))


_TITLES = [[11, 12, 13], [11, 14, 15], [11, 14, 15, 16, 17], [18, 15, 12], [19, 14, 15, 20]]

EXERCISE = Exercise(
    id="allowed_next_tokens",
    title="What may come next, by a trie",
    cases=(
        *(
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
        Case(([[9, 5], [9, 3]], [9], 2), [3, 5], note="the smaller id comes later"),
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
            _first_match,
            "Only the first title that begins so is followed. Others may begin so, too.",
        ),
        KnownWrong(_unsorted, "The ids are not sorted: return sorted(…)."),
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
        KnownWrong(
            lambda titles, begun, end: sorted(
                {
                    b
                    for t in titles
                    for a, b in zip(t, [*t[1:], end], strict=True)
                    if a in begun[-1:]
                }
            ),
            "Only the last token is compared, as a bigram would. Compare everything that is "
            "written, from the first token on.",
        ),
        KnownWrong(
            lambda titles, begun, end: set(_follow(titles, begun, end)),
            "That is a set, which has no order. Return a list: sorted(…).",
        ),
    ),
    hints=(
        "Put `end` behind every title first; then one rule is enough.",
        "Which titles begin with `begun`? Their next token may follow.",
        "A set names each token once; sorted() makes a list of it.",
    ),
    notice="Going through all titles for every token is slow; a trie walks one edge instead, "
    "whatever the size of the catalogue.",
)
