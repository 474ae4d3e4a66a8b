"""Contracts of the tables: every fault is named with its file, its rows and its fix."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import EVENTS, TABLES, Card, DataError, Dataset, validate
from m6rec_lite.data.contracts import report, validate_dataset

CARD = Card("Test", "free", "nobody")


def interactions(**columns):
    frame = pd.DataFrame(
        {
            "user_id": [1, 1, 2],
            "item_id": [10, 11, 10],
            "timestamp": [100, 200, 300],
            "event": ["click", "view", "purchase"],
            "value": [1.0, 1.0, 1.0],
        }
    )
    return frame.assign(**columns)


def test_sound_table_gets_the_types_of_the_contract():
    table = validate("interactions", interactions(extra=["a", "b", "c"]))
    assert table["user_id"].dtype == table["item_id"].dtype == table["timestamp"].dtype == "int64"
    assert table["value"].dtype == "float32"
    assert tuple(table["event"].cat.categories) == EVENTS
    assert table["event"].cat.ordered
    assert table["event"].max() == "purchase"
    assert table["extra"].tolist() == ["a", "b", "c"]


def test_the_given_table_is_not_changed():
    frame = interactions()
    before = frame.copy(deep=True)
    validate("interactions", frame)
    pd.testing.assert_frame_equal(frame, before)


FAULTS = [
    ("timestamp", [100, 1_693_526_400_000, 300], 1, "milliseconds", 'timestamp_unit="ms"'),
    ("timestamp", [100, 200, 1_693_526_400_000_000], 2, "microseconds", 'timestamp_unit="us"'),
    ("timestamp", [10**18, 200, 300], 0, "nanoseconds", 'timestamp_unit="ns"'),
    ("timestamp", [100, np.nan, 300], 1, "missing", "fill them in"),
    ("timestamp", [100, np.inf, 300], 1, "infinite", "finite"),
    ("timestamp", [100, 200.5, 300], 1, "whole numbers", "round"),
    ("timestamp", ["100", "2024-01-01", "300"], 1, "not numbers", 'timestamp_unit="iso"'),
    ("timestamp", [100, 200, -1], 2, "below 0", "correct"),
    ("item_id", [10, np.nan, 10], 1, "missing", "fill them in"),
    ("item_id", ["10", 7, "x-7"], 1, "are numbers", '.astype("str")'),
    ("item_id", [10, 10.5, 10], 1, "not whole numbers", "round them"),
    ("item_id", ["x", "", "y"], 1, "empty texts", "fill them in"),
    ("value", [1.0, 2.0, np.inf], 2, "infinite", "finite"),
    ("value", [1.0, 2.0, -np.inf], 2, "infinite", "finite"),
    ("value", [np.nan, 2.0, 1.0], 0, "missing", "fill them in"),
    ("event", ["click", "bought", "view"], 1, "unknown event", "events="),
    ("event", ["click", np.nan, "view"], 1, "missing", "fill them in"),
]


@pytest.mark.parametrize(("column", "values", "row", "problem", "fix"), FAULTS)
def test_fault_names_file_column_row_and_fix(column, values, row, problem, fix):
    frame = interactions(**{column: values})
    with pytest.raises(DataError) as caught:
        validate("interactions", frame, source="mine.csv")
    message = str(caught.value)
    assert message.startswith(f"mine.csv, column {column}: 1 of 3 rows")
    assert problem in message
    assert fix in message
    assert f"row {row}:" in message
    assert str(values[row]) in message


@pytest.mark.parametrize(("column", "values", "row", "problem", "fix"), FAULTS)
def test_drop_leaves_out_the_faulty_row_only_and_says_so(column, values, row, problem, fix, caplog):
    with caplog.at_level(logging.WARNING):
        kept = validate("interactions", interactions(**{column: values}), on_bad_rows="drop")
    assert kept.index.tolist() == [position for position in range(3) if position != row]
    assert problem in caplog.text
    assert "dropped 1 row," in caplog.text


def test_a_row_with_two_faults_is_counted_once():
    dropped = []
    frame = interactions(timestamp=[np.nan, 200, 300], value=[np.inf, 1.0, np.inf])
    kept = validate("interactions", frame, on_bad_rows="drop", dropped=dropped)
    assert len(kept) == 1
    assert sum(entry.rows for entry in dropped) == 2
    assert [(entry.column, entry.first) for entry in dropped] == [
        ("timestamp", (0,)),
        ("value", (2,)),
    ]


def test_nothing_left_raises_even_when_dropping():
    with pytest.raises(DataError, match="every row was faulty"):
        validate("interactions", interactions(value=[np.nan] * 3), on_bad_rows="drop")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_refuses_to_be_empty_or_to_lack_a_column(name):
    columns = [c for c, rule in TABLES[name].columns.items() if rule.column == "required"]
    with pytest.raises(DataError, match="no rows"):
        validate(name, pd.DataFrame(columns=columns))
    with pytest.raises(DataError, match=rf"column {columns[-1]} is missing"):
        validate(name, pd.DataFrame({c: [1] for c in columns[:-1]}, index=[0]))


def test_missing_column_proposes_the_likely_one():
    frame = interactions().rename(columns={"user_id": "userId", "item_id": "SKU"})
    with pytest.raises(DataError, match=r"columns=\{'user_id': 'userId', 'item_id': 'SKU'\}"):
        validate("interactions", frame)


def test_duplicate_header_is_refused():
    frame = interactions()
    frame.columns = ["user_id", "item_id", "timestamp", "event", "user_id"]
    with pytest.raises(DataError, match="repeats the column user_id"):
        validate("interactions", frame)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Oslo"])
def test_dates_of_any_unit_and_zone_become_seconds(unit, zone):
    times = pd.to_datetime(["2024-01-01", "2024-07-01", "2024-12-31"]).as_unit(unit)
    expected = [1_704_067_200, 1_719_792_000, 1_735_603_200]
    if zone is not None:
        times = times.tz_localize("UTC").tz_convert(zone)
    table = validate("interactions", interactions(timestamp=times))
    assert table["timestamp"].tolist() == expected
    assert table["timestamp"].dtype == "int64"
    objects = interactions(timestamp=pd.Series(list(times), dtype=object))
    assert validate("interactions", objects)["timestamp"].tolist() == expected


@pytest.mark.parametrize(("numbers", "form"), [
    ([20141118, 20141119, 20150101], "%Y%m%d"),
    ([20141118093000, 20141119000000, 20150101235959], "%Y%m%d%H%M%S"),
])  # fmt: skip
def test_dates_written_as_numbers_are_refused_with_the_conversion(numbers, form):
    frame = interactions(timestamp=numbers)
    with pytest.raises(DataError, match="dates written as numbers") as caught:
        validate("interactions", frame)
    code = str(caught.value).split("or convert with ")[1].split("; or pass on_bad_rows")[0]
    dates = eval(code, {"frame": frame, "pd": pd})
    assert dates.dt.year.tolist() == [2014, 2014, 2015]
    assert f'timestamp_unit="{form}"' in str(caught.value)


def test_repeated_rows_and_ids():
    frame = pd.concat([interactions(), interactions().iloc[[1]]], ignore_index=True)
    with pytest.raises(DataError, match=r"1 of 4 rows repeat an earlier row[\s\S]*row 3:"):
        validate("interactions", frame)
    assert len(validate("interactions", frame, on_bad_rows="drop")) == 3
    # the same pair at another time, or by another event, is no repeat
    validate("interactions", interactions(item_id=[10, 10, 10], timestamp=[100, 100, 300]))
    with pytest.raises(DataError, match="each item_id must occur once"):
        validate("items", pd.DataFrame({"item_id": [5, 6, 5]}))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_repeats_agree_with_pandas(rows):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame = frame.assign(event="click", value=1.0)
    dropped = []
    kept = validate("interactions", frame, on_bad_rows="drop", dropped=dropped)
    expected = frame[["user_id", "item_id", "timestamp"]].drop_duplicates()
    assert kept.index.tolist() == expected.index.tolist()
    assert sum(entry.rows for entry in dropped) == len(frame) - len(expected)


def test_items_lacking_columns_have_them_missing_not_invented():
    items = validate("items", pd.DataFrame({"item_id": [1, 2], "price": [None, 2.5]}))
    assert list(items.columns) == list(TABLES["items"].columns)
    assert items["tags"].tolist() == [[], []]
    assert items["released"].dtype == "Int64"
    assert items[["title", "description", "creator", "domain", "released"]].isna().all(axis=None)
    assert items["price"].isna().tolist() == [True, False]


def test_tags_and_other_kinds_of_columns():
    items = validate("items", pd.DataFrame({"item_id": [1, 2], "tags": ["a| b|", ["c"]]}))
    assert items["tags"].tolist() == [["a", "b"], ["c"]]
    with pytest.raises(DataError, match="are not tags"):
        validate("items", pd.DataFrame({"item_id": [1, 2], "tags": [["a"], 7]}))
    with pytest.raises(DataError, match=r"column title: 1 of 2 rows are not text"):
        validate("items", pd.DataFrame({"item_id": [1, 2], "title": ["a", 7]}))
    released = pd.DataFrame({"item_id": [1, 2], "released": [-1_000_000_000, None]})
    assert validate("items", released)["released"].tolist()[0] == -1_000_000_000

    shown = {
        "slate_id": [1], "user_id": [1], "item_id": [1], "timestamp": [5], "position": [0],
        "propensity": [0.5], "examination": [1.0], "clicked": ["true"], "purchased": [0],
    }  # fmt: skip
    table = validate("impressions", pd.DataFrame(shown))
    assert table["clicked"].tolist() == [True]
    assert table["purchased"].tolist() == [False]
    assert table["position"].dtype == "int8"
    for column, value, problem in (
        ("propensity", 1.2, "above 1"),
        ("position", -1, "below 0"),
        ("position", 128, "above 127"),
        ("clicked", "maybe", "neither true nor false"),
    ):
        with pytest.raises(DataError, match=problem):
            validate("impressions", pd.DataFrame(shown | {column: [value]}))

    turns = pd.DataFrame({
        "dialogue_id": [1, 1], "turn": [0, 1], "speaker": ["u", "s"], "text": ["hi", "this"],
        "item_id": [None, 7],
    })  # fmt: skip
    assert validate("dialogues", turns)["item_id"].tolist() == [pd.NA, 7]
    weather = pd.DataFrame(
        {"city": ["Oslo"], "date": ["2024-02-30"], "temperature": [1.0], "condition": ["snow"]}
    )
    with pytest.raises(DataError, match="not dates"):
        validate("weather", weather)


def dataset(rows=None, **tables):
    rows = interactions() if rows is None else rows
    return Dataset(
        "mine",
        validate("interactions", rows),
        validate("items", pd.DataFrame({"item_id": [10, 11]})),
        validate("users", pd.DataFrame({"user_id": [1, 2]})),
        CARD,
        **tables,
    )


def test_unknown_items_and_users_across_tables(caplog):
    assert len(validate_dataset(dataset()).interactions) == 3
    bad = dataset(interactions(item_id=[10, 99, 10]))
    with pytest.raises(DataError, match=r"(?s)a.csv, column item_id: 1 of 3.*b.csv.*item_id=99"):
        validate_dataset(bad, sources={"interactions": "a.csv", "items": "b.csv"})
    kept = validate_dataset(bad, on_bad_rows="drop")
    assert kept.interactions["item_id"].tolist() == [10, 10]
    assert kept.interactions.index.tolist() == [0, 1]
    assert kept.dropped[0].rows == 1
    assert "item" in caplog.text
    queries = pd.DataFrame({"user_id": [1, 7], "timestamp": [1, 2], "text": ["a", "b"]})
    with pytest.raises(DataError, match=r"queries, column user_id"):
        validate_dataset(dataset(queries=validate("queries", queries)))


def test_report_adds_up_blocks(caplog):
    dropped = []
    for start in (0, 3):
        frame = interactions(value=[np.nan, 1.0, 1.0])
        frame.index += start
        validate("interactions", frame, on_bad_rows="drop", dropped=dropped)
    assert caplog.text == ""  # whoever takes the list logs it
    (entry,) = report(dropped)
    assert (entry.rows, entry.first) == (2, (0, 3))
    assert "dropped 2 rows" in caplog.text


def test_counts_and_repr_say_what_is_there():
    counts = dataset(interactions(timestamp=[100, 100, 86_500])).counts()
    assert counts["interactions"] == 3
    assert counts["tied_rows"] == pytest.approx(2 / 3, abs=1e-4)
    assert (counts["first_day"], counts["last_day"]) == ("1970-01-01", "1970-01-02")
    assert "interactions 3" in repr(dataset())


def test_misuse_is_named():
    with pytest.raises(ValueError, match="no table is called 'purchases'"):
        validate("purchases", interactions())
    with pytest.raises(ValueError, match="'raise' or 'drop'"):
        validate("interactions", interactions(), on_bad_rows="ignore")
