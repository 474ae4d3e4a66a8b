"""Data that several files of tests read, made once a process. Tests must not change them."""

from __future__ import annotations

from functools import cache

from m6rec_lite.data import Dataset, Split, bazaar, leave_one_out, load_dataset


@cache
def shipped() -> Dataset:
    """The bazaar that is embedded in the checkout."""
    return load_dataset("bazaar")


@cache
def small() -> Dataset:
    """A bazaar of few users and items, with text."""
    return bazaar.generate(users=420, items=150, seed=3, slates=0, progress=False)


@cache
def shipped_split() -> Split:
    """``shipped`` under leave-one-out."""
    return leave_one_out(shipped())


@cache
def small_split() -> Split:
    """``small`` under leave-one-out."""
    return leave_one_out(small())
