"""The dials of the bazaar: every effect of the simulated world, with the value that turns it off.

Each effect is one number, so that a chapter can turn it off, generate again, and see what a model
loses. The defaults are the world that ships in ``datasets/bazaar``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

#: Changes whenever the same dials and seed would give another world.
WORLD_VERSION = "1"

_SHARES = (
    "drift", "switch", "persistence", "memory", "complements", "series", "repeats",
    "loyalty", "noise", "chinese", "late", "new_users",
)  # fmt: skip
_EXPONENTS = (
    "season", "weather", "weekday", "price", "curiosity", "zipf", "position_bias", "slates",
)  # fmt: skip
_ODDS = ("breadth", "roaming", "revisits", "style", "level", "freshness")


@dataclass(frozen=True)
class Dials:
    """What the world is made of; ``bazaar.generate`` takes each of these by name.

    Attributes:
        users: number of shoppers.
        items: number of items, at least 60.
        seed: of every draw.
        drift: share of a shopper's taste that is replaced between joining and the end. Off: 0.
        season: exponent on the months' multipliers of interests. Off: 0.
        weather: exponent on the weather's multipliers of interests. Off: 0.
        weekday: exponent on the weekdays' multipliers of domains. Off: 0.
        breadth: mean number of interests in a shopper's taste, at least 2.
        roaming: evenness of a shopper's domains (a Dirichlet's concentration).
        switch: probability that the next event serves the other of two intents; after a long
            pause it is a half. Off: 0 (one intent at a time).
        persistence: probability that an intent resumed within minutes is still the same one.
            Off: 0 (every event draws its intent anew from the taste).
        memory: factor on ``persistence`` where an intent was last served in an earlier session.
            1 makes the pauses between events say nothing.
        complements: probability that the next item of an intent is of the kind that goes with the
            last one (boots, then poles). Off: 0.
        series: probability that a patient shopper takes the next part of a series. Off: 0.
        repeats: probability that an event is a purchase made again. Off: 0.
        revisits: how likely an item already met is met again, relative to a new one. 1: no habit.
        style: odds of an item of the shopper's own style. Off: 1.
        level: odds of an item of the shopper's own level. Off: 1.
        price: how strongly price deters the price-sensitive. Off: 0.
        loyalty: share of shoppers' loyalty to the creator of an intent's last item. Off: 0.
        curiosity: factor on the shoppers' curiosity, the share of intents not drawn from their
            taste. Off: 0.
        noise: probability of an event that any item of the catalogue serves equally. Off: 0.
        zipf: exponent of the items' popularity at equal relevance. Off: 0.
        freshness: odds of an item released in the last 45 days. Off: 1.
        chinese: share of shoppers and creators whose locale is Chinese. Off: 0.
        late: share of items released while the log already runs. Off: 0.
        new_users: share of shoppers who join in the last month and have 1 to 7 events. Off: 0.
        position_bias: exponent of the examination of a slate's positions,
            ``1 / (position + 1) ** position_bias``. Off: 0.
        slates: mean number of slates shown to a shopper. Off: 0.
    """

    users: int = 4600
    items: int = 900
    seed: int = 0
    drift: float = 0.3
    season: float = 1.0
    weather: float = 1.0
    weekday: float = 1.0
    breadth: float = 10.0
    roaming: float = 20.0
    switch: float = 0.5
    persistence: float = 0.75
    memory: float = 0.7
    complements: float = 0.15
    series: float = 0.3
    repeats: float = 0.04
    revisits: float = 0.05
    style: float = 12.0
    level: float = 5.0
    price: float = 1.0
    loyalty: float = 1.0
    curiosity: float = 1.0
    noise: float = 0.05
    zipf: float = 0.8
    freshness: float = 1.5
    chinese: float = 0.12
    late: float = 0.2
    new_users: float = 0.05
    position_bias: float = 0.7
    slates: float = 4.0

    def __post_init__(self) -> None:
        for names, low, high, hint in (
            (_SHARES, 0.0, 1.0, "lie between 0 and 1"),
            (_EXPONENTS, 0.0, np.inf, "be 0 (off) or more"),
            (_ODDS, 1e-6, np.inf, "be above 0 (1 turns an odds off)"),
        ):
            for name in names:
                value = getattr(self, name)
                if not (low <= value <= high and np.isfinite(value)):
                    raise ValueError(f"{name} must {hint}, not {value}")
        if self.noise + self.repeats > 1:
            raise ValueError(f"noise and repeats sum to {self.noise + self.repeats}, more than 1")
        for name, least in (("users", 1), ("items", 60), ("seed", 0)):
            value = getattr(self, name)
            if value != int(value) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value}")

    @classmethod
    def of(cls, **given: Any) -> Dials:
        """The dials with some turned; an unknown name raises and lists the known ones."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(
                f"no such dial: {', '.join(unknown)}; the dials are {', '.join(known)}"
            )
        return cls(**given)

    def as_dict(self) -> dict[str, float]:
        """All dials by name, for a file."""
        return asdict(self)
