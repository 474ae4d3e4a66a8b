"""The Bayes filter: a ranking by the probabilities that the observed events allow.

The oracle knows the hidden state of a shopper. The Bayes filter knows the rules of the world and
the attributes of the items, but of a shopper only what a model may observe, and computes the
distribution of the hidden state by Bayes' rule. The state ``h`` after an event is the cell and the
last event of the current intent, and those of the other intent. An event ``x`` has one of these
explanations, with probabilities from ``Choice``:

- it is a uniform draw, or repeats a purchase: ``h`` is unchanged;
- it serves one of the two intents, which is unchanged (the item follows the intent's last item),
  or new (the cell of ``x``, or that of its second interest, drawn from the taste).

    P(h' | x_1 ... x_t)  is proportional to  sum over h of P(h | x_1 ... x_t-1) P(x_t, h' | h)
    P(x_t+1 | x_1 ... x_t)  =  sum over h of P(h | x_1 ... x_t) P(x_t+1 | h)

The sums run over all states that can occur. Their number grows with the history, so equal states
are merged and the ``states`` most probable ones are kept. With enough of them the filter is exact
for a known shopper. For an unknown one it is an approximation, which uses the attributes in the
users table; the posterior of style and level given all items; a Dirichlet posterior of domains and
interests given the new intents (the counts of merged states are averaged); and prior means of price
sensitivity, loyalty, patience and curiosity. A better approximation could rank better still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from m6rec_lite.data.bazaar.hidden_states import HiddenStates
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.bazaar.world import DAY
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import DataError

#: Parameters that remove a part of the world from the filter's rules, by the name of the part.
PARTS: dict[str, dict[str, float]] = {
    "context": {"complements": 0.0, "series": 0.0, "loyalty": 0.0},
    "exhaustion": {"revisits": 1.0},
    "second intent": {"switch": 0.0},
    "style and level": {"style": 1.0, "level": 1.0},
}
#: Moments of an unknown query, in seconds after the last event, and their probabilities: the mean
#: shopper ends a session after 5.5 events.
LATER = ((150, 1 - 1 / 5.5), (3 * DAY, 1 / 5.5))
BLOCK = 512  #: shoppers at a time


class BayesFilter:
    """Recommender that scores by the probabilities given the observed events; it needs no fitting.

    Args:
        oracle: oracle of the world; its hidden states of shoppers are not used.
        item_ids: ``(n_items,)`` ids of the items to score.
        know_shopper: whether the hidden attributes of the shopper are known, such as the taste.
        know_time: whether the time of the query is known, ``histories.at``.
        without: parts of the world to leave out of the rules, of ``PARTS``.
        states: number of states to keep for each shopper.

    Raises:
        ValueError: if a part is unknown, or ``states`` is below 1.
    """

    name = "Bayes filter"
    n_params = 0

    def __init__(
        self,
        oracle: Oracle,
        item_ids: np.ndarray,
        *,
        know_shopper: bool = False,
        know_time: bool = False,
        without: Sequence[str] = (),
        states: int = 16,
    ) -> None:
        if unknown := [part for part in without if part not in PARTS]:
            raise ValueError(f"without= takes {', '.join(PARTS)}, not {unknown[0]!r}")
        if states < 1:
            raise ValueError(f"states must be at least 1, got {states!r}")
        self.item_ids, self.states, self.without = item_ids, states, tuple(without)
        self.know_shopper, self.know_time = know_shopper, know_time
        changes: dict[str, Any] = {}
        for part in without:
            changes |= PARTS[part]
        self._world = replace(oracle.world, dials=replace(oracle.world.dials, **changes))

    @property
    def variant(self) -> str:
        """What is known, and which parts are left out."""
        known = {"shopper": self.know_shopper, "time": self.know_time}
        parts = [f"{name} {'known' if flag else 'unknown'}" for name, flag in known.items()]
        return ", ".join([*parts, *(f"without {part}" for part in self.without)])

    def score(self, histories: Histories) -> np.ndarray:
        """Return ``(n, n_items)`` probabilities of the next event's item, given the history.

        Raises:
            DataError: if the histories have other item ids.
        """
        if not np.array_equal(histories.item_ids, self.item_ids):
            raise DataError(
                "the histories have other item_ids than this filter; make another one with "
                "BayesFilter(oracle, histories.item_ids)"
            )
        columns = np.asarray(self.item_ids) - FIRST_ITEM
        scores = np.zeros((len(histories), len(columns)), dtype=np.float32)
        for start in range(0, len(histories), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(histories)))
            part = histories[rows]
            states = HiddenStates(self._world, part, self.know_shopper, self.states)
            last = states.last_at
            moments = [(part.at, 1.0)] if self.know_time else [(last + s, p) for s, p in LATER]
            for at, probability in moments:
                scores[rows] += probability * states.predict(at)[:, columns]
        return scores
