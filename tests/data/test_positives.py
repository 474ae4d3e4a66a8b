"""Which rows count as positive."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import EVENTS, DataError, leave_one_out, load_dataset, positives

ROWS = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(-5, 5)), min_size=1, max_size=30)


def dataset(rows):
    frame = pd.DataFrame(rows, columns=["event", "value"])
    frame["user_id"], frame["item_id"] = np.arange(len(frame)) % 3, np.arange(len(frame))
    return load_dataset(frame.assign(timestamp=np.arange(len(frame))))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.none() | st.integers(-6, 6), st.none() | st.sampled_from(EVENTS))
def test_exactly_the_rows_at_or_above_the_thresholds_remain(rows, at_least, min_event):
    data = dataset(rows)
    wanted = [
        n for n, (event, value) in enumerate(rows)
        if (at_least is None or value >= at_least)
        and (min_event is None or EVENTS.index(event) >= EVENTS.index(min_event))
    ]  # fmt: skip
    if not wanted:
        with pytest.raises(DataError, match="none of the"):
            positives(data, at_least=at_least, min_event=min_event)
        return
    kept = positives(data, at_least=at_least, min_event=min_event)
    assert kept.interactions["timestamp"].tolist() == wanted
    assert sum(entry.rows for entry in kept.dropped) == len(rows) - len(wanted)
    assert len(data.interactions) == len(rows)


def test_returns_and_one_star_are_no_targets():
    rows = [("rate", 5)] * 12 + [("rate", 1)] * 3  # the last row of each user has one star
    split = leave_one_out(positives(dataset(rows), at_least=4), min_item_users=1)
    assert split.item_ids.max() == 11


def test_negative_values_are_pointed_out(caplog):
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "timestamp": [1, 2]})
    frame["value"] = [2, -1]
    with caplog.at_level(logging.WARNING):
        data = load_dataset(frame, event="purchase")
    assert "1 of 2 values are negative" in caplog.text
    assert "positives(dataset, at_least=" in caplog.text
    assert any("values are negative" in quirk for quirk in data.card.quirks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_event": "buy"}, "min_event must be one of"),
        ({"at_least": float("nan")}, "at_least must be a number"),
        ({"at_least": 9}, "none of the 2 rows has at_least=9.*up to 5"),
    ],
)
def test_bad_thresholds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        positives(dataset([("rate", 5), ("rate", 3)]), **options)
