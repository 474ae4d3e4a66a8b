"""The full-text retriever: its regions, its loss by hand, and the contract of recommenders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.course.comparison import display_name
from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.m6rec import FullTextRetriever, M6RecModel, PromptBuilder
from m6rec_lite.m6rec.full_text_network import FullTextBatches, FullTextNetwork
from m6rec_lite.m6rec.full_text_regions import ATTRIBUTES, RegionBuilder, RegionSettings
from m6rec_lite.recommenders import Recommender
from m6rec_lite.training.batches import fingerprint
from tests.contracts import test_recommenders as contract
from tests.worlds import shipped, shipped_split

DATASET, SPLIT = shipped(), shipped_split()
SETTINGS = RegionSettings("compact", ("domain", "category", "title"), True, 6, 120)
HISTORIES = SPLIT.train.histories()[:40]
TOKENIZER = RegionBuilder.train_tokenizer(DATASET.items, DATASET.users, HISTORIES, SETTINGS, 900)
REGIONS = RegionBuilder(DATASET.items, DATASET.users, SPLIT.item_ids, SETTINGS, TOKENIZER)


def shown(row: np.ndarray) -> str:
    return TOKENIZER.decode(row.tolist(), specials=True)


# Regions.


def test_a_region_is_what_the_prompt_builder_writes() -> None:
    text = BehaviourText(
        DATASET, "compact", context=ATTRIBUTES, times="later", queries="none", ratings=False
    )
    encoded = REGIONS.encode(HISTORIES)
    long = replace(encoded, settings=replace(SETTINGS, max_tokens=10_000, max_length=10_000))
    whole = PromptBuilder(text, TOKENIZER, 10_000)
    for row, known in enumerate(whole.people(HISTORIES)):
        assert long.known(row, int(HISTORIES.lengths[row])).tolist() == known.tolist()
    items = whole.items(SPLIT.item_ids[:50], parts=SETTINGS.parts)
    assert [row.tolist() for row in REGIONS.written[:50]] == [row.tolist() for row in items]


def test_a_long_history_keeps_its_latest_events_within_both_limits() -> None:
    encoded = REGIONS.encode(HISTORIES)
    whole = replace(encoded, settings=replace(SETTINGS, max_tokens=10_000, max_length=10_000))
    rows = np.repeat(np.arange(len(HISTORIES)), 3)
    cuts = np.minimum(np.tile([1, 4, 999], len(HISTORIES)), HISTORIES.lengths[rows])
    sizes, n_cut = encoded.sizes(rows, cuts), 0
    for row, cut, size in zip(rows.tolist(), cuts.tolist(), sizes.tolist(), strict=True):
        known = encoded.known(row, cut)
        events = shown(known).split("[EVENT]")[1:]
        every = shown(whole.known(row, cut)).split("[EVENT]")[1:]
        assert len(known) == size <= SETTINGS.max_tokens
        assert 1 <= len(events) <= SETTINGS.max_length
        assert events == every[-len(events) :]
        n_cut += len(events) < min(len(every), SETTINGS.max_length)
    assert n_cut > 5  # by the number of tokens


def test_a_latest_event_that_is_too_long_is_cut() -> None:
    short = replace(SETTINGS, max_tokens=24)
    regions = RegionBuilder(DATASET.items, DATASET.users, SPLIT.item_ids, short, TOKENIZER)
    encoded = regions.encode(HISTORIES[:10])
    known = [encoded.known(row, 3) for row in range(10)]
    assert max(map(len, known)) == 24
    for row in map(shown, known):
        assert row.startswith("[BOS'][USER]")
        assert row.endswith("[EOS']")
        assert "[EVENT]" in row
    assert max(map(len, regions.written)) == 24


def test_nothing_of_the_query_time_is_read() -> None:
    later = replace(HISTORIES, at=HISTORIES.at + 400 * 86_400)
    first, second = REGIONS.encode(HISTORIES), REGIONS.encode(later)
    assert np.array_equal(first.tokens, second.tokens)
    assert all(map(np.array_equal, first.users, second.users))


def test_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = RegionBuilder(DATASET.items, DATASET.users, SPLIT.item_ids, SETTINGS, TOKENIZER)
    first = regions.encode(HISTORIES)
    calls: list[str] = []
    encode = TOKENIZER.encode_batch
    monkeypatch.setattr(
        regions,
        "tokenizer",
        _Counting(TOKENIZER, lambda texts: calls.extend(texts) or encode(texts)),
    )
    again = regions.encode(HISTORIES)
    assert calls == []
    assert np.array_equal(first.tokens, again.tokens)


class _Counting:
    """A tokenizer that counts what it encodes."""

    def __init__(self, tokenizer, encode_batch) -> None:
        self.id, self.encode_batch = tokenizer.id, encode_batch


# Training.


def batches(**options) -> FullTextBatches:
    return FullTextBatches(
        HISTORIES, REGIONS.encode(HISTORIES), REGIONS.written, **{"batch_size": 8} | options
    )


def test_a_row_asks_for_the_event_after_its_region() -> None:
    source = batches(targets_per_user=3)
    plan, n = source.epoch(0, 0), 0
    text = BehaviourText(DATASET, "compact")
    for i in range(len(plan)):
        batch = plan[i]
        start = 0
        for row in range(len(batch["users"])):
            length, n_before = int(batch["user_lengths"][row]), int(batch["history_lengths"][row])
            before = batch["history"][start : start + n_before].tolist()
            start += n_before
            known = shown(batch["users"][row, :length].numpy())
            assert text.event(SPLIT.item_ids[before[-1]]) in known
            assert known.count("[EVENT]") <= min(SETTINGS.max_length, n_before)
            target = int(batch["used"][batch["targets"][row]])
            is_row = [
                HISTORIES.items[a : a + n_before + 1].tolist() == [*before, target]
                for a in HISTORIES.offsets[:-1]
            ]
            assert sum(is_row) >= 1
        for item, row, length in zip(
            batch["used"], batch["items"], batch["item_lengths"], strict=True
        ):
            assert row[:length].tolist() == REGIONS.written[int(item)].tolist()
        n += len(batch["targets"])
    assert n == 3 * len(source) == 3 * int((HISTORIES.lengths >= 2).sum())


def test_epochs_are_drawn_by_seed() -> None:
    source = batches()
    first, again, other, seed = (
        fingerprint(source.epoch(*at)[1]) for at in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again
    assert len({first, other, seed}) == 3


@pytest.fixture(scope="module")
def network() -> FullTextNetwork:
    model = FullTextRetriever(size="1x32", dimensions=16, tau=0.2)
    model._regions, model._config = REGIONS, None
    torch.manual_seed(0)
    built = model._build(len(SPLIT.item_ids)).eval()
    built.retrieval.count(HISTORIES.items)
    return built


@pytest.mark.parametrize("mask_history", [True, False])
def test_the_loss_is_the_softmax_over_the_batch_by_hand(network, mask_history) -> None:
    batch = batches().epoch(0, 0)[0]
    vectors = network.item_vectors().astype(np.float64)
    used, right = batch["used"].tolist(), batch["targets"].tolist()
    log_q = network.retrieval.log_share.numpy().astype(np.float64)[used]
    counts = np.bincount(right, minlength=len(used))
    start, losses = 0, []
    for row, target in enumerate(right):
        ids = batch["users"][row, : batch["user_lengths"][row]][None]
        with torch.no_grad():
            state = network.model.states(ids, prefix_length=ids.shape[1])[0, -1]
            person = network.retrieval.people(state).numpy().astype(np.float64)
        scores = vectors[used] @ person / 0.2 + np.log(counts) - log_q - np.log(len(right))
        n = int(batch["history_lengths"][row])
        before = set(batch["history"][start : start + n].tolist())
        start += n
        kept = [i == target or not (mask_history and item in before) for i, item in enumerate(used)]
        losses.append(np.log(np.exp(scores[kept]).sum()) - scores[target])
    value = network.loss(batch, mask_history=mask_history).item()
    assert value == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_score_is_the_cosine_over_tau_of_the_two_regions(network) -> None:
    scores = network.score(HISTORIES, SETTINGS.max_length)
    encoded = REGIONS.encode(HISTORIES)
    for row in (0, 7):
        ids = torch.from_numpy(encoded.known(row, int(HISTORIES.lengths[row])).astype(np.int64))
        with torch.no_grad():
            state = network.model.states(ids[None], prefix_length=len(ids))[0, -1]
            person = network.retrieval.people(state)
            written = torch.from_numpy(REGIONS.written[3].astype(np.int64))
            item = network.retrieval.items(
                network.model.states(written[None], prefix_length=0)[0, -1]
            )
        assert scores[row, 3] == pytest.approx(float(person @ item) / 0.2, rel=1e-4, abs=1e-4)


# The recommender.

SMALL = {
    "size": "1x64", "max_length": 8, "lr": 5e-3, "batch_size": 32, "epochs": 2, "vocab_size": 400,
    "dropout": 0.0, "parts": ("title",),
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> FullTextRetriever:
    users = pd.DataFrame({"user_id": [1000, 1002], "city": ["Oslo", None], "gender": ["F", "M"]})
    return FullTextRetriever(**SMALL).fit(
        contract.TRAIN, items=contract.ITEMS, users=users, progress=False
    )


@pytest.mark.parametrize(
    "check",
    [
        contract.test_seen_items_are_excluded_and_ranks_have_no_gap,
        contract.test_seen_items_come_back_on_demand,
        contract.test_k_beyond_the_catalogue_gives_what_there_is,
        contract.test_scores_are_finite_and_in_the_order_of_item_ids,
        contract.test_asking_changes_nothing,
        contract.test_unknown_items_raise,
        contract.test_empty_history_is_answered_by_popularity,
        contract.test_no_history_at_all_gives_an_empty_table,
    ],
    ids=lambda check: check.__name__.removeprefix("test_"),
)
def test_the_contract_of_every_recommender_holds(fitted, check) -> None:
    check(fitted)


def test_batch_equals_one_by_one(fitted) -> None:
    queries = contract.histories([*contract.WALKS, [], contract.WALKS[2][:2]])
    alone = np.concatenate([fitted.score(queries[i : i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(fitted.score(queries), alone, rtol=1e-4, atol=1e-4)


def test_users_are_read_where_they_are_known(fitted) -> None:
    known, unknown, other = (
        fitted.score(contract.histories([contract.WALKS[0]], user_ids=[user]))
        for user in (1000, 999_999, 888_888)
    )
    np.testing.assert_array_equal(unknown, other)
    assert not np.array_equal(known, unknown)


def test_a_saved_model_answers_as_before(fitted, tmp_path) -> None:
    path = fitted.save(tmp_path / "model")
    queries = contract.histories([*contract.WALKS, []], user_ids=[1000, 1002, 1, 2, 3, 4])
    for loaded in (FullTextRetriever.load(path), Recommender.load(path)):
        np.testing.assert_array_equal(loaded.score(queries), fitted.score(queries))
        assert (loaded.variant, loaded.n_params) == (fitted.variant, fitted.n_params)
    assert display_name(fitted.name, fitted.variant) == "M6-Rec full-text retriever"


def test_the_same_seed_gives_the_same_and_next_to_nothing_is_enough() -> None:
    queries = contract.histories(contract.WALKS)
    first, second, third = (
        FullTextRetriever(**SMALL | {"epochs": 1}, seed=seed)
        .fit(contract.TRAIN, items=contract.ITEMS, progress=False)
        .score(queries)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)
    frame = pd.DataFrame({"user_id": [1], "item_id": [7], "timestamp": [5]})
    tiny = FullTextRetriever(**SMALL).fit(
        Interactions.from_frame(frame), items=contract.ITEMS, progress=False
    )
    queries = Histories.from_lists([[7], []], np.array([7]))
    assert len(tiny.recommend(queries)) == 1


def test_it_begins_with_a_pretrained_model(tmp_path) -> None:
    fresh = FullTextRetriever(size="1x32")
    fresh._regions, fresh._config = REGIONS, None
    network = fresh._build(len(SPLIT.item_ids))
    network.model.save_pretrained(tmp_path / "model")
    TOKENIZER.save(tmp_path / "model")
    model = FullTextRetriever(model=str(tmp_path / "model"), epochs=1, lr=1e-9, batch_size=64)
    few = SPLIT.train.select(SPLIT.train.users < 20)
    model.fit(few, items=DATASET.items, users=DATASET.users, progress=False)
    weights = M6RecModel.from_pretrained(tmp_path / "model").state_dict()
    for name, weight in model._network.model.state_dict().items():
        torch.testing.assert_close(weight, weights[name])
    assert model._regions.tokenizer.fingerprint == TOKENIZER.fingerprint


@pytest.mark.slow
def test_it_learns_the_group_of_a_history() -> None:
    model = FullTextRetriever(**SMALL | {"epochs": 20, "targets_per_user": 3})
    model.fit(contract.TRAIN, items=contract.ITEMS, progress=False)
    table = model.recommend(contract.histories(contract.WALKS), k=1)
    hits = [item in group for item, group in zip(table["item_id"], contract.GROUP_IDS, strict=True)]
    assert np.mean(hits) >= 0.6  # 0.2 by chance


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tau": 0}, "tau"),
        ({"parts": ("smell",)}, "parts must be of"),
        ({"max_tokens": 8}, "max_tokens must be at least 16"),
        ({"targets_per_user": 0}, "targets_per_user"),
        ({"max_length": 0}, "max_length"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FullTextRetriever(**wrong)


def test_bad_input_is_said() -> None:
    with pytest.raises(DataError, match="reads items"):
        FullTextRetriever().fit(contract.TRAIN, progress=False)
    with pytest.raises(DataError, match="lacks 1 of the items"):
        FullTextRetriever().fit(contract.TRAIN, items=contract.ITEMS.iloc[1:], progress=False)
    without_text = contract.ITEMS[["item_id"]]
    with pytest.raises(DataError, match="none of the 31 items has any text"):
        FullTextRetriever().fit(contract.TRAIN, items=without_text, progress=False)
    with pytest.raises(ValueError, match="no templates are called"):
        FullTextRetriever(templates="verse").fit(
            contract.TRAIN, items=contract.ITEMS, progress=False
        )
