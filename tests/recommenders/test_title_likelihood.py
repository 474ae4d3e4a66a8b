"""A language model as a recommender: what it asks, how it mixes, and that it keeps the contract."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Histories, Holdout, Interactions, Split
from m6rec_lite.data.tables import Card, Dataset
from m6rec_lite.language.models.hub import ModelError
from m6rec_lite.language.models.next_event import NextEvent, wording
from m6rec_lite.language.models.pretraining import Pretrained, pretrain
from m6rec_lite.language.models.recipes import Recipe
from m6rec_lite.recommenders import EASE, Bigram, Popularity, Recommender, TitleLikelihood
from m6rec_lite.recommenders.title_likelihood import WEIGHTS
from tests.contracts import test_recommenders as contract

TRAIN, ITEMS = contract.TRAIN, contract.ITEMS
QUERIES = contract.histories(contract.WALKS)
TARGETS = np.searchsorted(TRAIN.item_ids, contract.NEXT).astype(np.int32)
#: The questions of the contract: five walks, each left its last item.
QUESTIONS = Holdout(QUERIES, TARGETS, np.arange(len(TARGETS) + 1))
SPLIT = Split("walks", "walks", TRAIN, QUESTIONS, QUESTIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT that has read walks around the contract's groups, by people without a step left out."""
    rng = np.random.default_rng(2)
    walks = [np.roll(contract.GROUP_IDS[user % 5], -int(rng.integers(6))) for user in range(200)]
    rows = pd.DataFrame(
        [(user, item, 1000 * user + n, "click")
         for user, walk in enumerate(walks) for n, item in enumerate([contract.HIT, *walk])],
        columns=["user_id", "item_id", "timestamp", "event"],
    )  # fmt: skip
    users = pd.DataFrame({"user_id": np.arange(200)})
    dataset = Dataset("walks", rows, ITEMS, users, Card("", "", ""))
    train = Interactions.from_frame(rows, item_ids=TRAIN.item_ids)
    recipe = Recipe(
        parts=("title",), templates="terse", context=(), items=False, vocab_size=420, window=192,
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        dropout=0.0, epochs=8, batch_tokens=384, lr=8e-3,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("gpt") / "walks-gpt"
    pretrain(recipe, dataset, replace(SPLIT, train=train), out=out, progress=False)
    return out


@pytest.fixture(scope="module")
def words() -> dict[str, np.ndarray]:
    return wording(ITEMS, "item")


@pytest.fixture(scope="module")
def asker(folder: Path, words: dict) -> NextEvent:
    return NextEvent(folder, words, None, TRAIN.item_ids, event="click")


def fitted(folder: Path, **more) -> TitleLikelihood:
    more = {"retriever": Bigram(), "candidates": 10, "weight": 0.5, "event": "click"} | more
    model = TitleLikelihood(str(folder), **more)
    return model.fit(TRAIN, validation=QUESTIONS, items=ITEMS, progress=False)


def test_the_likelihood_is_the_sum_of_the_tokens(asker: NextEvent, folder: Path) -> None:
    indices = np.array([[3, -1, 0]] * len(QUERIES))
    result = asker.log_likelihood(QUERIES, indices)
    assert np.isnan(result[:, 1]).all()
    assert result.shape == indices.shape
    gpt = Pretrained.load(folder).model.double()
    prompts = asker.prompts(QUERIES)
    say = asker.text.templates.events["click"].format
    for row in (0, 3):
        prompt = prompts[row]
        for column in (0, 2):
            item = int(TRAIN.item_ids[indices[row, column]])
            sentence = asker.tokenizer.encode(say(item=asker.text.item(item)))
            ids = torch.tensor([[*prompt, *sentence]])
            with torch.no_grad():
                chances = torch.log_softmax(gpt.logits(gpt(ids[:, :-1]))[0], dim=1)
            wanted = chances[torch.arange(len(prompt) - 1, ids.shape[1] - 1), ids[0, len(prompt) :]]
            assert result[row, column] == pytest.approx(float(wanted.sum()), abs=1e-3)


def test_long_histories_lose_their_oldest_events_whole(
    asker: NextEvent, words: dict, folder
) -> None:
    short = NextEvent(folder, words, None, TRAIN.item_ids, event="click", max_tokens=40)
    prompts = short.prompts(QUERIES)
    for prompt, whole in zip(prompts, asker.prompts(QUERIES), strict=True):
        assert len(prompt) <= 40 + 2
        assert len(prompt) < len(whole)
        assert asker.tokenizer.decode(prompt[:1], specials=True) == "[BOS]"
        kept = len(prompt) - 2  # behind [BOS] and [USER]: whole events, the latest
        assert prompt[2:] == whole[-kept:]
        assert asker.tokenizer.tokens(prompt[2:3]) == ["[EVENT]"]


def test_words_alone_find_the_planted_pattern(folder: Path) -> None:
    """Popularity knows only the hit; what follows in a walk must come from the text."""
    model = fitted(folder, retriever=Popularity(), candidates=31, weight=1.0)
    best = model.recommend(QUERIES, k=1)["item_id"].to_numpy()
    assert np.mean(best == np.array(contract.NEXT)) >= 0.8


def test_weight_0_is_the_retriever_and_candidates_stand_above_the_rest(folder: Path) -> None:
    model = fitted(folder, weight=0.0, candidates=4)
    alone = Bigram().fit(TRAIN)
    for k in (1, 6, 100):
        got, wanted = model.recommend(QUERIES, k=k), alone.recommend(QUERIES, k=k)
        assert got["item_id"].tolist() == wanted["item_id"].tolist()
    base = alone.score(QUERIES)
    for weight in (0.3, 1.0):
        scores = fitted(folder, weight=weight, candidates=4).score(QUERIES)
        for row in range(len(QUERIES)):
            unseen = np.setdiff1d(np.arange(len(TRAIN.item_ids)), QUERIES[row].items)
            first = unseen[np.argsort(-scores[row, unseen], kind="stable")]
            reference = unseen[np.argsort(-base[row, unseen], kind="stable")]
            assert set(first[:4]) == set(reference[:4])
            np.testing.assert_array_equal(first[4:], reference[4:])


def test_mixture_on_paper(folder: Path) -> None:
    """Standardised, -3 -1 -2 are -1.2247 1.2247 0; and 5 1 3 are 1.2247 -1.2247 0."""
    model = fitted(folder)
    base = np.array([[5.0, 1.0, 3.0, 0.0, -1.0]])
    indices, likelihood = np.array([[0, 1, 2]]), np.array([[-3.0, -1.0, -2.0]])
    scores = model._mixed(base, indices, likelihood, 0.75)[0]
    z = np.sqrt(1.5)
    np.testing.assert_allclose(scores[:3] - scores[2], [-0.5 * z, 0.5 * z, 0.0], atol=1e-12)
    assert scores[:3].min() > scores[3] > scores[4]


def test_the_weight_is_chosen_on_validation(folder: Path) -> None:
    model = fitted(folder, retriever=Popularity(), candidates=31, weight=None)
    assert model.weight_ in WEIGHTS
    assert model.weight_ > 0, "popularity alone cannot be best here"
    assert model.tuning_.shape == (len(WEIGHTS),)
    assert model.tuning_[WEIGHTS.index(model.weight_)] > model.tuning_[0]
    untuned = TitleLikelihood(str(folder), Bigram()).fit(TRAIN, items=ITEMS, progress=False)
    assert untuned.weight_ == 1.0


def test_length_normalised_divides_by_the_tokens(folder: Path, asker: NextEvent) -> None:
    plain, normal = fitted(folder), fitted(folder, length_normalised=True)
    (_, indices, total), (_, same, mean) = plain._parts(QUERIES), normal._parts(QUERIES)
    np.testing.assert_array_equal(indices, same)
    np.testing.assert_allclose(mean, total / asker.n_tokens[indices])
    assert "mean a token" in normal.variant


def test_chance_does_not_speak_for_the_language_model(folder: Path) -> None:
    """Where all weights do as well, the retriever stays alone."""
    model = fitted(folder, candidates=1, weight=None)
    assert np.ptp(model.tuning_) == 0
    assert model.weight_ == 0.0


def test_lift_takes_out_what_is_likely_for_everybody(folder: Path, asker: NextEvent) -> None:
    plain, lifted = fitted(folder), fitted(folder, lift=True)
    (_, indices, total), (_, same, lift) = plain._parts(QUERIES), lifted._parts(QUERIES)
    np.testing.assert_array_equal(indices, same)
    empty = Histories.from_lists([[]], TRAIN.item_ids)
    alone = asker.log_likelihood(empty, np.arange(len(TRAIN.item_ids))[None])[0]
    np.testing.assert_allclose(lift, total - alone[indices], rtol=1e-6)
    assert "lift" in lifted.variant


def test_an_empty_history_is_the_retrievers_to_answer(folder: Path) -> None:
    empty = contract.histories([[], []])
    model = fitted(folder, weight=1.0)
    got = model.recommend(empty, k=5)["item_id"].tolist()
    assert got == Bigram().fit(TRAIN).recommend(empty, k=5)["item_id"].tolist()


def test_it_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reads titles"):
        TitleLikelihood(str(folder)).fit(TRAIN)
    with pytest.raises(DataError, match="lacks 1 of the items"):
        TitleLikelihood(str(folder)).fit(TRAIN, items=ITEMS[ITEMS["item_id"] != 20])
    foreign = EASE().fit(TRAIN)
    foreign.item_ids = foreign.item_ids + 1
    with pytest.raises(DataError, match="another catalogue"):
        TitleLikelihood(str(folder), foreign).fit(TRAIN, items=ITEMS)
    with pytest.raises(ModelError, match="no model"):
        TitleLikelihood(str(tmp_path / "none")).fit(TRAIN, items=ITEMS, progress=False)
    for setting, words in (
        ({"weight": 1.5}, "weight must be"),
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"event": "buy"}, "event must be one of"),
        ({"retriever": "EASE"}, "must be a recommender"),
    ):
        with pytest.raises(ValueError, match=words):
            TitleLikelihood(str(folder), **setting)


