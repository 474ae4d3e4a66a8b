"""How the tests are shared between workers, and which tier a test belongs to."""

import pytest

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


@pytest.fixture(scope="session")
def bazaar() -> Dataset:
    """The shipped bazaar; tests must not change it."""
    return worlds.shipped()


@pytest.fixture(scope="session")
def bazaar_split() -> Split:
    """The shipped bazaar under leave-one-out."""
    return worlds.shipped_split()
