"""Simulation of organic events: those that shoppers make without a slate.

The loop runs over the index of an event within its shopper's history, at most 80 steps. Each step
draws this event for all shoppers that have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import Choice, draw
from m6rec_lite.data.bazaar.world import DAY, END, Shoppers, World, draw_shoppers
from m6rec_lite.data.ragged import offsets_of
from m6rec_lite.data.tables import EVENTS

STRAY = 127  #: cell in the hidden state of an event that served no intent
BASKET = 4  #: number of latest purchases that may be repeated


@dataclass(frozen=True, eq=False)
class Trail:
    """Organic events with their hidden state, sorted by shopper, then time.

    Attributes:
        offsets: ``(n_shoppers + 1,)`` int64; shopper ``u`` has rows ``offsets[u]:offsets[u + 1]``.
        item: ``(n,)`` int32, indices of items.
        at: ``(n,)`` int64 unix seconds, ascending within a shopper.
        event: ``(n,)`` int8, codes into ``EVENTS``.
        hidden: ``(n,)`` uint8: 128 times the current intent (0 or 1), plus its cell, or plus
            ``STRAY`` if the event served no intent.
    """

    offsets: np.ndarray
    item: np.ndarray
    at: np.ndarray
    event: np.ndarray
    hidden: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def shopper(self) -> np.ndarray:
        """``(n,)``: the index of each event's shopper."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def intent(self) -> np.ndarray:
        """``(n,)`` int8: the current intent of the shopper, 0 or 1."""
        return (self.hidden >> 7).astype(np.int8)

    @property
    def cell(self) -> np.ndarray:
        """``(n,)`` int16: the cell of the intent served, -1 where the event served none."""
        cell = (self.hidden & 127).astype(np.int16)
        return np.where(cell == STRAY, np.int16(-1), cell)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the events of all parts, whose shoppers follow each other."""
        columns = ("item", "at", "event", "hidden")
        return cls(
            offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in columns),
        )


def draw_times(world: World, rng: np.random.Generator) -> np.ndarray:
    """Draw the times of all events.

    Events of a session are minutes apart, sessions days; patient shoppers have longer sessions.

    Returns:
        ``(n_shoppers, most events)`` int64 unix seconds, ascending along rows.
    """
    shoppers = world.shoppers
    n, most = len(shoppers), int(shoppers.events.max())
    within = np.clip(rng.lognormal(np.log(150), 1.0, (n, most)), 5, 3600)
    stop = 1 / (2.5 + 6 * shoppers.patience)
    pause = rng.random((n, most)) < stop[:, None]
    pause[:, 0] = False
    counted = np.arange(most) < shoppers.events[:, None]
    raw = rng.exponential(size=(n, most)) * pause * counted
    min_pause = 0.3 * DAY
    duration = (END - shoppers.joined) * rng.uniform(0.5, 0.98, n)
    idle = duration - (within * counted).sum(axis=1) - min_pause * (pause & counted).sum(axis=1)
    scale = np.maximum(idle, 0) / np.maximum(raw.sum(axis=1), 1e-9)
    gaps = np.where(pause, min_pause + raw * scale[:, None], within)
    return shoppers.joined[:, None] + np.cumsum(np.ceil(gaps), axis=1).astype(np.int64)


class Simulation:
    """State of all shoppers between two events, with a method that draws the next event.

    Args:
        choice: choice probabilities of the world.
        rng: source of randomness.
    """

    def __init__(self, choice: Choice, rng: np.random.Generator) -> None:
        n = len(choice.world.shoppers)
        self.choice, self.rng = choice, rng
        self.intent = np.zeros(n, dtype=np.int64)
        self.cell = np.full((n, 2), -1)
        self.last = np.full((n, 2), -1)
        self.served = np.zeros((n, 2), dtype=np.int64)
        self.last_at = choice.world.shoppers.joined.copy()
        self.seen = np.zeros((n, choice.n_items), dtype=bool)
        self.basket = np.full((n, BASKET), -1)
        self.bought = np.zeros(n, dtype=np.int64)

    def step(
        self, shopper: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw the next event of some shoppers and update their state.

        Args:
            shopper: ``(n,)`` indices of shoppers.
            at: ``(n,)`` unix seconds.

        Returns:
            Item indices, hidden states (see ``Trail``) and whether the event is a purchase; each
            of shape ``(n,)``.
        """
        choice, rng, dials = self.choice, self.rng, self.choice.dials
        n = len(shopper)
        item = np.full(n, -1)
        draws = rng.random(n)
        stray = draws < dials.noise
        repeat = ~stray & (draws < dials.noise + dials.repeats) & (self.bought[shopper] > 0)
        n_released = choice.released(at[stray])
        index = (rng.random(len(n_released)) * n_released).astype(np.int64)
        item[stray] = choice.by_release[index]
        n_bought = np.minimum(self.bought[shopper[repeat]], BASKET)
        index = (rng.random(len(n_bought)) * n_bought).astype(np.int64)
        item[repeat] = self.basket[shopper[repeat], index]
        hidden = self.intent[shopper] * 128 + STRAY
        rows = np.flatnonzero(~stray & ~repeat)
        served = shopper[rows]
        item[rows] = self._serve(served, at[rows])
        hidden[rows] = self.intent[served] * 128 + self.cell[served, self.intent[served]]
        purchase = repeat | (rng.random(n) < choice.purchase_rate[item])
        repeatable = purchase & (choice.purchase_rate[item] > 0)
        buyer = shopper[repeatable]
        self.basket[buyer, self.bought[buyer] % BASKET] = item[repeatable]
        self.bought[buyer] += 1
        self.seen[shopper, item] = True
        self.last_at[shopper] = at
        return item, hidden.astype(np.uint8), purchase

    def _serve(self, shopper: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Draw intents, then items, of events that serve an intent; update the state."""
        choice, rng, n = self.choice, self.rng, len(shopper)
        switch = rng.random(n) < choice.switch_probability(at - self.last_at[shopper])
        intent = self.intent[shopper] ^ switch
        cell, last = self.cell[shopper, intent], self.last[shopper, intent]
        unchanged = rng.random(n) < choice.unchanged_probability(at - self.served[shopper, intent])
        new = np.flatnonzero((cell < 0) | ~unchanged)
        cell[new], last[new] = draw(choice.intent_distribution(shopper[new], at[new]), rng), -1
        items, member = choice.cell_items[cell], choice.cell_member[cell]
        seen = self.seen[shopper[:, None], items]
        odds = choice.item_odds(shopper, at, items, seen)
        probability = choice.item_distribution(
            shopper, last, items, member, odds, ~seen & (odds > 0)
        )
        item = items[np.arange(n), draw(probability, rng)]
        self.intent[shopper] = intent
        self.cell[shopper, intent], self.last[shopper, intent] = cell, item
        self.served[shopper, intent] = at
        return item


def simulate(choice: Choice, rng: np.random.Generator, *, progress: bool = True) -> Trail:
    """Draw the organic events of all shoppers."""
    shoppers, items = choice.world.shoppers, choice.world.items
    times = draw_times(choice.world, rng)
    most = times.shape[1]
    order = np.argsort(-shoppers.events, kind="stable")  # shoppers with an event t: a prefix
    item = np.zeros(times.shape, dtype=np.int32)
    hidden = np.zeros(times.shape, dtype=np.uint8)
    bought = np.zeros(times.shape, dtype=bool)
    state = Simulation(choice, rng)
    for t in tqdm(range(most), desc="bazaar: events", disable=not progress, leave=False):
        rows = order[: np.searchsorted(-shoppers.events[order], -t, side="left")]
        item[rows, t], hidden[rows, t], bought[rows, t] = state.step(rows, times[rows, t])
    real = np.arange(most) < shoppers.events[:, None]
    flat = item[real]
    event = _events(items.domain[flat], bought[real], items.quality[flat].mean(axis=1), rng)
    offsets = offsets_of(shoppers.events)
    return Trail(offsets, flat, times[real], event, hidden[real])


def draw_block(world: World, number: int) -> tuple[Shoppers, Trail]:
    """Draw further shoppers of a world, and their organic events.

    Args:
        world: a world; its own shoppers are not used.
        number: number of the block, which determines the random draws.

    Returns:
        ``world.dials.users`` shoppers, and their events.
    """
    seed = world.dials.seed
    shoppers = draw_shoppers(world.dials, np.random.default_rng([seed, 100, number]))
    choice = Choice(replace(world, shoppers=shoppers))
    rng = np.random.default_rng([seed, 101, number])
    return shoppers, simulate(choice, rng, progress=False)


def _events(
    domain: np.ndarray, bought: np.ndarray, quality: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return codes of events: purchase, or a draw of view, click, and like or cart by quality."""
    view, click, like, cart, purchase = (
        EVENTS.index(name) for name in ("view", "click", "like", "cart", "purchase")
    )
    draws = rng.random(len(domain)) - 0.15 * quality
    strong = np.where(domain == 0, cart, like)
    code = np.where(draws < 0.2, strong, np.where(draws < 0.7, click, view))
    return np.where(bought, purchase, code).astype(np.int8)
