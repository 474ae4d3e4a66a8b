"""The rule that decides whether a claim of the paper holds here, as text and as code."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOLDS, FAILS, NOT_TRIED = "holds", "does not hold", "not tried yet"

#: Text of the rule on the page.
RULE = """Where the column *rule* names a registered claim, that claim decides: its rule was
committed before its runs, and [docs/claims.md](../docs/claims.md) shows it with its records. The
other claims were measured before the rules were registered, and follow one rule of this page.

A claim is then tested by the differences between our metric and those of the compared models
on the same test cases, each with a 95 % interval. It **holds** if every interval is above 0, for
every seed and every compared model. Otherwise it **does not hold**; the tables below say which
intervals are *below* 0, and which contain 0, so that the two models are *not distinguishable*. It
is **not tried yet** if `results/` has no file for it, or the file has no other model.

An interval is *paired* if the file contains an interval of the difference itself, over the same
users or rows. Otherwise the two intervals must not overlap (*separate*), which is a stricter test.
A published value without an interval is taken as exact. If we tried several settings, those run
with the most seeds count, and among equals the latest. Intervals are over users or rows; the
variation between seeds is visible from the seeds. There is no correction for the number of claims.
"""


@dataclass(frozen=True)
class Comparison:
    """Difference between our metric and that of another model, with a 95 % interval.

    Attributes:
        other: name of the other model.
        metric: name of the metric; higher is better.
        seed: seed of our model.
        mean: the difference, ours minus the other.
        low: lower bound of the interval.
        high: upper bound of the interval.
        paired: whether the interval is of the difference itself, over the same users or rows.

    Raises:
        ValueError: if the interval is missing.
    """

    other: str
    metric: str
    seed: int
    mean: float
    low: float
    high: float
    paired: bool

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.mean, self.low, self.high))):
            raise ValueError(
                f"{self.metric} against {self.other}, seed {self.seed}: a comparison needs an "
                f"interval, got {self.mean} ({self.low} to {self.high}); the file must have low "
                "and high for both models, or a row of their difference"
            )

    @property
    def outcome(self) -> str:
        """Return whether the interval is above, below or around 0."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "not distinguishable"


#: A value with the bounds of its interval.
Estimate = tuple[float, float, float]


def compare_intervals(
    other: str, metric: str, seed: int, ours: Estimate, baseline: Estimate
) -> Comparison:
    """Compare two values with separate intervals: above if the intervals do not overlap."""
    mean, low, high = ours[0] - baseline[0], ours[1] - baseline[2], ours[2] - baseline[1]
    return Comparison(other, metric, seed, mean, low, high, paired=False)


@dataclass(frozen=True)
class Evidence:
    """Our results on a claim.

    Attributes:
        figures: results to show, one phrase each.
        protocol: data, split, seeds and settings in a sentence.
        commands: commands that produced the results.
        comparisons: comparisons that decide the claim.
    """

    figures: tuple[str, ...]
    protocol: str
    commands: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def verdict(evidence: Evidence | None) -> str:
    """Apply ``RULE``."""
    if evidence is None or not evidence.comparisons:
        return NOT_TRIED
    return HOLDS if all(comparison.low > 0 for comparison in evidence.comparisons) else FAILS
