"""Index arrays: order, lookup, ragged rows, and the hash of a split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import EVENTS, DataError, Histories, Holdout, Interactions, Split

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40
)


def frame(rows, event="click"):
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return table.assign(event=event, value=np.arange(len(table), dtype=float))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_order_is_user_then_time_then_file(rows):
    made = Interactions.from_frame(frame(rows))
    expected = sorted(range(len(rows)), key=lambda n: (rows[n][0], rows[n][2]))  # sorted is stable
    assert made.values.tolist() == expected
    assert made.user_ids[made.users].tolist() == [rows[n][0] for n in expected]
    assert made.item_ids[made.items].tolist() == [rows[n][1] for n in expected]


def test_ties_keep_file_order_not_item_order():
    made = Interactions.from_frame(frame([(1, 9, 5), (1, 3, 5), (1, 7, 5), (1, 8, 4)]))
    assert made.item_ids[made.items].tolist() == [8, 9, 3, 7]


def test_ids_may_be_given_and_must_hold_all_rows():
    rows = [(1, 10, 0), (3, 30, 1)]
    made = Interactions.from_frame(
        frame(rows), user_ids=np.array([3, 2, 1]), item_ids=np.array([30, 20, 10])
    )
    assert made.user_ids.tolist() == [1, 2, 3]
    assert made.items.tolist() == [0, 2]
    with pytest.raises(DataError, match=r"unknown item: \[30\] \(of 1 such"):
        Interactions.from_frame(frame(rows), item_ids=np.array([10, 20]))
    with pytest.raises(DataError, match=r"unknown user: \[1\]"):
        Interactions.from_frame(frame(rows), user_ids=np.array([3]))
    with pytest.raises(DataError, match="among the 0 known ids"):
        Interactions.from_frame(frame(rows), item_ids=np.array([], dtype=int))


def test_faulty_frames_are_refused():
    with pytest.raises(DataError, match=r"unknown events \['buy'\]"):
        Interactions.from_frame(frame([(1, 2, 3)], event="buy"))
    with pytest.raises(DataError, match=r"\['timestamp'\] missing"):
        Interactions.from_frame(pd.DataFrame({"user_id": [1], "item_id": [2]}))
    bare = Interactions.from_frame(frame([(1, 2, 3)])[["user_id", "item_id", "timestamp"]])
    assert bare.values.tolist() == [1.0]


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_matrix_counts_once_or_sums_weights(rows):
    made = Interactions.from_frame(frame(rows))
    ones, sums = made.matrix().toarray(), made.matrix(np.full(len(made), 0.5)).toarray()
    dense = np.zeros((made.n_users, made.n_items))
    np.add.at(dense, (made.users, made.items), 1)
    np.testing.assert_array_equal(ones, dense > 0)
    np.testing.assert_allclose(sums, dense / 2)
    histories = made.histories()
    np.testing.assert_array_equal(histories.matrix().toarray(), ones)
    np.testing.assert_allclose(histories.matrix(np.full(len(made), 0.5)).toarray(), sums)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 5), st.lists(st.integers(-5, 4), max_size=6))
def test_histories_behave_like_lists(rows, n, positions):
    users = np.arange(5)
    made = Interactions.from_frame(frame(rows), user_ids=users)
    histories = made.histories()
    lists = [
        [i for u, i, _ in sorted(rows, key=lambda r: (r[0], r[2])) if u == user] for user in users
    ]

    def as_lists(h):
        cut = zip(h.offsets[:-1], h.offsets[1:], strict=True)
        return [h.item_ids[h.items[start:stop]].tolist() for start, stop in cut]

    assert as_lists(histories) == lists
    assert as_lists(histories[positions]) == [lists[position] for position in positions]
    assert histories[positions].user_ids.tolist() == [users[position] for position in positions]
    assert as_lists(histories[1:4]) == lists[1:4]
    assert as_lists(histories[users % 2 == 0]) == lists[::2]
    assert as_lists(histories[3]) == [lists[3]]
    assert as_lists(histories.last(n)) == [row[-n:] if n else [] for row in lists]
    back = [len(row) - 1 - k for row in lists for k in range(len(row))]
    assert histories.steps_back.tolist() == back
    latest = [max((t for u, _, t in rows if u == user), default=-1) + 1 for user in users]
    assert histories.at.tolist() == latest
    assert made.histories(at=77).at.tolist() == [77] * 5


def test_from_lists():
    items = np.array([5, 7, 9])
    made = Histories.from_lists([[9, 5], [], [7]], items)
    assert made.items.tolist() == [2, 0, 1]
    assert made.timestamps.tolist() == [0, 1, 0]
    assert made.at.tolist() == [2, 0, 1]
    assert made.user_ids.tolist() == [0, 1, 2]
    assert (made.events == EVENTS.index("click")).all()
    timed = Histories.from_lists(
        [[9], [5]], items, timestamps=[[50], [60]], user_ids=[4, 8], at=99, event="cart"
    )
    assert timed.at.tolist() == [99, 99]
    assert timed.timestamps.tolist() == [50, 60]
    assert (timed.events == EVENTS.index("cart")).all()
    assert len(Histories.from_lists([], items)) == 0
    assert len(Histories.from_lists([[]], items)) == 1


def test_from_lists_refuses_what_does_not_fit():
    items = np.array([5, 7, 9])
    with pytest.raises(DataError, match=r"unknown item: \[6\]"):
        Histories.from_lists([[6]], items)
    with pytest.raises(DataError, match="must ascend"):
        Histories.from_lists([[7]], np.array([9, 7, 5]))
    with pytest.raises(DataError, match="same lengths"):
        Histories.from_lists([[7], [5]], items, timestamps=[[1], []])
    with pytest.raises(DataError, match="3 user_ids for 1 lists"):
        Histories.from_lists([[7]], items, user_ids=[1, 2, 3])
    with pytest.raises(ValueError, match="event must be one of"):
        Histories.from_lists([[7]], items, event="buy")
    with pytest.raises(ValueError, match="0 or more"):
        Histories.from_lists([[7]], items).last(-1)


def holdout(targets, offsets):
    histories = Histories.from_lists([[5]] * (len(offsets) - 1), np.array([5, 7, 9]))
    return Holdout(histories, np.array(targets, dtype=np.int32), np.array(offsets))


def test_holdout_with_several_targets_is_cut_by_rows():
    targets = holdout([0, 1, 2, 1], [0, 2, 2, 4])
    assert targets.target_rows.tolist() == [0, 0, 2, 2]
    part = targets[[2, 0]]
    assert part.targets.tolist() == [2, 1, 0, 1]
    assert part.target_rows.tolist() == [0, 0, 1, 1]
    assert part.histories.user_ids.tolist() == [2, 0]
    assert len(targets[[]]) == 0


def test_hash_names_the_test_pairs_and_nothing_else():
    train = Interactions.from_frame(frame([(0, 5, 1), (1, 7, 2), (2, 9, 3)]))
    queries = holdout([0, 1, 2], [0, 1, 2, 3])
    base = Split("a", "b", train, queries, queries)
    assert len(base.hash) == 12
    assert base.hash == Split("other", "names", train, queries[[0]], queries).hash
    assert base.hash != Split("a", "b", train, queries, holdout([0, 2, 1], [0, 1, 2, 3])).hash
    assert (
        base.hash == Split("a", "b", train, queries, queries[[1, 0, 2]]).hash
    )  # order is no matter
    # the same places in another catalogue are other items
    shifted = Interactions.from_frame(frame([(0, 6, 1), (1, 8, 2), (2, 10, 3)]))
    assert base.hash != Split("a", "b", shifted, queries, queries).hash
    assert "hash" in repr(base)
