"""The one rule for seeds: a whole number of at least 0."""

from __future__ import annotations

import operator


def check_seed(seed: int) -> int:
    """Return a seed as an int.

    Raises:
        ValueError: unless it is a whole number from 0 up to below 2**63. There is no seed "None":
            a result that cannot be repeated is not offered.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63 or isinstance(seed, bool):
        raise ValueError(
            f"seed must be a whole number of at least 0, got {seed!r}; for another result, pass "
            "another number"
        )
    return number
