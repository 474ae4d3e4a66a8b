"""What shoppers do of their own accord: one event after another, all shoppers side by side.

The loop runs over the number of an event within its shopper's life, at most 80 steps, and each
step draws that event for every shopper who has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import Choice, draw
from m6rec_lite.data.bazaar.world import DAY, END, World
from m6rec_lite.data.ragged import offsets_of
from m6rec_lite.data.tables import EVENTS

STRAY = 127  #: in the hidden state: this event served no intent
BASKET = 4  #: how many of the latest purchases may be made again


@dataclass(frozen=True, eq=False)
class Trail:
    """Organic events of shoppers, by shopper, then time; and what hid behind each.

    Attributes:
        offsets: ``(n_shoppers + 1,)`` int64; shopper ``u`` made rows ``offsets[u]:offsets[u + 1]``.
        item: ``(n,)`` int32, places of items.
        at: ``(n,)`` int64 unix seconds, ascending within a shopper.
        event: ``(n,)`` int8, codes into ``EVENTS``.
        hidden: ``(n,)`` uint8: 128 times the intent served (0 or 1), plus its cell; where the
            event served none, plus ``STRAY``.
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
        """``(n,)``: the place of each event's shopper."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def intent(self) -> np.ndarray:
        """``(n,)``: which of the two intents, 0 or 1."""
        return (self.hidden >> 7).astype(np.int8)

    @property
    def cell(self) -> np.ndarray:
        """``(n,)`` int16: the cell wanted, -1 where the event served no intent."""
        cell = (self.hidden & 127).astype(np.int16)
        return np.where(cell == STRAY, np.int16(-1), cell)


def draw_times(world: World, rng: np.random.Generator) -> np.ndarray:
    """``(n_shoppers, most events)`` int64 unix seconds, rising along rows.

    Sessions of a few minutes a step, longer for the patient; days between sessions.
    """
    shoppers = world.shoppers
    n, most = len(shoppers), int(shoppers.events.max())
    within = np.clip(rng.lognormal(np.log(150), 1.0, (n, most)), 5, 3600)
    stop = 1 / (2.5 + 6 * shoppers.patience)
    pause = rng.random((n, most)) < stop[:, None]
    pause[:, 0] = False
    counted = np.arange(most) < shoppers.events[:, None]
    raw = rng.exponential(size=(n, most)) * pause * counted
    least = 0.3 * DAY
    left = (END - shoppers.joined) * rng.uniform(0.5, 0.98, n)
    idle = left - (within * counted).sum(axis=1) - least * (pause & counted).sum(axis=1)
    scale = np.maximum(idle, 0) / np.maximum(raw.sum(axis=1), 1e-9)
    gaps = np.where(pause, least + raw * scale[:, None], within)
    return shoppers.joined[:, None] + np.cumsum(np.ceil(gaps), axis=1).astype(np.int64)


class Simulation:
    """The state of all shoppers between two events, and the step from one to the next."""

    def __init__(self, choice: Choice, rng: np.random.Generator) -> None:
        n = len(choice.world.shoppers)
        self.choice, self.rng = choice, rng
        self.intent = np.zeros(n, dtype=np.int64)
        self.cell = np.full((n, 2), -1)
        self.last = np.full((n, 2), -1)
        self.served = np.zeros((n, 2), dtype=np.int64)
        self.before = choice.world.shoppers.joined.copy()
        self.seen = np.zeros((n, choice.n_items), dtype=bool)
        self.basket = np.full((n, BASKET), -1)
        self.bought = np.zeros(n, dtype=np.int64)

    def step(self, who: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw the next event of the shoppers ``who`` at ``at``: items, hidden bytes, purchases."""
        choice, rng, dials = self.choice, self.rng, self.choice.dials
        n = len(who)
        item = np.full(n, -1)
        luck = rng.random(n)
        stray = luck < dials.noise
        again = ~stray & (luck < dials.noise + dials.repeats) & (self.bought[who] > 0)
        out = choice.released(at[stray])
        item[stray] = choice.by_release[(rng.random(len(out)) * out).astype(np.int64)]
        kept = np.minimum(self.bought[who[again]], BASKET)
        item[again] = self.basket[who[again], (rng.random(len(kept)) * kept).astype(np.int64)]
        hidden = self.intent[who] * 128 + STRAY
        meant = np.flatnonzero(~stray & ~again)
        item[meant] = self._serve(who[meant], at[meant])
        served = who[meant]
        hidden[meant] = self.intent[served] * 128 + self.cell[served, self.intent[served]]
        purchase = again | (rng.random(n) < choice.buys[item])
        buyer = who[purchase & (choice.buys[item] > 0)]
        self.basket[buyer, self.bought[buyer] % BASKET] = item[purchase & (choice.buys[item] > 0)]
        self.bought[buyer] += 1
        self.seen[who, item] = True
        self.before[who] = at
        return item, hidden.astype(np.uint8), purchase

    def _serve(self, who: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Draw intents, then items, for events that serve an intent; remember both."""
        choice, rng = self.choice, self.rng
        turn = rng.random(len(who)) < choice.switches(at - self.before[who])
        intent = self.intent[who] ^ turn
        cell, last = self.cell[who, intent], self.last[who, intent]
        stays = rng.random(len(who)) < choice.persists(at - self.served[who, intent])
        new = np.flatnonzero((cell < 0) | ~stays)
        cell[new], last[new] = draw(choice.wants(who[new], at[new]), rng), -1
        items, member = choice.cell_items[cell], choice.cell_member[cell]
        seen = self.seen[who[:, None], items]
        odds = choice.likes(who, at, items, seen)
        chances = choice.follows(who, last, items, member, odds, ~seen & (odds > 0))
        item = items[np.arange(len(who)), draw(chances, rng)]
        self.intent[who], self.cell[who, intent], self.last[who, intent] = intent, cell, item
        self.served[who, intent] = at
        return item


def simulate(choice: Choice, rng: np.random.Generator, *, progress: bool = True) -> Trail:
    """Draw every shopper's organic events."""
    shoppers, items = choice.world.shoppers, choice.world.items
    times = draw_times(choice.world, rng)
    most = times.shape[1]
    order = np.argsort(-shoppers.events, kind="stable")  # who has a step t is a prefix of it
    item = np.zeros(times.shape, dtype=np.int32)
    hidden = np.zeros(times.shape, dtype=np.uint8)
    bought = np.zeros(times.shape, dtype=bool)
    state = Simulation(choice, rng)
    for t in tqdm(range(most), desc="bazaar: events", disable=not progress, leave=False):
        who = order[: np.searchsorted(-shoppers.events[order], -t, side="left")]
        item[who, t], hidden[who, t], bought[who, t] = state.step(who, times[who, t])
    real = np.arange(most) < shoppers.events[:, None]
    flat = item[real]
    event = _events(items.domain[flat], bought[real], items.quality[flat].mean(axis=1), rng)
    offsets = offsets_of(shoppers.events)
    return Trail(offsets, flat, times[real], event, hidden[real])


def _events(
    domain: np.ndarray, bought: np.ndarray, good: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Name each event: a purchase, else by luck and quality a view, a click, a like or a cart."""
    view, click, like, cart, purchase = (
        EVENTS.index(name) for name in ("view", "click", "like", "cart", "purchase")
    )
    luck = rng.random(len(domain)) - 0.15 * good
    strong = np.where(domain == 0, cart, like)
    code = np.where(luck < 0.2, strong, np.where(luck < 0.7, click, view))
    return np.where(bought, purchase, code).astype(np.int8)
