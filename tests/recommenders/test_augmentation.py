"""Edited and sampled histories, a GAN of histories, and whom to ask."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Histories, Interactions, NotFittedError
from m6rec_lite.recommenders import (
    Bigram,
    HistoryGAN,
    Markov,
    add_histories,
    augment,
    choose_users,
    sample_histories,
    take_users,
)

LENGTHS = (5, 1, 8)


def rows() -> Interactions:
    """Users 10, 20, 30 with 5, 1 and 8 of the items 100 to 111."""
    rng = np.random.default_rng(0)
    table = [
        (10 * (user + 1), 100 + item, 1000 + 10 * n)
        for user, length in enumerate(LENGTHS)
        for n, item in enumerate(rng.permutation(12)[:length])
    ]
    frame = pd.DataFrame(table, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame, item_ids=np.arange(100, 112))


TRAIN = rows()


def lists(some: Interactions) -> list[list[int]]:
    histories = some.histories()
    return [histories.items[histories.rows == row].tolist() for row in range(len(histories))]


def test_take_users_repeats_whole_histories():
    taken = take_users(TRAIN, np.array([2, 0, 2]))
    real = lists(TRAIN)
    assert lists(taken) == [real[2], real[0], real[2]]
    assert taken.user_ids.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(taken.item_ids, TRAIN.item_ids)


@settings(max_examples=40)
@given(
    edit=st.sampled_from(["copy", "crop", "mask", "reorder"]),
    share=st.floats(0, 1),
    copies=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_edits_keep_the_real_rows_and_the_order_of_times(edit, share, copies, seed):
    real = lists(TRAIN)
    made = augment(TRAIN, edit, share, copies=copies, seed=seed)
    found = lists(made)
    assert found[:3] == real
    assert len(found) == 3 * (1 + copies)
    assert (np.diff(made.timestamps)[np.diff(made.users) == 0] > 0).all()
    for edited, original in zip(found[3:], real * copies, strict=True):
        assert len(edited) >= 1
        assert set(edited) <= set(original)
        if edit == "crop":
            start = original.index(edited[0])
            assert edited == original[start : start + len(edited)]
            assert len(edited) == max(1, round(share * len(original)))
        if edit == "mask":
            assert edited == [item for item in original if item in edited]
            assert len(edited) == max(1, len(original) - round(share * len(original)))
        if edit == "reorder":
            assert sorted(edited) == sorted(original)
        if edit == "copy":
            assert edited == original


def test_reorder_leaves_what_is_outside_its_part():
    made = lists(augment(TRAIN, "reorder", 0.5, seed=1))
    moved = [a != b for a, b in zip(made[5], lists(TRAIN)[2], strict=True)]
    places = np.flatnonzero(moved)
    assert places.max() - places.min() < 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rotate",), "edit must be one of copy, crop, mask, reorder"),
        (("crop", 1.5), "share must be"),
    ],
)
def test_bad_edits_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        augment(TRAIN, *arguments)


def test_added_histories_come_after_the_real_ones():
    more = add_histories(TRAIN, [np.array([3, 1]), np.array([], dtype=int), np.array([0])])
    assert lists(more) == [*lists(TRAIN), [3, 1], [], [0]]
    assert more.timestamps.max() == TRAIN.timestamps.max()
    assert Bigram().fit(more, progress=False).is_fitted
    with pytest.raises(ValueError, match="indices from 0 to 11"):
        add_histories(TRAIN, [np.array([12])])
    assert lists(add_histories(TRAIN, [])) == lists(TRAIN)


def test_sampled_histories_follow_the_model():
    cycle = [(user, 100 + (user + n) % 12, n) for user in range(60) for n in range(6)]
    frame = pd.DataFrame(cycle, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame)
    model = Markov().fit(train, progress=False)
    starts = Histories.from_lists([[100], [105], [103, 104]], train.item_ids)
    found = sample_histories(model, starts, 5, temperature=0.2, seed=0)
    assert [row.tolist() for row in found] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [3, 4, 5, 6, 7]]
    hot = sample_histories(model, starts, 12, temperature=5.0, seed=0)
    assert all(sorted(row) == list(range(12)) for row in hot)  # nothing is drawn twice
    again = sample_histories(model, starts, 12, temperature=5.0, seed=0)
    np.testing.assert_array_equal(hot, again)
    with pytest.raises(ValueError, match="exceeds the 12 items"):
        sample_histories(model, starts, 13)
    with pytest.raises(ValueError, match="temperature"):
        sample_histories(model, starts, 3, temperature=0)


def test_the_gan_learns_which_items_are_real():
    rng = np.random.default_rng(0)
    table = [(u, 100 + i, n) for u in range(200) for n, i in enumerate(rng.permutation(4)[:3])]
    frame = pd.DataFrame(table, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame, item_ids=np.arange(100, 120))
    gan = HistoryGAN(length=3, hidden_size=16, steps=150, batch_size=32, lr=5e-3).fit(train)
    found = np.concatenate(gan.sample(200, seed=1))
    assert (found < 4).mean() > 0.6  # at random it would be .2
    np.testing.assert_array_equal(np.concatenate(gan.sample(200, seed=1)), found)
    assert gan.losses.shape == (150, 2)
    with pytest.raises(DataError, match="no history has 4 items"):
        HistoryGAN(length=4).fit(train)
    with pytest.raises(NotFittedError, match="not fitted"):
        HistoryGAN().sample(2)


def model_of(table: np.ndarray) -> Bigram:
    """A model whose scores are the rows of a table, by the number of events."""

    class Fixed(Bigram):
        def _score(self, histories):
            return np.log(table[histories.lengths - 1])

    model = Fixed().fit(TRAIN, progress=False)
    model.falls_back = False
    return model


def test_entropy_and_disagreement_by_hand():
    histories = Histories.from_lists([[100], [100, 101], [100, 101, 102]], TRAIN.item_ids)
    sure, flat = np.full((3, 12), 1e-9), np.full((3, 12), 1 / 12)
    sure[:, 0] = 1
    mixed = sure.copy()
    mixed[1] = flat[1]
    assert choose_users("entropy", [model_of(mixed)], histories, 1).tolist() == [1]
    other = sure.copy()
    other[2] = 1e-9
    other[2, 5] = 1  # as sure, and of another opinion
    models = [model_of(sure), model_of(other)]
    assert choose_users("disagreement", models, histories, 1).tolist() == [2]
    both_flat = [model_of(mixed), model_of(mixed)]
    assert choose_users("disagreement", [*both_flat, model_of(other)], histories, 1) == [2]


def test_diversity_takes_one_of_each_kind():
    histories = Histories.from_lists([[100, 101]] * 4 + [[105, 106]] * 4, TRAIN.item_ids)
    for seed in range(4):
        chosen = choose_users("diversity", [], histories, 2, seed=seed)
        assert {index // 4 for index in chosen} == {0, 1}
    everybody = choose_users("diversity", [], histories, 8)
    assert sorted(everybody) == list(range(8))


def test_bad_selections_raise():
    histories = TRAIN.histories()
    with pytest.raises(ValueError, match="how must be one of"):
        choose_users("loudest", [], histories, 1)
    with pytest.raises(ValueError, match="n must be between 1 and 3"):
        choose_users("random", [], histories, 4)
    with pytest.raises(ValueError, match="disagreement needs 2"):
        choose_users("disagreement", [], histories, 1)
    assert sorted(choose_users("random", [], histories, 3)) == [0, 1, 2]
