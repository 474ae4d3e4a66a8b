"""A/B tests: assign users to two arms, plan their number, and test once or at any time.

The unit is the user: arms are assigned by user, and an arm has one value a user, such as the clicks
of all visits. The visits of one user depend on each other, so a test over visits is too sure.

A test of fixed size is read once, when the planned number of users has arrived. Whoever looks again
and again and stops at the first p < .05 (*peeking*) errs in far more than 5 % of experiments
without an effect. A sequential test may be read at any time: the mixture sequential probability
ratio test (Johari et al., *Peeking at A/B tests*, 2017) averages the likelihood ratio over
differences drawn from N(0, scale^2), and stops once it exceeds 1 / alpha.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from m6rec_lite.data import DataError


def assign(user_ids: np.ndarray, *, experiment: str, share: float = 0.5) -> np.ndarray:
    """Assign users to the treated arm by a hash of their id.

    A user stays in one arm, and experiments of different names assign independently.

    Args:
        user_ids: ``(n,)`` ids, numbers or text.
        experiment: name of the experiment, which enters the hash.
        share: probability of the treated arm, in (0, 1).

    Returns:
        ``(n,)`` bool, True for the treated arm.

    Raises:
        ValueError: if the share is not in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be a probability between 0 and 1, such as 0.5; got {share}")
    texts = (f"{experiment}\t{user}".encode() for user in np.asarray(user_ids).tolist())
    first = [int.from_bytes(hashlib.sha256(text).digest()[:6], "big") for text in texts]
    return np.array(first, dtype=np.int64) < share * 2**48


def sample_size(effect: float, deviation: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Return the users needed in each arm to find an effect, two-sided.

    ``2 deviation^2 (z_{1 - alpha/2} + z_{power})^2 / effect^2``: half the effect, four times the
    users.

    Args:
        effect: least difference of the means that matters.
        deviation: standard deviation of the values of an arm.
        power: probability to find the effect if it is there, in (0, 1).
        level: 1 - alpha, in (0, 1).

    Raises:
        ValueError: if an argument is out of range.
    """
    if effect == 0 or not deviation > 0 or not (0 < power < 1 and 0 < level < 1):
        raise ValueError(
            "sample_size wants an effect other than 0, a deviation above 0, and power and level "
            f"between 0 and 1; got {effect}, {deviation}, {power}, {level}"
        )
    z = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)
    return math.ceil(2 * (deviation * z / effect) ** 2)


def power_of(effect: float, deviation: float, n: int, *, level: float = 0.95) -> float:
    """Return the probability that a test with ``n`` users in each arm finds an effect."""
    shift = effect / (deviation * math.sqrt(2 / n))
    critical = stats.norm.ppf((1 + level) / 2)
    return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))


@dataclass(frozen=True, eq=False)
class Looks:
    """What an experiment shows at each look.

    Attributes:
        n: ``(m,)`` users in each arm.
        difference: ``(m,)`` mean of the treated arm less that of the control.
        variance: ``(m,)`` squared standard error of the difference.
    """

    n: np.ndarray
    difference: np.ndarray
    variance: np.ndarray

    def fixed_p_values(self) -> np.ndarray:
        """Return ``(m,)`` two-sided p-values, of which *one, chosen before*, may be used."""
        return 2 * stats.norm.sf(np.abs(self.difference) / np.sqrt(self.variance))

    def sequential_p_values(self, *, scale: float) -> np.ndarray:
        """Return ``(m,)`` p-values, never rising, that are valid at all looks together.

        Args:
            scale: size of the differences that are expected; it changes the power only.

        Raises:
            ValueError: if the scale is not above 0.
        """
        if not scale > 0:
            raise ValueError(f"scale, the size of expected differences, must be above 0: {scale}")
        v, prior = self.variance, scale**2
        log_ratio = 0.5 * np.log(v / (v + prior))
        log_ratio += prior * self.difference**2 / (2 * v * (v + prior))
        return np.minimum.accumulate(np.exp(-np.maximum(log_ratio, 0.0)))


def look(treated: np.ndarray, control: np.ndarray, looks: Sequence[int]) -> Looks:
    """Return what an experiment shows after some numbers of users in each arm.

    Args:
        treated: ``(n,)`` one value a user, in order of arrival.
        control: ``(n,)`` the same of the other arm.
        looks: ascending numbers of users, at least 2; users beyond the last are not read.

    Raises:
        DataError: if a value is not finite, an arm has fewer users than a look, or all values are
            equal.
        ValueError: if the looks do not ascend from 2 on.
    """
    n = np.asarray(looks, dtype=np.int64)
    if not len(n) or n[0] < 2 or (np.diff(n) <= 0).any():
        raise ValueError(f"looks must be ascending numbers of users from 2 on; got {n.tolist()}")
    means, variances = [], []
    for values in (np.asarray(treated, dtype=float), np.asarray(control, dtype=float)):
        if len(values) < n[-1] or not np.isfinite(values[: n[-1]]).all():
            raise DataError(
                f"each arm needs {n[-1]} finite values, one a user; got {len(values)}, of which "
                f"{np.count_nonzero(~np.isfinite(values))} are not finite. A user without a visit "
                "has the value 0, or was never in the experiment"
            )
        centre = values[: n[-1]].mean()  # keeps the sums of squares small
        total, squares = (np.cumsum((values - centre) ** power)[n - 1] for power in (1, 2))
        means.append(centre + total / n)
        variances.append((squares - total**2 / n) / (n - 1) / n)
    variance = variances[0] + variances[1]
    if not (variance > 0).all():
        raise DataError("all values of both arms are equal: there is nothing to compare")
    return Looks(n, means[0] - means[1], variance)
