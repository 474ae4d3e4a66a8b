"""A stream of invented news about the interests of a bazaar, with topic and mood of each text.

A headline names its topic by words of the interest, and says that something rises or falls. The
same verbs occur in both moods: "sales will rise" is positive, "sales will not rise" is negative, so
a mood cannot be read from single words alone. A share of the labels is drawn at random, as two
readers of real news disagree.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.data.bazaar.words import INTERESTS
from m6rec_lite.data.bazaar.world import World

MOODS = ("negative", "neutral", "positive")
USUAL = (0.3, 0.4, 0.3)  #: share of each mood on usual days
NEGATED = 0.4  #: share of positive and negative texts that are negated
DISPUTED = 0.08  #: share of texts whose mood is drawn at random
_STREAM = 131  #: number of the random generator; see ``world.draw_world``

_SUBJECTS = ("sales of {} gear", "demand for {}", "the {} market", "interest in {}", "{} makers")
_RISE = ("rise", "grow", "recover", "improve")
_FALL = ("fall", "shrink", "slip", "weaken")
_VERBS = ("will {} this year", "should {} again", "could {}, traders say")
_NEGATED = ("will not {} this year", "should not {} again", "could not {}, traders say")
_NEUTRAL = (
    "will wait for new figures this year",
    "will neither {0} nor {1} this year",
    "could {0} or {1}, traders say",
)
_BY_THE_WAY = ("", "", ", after a look at {}", ", as the talk turned to {}")


def news(
    world: World,
    *,
    days: int = 120,
    per_day: int = 30,
    shock: int | None = None,
    shift: float = 0.15,
    seed: int = 0,
) -> pd.DataFrame:
    """Write a stream of news.

    Args:
        world: a world, such as ``dataset.oracle.world``; its seed enters the draws.
        days: number of days.
        per_day: texts a day.
        shock: day from which on more news are negative; None: no day is unusual.
        shift: share of texts that turn from positive or neutral to negative, from the shock on.
        seed: another seed is another stream.

    Returns:
        One row for each text, sorted by day: ``day`` (from 0), ``text``, ``topic`` (the name of an
        interest) and ``mood`` (of ``MOODS``).

    Raises:
        ValueError: if an argument is out of range.
    """
    names = [interest.name for interest in INTERESTS]
    if not 0 <= shift <= 1 - USUAL[0]:
        raise ValueError(f"shift must lie between 0 and {1 - USUAL[0]}, got {shift!r}")
    if days < 1 or per_day < 1:
        raise ValueError(f"days and per_day must be at least 1, got {days!r} and {per_day!r}")
    rng = np.random.default_rng([world.dials.seed, _STREAM, seed])
    n = days * per_day
    day = np.repeat(np.arange(days), per_day)
    about = rng.integers(len(names), size=n)
    mood = rng.choice(len(MOODS), size=n, p=USUAL)
    if shock is not None:
        turned = rng.random(n) < shift / (1 - USUAL[0])
        mood[turned & (day >= shock)] = 0
    draws = rng.random((n, 8))
    texts = [
        _text(int(a), int(m), row) for a, m, row in zip(about, mood, draws.tolist(), strict=True)
    ]
    disputed = rng.random(n) < DISPUTED
    mood[disputed] = rng.integers(len(MOODS), size=int(disputed.sum()))
    return pd.DataFrame(
        {
            "day": day,
            "text": texts,
            "topic": np.array(names, dtype=object)[about],
            "mood": np.array(MOODS, dtype=object)[mood],
        }
    )


def _text(topic: int, mood: int, draws: list[float]) -> str:
    """Return one headline; ``draws`` are eight numbers in [0, 1)."""
    own = _words(topic)
    subject = _pick(_SUBJECTS, draws[0]).format(_pick(own, draws[1]))
    rise, fall = _pick(_RISE, draws[2]), _pick(_FALL, draws[3])
    if MOODS[mood] == "neutral":
        verb = _pick(_NEUTRAL, draws[4]).format(rise, fall)
    elif draws[5] < NEGATED:
        verb = _pick(_NEGATED, draws[4]).format(fall if MOODS[mood] == "positive" else rise)
    else:
        verb = _pick(_VERBS, draws[4]).format(rise if MOODS[mood] == "positive" else fall)
    other = _pick(_words(int(draws[7] * len(INTERESTS))), draws[6])
    return f"{subject} {verb}{_pick(_BY_THE_WAY, draws[6] * 7 % 1).format(other)}"


def _words(topic: int) -> list[str]:
    """Return the English words of an interest: the shared ones, and those of every domain."""
    interest = INTERESTS[topic]
    own = [word for domain in range(len(DOMAINS)) for word, _ in interest.own[domain]]
    return [word for word, _ in interest.shared] + own


def _pick(options: tuple[str, ...] | list[str], draw: float) -> str:
    return options[int(draw * len(options))]
