"""Events are kept in order and on disk, once each; the cache never hides a new one."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.faults.bench import room
from m6rec_lite.data import DataError
from m6rec_lite.data.files import DiskFullError
from m6rec_lite.serving import EventStore, UserEvents

events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4)), max_size=30)


@settings(max_examples=30, deadline=None)
@given(events, st.integers(1, 3), st.integers(1, 6))
def test_a_history_is_the_latest_distinct_events_by_time(log, cached, length) -> None:
    store = EventStore(cached_users=cached, length=length)
    known: list[tuple[int, int, int]] = []
    for event in log:
        user, item, time = event
        assert store.add(user, item, time) == (event not in known)
        known += [] if event in known else [event]
        wanted = sorted((e for e in known if e[0] == user), key=lambda e: e[2])[-length:]
        assert store.history(user).items == tuple(e[1] for e in wanted)
        assert store.history(user).times == tuple(e[2] for e in wanted)
    assert len(store) == len(known)
    assert len(store._cache) <= cached


def test_events_outlive_the_process_that_stored_them(tmp_path) -> None:
    first = EventStore(tmp_path / "events.db")
    first.add("ann", "x", 5, "purchase")
    second = EventStore(tmp_path / "events.db")  # the first was never closed
    assert second.history("ann") == UserEvents(("x",), (5,), (5,))
    assert second.history("bob") == UserEvents()


def test_a_second_look_is_answered_by_the_cache() -> None:
    store = EventStore()
    store.add(1, 2, 3)
    for _ in range(3):
        store.history(1)
    assert (store.hits, store.misses) == (2, 1)


def test_a_table_keeps_ties_in_file_order() -> None:
    frame = pd.DataFrame({"user_id": 1, "item_id": [9, 3, 7], "timestamp": [5, 5, 4]})
    store = EventStore()
    assert store.add_frame(frame.assign(event="view")) == 3
    assert store.history(1).items == (7, 9, 3)
    assert store.users(9) == [1]


def test_wrong_input_says_what_is_wrong(tmp_path) -> None:
    store = EventStore()
    store.add(1, 2, 3)
    with pytest.raises(DataError, match="unknown event 'kiss'"):
        store.add(1, 2, 4, "kiss")
    with pytest.raises(DataError, match="user_id: one side holds whole numbers"):
        store.add("1", 2, 4)
    (tmp_path / "text").write_text("this is no database, but long enough to be read as one" * 20)
    with pytest.raises(DataError, match=r"cannot be used as a store of events .*restore it"):
        EventStore(tmp_path / "text")


@pytest.mark.parametrize("offset", [20, 4096])
def test_a_damaged_file_is_named(tmp_path, offset) -> None:
    path = tmp_path / "events.sqlite"
    store = EventStore(path)
    for time in range(100):
        store.add("a", f"item {time}", time)
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[:offset] + b"\xff" * len(content[offset:]))
    with pytest.raises(DataError, match=rf"{path} cannot be used .* restore it"):
        EventStore(path).history("a")


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_is_named_and_loses_no_event(tmp_path) -> None:
    path = tmp_path / "events.sqlite"
    store = EventStore(path, length=1000)
    told = rf"{path} could not be written .* free some room"
    with room(200_000), pytest.raises(DiskFullError, match=told):
        all(store.add(1, 7, time) for time in range(1000))
    stored = len(store)
    assert 1 < stored < 1000
    assert store.history(1).times == tuple(range(stored))
    assert store.add(1, 7, stored)
    store.close()
    assert EventStore(path, length=1000).history(1).times == tuple(range(stored + 1))
