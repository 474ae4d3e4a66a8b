"""Parameters of the bazaar: one number for each effect of the simulated world.

An ablation switches an effect off, generates the data again, and compares models on both. The
defaults generate the world that ships in ``datasets/bazaar``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

#: Changes whenever the same parameters and seed would generate another world.
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
    """Parameters of a world; ``bazaar.generate`` takes each as a keyword argument.

    ``Off:`` gives the value that switches an effect off.

    Attributes:
        users: number of shoppers, or of each block of them.
        items: number of items, at least 60.
        seed: seed of every random draw.
        blocks: number of blocks of shoppers. The first block and all its rows do not depend on the
            number of blocks: each further block is drawn by random generators of its own.
        drift: share of a shopper's taste that changes between joining and the last day. Off: 0.
        season: exponent of the monthly factors of interests. Off: 0.
        weather: exponent of the weather's factors of interests. Off: 0.
        weekday: exponent of the weekdays' factors of domains. Off: 0.
        breadth: mean number of interests in a shopper's taste, at least 2.
        roaming: concentration of the Dirichlet distribution of a shopper's domains.
        switch: probability that the next event serves the other of two intents; 0.5 after a
            pause of more than six hours. Off: 0 (one intent at a time).
        persistence: probability that an intent is unchanged at its next event of the same session.
            Off: 0 (every event draws its intent from the taste).
        memory: factor of ``persistence`` if the intent's last event is in an earlier session. With
            1 the pauses between events carry no information.
        complements: probability that the next item of an intent is of the kind that complements
            the last one (boots, then poles). Off: 0.
        series: probability that a patient shopper takes the next part of a series. Off: 0.
        repeats: probability that an event repeats an earlier purchase. Off: 0.
        revisits: odds of an item already met, relative to a new one. Off: 1.
        style: odds of an item of the shopper's own style. Off: 1.
        level: odds of an item of the shopper's own level. Off: 1.
        price: strength of the effect of price on price-sensitive shoppers. Off: 0.
        loyalty: factor of the shoppers' loyalty to the creator of an intent's last item. Off: 0.
        curiosity: factor of the shoppers' curiosity, the share of intents not drawn from their
            taste. Off: 0.
        noise: probability that an event is a uniform draw from the catalogue. Off: 0.
        zipf: exponent of the items' popularity at equal relevance. Off: 0.
        freshness: odds of an item released in the last 45 days. Off: 1.
        chinese: share of shoppers and creators whose locale is Chinese. Off: 0.
        late: share of items released after the first day of the log. Off: 0.
        new_users: share of shoppers who join in the last month and have 1 to 7 events. Off: 0.
        position_bias: exponent of the examination probability of a slate's positions,
            ``1 / (position + 1) ** position_bias``. Off: 0.
        slates: mean number of slates shown to a shopper. Off: 0.
    """

    users: int = 4600
    items: int = 900
    seed: int = 0
    blocks: int = 1
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
        for name, least in (("users", 1), ("items", 60), ("seed", 0), ("blocks", 1)):
            value = getattr(self, name)
            if value != int(value) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value}")

    @classmethod
    def of(cls, **values: Any) -> Dials:
        """Return parameters with some values replaced.

        Raises:
            ValueError: if a name is unknown (the message lists the known ones) or a value is out
                of range.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"no such dial: {', '.join(unknown)}; the dials are {', '.join(known)}"
            )
        return cls(**values)

    def as_dict(self) -> dict[str, float]:
        """Return all parameters by name."""
        return asdict(self)
