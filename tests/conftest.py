"""How the tests are shared between workers."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one worker, so that what it prepares once is prepared once.

    Files whose tests are long and independent (executing notebooks) name groups of their own.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
