"""How the tests are shared between workers, and which tier a test belongs to."""

import random

import numpy as np
import pytest
import torch

from m6rec_lite.data import Dataset, Split
from tests import worlds

#: Tests with one of these markers need what a machine may lack, and run in the slow tier.
SLOW_TIER = ("real_data", "browser", "extra")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each file on one worker, so that its fixtures are made once; complete the slow tier.

    Files whose tests are long and independent (executing notebooks) name groups of their own.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            file = item.path.relative_to(config.rootpath).as_posix()
            item.add_marker(pytest.mark.xdist_group(file))
        if any(item.get_closest_marker(name) for name in SLOW_TIER):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin every test, with its fixtures, from the same random numbers, in any order of tests."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- the global generator is what a test may use unseeded
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def bazaar() -> Dataset:
    """The shipped bazaar; tests must not change it."""
    return worlds.shipped()


@pytest.fixture(scope="session")
def bazaar_split() -> Split:
    """The shipped bazaar under leave-one-out."""
    return worlds.shipped_split()
