"""Features of impressions without the future, and what single click models promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.encoder import Encoder
from m6rec_lite.ctr.event_log import EventLog, histories_before
from m6rec_lite.ctr.impressions import GROUPS, known_at, split_by_time
from m6rec_lite.ctr.linear import FactorizationMachineCTR, LogisticCTR, fit_logistic
from m6rec_lite.data import DataError, Interactions
from tests.contracts.clicks import START, before, fitted, world

rows_of_a_log = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(-2, 2)), max_size=25
)
questions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11)), min_size=1, max_size=10)


# What a log had said by a moment.


@settings(max_examples=120, deadline=None)
@given(rows_of_a_log, questions, st.integers(1, 6))
def test_a_timeline_knows_what_came_before_and_nothing_else(log, queries, within):
    keys, moments, weights = (np.array([row[i] for row in log]) for i in range(3))
    wanted, at = (np.array(column) for column in zip(*queries, strict=True))
    line = EventLog(keys, moments, weights)
    past = [[row for row in log if row[0] == k and row[1] < t] for k, t in queries]
    assert line.count(wanted, at).tolist() == [len(rows) for rows in past]
    late = [
        [r for r in rows if r[1] >= t - within] for rows, (_, t) in zip(past, queries, strict=True)
    ]
    assert line.count(wanted, at, within=within).tolist() == [len(rows) for rows in late]
    np.testing.assert_allclose(line.total(wanted, at), [sum(r[2] for r in rows) for rows in past])
    since = [t - max((r[1] for r in rows), default=-np.inf) for rows, (_, t) in
             zip(past, queries, strict=True)]  # fmt: skip
    assert line.since(wanted, at).tolist() == since


@settings(max_examples=60, deadline=None)
@given(rows_of_a_log, questions, st.integers(1, 4))
def test_histories_end_before_the_question(log, queries, latest):
    frame = pd.DataFrame(log, columns=["user_id", "timestamp", "value"], dtype=np.int64)
    frame["item_id"] = np.arange(len(frame))
    rows = Interactions.from_frame(frame, item_ids=np.arange(30))
    users, at = (np.array(column) for column in zip(*queries, strict=True))
    histories, values = histories_before(rows, users, at, latest=latest)
    for i, (user, now) in enumerate(queries):
        own = frame[(frame.user_id == user) & (frame.timestamp < now)]
        own = own.sort_values("timestamp", kind="stable").tail(latest)
        here = slice(histories.offsets[i], histories.offsets[i + 1])
        assert histories.items[here].tolist() == own.item_id.tolist()
        assert values[here].tolist() == own.value.tolist()


def test_features_are_what_was_known_then_and_no_more():
    dataset = world()
    shown = dataset.impressions
    whole = known_at(shown, dataset)
    for position in np.random.default_rng(0).integers(len(shown), size=12):
        alone = shown.iloc[[position]]
        then = known_at(alone, before(dataset, int(alone["timestamp"].iloc[0])))
        for name in whole:
            wanted = whole[name].iloc[position]
            result = then[name].iloc[0] if name in then else None
            if isinstance(wanted, float):
                assert result == pytest.approx(wanted), name
            else:
                assert result == wanted, name


def test_features_hold_no_label_and_nothing_of_the_logging_policy():
    dataset = world()
    shown = dataset.impressions
    turned = shown.assign(clicked=~shown.clicked, purchased=False, propensity=0.5, examination=0.3)
    plain = known_at(shown, dataset)
    pd.testing.assert_frame_equal(known_at(turned, dataset), plain)
    assert not {"clicked", "purchased", "propensity", "examination"} & set(plain)
    # clicks of the same second, the row's own slate, stay out of the rates
    at = shown["timestamp"].max()
    changed = replace(dataset, impressions=shown.assign(
        clicked=shown["clicked"] ^ (shown["timestamp"] == at)))  # fmt: skip
    last = shown[shown["timestamp"] == at]
    pd.testing.assert_frame_equal(known_at(last, changed), known_at(last, dataset))


def test_features_by_hand():
    dataset = world()
    shown = dataset.impressions
    row = shown[shown["timestamp"] == shown["timestamp"].max()].iloc[[2]]
    user, item, now = (int(row[c].iloc[0]) for c in ("user_id", "item_id", "timestamp"))
    result = known_at(row, dataset).iloc[0]
    events = dataset.interactions[dataset.interactions["timestamp"] < now]
    own_rows = events[events["user_id"] == user].sort_values("timestamp")
    assert np.expm1(result["log_item_events"]) == pytest.approx((events["item_id"] == item).sum())
    assert np.expm1(result["log_user_events"]) == pytest.approx(len(own_rows))
    gap = now - own_rows["timestamp"].iloc[-1]
    assert np.expm1(result["log_hours_idle"]) == pytest.approx(gap / 3600)
    assert np.expm1(result["log_times_met"]) == pytest.approx((own_rows["item_id"] == item).sum())
    of = dataset.items.set_index("item_id")
    last = of.loc[own_rows["item_id"].iloc[-1]]
    common = set(last["tags"]) & set(of.loc[item]["tags"])
    assert result["tags_last"] == pytest.approx(len(common) / 2)  # two tags each: a cosine
    assert result["domain_last"] == float(last["domain"] == of.loc[item]["domain"])
    assert result["position"] == 2
    assert result["month"] == pd.Timestamp(now, unit="s").month_name()
    assert result["weather"] == ("snow" if pd.Timestamp(now, unit="s").day % 2 else "sunny")
    past = dataset.impressions[dataset.impressions["timestamp"] < now]
    own = past[past["item_id"] == item]["clicked"]
    rate = (own.sum() + 20 * past["clicked"].mean()) / (len(own) + 20)
    assert result["item_click_rate"] == pytest.approx(rate)


def test_a_shopper_without_a_past_and_an_item_without_a_log_have_features():
    dataset = world()
    quiet = before(dataset, START)  # nothing has happened yet
    table = known_at(dataset.impressions.iloc[:3], quiet)
    numbers = table.select_dtypes("number")
    assert np.isfinite(numbers.to_numpy()).all()
    assert (table[["tags_last", "log_lift_last", "log_item_events"]] == 0).all(axis=None)


def test_items_without_a_word_or_a_price_have_features():
    dataset = world()
    bare = dataset.items.assign(title=None, description=None, price=np.nan, tags=None)
    table = known_at(dataset.impressions.iloc[:5], replace(dataset, items=bare))
    assert not {"tags", "log_price", "tags_last"} & set(table)
    assert (table["words_last"] == 0).all()
    assert (table["script"] == "Latin").all()


def test_unknown_names_are_reported():
    dataset = world()
    row = dataset.impressions.iloc[[0]]
    with pytest.raises(DataError, match=r"unknown item, first \[5\].*items table has 48"):
        known_at(row.assign(item_id=5), dataset)
    with pytest.raises(DataError, match=r"unknown user, first \[9999\]"):
        known_at(row.assign(user_id=9999), dataset)
    with pytest.raises(DataError, match=r"\['timestamp'\] missing"):
        known_at(row.drop(columns="timestamp"), dataset)
    for groups in (["clicks"], []):
        with pytest.raises(ValueError, match="groups must name some of"):
            known_at(row, dataset, groups=groups)


def test_the_calendar_cuts_impressions_and_keeps_slates_whole():
    shown = world().impressions
    parts = split_by_time(shown, validation=0.2, test=0.1)
    assert sum(map(len, parts)) == len(shown)
    ends = [(part["timestamp"].min(), part["timestamp"].max()) for part in parts]
    assert ends[0][1] < ends[1][0]
    assert ends[1][1] < ends[2][0]
    assert len(parts[2]) == pytest.approx(0.1 * len(shown), abs=10)
    slates = [set(part["slate_id"]) for part in parts]
    assert not slates[0] & slates[1] | slates[1] & slates[2]
    with pytest.raises(ValueError, match="together below 1"):
        split_by_time(shown, validation=0.5, test=0.5)
    with pytest.raises(DataError, match="cannot be cut in three"):
        split_by_time(shown.iloc[:2])


# Each one's own.


def test_popularity_by_hand():
    at = START + np.array([0, 0, 10, 10, 20, 20])
    shown = pd.DataFrame(
        {
            "item_id": [1, 2, 2, 1, 1, 2],
            "timestamp": at,
            "position": [0, 1] * 3,
            "clicked": [True, False, True, False, True, True],
        }
    )
    model = MeanRateCTR(trust=1.0)
    dataset = replace(world(), impressions=shown)
    rates = model.fit(shown, dataset).rates_
    mean = 4 / 6
    np.testing.assert_allclose(rates, [(3 + 20 * mean) / 23, (1 + 20 * mean) / 23, mean])
    result = model.predict(shown.iloc[4:], dataset)
    lift_1 = (1 + 1) / (rates[0] + rates[1] + 1)  # item 1 was clicked once before, at the top
    lift_2 = (1 + 1) / (rates[1] + rates[0] + 1)
    np.testing.assert_allclose(result, [rates[0] * lift_1, rates[1] * lift_2])


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_logistic_regression_equals_scikit_learn(l2):
    rng = np.random.default_rng(3)
    x = sparse.random_array((400, 30), density=0.3, rng=rng, format="csr")
    truth = rng.normal(size=30)
    labels = (rng.random(400) < 1 / (1 + np.exp(-(x @ truth - 1)))).astype(float)
    b, w = fit_logistic(x, labels, l2)
    reference = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000).fit(x, labels)
    np.testing.assert_allclose(w, reference.coef_[0], atol=1e-5)
    assert b == pytest.approx(reference.intercept_[0], abs=1e-5)


def test_logistic_regression_stays_finite_where_a_feature_tells_all():
    x = sparse.csr_array(np.array([[1.0], [1.0], [-1.0], [-1.0]]))
    b, w = fit_logistic(x, np.array([1.0, 1.0, 0.0, 0.0]), 0.1)
    assert 1 < w[0] < 10
    assert abs(b) < 1e-6
    with pytest.raises(RuntimeError, match="raise max_steps"):
        fit_logistic(x, np.array([1.0, 1.0, 0.0, 0.0]), 1e-9, max_steps=2)


def test_weights_are_named_and_the_pattern_is_the_strongest():
    weights = fitted("LogisticCTR").weights()
    assert weights.abs().is_monotonic_decreasing
    assert weights.index[0].startswith("tags_last")
    assert weights.iloc[0] > 0


def test_an_encoder_bins_numbers_and_leaves_rare_values_out():
    table = pd.DataFrame(
        {
            "number": [1.0, 2.0, 3.0, 4.0, 5.0],
            "same": [7.0] * 5,
            "kind": pd.Series(["a", "a", "b", None, "a"], dtype=object),
        }
    )
    plain = Encoder(least=2).fit(table)
    assert plain.names == ["number", "same", "kind=a"]
    x = plain.transform(table).toarray()
    np.testing.assert_allclose(x[:, 0], (np.arange(5) - 2) / np.sqrt(2))
    np.testing.assert_array_equal(x[:, 1:], [[0, 1], [0, 1], [0, 0], [0, 0], [0, 1]])
    binned = Encoder(bins=2).fit(table)
    assert binned.names[:2] == ["number in bin 0", "number in bin 1"]
    x = binned.transform(table).toarray()
    np.testing.assert_array_equal(x[:, 1], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(x[:, :4].sum(axis=1), 2)  # each number is in one bin
    far = pd.DataFrame({"number": [-1e9, 1e9], "same": [0.0, 9.0], "kind": ["z", "b"]})
    np.testing.assert_array_equal(binned.transform(far).toarray()[:, :2], [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="bins must be 0"):
        Encoder(bins=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogisticCTR(l2=0), "l2 must be > 0"),
        (lambda: LogisticCTR(bins=1), "bins must be 0"),
        (lambda: FactorizationMachineCTR(factors=0), "factors must be at least 1"),
        (lambda: MeanRateCTR(trust=0), "trust must be > 0"),
        (lambda: DIN(activation="relu"), "activation must be 'dice' or 'prelu', got 'relu'"),
        (lambda: DIN(dropout=1.0), "dropout must be"),
        (lambda: DIN(max_length=0), "max_length must be at least 1"),
        (lambda: DIN(hidden=(0,)), "a layer must be at least 1"),
        (lambda: DIN(regularization=-1), "regularization must be >= 0"),
    ],
)
def test_settings_out_of_range_are_reported(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_groups_choose_the_features():
    train = world().impressions
    model = LogisticCTR(groups=("context",), least=1).fit(train, world())
    assert {name.split("=")[0] for name in model.weights().index} == {
        "position", "month", "weekday", "part_of_day", "weather",
    }  # fmt: skip
    assert GROUPS == ("item", "user", "context", "counts", "matches")
