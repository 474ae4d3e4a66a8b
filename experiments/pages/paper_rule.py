"""The rule that decides whether a claim of the paper holds here, in words and in code."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOLDS, FAILS, NOT_TRIED = "holds", "does not hold", "not tried yet"

#: Shown on the page.
RULE = """A claim comes down to differences between ours and a rival's figure on the same questions,
each with a 95 % interval. It **holds** if every interval lies above 0, for every seed and every
rival that is asked for. It **does not hold** otherwise; the tables below say which intervals lie
*below* 0, and which hold it, so that ours and the rival are *not told apart*. It is **not tried
yet** where `results/` has no file on it, or the file has no rival.

An interval is *paired* where the file holds one of the difference itself, over the same users or
rows. Otherwise the two intervals must not overlap (*apart*), which asks for more. A figure from
elsewhere without an interval is taken as exact. Of several settings of ours that were tried, those
run with the most seeds count, and of equals the ones run last. Intervals are over users or rows;
what another seed does is seen from the seeds. No correction is made for the number of claims.
"""


@dataclass(frozen=True)
class Comparison:
    """Ours less a rival's, with the ends of a 95 % interval.

    Attributes:
        rival: whose.
        metric: of what; more is better.
        seed: of ours.
        mean: the difference.
        low: lower end.
        high: upper end.
        paired: whether the interval is of the difference itself, over the same users or rows.

    Raises:
        ValueError: without an interval, by which alone it could be judged.
    """

    rival: str
    metric: str
    seed: int
    mean: float
    low: float
    high: float
    paired: bool

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.mean, self.low, self.high))):
            raise ValueError(
                f"{self.metric} against {self.rival}, seed {self.seed}: nothing is decided without "
                f"an interval, got {self.mean} ({self.low} to {self.high}); let the run that "
                "writes the file give low and high for ours and for the rival, or a row of their "
                "difference"
            )

    @property
    def says(self) -> str:
        """Return where the interval lies."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "not told apart"


#: A figure and the ends of its interval.
Figure = tuple[float, float, float]


def apart(rival: str, metric: str, seed: int, ours: Figure, other: Figure) -> Comparison:
    """Compare two figures with an interval each: above if the intervals do not overlap."""
    ends = (ours[1] - other[2], ours[2] - other[1])
    return Comparison(rival, metric, seed, ours[0] - other[0], *ends, paired=False)


@dataclass(frozen=True)
class Ours:
    """What was measured on a claim.

    Attributes:
        figures: to be shown, a phrase each.
        protocol: data, split, seeds and settings in a sentence.
        commands: that made it.
        comparisons: that decide.
    """

    figures: tuple[str, ...]
    protocol: str
    commands: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def verdict(ours: Ours | None) -> str:
    """Apply ``RULE``."""
    if ours is None or not ours.comparisons:
        return NOT_TRIED
    return HOLDS if all(one.low > 0 for one in ours.comparisons) else FAILS
