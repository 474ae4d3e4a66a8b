"""A user's own DataFrame or file: original ids, times, order, and texts of items."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.ctr.linear import LogisticCTR
from m6rec_lite.data import (
    DataError,
    Histories,
    Interactions,
    TiedOrderWarning,
    leave_one_out,
    load_dataset,
    random_split,
)
from m6rec_lite.evaluation import evaluate
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.recommenders import EASE, Bigram, ItemKNN, Markov, NotFittedError, Popularity
from m6rec_lite.recommenders.factorization import ExplicitMF


def orders(n_users: int = 60, n_items: int = 12, length: int = 8, seed: int = 0) -> pd.DataFrame:
    """Half of the users take items ``apple-*``, the others ``boot-*``, in random order."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        kind = ("apple", "boot")[user % 2]
        picked = rng.permutation(n_items)[:length]
        rows += [(f"customer {user}", f"{kind}-{i}", 1_700_000_000 + 60 * user + n)
                 for n, i in enumerate(picked)]  # fmt: skip
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


# Ids


def test_the_same_rows_in_another_order_are_the_same_split(tmp_path):
    frame = orders()
    january, february = tmp_path / "january.csv", tmp_path / "february.csv"
    frame.to_csv(january, index=False)
    frame.iloc[::-1].to_csv(february, index=False)
    one, other = (leave_one_out(load_dataset(path, progress=False)) for path in (january, february))
    assert one.item_ids.tolist() == sorted(set(frame["item_id"]))
    np.testing.assert_array_equal(one.item_ids, other.item_ids)
    assert one.hash == other.hash
    renamed = frame.assign(item_id=frame["item_id"].replace({"apple-0": "boot-99"}))
    assert leave_one_out(load_dataset(renamed)).hash != one.hash


def test_recommendations_name_the_original_ids():
    split = leave_one_out(load_dataset(orders()))
    table = ItemKNN().fit(split.train).recommend(split.test.histories, k=3)
    assert set(table["user_id"]) == set(orders()["user_id"])
    kind = table["item_id"].str.split("-").str[0]
    wanted = np.where(table["user_id"].str.split().str[1].astype(int) % 2, "boot", "apple")
    assert (kind == wanted).all()
    nothing = ItemKNN().fit(split.train).recommend(split.test.histories[:0])
    assert nothing["item_id"].dtype == table["item_id"].dtype


def test_a_model_meets_new_items_of_another_month(caplog):
    january = orders()
    february = pd.concat([january, pd.DataFrame(
        {"user_id": ["customer 0"], "item_id": ["cherry-1"], "timestamp": [1_800_000_000]}
    )])  # fmt: skip
    model = ItemKNN().fit(leave_one_out(load_dataset(january)).train)
    histories = Interactions.from_frame(february).histories()
    with pytest.raises(DataError, match=r"unknown item: \['cherry-1'\] \(of 1 such"):
        model.recommend(histories)
    with caplog.at_level(logging.WARNING):
        table = model.recommend(histories, unknown="drop")
    assert "cherry-1" in caplog.text
    known = Interactions.from_frame(january).histories()
    pd.testing.assert_frame_equal(table, model.recommend(known))
    with caplog.at_level(logging.WARNING):
        dropped = Interactions.from_frame(february, item_ids=model.item_ids, unknown="drop")
    assert len(dropped) == len(january)
    with pytest.raises(ValueError, match="'raise' or 'drop'"):
        model.recommend(histories, unknown="ignore")


def test_text_and_numbers_are_never_matched():
    numbers = Interactions.from_frame(
        pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2], "timestamp": [1, 2, 3]})
    )
    with pytest.raises(DataError, match=r"(?s)whole numbers such as \[1.*text_ids=True"):
        numbers.histories().align(np.array(["1", "2"]))
    with pytest.raises(DataError, match=r"(?s)column item_id.*whole numbers.*text"):
        load_dataset(
            pd.DataFrame({"user_id": [1], "item_id": [7], "timestamp": [1]}),
            items=pd.DataFrame({"item_id": ["007"], "title": ["seven"]}),
        )


