"""Membership inference: telling from a model's losses whose rows it was trained on.

A model fits the people of its training log better than others. An attacker who knows a person's
history computes its loss and guesses "was in the log" if it is low. Sources: Yeom et al., *Privacy
risk in machine learning*, 2018; Kairouz, Oh and Viswanath, *The composition theorem for
differential privacy*, 2015, for the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from m6rec_lite.data.interactions import Histories
from m6rec_lite.evaluation import Ranker, auc
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.trust.mechanisms import check_privacy


@dataclass(frozen=True)
class MembershipAttack:
    """Success of an attack that calls the people with the lowest losses members.

    Attributes:
        auc: probability that a member's loss is below that of another person; 0.5 is chance.
        advantage: largest difference of true and false positive rate over all thresholds. It is
            chosen on the people that it is measured on, so it is above 0 by chance too.
    """

    auc: float
    advantage: float


def next_item_losses(model: Ranker, histories: Histories, *, last: int = 8) -> np.ndarray:
    """Return the mean loss of the latest events of each history, in nats.

    The loss of an event is ``-ln`` of its probability after the events before it: a softmax of the
    scores of all items that the history did not have yet.

    Args:
        model: fitted, with scores that are logits.
        histories: ``n`` rows.
        last: number of events of each row that are predicted; the first event never is.

    Returns:
        ``(n,)``; NaN for rows with fewer than two events.
    """
    last = check_whole("last", last)
    back = histories.steps_back
    chosen = np.flatnonzero((back < last) & (back + 1 < histories.lengths[histories.rows]))
    rows = histories.rows[chosen]
    lengths = histories.lengths[rows] - 1 - back[chosen]  # of what came before each event
    total = np.zeros(len(histories))
    for part in np.array_split(np.arange(len(rows)), len(rows) // 2048 + 1):
        owners, targets = rows[part], histories.items[chosen[part]]
        before = histories.first_events(owners, lengths[part], histories.at[owners])
        scores = model.score(before)
        wanted = scores[np.arange(len(part)), targets]
        scores[before.rows, before.items] = -np.inf
        scores[np.arange(len(part)), targets] = wanted
        np.add.at(total, owners, special.logsumexp(scores, axis=1) - wanted)
    counts = np.bincount(rows, minlength=len(histories))
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def membership_attack(members: np.ndarray, others: np.ndarray) -> MembershipAttack:
    """Return how well losses tell members from other people.

    Args:
        members: ``(n,)`` losses of people whose rows were in the training log.
        others: ``(m,)`` losses of people from the same population whose rows were not.

    Raises:
        ValueError: if a group is empty, or a loss is not finite.
    """
    groups = [np.asarray(losses, dtype=np.float64) for losses in (members, others)]
    if any(len(losses) == 0 or not np.isfinite(losses).all() for losses in groups):
        raise ValueError("members and others must both have finite losses, one for each person")
    losses = np.concatenate(groups)
    is_member = np.repeat([1, 0], [len(group) for group in groups])
    thresholds = np.unique(losses)
    right, wrong = (
        np.searchsorted(np.sort(group), thresholds, side="right") / len(group) for group in groups
    )
    return MembershipAttack(
        auc=float(auc(is_member, -losses)),
        advantage=float((right - wrong).max(initial=0.0)),
    )


def advantage_bound(epsilon: float, delta: float = 0.0) -> float:
    """Return the largest advantage of any attack on an (epsilon, delta)-private model.

    It is ``(exp(epsilon) - 1 + 2 delta) / (exp(epsilon) + 1)``: 0.46 for epsilon 1, 0.91 for 3.

    Raises:
        ValueError: if epsilon is not above 0, or delta not in [0, 1).
    """
    check_privacy(epsilon, delta or None)
    return math.tanh(epsilon / 2) + 2 * delta / (math.exp(epsilon) + 1)
