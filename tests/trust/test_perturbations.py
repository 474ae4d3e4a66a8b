"""Typos, synonyms, shuffled events, and injected profiles with their detection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.evaluation import auc, evaluate
from m6rec_lite.recommenders import EASE, Popularity
from m6rec_lite.trust import (
    Perturbed,
    add_typos,
    change_texts,
    closest_overlap,
    incoherence,
    inject_profiles,
    replace_events,
    replace_words,
    shuffle_events,
)
from tests.worlds import small_split


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@settings(deadline=None)
@given(st.text(max_size=40), st.floats(0, 1))
def test_typos_keep_the_letters(text: str, rate: float) -> None:
    changed = add_typos(text, rate, rng())
    assert sorted(changed) == sorted(text)


def test_typos_come_at_their_rate() -> None:
    assert add_typos("boots and tents", 0.0, rng()) == "boots and tents"
    assert add_typos("ab", 1.0, rng()) == "ba"
    assert add_typos("a b", 1.0, rng()) == "a b"
    assert add_typos("", 1.0, rng()) == ""


def test_words_are_replaced_as_a_whole() -> None:
    table = {"trail": "path", "tent": "shelter"}
    assert replace_words("Trail near a tent, trailing", table, 1.0, rng()) == (
        "path near a shelter, trailing"
    )
    assert replace_words("trail", table, 0.0, rng()) == "trail"
    assert replace_words("trail", {}, 1.0, rng()) == "trail"


def test_a_phrase_goes_before_its_words() -> None:
    table = {"Trail mix": "nuts", "trail": "path"}
    assert replace_words("a Trail mix on the trail", table, 1.0, rng()) == "a nuts on the path"


def test_every_text_of_a_table_is_changed_and_the_table_kept() -> None:
    items = pd.DataFrame(
        {"item_id": [1, 2], "title": ["a", None], "tags": [["b", "c"], []], "price": [1.0, 2.0]}
    )
    changed = change_texts(items, str.upper)
    assert changed["title"].tolist()[0] == "A"
    assert pd.isna(changed["title"][1])
    assert changed["tags"].tolist() == [["B", "C"], []]
    assert items["title"][0] == "a"


LISTS = [[1, 2, 3, 4, 5], [], [7], [2, 4, 6, 8]]
HISTORIES = Histories.from_lists(LISTS, np.arange(1, 10))


@pytest.mark.parametrize("window", [1, 2, 3, np.inf])
def test_events_move_within_their_row_and_window(window: float) -> None:
    shuffled = shuffle_events(HISTORIES, window, seed=3)
    assert shuffled.timestamps.tolist() == HISTORIES.timestamps.tolist()
    for row, items in enumerate(LISTS):
        found = shuffled.item_ids[shuffled[[row]].items].tolist()
        assert sorted(found) == sorted(items)
        assert all(abs(found.index(i) - items.index(i)) < window for i in items)
    if window == 1:
        assert shuffled.items.tolist() == HISTORIES.items.tolist()


def test_events_are_replaced_at_their_share() -> None:
    assert replace_events(HISTORIES, 0.0).items.tolist() == HISTORIES.items.tolist()
    many = Histories.from_lists([[1] * 4000], np.arange(1, 10))
    kept = (replace_events(many, 0.5).items == many.items).mean()
    assert kept == pytest.approx(0.5 + 0.5 / 9, abs=0.03)


def test_a_perturbed_model_is_judged_by_the_same_questions() -> None:
    split = small_split()
    model = EASE(decay=0.8).fit(split.train, progress=False)
    options = {"bootstrap": 0, "progress": False}
    clean = evaluate(model, split, **options)
    same = evaluate(Perturbed(model, lambda h: h), split, **options)
    noisy = evaluate(Perturbed(model, lambda h: replace_events(h, 0.9)), split, **options)
    assert same["ndcg@10"] == clean["ndcg@10"]
    assert noisy["ndcg@10"] < clean["ndcg@10"]


@pytest.mark.parametrize("kind", ["random", "popular", "copied"])
def test_injected_profiles_end_with_the_target(kind: str) -> None:
    train = small_split().train
    target = train.item_ids[5]
    log, invented = inject_profiles(train, target, 12, kind=kind, fillers=8)
    assert len(invented) == log.n_users == train.n_users + 12
    assert invented.sum() == 12
    histories = log.histories()[np.flatnonzero(invented)]
    assert set(log.item_ids[histories.items[histories.offsets[1:] - 1]]) == {target}
    assert histories.lengths.max() <= 9
    assert len(log) == len(train) + histories.lengths.sum()
    before, after = (Popularity().fit(x, progress=False).popularity_[5] for x in (train, log))
    assert after == before + 12


def test_profiles_join_users_with_text_ids() -> None:
    frame = pd.DataFrame({"user_id": ["ann", "bo", "zoe"] * 2, "item_id": [1, 1, 2, 2, 3, 3]})
    train = Interactions.from_frame(frame.assign(timestamp=range(100, 106)))
    log, invented = inject_profiles(train, 1, 2, kind="random", fillers=1)
    assert [str(u) for u in log.user_ids[~invented]] == ["ann", "bo", "zoe"]


def test_random_profiles_are_incoherent_and_copied_ones_overlap() -> None:
    train = small_split().train
    log, invented = inject_profiles(train, train.item_ids[5], 15, kind="random")
    assert auc(invented, incoherence(log)) > 0.8
    log, invented = inject_profiles(train, train.item_ids[5], 15, kind="copied")
    assert auc(invented, closest_overlap(log)) > 0.9


def test_incoherence_and_overlap_by_hand() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [1, 2, 1, 2, 3]})
    train = Interactions.from_frame(frame.assign(timestamp=range(5)))
    np.testing.assert_allclose(incoherence(train), [0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(closest_overlap(train), [1, 1, 0], atol=1e-6)


def test_bad_input_is_refused() -> None:
    train = small_split().train
    with pytest.raises(DataError, match="unknown item"):
        inject_profiles(train, -1, 3)
    with pytest.raises(ValueError, match="n_profiles"):
        inject_profiles(train, train.item_ids[0], 0)
    with pytest.raises(ValueError, match="kind must be"):
        inject_profiles(train, train.item_ids[0], 1, kind="clever")
    for call in (
        lambda: add_typos("a", 1.5, rng()),
        lambda: replace_words("a", {}, -0.1, rng()),
        lambda: shuffle_events(HISTORIES, 0.5),
        lambda: replace_events(HISTORIES, 2.0),
    ):
        with pytest.raises(ValueError, match=r"rate|window|share"):
            call()
