"""Right answers to ``absolute_discounting``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.absolute_discounting import _variant


def _discounted(follows: dict[str, int], lower: dict[str, float], D: float) -> dict[str, float]:
    total = sum(follows.values())
    if not total:
        return dict(lower)
    gamma = D * len(follows) / total
    return {w: max(follows.get(w, 0) - D, 0) / total + gamma * p for w, p in lower.items()}


CORRECT = (
    _discounted,
    _variant(lambda c, d, g, p: c - d + g * p, lambda c, d, g, p: g * p),
)

EQUIVALENT = {
    "return {w: max(follows.get(w, -1) - D, 0) / total + gamma * p for w, p in lower.items()}": (
        "a negative count is cut to 0 as well"
    ),
}
