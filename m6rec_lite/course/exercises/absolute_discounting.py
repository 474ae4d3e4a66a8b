"""Exercise ``absolute_discounting``: absolute discounting of one context."""

from __future__ import annotations

from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Counted = dict[str, int]
Shares = dict[str, float]


def _variant(
    seen: Callable[[float, float, float, float], float],
    unseen: Callable[[float, float, float, float], float],
) -> Callable[[Counted, Shares, float], Shares]:
    """Another estimate: of ``(c, D, gamma, lower)``, for words that followed and that did not."""

    def discounted(follows: Counted, lower: Shares, D: float) -> Shares:
        total = sum(follows.values())
        if not total:
            return dict(lower)
        gamma = D * len(follows) / total
        return {
            w: seen(follows[w] / total, D / total, gamma, p)
            if w in follows
            else unseen(0.0, D / total, gamma, p)
            for w, p in lower.items()
        }

    return discounted


def _katz(follows: Counted, lower: Shares, D: float) -> Shares:
    """Back-off: what is set aside goes only to the words that did not follow."""
    total = sum(follows.values())
    if not total:
        return dict(lower)
    rest = sum(p for w, p in lower.items() if w not in follows)
    gamma = D * len(follows) / total
    return {
        w: (follows[w] - D) / total if w in follows else gamma * p / rest for w, p in lower.items()
    }


_LOWER = {"boots": 0.2, "poles": 0.2, "good": 0.5, "not": 0.1}

EXERCISE = Exercise(
    id="absolute_discounting",
    title="Absolute discounting of one context",
    cases=(
        Case(
            args=({"boots": 2, "poles": 1}, _LOWER, 0.75),
            expected={"boots": 1.25 / 3 + 0.1, "poles": 0.25 / 3 + 0.1, "good": 0.25, "not": 0.05},
            note="after 'the'",
        ),
        Case(
            args=({"good": 5, "not": 2}, _LOWER, 0.5),
            expected={"boots": 0.2 / 7, "poles": 0.2 / 7, "good": 5 / 7, "not": 1.6 / 7},
        ),
        Case(
            args=({"good": 4}, _LOWER, 1.0),
            expected={"boots": 0.05, "poles": 0.05, "good": 0.875, "not": 0.025},
        ),
        Case(args=({}, _LOWER, 0.75), expected=_LOWER, note="nothing ever followed"),
    ),
    known_wrong=(
        KnownWrong(
            _variant(lambda c, d, g, p: c + g * p, lambda c, d, g, p: g * p),
            "Nothing is taken from the counts, and yet something is given away: the result sums to "
            "more than one. Subtract D from every count above zero.",
        ),
        KnownWrong(
            _variant(lambda c, d, g, p: c - d, lambda c, d, g, p: g * p),
            "Words that followed get no share of the order below, so the sum stays below one. "
            "gamma * lower is added for every word (interpolation).",
        ),
        KnownWrong(
            _katz,
            "That is back-off: the share goes to unseen words alone. It sums to one, but the "
            "formula interpolates: every word gets gamma * lower.",
        ),
        KnownWrong(
            _variant(
                lambda c, d, g, p: c - d + d * p,
                lambda c, d, g, p: d * p,
            ),
            "gamma gives back D once. D was taken from each of the T different followers: "
            "gamma = D * T / c(h).",
        ),
        KnownWrong(
            lambda follows, lower, D: {
                w: max(follows.get(w, 0) - D, 0) / max(sum(follows.values()), 1) + D * p
                for w, p in lower.items()
            },
            "gamma is D itself. It is what was taken in all: D from each of T followers, so "
            "D * T / c(h).",
        ),
        KnownWrong(
            _variant(lambda c, d, g, p: c - d + g * p, lambda c, d, g, p: g * p - d),
            "D is subtracted from counts of zero too, and probabilities turn negative: "
            "max(c - D, 0).",
        ),
    ),
    hints=(
        "How much is taken in all, if D is taken from each of T different followers?",
        "alpha = max(c - D, 0) / c(h); gamma = D * T / c(h); the answer is alpha + gamma * lower.",
        "With no followers at all, return the order below as it is.",
    ),
    notice="Each answer sums to one: what is taken is given away, to the last crumb. With D = 1 a "
    "follower seen once is worth no more than the order below thinks of it.",
)