@given(st.lists(st.tuples(st.integers(0, 5), st.text("ab0-é字", min_size=1, max_size=3),
                          st.integers(0, 99)), min_size=1, max_size=30),
       st.randoms())  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_align_keeps_every_event_by_its_id(rows, random):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    histories = Interactions.from_frame(frame).histories()
    more = np.unique([*frame["item_id"], "zz", "0a"])
    aligned = histories.align(more)
    np.testing.assert_array_equal(
        aligned.item_ids[aligned.items], histories.item_ids[histories.items]
    )
    some = np.unique(random.sample(list(more), len(more) // 2 + 1))
    fewer = histories.align(some, unknown="drop")
    met = histories.item_ids[histories.items]
    np.testing.assert_array_equal(fewer.item_ids[fewer.items], met[np.isin(met, some)])
    np.testing.assert_array_equal(fewer.rows, histories.rows[np.isin(met, some)])


BAD_IDS = {
    "fractions": ([1.5, 2.0, 3.0], "not whole numbers.*round them"),
    "NaN": ([1.0, np.nan, 3.0], "missing.*fill them in"),
    "None among texts": (["a", None, "b"], "missing"),
    "a mixture": (["a", 2, "b"], r"are numbers.*astype\(\"str\"\)"),
    "dates": (pd.to_datetime(["2024-01-01"] * 3), "datetime64.*whole numbers or text"),
    "flags": ([True, False, True], "bool.*whole numbers or text"),
    "too large": ([2.0**60, 1.0, 2.0], "too large for a float"),
    "empty": (["", "a", "b"], "empty texts"),
}


@pytest.mark.parametrize("case", BAD_IDS)
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_bad_ids_are_refused_with_the_fix(case, column):
    values, message = BAD_IDS[case]
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2], "timestamp": [1, 2, 3]})
    frame[column] = values
    with pytest.raises(DataError, match=f"(?s){column}.*{message}"):
        Interactions.from_frame(frame)
    with pytest.raises(DataError, match=f"(?s){column}.*{message}"):
        load_dataset(frame)


def test_whole_floats_are_ids_and_categories_too():
    frame = pd.DataFrame({"user_id": [1.0, 2.0], "item_id": ["b", "a"], "timestamp": [1, 2]})
    frame["item_id"] = frame["item_id"].astype("category")
    rows = Interactions.from_frame(frame)
    assert rows.user_ids.tolist() == [1, 2]
    assert rows.item_ids.tolist() == ["a", "b"]


# Times


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_from_frame_converts_dates(unit):
    times = pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True).as_unit(unit)
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "timestamp": times})
    rows = Interactions.from_frame(frame)
    assert rows.timestamps.tolist() == [1_704_067_200, 1_704_153_600]


BAD_TIMES = {
    "milliseconds": ([1_700_000_000_000, 1_700_000_001_000], r"milliseconds.*divide by 1,000"),
    "dates as numbers": ([20141118, 20141119], r"dates written as numbers.*%Y%m%d"),
    "fractions": ([1.5, 2.0], "not whole numbers.*round"),
    "NaN": ([1.0, np.nan], "missing"),
    "texts": (["2024-01-01", "2024-01-02"], "not numbers.*datetime64"),
}


@pytest.mark.parametrize("case", BAD_TIMES)
def test_bad_times_are_refused_with_the_fix(case):
    values, message = BAD_TIMES[case]
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "timestamp": values})
    with pytest.raises(DataError, match=f"(?s)timestamp.*{message}"):
        Interactions.from_frame(frame)