#: The contract's tests that ask a fitted model.
ASKING = [
    "test_held_out_item_of_a_planted_pattern_ranks_first",
    "test_seen_items_are_excluded_and_ranks_have_no_gap",
    "test_seen_items_come_back_on_demand",
    "test_k_beyond_the_catalogue_gives_what_there_is",
    "test_scores_are_finite_and_in_the_order_of_item_ids",
    "test_batch_equals_one_by_one",
    "test_batches_of_recommend_do_not_show",
    "test_fitting_twice_gives_the_same",
    "test_asking_changes_nothing",
    "test_save_and_load_are_equal",
    "test_load_refuses_another_class",
    "test_unfitted_models_say_so",
    "test_unknown_items_raise",
    "test_unknown_users_are_welcome",
    "test_empty_history_is_answered_by_popularity",
    "test_no_history_at_all_gives_an_empty_table",
    "test_items_without_a_training_row_can_be_ranked",
    "test_params_make_a_copy",
    "test_fitting_leaves_the_data_alone",
]


@pytest.fixture(scope="module")
def case(folder: Path):
    """The contract's table of cases with this model in it."""
    name = "TitleLikelihood"
    contract.CASES[name] = lambda: TitleLikelihood(str(folder), Bigram(), candidates=8, weight=0.3)
    yield name
    del contract.CASES[name]


@pytest.fixture(scope="module")
def model(case: str) -> Recommender:
    return contract.fitted(case)


@pytest.mark.parametrize("name", ASKING)
def test_it_keeps_the_contract(name: str, case: str, model, tmp_path, monkeypatch) -> None:
    test = getattr(contract, name)
    options = {"case": case, "model": model, "tmp_path": tmp_path, "monkeypatch": monkeypatch}
    test(**{key: options[key] for key in inspect.signature(test).parameters})


def test_histories_of_one_user_at_several_moments(folder: Path) -> None:
    ids = TRAIN.item_ids
    twice = Histories.from_lists([contract.WALKS[0][:3], contract.WALKS[0]], ids, user_ids=[1, 1],
                                 at=86_400 * 200)  # fmt: skip
    scores = fitted(folder, weight=1.0).score(twice)
    assert not np.allclose(scores[0], scores[1])
