"""Friendships between shoppers, drawn from the latents that they share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar.world import Shoppers, World

MEAN_DEGREE = 8.0
TASTE = 4.0  #: log odds of a friendship for a cosine of 1 of the tastes, compared with 0
SAME_CITY = 3.0  #: odds factor of two shoppers of one city
NEAR_AGE = 3.0  #: odds factor of one age band; its square root if the bands are adjacent
CANDIDATES = 300  #: shoppers that each shopper may meet; all pairs meet where there are fewer
_STREAM = 112  #: number of the random generators; see ``world.draw_world``
_CHUNK = 1 << 18


def friendships(world: World) -> pd.DataFrame:
    """Draw who is a friend of whom.

    Shoppers meet at random. Two that meet become friends with a probability that rises with the
    similarity of their tastes, and is higher in one city and at one age. Shoppers of different
    blocks do not meet, so that the friends of the first block do not depend on the number of
    blocks. No event of a log enters.

    Args:
        world: a world, such as ``dataset.oracle.world``.

    Returns:
        ``user_id`` and ``friend_id``, int64, one row for each pair of friends, with the smaller id
        first; sorted. Shoppers have about 8 friends on average, where there are enough shoppers.
    """
    size, parts = world.dials.users, []
    for block, first in enumerate(range(0, len(world.shoppers), size)):
        rng = np.random.default_rng([world.dials.seed, _STREAM, block])
        parts.append(first + _draw_pairs(world.shoppers[first : first + size], rng))
    pairs = np.concatenate(parts) + 1  # a shopper's id is the index plus 1
    return pd.DataFrame({"user_id": pairs[:, 0], "friend_id": pairs[:, 1]})


def _draw_pairs(shoppers: Shoppers, rng: np.random.Generator) -> np.ndarray:
    """Return ``(n_pairs, 2)`` int64: the indices of friends, the smaller first; sorted."""
    n = len(shoppers)
    pairs = _meetings(n, rng)
    odds = _odds(shoppers, pairs)
    wanted = min(MEAN_DEGREE, n - 1) * n / 2
    chance = odds * wanted / max(odds.sum(), 1e-12)
    return pairs[rng.random(len(pairs)) < chance]


def _meetings(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the pairs of ``n`` shoppers who meet, each once; sorted."""
    if n <= CANDIDATES:
        return np.stack(np.triu_indices(n, k=1), axis=1).astype(np.int64)
    one = np.repeat(np.arange(n), CANDIDATES // 2)
    other = (one + rng.integers(1, n, size=len(one))) % n  # anybody else
    return np.stack(np.divmod(np.unique(np.minimum(one, other) * n + np.maximum(one, other)), n), 1)


def _odds(shoppers: Shoppers, pairs: np.ndarray) -> np.ndarray:
    """Return ``(n_pairs,)``: the odds of each pair's friendship."""
    taste = shoppers.early + shoppers.late
    taste = taste / np.linalg.norm(taste, axis=1, keepdims=True)
    odds = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        one, other = pairs[start : start + _CHUNK].T
        alike = TASTE * np.einsum("ij,ij->i", taste[one], taste[other])
        city = np.where(shoppers.city[one] == shoppers.city[other], SAME_CITY, 1.0)
        bands = abs(shoppers.age[one].astype(int) - shoppers.age[other])
        age = NEAR_AGE ** np.clip(1 - bands / 2, 0, 1)
        odds[start : start + _CHUNK] = np.exp(alike) * city * age
    return odds