def test_dates_as_numbers_are_read_by_their_format(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("user_id,item_id,timestamp\na,x,20141118\na,y,20141119\n")
    with pytest.raises(DataError, match=r"(?s)dates written as numbers.*timestamp_unit=\"%Y%m%d\""):
        load_dataset(path, progress=False)
    data = load_dataset(path, progress=False, timestamp_unit="%Y%m%d")
    assert data.interactions["timestamp"].tolist() == [1_416_268_800, 1_416_355_200]


# Order


def tied(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(timestamp=1_700_000_000)


def test_tied_last_rows_are_reported_wherever_the_figures_go():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clear = leave_one_out(load_dataset(orders()))
    assert clear.tied_last == 0
    dataset = load_dataset(tied(orders()))
    with pytest.warns(TiedOrderWarning, match=r"100% of the users.*random_split\(dataset, seed=0"):
        split = leave_one_out(dataset)
    assert split.tied_last == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert leave_one_out(dataset, ties="file").tied_last == 1
    report = evaluate(Popularity().fit(split.train), split, progress=False, bootstrap=0)
    assert "file order decided the target of 100%" in str(report)
    assert report.to_row()["tied_last"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert random_split(dataset, seed=0).tied_last == 0


def test_a_few_ties_do_not_warn():
    frame = orders()
    last = frame.groupby("user_id")["timestamp"].transform("max") == frame["timestamp"]
    few = last & frame["user_id"].isin([f"customer {n}" for n in range(6)])
    frame.loc[few, "timestamp"] -= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = leave_one_out(load_dataset(frame))
    assert split.tied_last == pytest.approx(0.1)


def test_rows_without_times_stand_in_file_order(tmp_path):
    frame = orders().drop(columns="timestamp").sample(frac=1, random_state=0)
    path = tmp_path / "orders.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"(?s)column timestamp is missing.*timestamp=\"row\""):
        load_dataset(path, progress=False)
    for source in (path, frame):
        options = {} if source is frame else {"progress": False}
        data = load_dataset(source, timestamp="row", **options)
        assert data.interactions["timestamp"].tolist() == list(range(len(frame)))
        assert not data.has_time
        assert any("order, not the time" in quirk for quirk in data.card.quirks)
        split = leave_one_out(data)
        last = frame.groupby("user_id")["item_id"].last()
        users = split.test.histories.user_ids
        assert split.item_ids[split.test.targets].tolist() == last[users].tolist()
        assert not split.train.has_time
        assert not split.test.histories.has_time


def test_text_of_rows_without_times_speaks_of_order():
    frame = orders().drop(columns="timestamp").assign(title=lambda t: t["item_id"])
    data = load_dataset(frame, timestamp="row")
    histories = leave_one_out(data).test.histories
    text = BehaviourText(data).documents(histories[[0]])[0].text
    assert "Thursday" not in text
    assert "January" not in text
    assert "ago" not in text
    assert text.count("event earlier") == 1
    assert "2 events earlier" in text
    assert text.rstrip().endswith("last")
    later = BehaviourText(data, times="later").documents(histories[[0]])[0].text
    assert "later" not in later
    with pytest.raises(DataError, match="counts days, and the data have no times"):
        Popularity(half_life_days=3).fit(leave_one_out(data).train)


# Texts


def test_item_columns_of_the_interactions_become_the_items(tmp_path):
    frame = orders().assign(
        name=lambda t: "A " + t["item_id"], price=lambda t: t["item_id"].str[-1].astype(int) + 0.5,
        tags=lambda t: t["item_id"].str.replace("-", "|"), quantity=1,
    )  # fmt: skip
    frame.loc[frame.index[::3], "name"] = np.nan  # a missing value is no conflict
    path = tmp_path / "orders.csv"
    frame.to_csv(path, index=False)
    for source in (path, frame):
        options = {} if source is frame else {"progress": False}
        data = load_dataset(source, columns={"title": "name"}, **options)
        assert list(data.interactions) == ["user_id", "item_id", "timestamp", "event", "value"]
        row = data.items.set_index("item_id").loc["boot-3"]
        assert (row["title"], row["price"], row["tags"]) == ("A boot-3", 3.5, ["boot", "3"])
        assert any("not read: quantity" in quirk for quirk in data.card.quirks)


def test_an_item_of_two_titles_is_reported():
    frame = orders().assign(title=lambda t: t["item_id"])
    where = frame.index[frame["item_id"] == "apple-3"][1]
    frame.loc[where, "title"] = "a pear"
    with pytest.raises(DataError, match=r"(?s)column title: 1 of 24 items.*apple-3.*a pear"):
        load_dataset(frame)
    data = load_dataset(frame, on_bad_rows="drop")
    assert data.items.set_index("item_id").loc["apple-3", "title"] == "apple-3"
    assert len(data.interactions) == len(frame)
    assert [(entry.column, entry.rows) for entry in data.dropped] == [("title", 1)]


def test_items_without_any_text_are_refused_by_what_reads_text():
    data = load_dataset(orders())
    with pytest.raises(DataError, match=r"(?s)none of the 24 items has any text.*columns="):
        BehaviourText(data)


# What is passed in place of something else


def test_a_wrong_argument_is_named_with_the_right_one():
    frame = orders()
    data = load_dataset(frame)
    split = leave_one_out(data)
    for wrong, hint in ((split, "pass split.train"), (data, r"leave_one_out\(dataset\)"),
                        (frame, "from_frame")):  # fmt: skip
        with pytest.raises(DataError, match=f"wants Interactions, got .*{hint}"):
            EASE().fit(wrong)
        with pytest.raises(DataError, match=f"wants Interactions, got .*{hint}"):
            ExplicitMF(4).fit(wrong)
    with pytest.raises(DataError, match=r"(?s)got Split and Dataset.*dataset\.impressions"):
        LogisticCTR().fit(split, data)
    with pytest.raises(DataError, match=r"wants a Dataset, got DataFrame.*load_dataset"):
        leave_one_out(frame)
    with pytest.raises(DataError, match="got int"):
        load_dataset(7)
    with pytest.raises(NotFittedError, match="EASE is not fitted"):
        evaluate(EASE(), split)
    with pytest.raises(TypeError, match=r"wants a Split, got Dataset.*leave_one_out"):
        evaluate(EASE().fit(split.train), data)
    with pytest.raises(DataError, match=r"dataset\.interactions"):
        Interactions.from_frame(data)


def test_shuffled_rows_show_what_the_file_order_was_worth():
    """Sequence models on rows without time order: the report says that order decided."""
    rng = np.random.default_rng(0)
    rows = [(u, (u + step) % 40) for u in range(300) for step in range(8)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=1)
    result = {}
    for name, source in (("file", frame), ("shuffled", frame.iloc[rng.permutation(len(frame))])):
        with pytest.warns(TiedOrderWarning):
            split = leave_one_out(load_dataset(source))
        for model in (Markov(), Bigram()):
            report = evaluate(model.fit(split.train), split, progress=False, bootstrap=0)
            assert report.tied_last == 1
            result[type(model).__name__, name] = report["ndcg@10"]
    assert result["Bigram", "file"] > result["Bigram", "shuffled"] + 0.05
    assert result["Markov", "file"] > result["Markov", "shuffled"] + 0.05


def test_from_lists_takes_text_ids():
    ids = np.array(["a", "b", "c"])
    histories = Histories.from_lists([["b", "a"], []], ids, user_ids=["x", "y"])
    assert histories.items.tolist() == [1, 0]
    with pytest.raises(DataError, match=r"unknown item: \['z'\]"):
        Histories.from_lists([["z"]], ids)
