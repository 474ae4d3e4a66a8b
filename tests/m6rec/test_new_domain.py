"""A domain that opens: what is known elsewhere, which examples are drawn, and how models adapt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m6rec_lite.data import DataError, bazaar, hidden_domain, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.new_domain import NewDomain, closed
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.recommenders import Popularity, SASRec
from m6rec_lite.recommenders.base import NotFittedError

DATASET = bazaar.generate(users=300, items=120, seed=3)
SPLIT = hidden_domain(DATASET, "music", seed=0)
OPENED = NewDomain(SPLIT, seed=1)


def pairs(rows) -> set[tuple[int, int]]:
    return set(zip(rows.users.tolist(), rows.items.tolist(), strict=True))


def test_nothing_of_the_domain_is_known_elsewhere_and_all_of_the_rest_is() -> None:
    there = SPLIT.candidates[SPLIT.train.items]
    assert OPENED.n_examples == there.sum() > 50
    elsewhere = OPENED.elsewhere()
    assert not SPLIT.candidates[elsewhere.items].any()
    assert len(elsewhere) == (~there).sum()
    assert pairs(OPENED.known(0)) == pairs(elsewhere)
    assert pairs(OPENED.known(OPENED.n_examples)) == pairs(SPLIT.train)


@pytest.mark.parametrize("k", [1, 7, 40])
def test_examples_come_with_what_was_before_them_and_are_among_the_next_ones(k: int) -> None:
    rows = OPENED.examples(k)
    inside = SPLIT.candidates[rows.items]
    assert inside.sum() == k
    assert pairs(rows) <= pairs(OPENED.known(k))
    assert pairs(OPENED.known(k)) < pairs(OPENED.known(k + 1))
    for user in np.unique(rows.users):  # an example is the last event of its user
        assert inside[rows.users == user][-1]
        own = rows.timestamps[rows.users == user]
        before = SPLIT.train.users == user
        before &= (SPLIT.train.timestamps < own[-1]) & ~SPLIT.candidates[SPLIT.train.items]
        reported = set(rows.items[rows.users == user].tolist())
        assert set(SPLIT.train.items[before].tolist()) <= reported


def test_strangers_are_asked_of_whom_nothing_in_the_domain_is_known() -> None:
    queries = OPENED.few_shot_split(20)
    assert not SPLIT.candidates[queries.test.histories.items].any()
    users = queries.test.histories.user_ids
    drawn = OPENED.examples(20)
    assert not set(users) & set(drawn.user_ids[np.unique(drawn.users)])


def test_a_curve_fits_counts_anew_and_adapts_networks_from_one_beginning() -> None:
    counts = dict(OPENED.curve(Popularity, [0, 30], progress=False))
    assert counts[30].popularity_[SPLIT.candidates].sum() > 0
    assert counts[0].popularity_[SPLIT.candidates].sum() == 0

    def make() -> SASRec:
        return SASRec(hidden_size=16, max_length=20, epochs=2, device="cpu")

    def again() -> dict[int, SASRec]:
        return dict(OPENED.curve(make, [0, 30], epochs=2, rates=[1e-2], progress=False))

    result = again()
    before, after = (result[k]._network.state_dict() for k in (0, 30))
    alone = make().fit(OPENED.elsewhere(), progress=False)._network.state_dict()
    assert all((before[name] == alone[name]).all() for name in before)
    scores = [result[k].score(SPLIT.test.histories) for k in (0, 30)]
    on = {"on": "validation", "progress": False}
    first, second = (evaluate(result[k], SPLIT, **on)["ndcg@10"] for k in (0, 30))
    assert second > first  # else the validation questions would have kept the first
    assert any((before[name] != after[name]).any() for name in before)
    assert not np.allclose(*scores)
    repeated = again()[30].score(SPLIT.test.histories)
    assert np.array_equal(scores[1], repeated)


def test_adapting_learns_what_the_further_rows_say() -> None:
    rows = OPENED.examples(OPENED.n_examples)
    model = M6RecRetriever(item_input="text", epochs=2, dropout=0.0, device="cpu")
    model.fit(OPENED.elsewhere(), items=DATASET.items, progress=False)
    before = evaluate(model, SPLIT, progress=False)["ndcg@10"]
    epochs, popularity = model.epochs, model.popularity_.copy()
    assert model.adapt(rows, epochs=15, lr=3e-3, progress=False) is model
    assert evaluate(model, SPLIT, progress=False)["ndcg@10"] > before + 0.05
    assert model.epochs == epochs
    assert len(model.history) == 15
    assert model.popularity_.sum() == popularity.sum() + len(pairs(rows))


def test_what_cannot_be_adapted_to_is_refused() -> None:
    model = SASRec(hidden_size=8, max_length=10, epochs=1, device="cpu")
    with pytest.raises(NotFittedError):
        model.adapt(OPENED.elsewhere())
    model.fit(OPENED.elsewhere(), progress=False)
    one_each = SPLIT.train.select(np.append(True, np.diff(SPLIT.train.users) > 0))
    with pytest.raises(DataError, match="none of the"):
        model.adapt(one_each, progress=False)
    other = bazaar.generate(users=60, items=60, seed=4)
    with pytest.raises(DataError, match="the histories have a catalogue of"):
        model.adapt(leave_one_out(other).train, progress=False)
    with pytest.raises(ValueError, match="epochs"):
        model.adapt(OPENED.examples(5), epochs=0, progress=False)


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=f"there are {OPENED.n_examples} examples"):
        OPENED.examples(OPENED.n_examples + 1)
    with pytest.raises(ValueError, match="no rate"):
        next(OPENED.curve(Popularity, [0], rates=[]))
    with pytest.raises(DataError, match="names no candidates"):
        NewDomain(leave_one_out(DATASET))
    apart = hidden_domain(DATASET, "music", seed=0, linked=True)
    there = apart.candidates[apart.train.items]
    with pytest.raises(DataError, match="no training row in the domain"):
        NewDomain(replace(apart, train=apart.train.select(~there)))


def test_before_a_domain_opens_its_items_are_announced_and_unseen() -> None:
    before = closed(DATASET, "music")
    new = set(DATASET.items.loc[DATASET.items["domain"] == "music", "item_id"])
    assert new <= set(before.items["item_id"])
    for table in (before.interactions, before.impressions, before.reviews):
        assert len(table)
        assert not table["item_id"].isin(new).any()
    met = before.dialogues["item_id"].dropna()
    assert len(met)
    assert not met.isin(new).any()
    assert (
        before.dialogues.groupby("dialogue_id")
        .size()
        .equals(
            DATASET.dialogues[
                DATASET.dialogues["dialogue_id"].isin(before.dialogues["dialogue_id"])
            ]
            .groupby("dialogue_id")
            .size()
        )
    )
    titles = DATASET.items.set_index("item_id")["title"]
    reported = pretraining_corpora(before, leave_one_out(before))
    behaviour = " ".join(str(one.pieces) for one in reported["behaviour"].train)
    assert not any(titles[item] in behaviour for item in new)
    assert any(titles[item] in str(one.pieces) for one in reported["items"].train for item in new)
    with pytest.raises(DataError, match="0 of 120 items are 'opera'"):
        closed(DATASET, "opera")
