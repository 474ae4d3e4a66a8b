"""The context of events and queries."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Histories
from m6rec_lite.multimodal import CONTEXT_PARTS, ContextTable

USERS = pd.DataFrame({"user_id": [3, 1, 2], "city": ["Oslo", "Leeds", None]})
DAYS = pd.date_range("2024-02-28", "2024-03-02")
WEATHER = pd.DataFrame(
    {
        "city": ["Oslo"] * 4 + ["Leeds"] * 4,
        "date": [*DAYS, *DAYS],
        "condition": ["snow", "snow", "sun", "sun", "rain", "rain", "rain", "sun"],
    }
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_codes_by_hand():
    table = ContextTable.fit(CONTEXT_PARTS, USERS, WEATHER)
    assert (table.cities, table.conditions) == (("Leeds", "Oslo"), ("rain", "snow", "sun"))
    assert table.sizes == {"season": 13, "weekday": 8, "place": 3, "weather": 4, "session": 12}
    moments = ["2024-02-29T23:59:59", "2024-03-01", "2024-03-02T10:00", "2024-03-09", "2024-12-31"]
    when = np.array([at(text) for text in moments])
    codes = table.codes(np.array([3, 1, 2, 1, 99]), when, np.array([when[0] - 30, -1, -1, -1, -1]))
    assert codes.tolist() == [
        [2, 4, 2, 2, 4],  # Thursday, snow in Oslo, half a minute after the event before
        [3, 5, 1, 1, 0],
        [3, 6, 0, 0, 0],  # a user without a city
        [3, 6, 1, 0, 0],  # after the last day of the weather
        [12, 2, 0, 0, 0],  # a user that the table lacks
    ]


@given(st.integers(0, 2_000_000_000))
def test_months_and_weekdays_are_those_of_the_calendar(second):
    table = ContextTable.fit(["season", "weekday"])
    moment = datetime.fromtimestamp(second, UTC)
    codes = table.codes(np.array([1]), np.array([second]), np.array([-1]))
    assert codes.tolist() == [[moment.month, moment.isoweekday()]]


def histories() -> Histories:
    times = [[at("2024-02-28"), at("2024-02-29")], [], [at("2024-03-01")]]
    return Histories.from_lists(
        [[1, 2], [], [3]],
        np.array([1, 2, 3]),
        user_ids=[3, 2, 1],
        timestamps=times,
        at=[at("2024-03-01"), at("2024-03-01"), at("2024-03-02")],
    )


def test_events_and_queries_have_the_time_since_the_event_before():
    table = ContextTable.fit(["weather", "session"], USERS, WEATHER)
    assert table.of_events(histories()).tolist() == [[2, 0], [2, 8], [1, 0]]
    assert table.of_queries(histories()).tolist() == [[3, 8], [0, 0], [3, 8]]


def test_a_saved_table_is_the_same():
    table = ContextTable.fit(CONTEXT_PARTS, USERS, WEATHER)
    again = ContextTable.from_state(table.state())
    assert (again.parts, again.sizes) == (table.parts, table.sizes)
    np.testing.assert_array_equal(again.of_events(histories()), table.of_events(histories()))


@pytest.mark.parametrize(
    ("parts", "users", "weather", "message"),
    [
        (["place"], None, None, r"call fit\(train, users=dataset.users\)"),
        (["weather"], USERS, None, "weather=dataset.weather"),
        (["place"], USERS[["user_id"]], None, "no 'city'"),
        (["weather"], USERS, WEATHER.drop(columns="date"), "no 'date'"),
    ],
)
def test_a_missing_table_is_named(parts, users, weather, message):
    with pytest.raises(DataError, match=message):
        ContextTable.fit(parts, users, weather)


def test_row_numbers_are_no_times():
    table = ContextTable.fit(["season"])
    with pytest.raises(DataError, match=r"context=\(\)"):
        table.of_queries(replace(histories(), has_time=False))


def test_the_classes_of_time_gaps_are_those_of_the_retriever() -> None:
    from m6rec_lite.m6rec import retriever_network
    from m6rec_lite.multimodal import context

    assert context.GAPS == retriever_network.GAPS


def test_the_package_does_not_import_transformers() -> None:
    code = (
        "import sys, m6rec_lite.multimodal as package\n"
        "[getattr(package, name) for name in package.__all__]\n"
        "assert 'torch' in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
