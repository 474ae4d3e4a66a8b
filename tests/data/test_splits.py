"""Splits: who is asked what, from which history, and what no model may have seen."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import (
    EVENTS,
    Card,
    DataError,
    Dataset,
    Interactions,
    cold_item,
    global_time,
    hidden_domain,
    leave_one_out,
    random_split,
    validate,
)
from m6rec_lite.data.prepare import collapse, prepare


def dataset(rows, domains=None):
    """From (user, item, time) or (user, item, time, event) rows."""
    table = pd.DataFrame([(*r, "click")[:4] for r in rows],
                         columns=["user_id", "item_id", "timestamp", "event"])  # fmt: skip
    table["value"] = np.arange(len(table), dtype=float)
    items = pd.DataFrame({"item_id": sorted(table["item_id"].unique())})
    if domains is not None:
        items["domain"] = [domains(item) for item in items["item_id"]]
    users = pd.DataFrame({"user_id": sorted(table["user_id"].unique())})
    return Dataset("small", validate("interactions", table), validate("items", items),
                   validate("users", users), Card("small", "", ""))  # fmt: skip


def world(n_users=60, n_items=20, seed=0, **options):
    """Random rows in which every user meets 4 to 12 different items."""
    rng = np.random.default_rng(seed)
    rows = [
        (user, int(item), int(rng.integers(0, 10_000)))
        for user in range(n_users)
        for item in rng.permutation(n_items)[: rng.integers(4, 13)]
    ]
    rng.shuffle(rows)
    return dataset([tuple(int(v) for v in row) for row in rows], **options)


def ids(holdout):
    """Per question: user id, ids of the history, ids of the targets, `at`."""
    h = holdout.histories
    return [
        (
            int(h.user_ids[n]),
            h.item_ids[h.items[h.offsets[n] : h.offsets[n + 1]]].tolist(),
            h.item_ids[holdout.targets[holdout.target_rows == n]].tolist(),
            int(h.at[n]),
        )
        for n in range(len(h))
    ]


def pairs(rows):
    return set(zip(rows.user_ids[rows.users].tolist(), rows.item_ids[rows.items].tolist(),
                   strict=True))  # fmt: skip


OPEN = {"min_item_users": 1, "min_user_items": 3}
EVERY = {
    "leave_one_out": lambda d: leave_one_out(d),
    "random": lambda d: random_split(d, seed=3),
    "global_time": lambda d: global_time(d, validation=0.2, test=0.2),
    "cold_item": lambda d: cold_item(d, share=0.4, seed=3),
    "hidden_domain": lambda d: hidden_domain(d, "a", test=0.4, validation=0.3, seed=3),
}


def test_leave_one_out_on_paper():
    # ties at second 5 stay in file order: 30 before 10
    data = dataset([(1, 30, 5), (1, 10, 5), (1, 20, 1), (2, 10, 7), (2, 30, 8), (2, 20, 9)])
    split = leave_one_out(data, **OPEN)
    assert ids(split.validation) == [(1, [20], [30], 5), (2, [10], [30], 8)]
    assert ids(split.test) == [(1, [20, 30], [10], 5), (2, [10, 30], [20], 9)]
    assert pairs(split.train) == {(1, 20), (2, 10)}
    assert split.item_ids.tolist() == [10, 20, 30]
    assert split.candidates is None
    assert (split.name, split.dataset) == ("leave-one-out", "small")


def test_repeats_collapse_onto_the_first_row_with_the_strongest_event():
    data = dataset([
        (1, 10, 1, "view"), (1, 20, 2, "click"), (1, 30, 3, "click"),
        (1, 10, 4, "purchase"), (1, 10, 5, "purchase"), (1, 10, 6, "cart"),
    ])  # fmt: skip
    split = leave_one_out(data, **OPEN)
    assert ids(split.test) == [(1, [10, 20], [30], 3)]  # not the repeated 10
    assert EVENTS[split.train.events[0]] == "purchase"
    assert split.train.timestamps.tolist() == [1]
    assert split.train.values.tolist() == [3.0]  # of the first purchase


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9), st.sampled_from(EVENTS)),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    st.booleans(),
)
def test_collapse_agrees_with_the_slow_way(rows, by_period):
    made = Interactions.from_frame(dataset(rows).interactions)
    period = made.timestamps // 5
    got = collapse(made, period if by_period else None)
    slow = {}
    for n in range(len(made)):
        key = (made.users[n], made.items[n])
        first, best = slow.setdefault(key, [n, n])
        allowed = not by_period or period[n] == period[first]
        if allowed and made.events[n] > made.events[best]:
            slow[key][1] = n
    kept = sorted(slow.values())
    assert got.timestamps.tolist() == [made.timestamps[first] for first, _ in kept]
    assert got.items.tolist() == [made.items[first] for first, _ in kept]
    assert got.events.tolist() == [made.events[best] for _, best in kept]
    assert got.values.tolist() == [made.values[best] for _, best in kept]


def test_thresholds_apply_once_items_first():
    # item 9 has one user; without it user 3 has 2 items and goes; item 40 then has one user left,
    # and stays: thresholds are not repeated until nothing changes
    rows = [(1, 10, 1), (1, 20, 2), (1, 40, 3), (2, 10, 1), (2, 20, 2), (2, 30, 3),
            (3, 30, 1), (3, 40, 2), (3, 9, 3)]  # fmt: skip
    kept = prepare(dataset(rows), min_item_users=2, min_user_items=3)
    assert kept.user_ids.tolist() == [1, 2]
    assert kept.item_ids.tolist() == [10, 20, 30, 40]
    repeats = [(1, 10, t) for t in range(9)]  # ten times the same item is one user, one item
    with pytest.raises(DataError, match="no user is left"):
        prepare(dataset(repeats), min_item_users=2, min_user_items=1)


def test_a_user_with_too_few_items_is_left_out():
    rows = [(u, i, i) for u in range(6) for i in range(3)] + [(99, 0, 5), (98, 0, 5), (98, 1, 6)]
    split = leave_one_out(dataset(rows))
    assert split.train.user_ids.tolist() == list(range(6))
    with pytest.raises(DataError, match=r"Of 1 users and 1 items in 1 rows.*min_user_items=3"):
        leave_one_out(dataset([(1, 1, 1)]))
    with pytest.raises(ValueError, match="at least 3"):
        leave_one_out(dataset(rows), min_user_items=2)
    with pytest.raises(ValueError, match="0 or more"):
        leave_one_out(dataset(rows), min_item_users=-1)


@pytest.mark.parametrize("name", EVERY)
def test_what_every_split_promises(name):
    data = world(domains=lambda item: "ab"[item % 2])
    split = EVERY[name](data)
    again = EVERY[name](data)
    assert split.hash == again.hash
    train = pairs(split.train)
    everything = pairs(Interactions.from_frame(data.interactions))
    assert train <= everything
    assert len(split.validation) > 0
    assert len(split.test) > 0
    for holdout in (split.validation, split.test):
        assert holdout.histories.item_ids is split.item_ids
        for user, history, targets, at in ids(holdout):
            assert targets
            assert not set(targets) & set(history)
            assert {(user, item) for item in (*history, *targets)} <= everything
            assert not {(user, item) for item in targets} & train
            if split.candidates is not None:
                assert split.candidates[np.searchsorted(split.item_ids, targets)].all()
            assert at >= 0
        if name != "random":
            times = holdout.histories.timestamps
            assert (times <= holdout.histories.at[holdout.histories.rows]).all()
    shuffled = world(seed=1, domains=lambda item: "ab"[item % 2])
    assert EVERY[name](shuffled).hash != split.hash


@pytest.mark.parametrize("name", ["random", "cold_item", "hidden_domain"])
def test_seeds_matter(name):
    data = world(domains=lambda item: "ab"[item % 2])
    make = {
        "random": lambda s: random_split(data, seed=s),
        "cold_item": lambda s: cold_item(data, share=0.4, seed=s),
        "hidden_domain": lambda s: hidden_domain(data, "a", validation=0.3, seed=s),
    }[name]
    assert make(0).hash == make(0).hash
    assert make(0).hash != make(1).hash


def test_leave_one_out_uses_every_row_once():
    data = world()
    split = leave_one_out(data, **OPEN)
    queries = {(u, t) for h in (split.validation, split.test) for u, _, ts, _ in ids(h) for t in ts}
    train = pairs(split.train)
    assert not queries & train
    assert queries | train == pairs(Interactions.from_frame(data.interactions))
    assert len(split.train) + len(split.validation) + len(split.test) == len(data.interactions)
    for (_, before, (target,), _), (_, after, _, _) in zip(
        ids(split.validation), ids(split.test), strict=True
    ):
        assert after == [*before, target]


def test_random_split_leaks_and_draws_evenly():
    rows = [(u, i, i) for u in range(4000) for i in range(4)]
    split = random_split(dataset(rows), seed=0)
    target = split.item_ids[split.test.targets]
    share = np.bincount(target, minlength=4) / len(target)
    np.testing.assert_allclose(share, 0.25, atol=0.03)
    later = [max(history) > t[0] for _, history, t, _ in ids(split.test)]
    assert np.mean(later) == pytest.approx(0.75, abs=0.03)  # all but the last item
    h = split.test.histories
    assert (h.timestamps <= h.at[h.rows]).all()


def test_global_time_on_paper():
    # 20 rows, one a second: training before second 12, validation before 16
    rows = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 3), (1, 3), (4, 4), (2, 4), (4, 5), (1, 5),
            (4, 0), (1, 8), (2, 0), (2, 2), (4, 1), (4, 2), (2, 5), (1, 9), (3, 0)]  # fmt: skip
    data = dataset([(user, item, second) for second, (user, item) in enumerate(rows)])
    options = {"validation": 0.2, "test": 0.2, "min_item_users": 1}
    split = global_time(data, **options, target="all")
    assert split.item_ids.tolist() == [0, 1, 2, 3, 4, 5]  # 6, 8, 9 appear after the cut
    assert split.train.timestamps.max() == 11
    # user 1 met only new items, user 2 met item 0 again, user 3 has no history
    assert ids(split.validation) == [(2, [0, 1, 3, 4], [2], 14), (4, [4, 5, 0], [1], 15)]
    assert ids(split.test) == [(2, [0, 1, 3, 4, 2], [5], 17), (4, [4, 5, 0, 1], [2], 16)]
    with pytest.raises(DataError, match="no question in the validation period"):
        global_time(data, **options, min_history=5)


@pytest.mark.parametrize("target", ["first", "last", "all"])
def test_global_time_targets(target):
    data = world(n_users=80)
    split = global_time(data, validation=0.2, test=0.3, target=target)
    clock = np.sort(data.interactions["timestamp"].to_numpy())
    cuts = [clock[int(len(clock) * share)] for share in (0.5, 0.7)]
    assert split.train.timestamps.max() < cuts[0]
    time_of = data.interactions.set_index(["user_id", "item_id"])["timestamp"]
    known = set(split.item_ids.tolist())
    for holdout, low, high in ((split.validation, *cuts), (split.test, cuts[1], np.inf)):
        seen = set()
        for user, history, targets, at in ids(holdout):
            seen.add(user)
            times = time_of[user].sort_values(kind="stable")
            times = times[times.index.isin(known)]
            inside = times[(times >= low) & (times < high)]
            wanted = {"first": inside.index[:1], "last": inside.index[-1:], "all": inside.index}
            assert targets == wanted[target].tolist()
            assert at == time_of[user][targets[0]]
            before = times.index.tolist().index(targets[0])
            assert history == times.index.tolist()[:before]
        assert len(seen) == len(holdout)


def test_global_time_takes_no_event_from_the_future():
    rows = [(u, (i + 3 * u) % 10, 10 * i + u, "view") for u in range(5) for i in range(10)]
    rows.append((0, 0, 1000, "purchase"))
    split = global_time(dataset(rows), min_item_users=1, validation=0.2, test=0.3)
    assert set(split.train.events.tolist()) == {EVENTS.index("view")}


def test_cold_item_trains_on_no_cold_item_and_no_future_of_the_asked():
    data = world(n_users=100)
    split = cold_item(data, share=0.3, seed=1)
    cold = set(split.item_ids[split.candidates].tolist())
    assert len(cold) == round(0.3 * len(split.item_ids))
    assert not {item for _, item in pairs(split.train)} & cold
    targets = [{t[0] for _, _, t, _ in ids(h)} for h in (split.validation, split.test)]
    assert not targets[0] & targets[1]
    assert targets[0] | targets[1] <= cold
    queries = {u: at for h in (split.validation, split.test) for u, _, _, at in ids(h)}
    assert len(queries) == len(split.validation) + len(split.test)  # each user once
    for user, time in zip(
        split.train.user_ids[split.train.users], split.train.timestamps, strict=True
    ):
        assert user not in queries or time <= queries[user]


def test_hidden_domain_shows_nothing_of_it():
    data = world(n_users=100, domains=lambda item: "abc"[item % 3])
    split = hidden_domain(data, "b", test=0.4, validation=0.2, seed=0)
    assert (split.item_ids[split.candidates] % 3 == 1).all()
    assert split.candidates.sum() == (split.item_ids % 3 == 1).sum()
    queries = set()
    for holdout in (split.validation, split.test):
        for user, history, (target,), _ in ids(holdout):
            queries.add(user)
            assert target % 3 == 1
            assert all(item % 3 != 1 for item in history)
    train = pairs(split.train)
    assert not {(u, i) for u, i in train if u in queries and i % 3 == 1}
    assert len({u for u, i in train if i % 3 == 1}) >= 20  # others keep theirs
    assert len(split.test) > len(split.validation)
    apart = hidden_domain(data, "b", test=0.4, validation=0.2, seed=0, linked=False)
    assert apart.hash == split.hash  # the same questions
    for one, two in ((apart.validation, split.validation), (apart.test, split.test)):
        assert list(ids(one)) == list(ids(two))  # asked from the same histories
    kept = pairs(apart.train)
    at_home = {u for u, i in train if i % 3 == 1}
    assert set(kept) == {(u, i) for u, i in train if i % 3 == 1 or u not in at_home}
    assert len(kept) < len(train)
    with pytest.raises(DataError, match=r"no item has domain 'd'.*\['a', 'b', 'c'\]"):
        hidden_domain(data, "d")
    with pytest.raises(DataError, match="domains are \\[\\]"):
        hidden_domain(world(), "a")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: global_time(d, validation=0.6, test=0.5), "together below"),
        (lambda d: global_time(d, test=0), "between 0 and 1"),
        (lambda d: global_time(d, target="next"), "'last', 'first' or 'all'"),
        (lambda d: cold_item(d, share=1.0, seed=0), "between 0 and 1"),
        (lambda d: hidden_domain(d, "a", test=0.9, validation=0.2), "together below 1"),
        (lambda d: random_split(d, seed=0, min_user_items=1), "at least 3"),
    ],
)
def test_wrong_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(world(domains=lambda item: "ab"[item % 2]))


@pytest.mark.parametrize("name", EVERY)
def test_too_little_data_is_a_clear_error(name):
    data = dataset([(1, 1, 1), (1, 2, 2)], domains=lambda item: "a")
    with pytest.raises(DataError, match=r"small: no (user|item|question|row)"):
        EVERY[name](data)
