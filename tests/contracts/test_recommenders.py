"""What every recommender keeps to. A new one joins by a line in ``CASES``."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import m6rec_lite.recommenders as package
from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.recommenders import (
    BPR,
    EASE,
    HSTU,
    IALS,
    WARP,
    BagRecommender,
    BERT4Rec,
    Bigram,
    ContentBased,
    GenerativeRetriever,
    GRU4Rec,
    Hybrid,
    Item2Vec,
    ItemKNN,
    ItemVectors,
    LogisticMF,
    Markov,
    NotFittedError,
    OnlineNextItem,
    Popularity,
    Recommender,
    RiverNextItem,
    SASRec,
    Stacked,
    TextVectors,
    TitleLikelihood,
    UserKNN,
)
from m6rec_lite.recommenders.content import tf_idf, words


def bag_of_words(texts: list[str]) -> np.ndarray:
    return tf_idf(texts, words)[0].toarray()


CASES: dict[str, Callable[[], Recommender]] = {
    "Popularity": Popularity,
    "Popularity window": lambda: Popularity(window_days=10_000),
    "Popularity half-life at": lambda: Popularity(half_life_days=30, relative_to="at"),
    "ContentBased": ContentBased,
    "ContentBased decay": lambda: ContentBased(tokenizer="words", decay=0.8),
    "UserKNN": lambda: UserKNN(k=15),
    "UserKNN decay": lambda: UserKNN(k=15, decay=0.9),
    "ItemKNN": lambda: ItemKNN(shrink=1),
    "ItemKNN decay": lambda: ItemKNN(k=20, shrink=1, decay=0.7),
    "EASE": lambda: EASE(l2=5),
    "EASE decay": lambda: EASE(l2=5, decay=0.7),
    "EASE top": lambda: EASE(l2=5, top_items=30),
    "EASE float32": lambda: EASE(l2=5, dtype="float32"),
    "Bigram": Bigram,
    "Markov": Markov,
    "Markov kneser-ney": lambda: Markov("kneser-ney", skips=2, decay=0.5),
    "IALS": IALS,
    "IALS decay": lambda: IALS(factors=8, regularization=1, decay=0.9, solver="exact"),
    "IALS events": lambda: IALS(factors=40, event_weights={"click": 2.0}, dtype="float64"),
    "BPR": BPR,
    "BPR decay": lambda: BPR(factors=8, decay=0.9),
    "WARP": WARP,
    "LogisticMF": LogisticMF,
    "Hybrid": lambda: Hybrid([ItemKNN(shrink=1), ContentBased()]),
    "Hybrid rank": lambda: Hybrid([EASE(l2=5), Bigram()], weights=[1, 2], fusion="rank"),
    "Hybrid product": lambda: Hybrid([ContentBased(), Popularity()], fusion="product"),
    "Stacked": lambda: Stacked([EASE(l2=5), Bigram()], epochs=5),
    "Stacked cnn": lambda: Stacked([EASE(l2=5), Bigram()], "cnn", candidates=8, epochs=5),
    "SASRec small": lambda: SASRec(**SMALL),
    "SASRec sampled": lambda: SASRec(**SMALL, loss="sampled", negatives=16, n_heads=2),
    "BERT4Rec small": lambda: BERT4Rec(**SMALL, n_layers=1, last_share=0.5),
    "HSTU small": lambda: HSTU(**SMALL, use_query_time=True),
    "GenerativeRetriever small": lambda: GenerativeRetriever(**SMALL, levels=2, n_codes=8),
    "GRU4Rec small": lambda: GRU4Rec(**SMALL),
    "GRU4Rec parallel": lambda: GRU4Rec(**SMALL, steps=6),
    "Item2Vec": Item2Vec,
    "Item2Vec symmetric decay": lambda: Item2Vec(factors=8, symmetric=True, decay=0.9),
    "ItemVectors": ItemVectors,
    "ItemVectors decay": lambda: ItemVectors(center=False, decay=0.8),
    "Bag text": lambda: BagRecommender(factors=16, sample_rate=0.5),
    "Bag ids": lambda: BagRecommender("ids", factors=32, sample_rate=0.5, lr=0.1),
    "TextVectors words": lambda: TextVectors(bag_of_words),
}

#: Models whose variant names their parts.
ENSEMBLES = ("Hybrid", "Stacked")

#: Networks that learn the walks within a second.
SMALL = {"hidden_size": 32, "max_length": 8, "lr": 0.01, "batch_size": 32, "epochs": 30}

N_GROUPS, GROUP = 5, 6
#: Ids with gaps, so that an id taken for a place shows. The first is the hit that everybody takes.
ITEM_IDS = np.array([7, *(20 + 3 * np.arange(N_GROUPS * GROUP))])
HIT = 7
GROUP_IDS = ITEM_IDS[1:].reshape(N_GROUPS, GROUP)
WORDS = [
    "boots hiking trail",
    "jazz trumpet live",
    "baking bread 面包食谱",
    "stars 望远镜",
    "chess",
]


def _train() -> Interactions:
    """Each user takes the hit, then walks around the items of one group, skipping a few."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(120):
        group = GROUP_IDS[user % N_GROUPS]
        walk = np.roll(group, -int(rng.integers(GROUP)))
        walk = walk[np.sort(rng.permutation(GROUP)[: rng.integers(3, GROUP + 1)])]
        rows += [(1000 + 2 * user, item, 86_400 * (user + 10) + n)
                 for n, item in enumerate([HIT, *walk])]  # fmt: skip
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))


TRAIN = _train()
ITEMS = pd.DataFrame(
    {
        "item_id": ITEM_IDS,
        "title": ["the hit of the year"] + [f"{WORDS[i // GROUP]} {i}th" for i in range(30)],
        "description": [None] * 31,
        "tags": [["hit"]] + [[WORDS[i // GROUP].split()[0]] for i in range(30)],
    }
)
ITEMS["vector"] = list(bag_of_words([f"{row.title} {row.tags[0]}" for row in ITEMS.itertuples()]))
ITEMS = ITEMS.sample(frac=1, random_state=0)  # the table's order must not matter

#: Every group: a new user who took the hit and five items on the walk is left the sixth, which
#: shares words and users with the others and comes next.
WALKS = [[HIT, *np.roll(g, -s)[:5]] for s, g in enumerate(GROUP_IDS)]
NEXT = [np.roll(g, -s)[5] for s, g in enumerate(GROUP_IDS)]


def histories(lists: list[list[int]], **more: object) -> Histories:
    return Histories.from_lists(lists, TRAIN.item_ids, at=86_400 * 200, **more)


def fitted(case: str) -> Recommender:
    return CASES[case]().fit(TRAIN, items=ITEMS, progress=False)


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(case: str) -> Recommender:
    return fitted(case)


def test_every_exported_recommender_keeps_the_contract() -> None:
    exported = [getattr(package, name) for name in package.__all__]
    kinds = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Recommender)}
    elsewhere = {TitleLikelihood}  # it needs a trained GPT: see test_title_likelihood.py
    elsewhere |= {
        OnlineNextItem,
        RiverNextItem,
    }  # their own tests: tests/recommenders
    assert kinds - {Recommender} - elsewhere == {type(make()) for make in CASES.values()}


def test_held_out_item_of_a_planted_pattern_ranks_first(model: Recommender) -> None:
    if isinstance(model, Popularity):
        queries, wanted = [[i for i in walk if i != HIT] for walk in WALKS], [HIT] * len(WALKS)
    else:
        queries, wanted = WALKS, NEXT
    best = model.recommend(histories(queries), k=1)
    assert best["item_id"].tolist() == [int(item) for item in wanted]


def test_seen_items_are_excluded_and_ranks_have_no_gap(model: Recommender) -> None:
    queries = histories([*WALKS, [], [HIT], WALKS[0] * 2], user_ids=list(range(50, 58)))
    table = model.recommend(queries, k=10)
    assert list(table.columns) == ["user_id", "item_id", "rank", "score"]
    assert table["user_id"].unique().tolist() == list(range(50, 58))
    for row, (_, part) in enumerate(table.groupby("user_id", sort=False)):
        seen = set(TRAIN.item_ids[queries[row : row + 1].items])
        assert not seen & set(part["item_id"])
        assert part["item_id"].is_unique
        assert part["rank"].tolist() == list(range(1, 11))
        assert part["score"].is_monotonic_decreasing


def test_seen_items_come_back_on_demand(model: Recommender) -> None:
    table = model.recommend(histories([WALKS[0]]), k=1000, filter_viewed=False)
    assert sorted(table["item_id"]) == sorted(ITEM_IDS)


def test_k_beyond_the_catalogue_gives_what_there_is(model: Recommender) -> None:
    table = model.recommend(histories([WALKS[0], []]), k=1000)
    assert table.groupby("user_id").size().tolist() == [len(ITEM_IDS) - 6, len(ITEM_IDS)]


@pytest.mark.parametrize("k", [0, -1, 2.5, "ten"])
def test_k_must_be_a_whole_number_from_one(model: Recommender, k: object) -> None:
    with pytest.raises(ValueError, match="k must be"):
        model.recommend(histories([[HIT]]), k=k)


def test_scores_are_finite_and_in_the_order_of_item_ids(model: Recommender) -> None:
    scores = model.score(histories([*WALKS, []]))
    assert scores.shape == (6, len(ITEM_IDS))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(model.item_ids, ITEM_IDS)


def test_batch_equals_one_by_one(model: Recommender) -> None:
    queries = histories([*WALKS, [], WALKS[2][:2], [HIT, HIT]])
    together = model.score(queries)
    alone = np.concatenate([model.score(queries[i : i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_batches_of_recommend_do_not_show(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = histories([*WALKS, []])
    whole = model.recommend(queries, k=5)
    monkeypatch.setattr("m6rec_lite.recommenders.base.SCORES_IN_MEMORY", 40)
    parts = model.recommend(queries, k=5)
    assert parts["item_id"].tolist() == whole["item_id"].tolist()


def test_fitting_twice_gives_the_same(case: str, model: Recommender) -> None:
    again = fitted(case)
    np.testing.assert_array_equal(again.score(histories(WALKS)), model.score(histories(WALKS)))
    np.testing.assert_array_equal(
        again.fit(TRAIN, items=ITEMS, progress=False).score(histories(WALKS)),
        model.score(histories(WALKS)),
    )


def test_asking_changes_nothing(model: Recommender) -> None:
    queries = histories([*WALKS, []])
    first = model.score(queries)
    kept = first.copy()
    first[:] = -1.0  # what the caller does with the answer is the caller's
    np.testing.assert_array_equal(model.score(queries), kept)


def test_save_and_load_are_equal(case: str, model: Recommender, tmp_path) -> None:
    path = model.save(tmp_path / "some" / "model")
    files = {file.name for file in path.iterdir()} - {"network.safetensors"}
    assert files == {"config.json", "arrays.npz", "SHA256SUMS"}
    model.save(path)  # saving again replaces
    assert [file.name for file in path.parent.iterdir()] == ["model"]
    queries = histories([*WALKS, []])
    for loaded in (type(model).load(path), Recommender.load(path)):
        assert type(loaded) is type(model)
        assert loaded.variant == model.variant
        assert loaded.n_params == model.n_params
        np.testing.assert_array_equal(loaded.score(queries), model.score(queries))


def test_load_refuses_another_class(model: Recommender, tmp_path) -> None:
    path = model.save(tmp_path / "model")
    other = Bigram if not isinstance(model, Bigram) else EASE
    with pytest.raises(DataError, match=f"holds a {model.name}, not a {other.__name__}"):
        other.load(path)


def test_unfitted_models_say_so(case: str, tmp_path) -> None:
    fresh = CASES[case]()
    assert not fresh.is_fitted
    for ask in (
        lambda: fresh.score(histories([[HIT]])),
        lambda: fresh.recommend(histories([[HIT]])),
        lambda: fresh.save(tmp_path / "model"),
        lambda: fresh.n_params,
    ):
        with pytest.raises(NotFittedError, match="is not fitted"):
            ask()


def test_unknown_items_raise(model: Recommender) -> None:
    with pytest.raises(DataError, match="unknown item"):
        histories([[HIT, 8]])
    foreign = Histories.from_lists([[HIT, 8]], np.array([HIT, 8]))
    with pytest.raises(DataError, match=r"1 unknown to it \[8\], 30 missing"):
        model.score(foreign)
    renamed = dataclasses.replace(histories([[HIT]]), item_ids=ITEM_IDS + 1)
    with pytest.raises(DataError, match="unknown item: \\[8\\]"):
        model.recommend(renamed)
    with pytest.raises(DataError, match=r"histories\.align\(model\.item_ids\)"):
        model.score(renamed)


def test_unknown_users_are_welcome(model: Recommender) -> None:
    known = model.score(histories([WALKS[0]], user_ids=[1000]))
    unknown = model.score(histories([WALKS[0]], user_ids=[999_999]))
    np.testing.assert_array_equal(known, unknown)


def test_empty_history_is_answered_by_popularity(model: Recommender) -> None:
    best = model.recommend(histories([[], []]), k=1)
    assert best["item_id"].tolist() == [HIT, HIT]


def test_no_history_at_all_gives_an_empty_table(model: Recommender) -> None:
    table = model.recommend(histories([]))
    assert len(table) == 0
    assert list(table.columns) == ["user_id", "item_id", "rank", "score"]
    assert model.score(histories([])).shape == (0, len(ITEM_IDS))


@pytest.mark.parametrize(
    ("rows", "left"),
    [([(1, 7, 5)], 0), ([(1, 7, 5), (1, 20, 6)], 1), ([(1, 7, 5), (2, 7, 5)], 0)],
    ids=["one row", "one user", "one item"],
)
def test_fit_on_next_to_nothing_works(case: str, rows: list[tuple], left: int) -> None:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame)
    tiny = CASES[case]().fit(train, items=ITEMS, progress=False)
    queries = Histories.from_lists([[7], []], train.item_ids, at=100)
    assert np.isfinite(tiny.score(queries)).all()
    assert len(tiny.recommend(queries[:1])) == left
    assert len(tiny.recommend(queries[1:])) == left + 1


def test_fit_on_nothing_raises(case: str) -> None:
    with pytest.raises(DataError, match="no rows"):
        CASES[case]().fit(TRAIN.select(np.zeros(len(TRAIN), dtype=bool)), items=ITEMS)


def test_items_without_a_training_row_can_be_ranked(case: str) -> None:
    cold = NEXT[0]
    train = TRAIN.select(TRAIN.item_ids[TRAIN.items] != cold)
    model = CASES[case]().fit(train, items=ITEMS, progress=False)
    table = model.recommend(histories([WALKS[0]]), k=1000)
    assert cold in set(table["item_id"])
    if isinstance(model, (ContentBased, ItemVectors)):
        assert table["item_id"].iloc[0] == cold


def test_params_make_a_copy(case: str, model: Recommender) -> None:
    copy = type(model)(**CASES[case]().get_params(deep=False)).fit(
        TRAIN, items=ITEMS, progress=False
    )
    assert repr(copy) == repr(model)
    np.testing.assert_array_equal(copy.score(histories(WALKS)), model.score(histories(WALKS)))


def test_parameters_as_scikit_learn_has_them(case: str, model: Recommender) -> None:
    copy = clone(model)
    assert type(copy) is type(model)
    assert not copy.is_fitted
    assert repr(copy) == repr(model)
    params = copy.get_params(deep=False)
    assert list(params) == list(inspect.signature(type(model)).parameters)
    assert copy.set_params(**params) is copy
    assert repr(copy) == repr(model)
    with pytest.raises(ValueError, match=f"{copy.name} has no parameter 'colour'; it has"):
        copy.set_params(colour="red")


def test_fitting_leaves_the_data_alone(case: str) -> None:
    before = {key: np.array(value) for key, value in vars(TRAIN).items()}
    table = ITEMS.copy()
    fitted(case)
    assert all(np.array_equal(before[key], getattr(TRAIN, key)) for key in before)
    pd.testing.assert_frame_equal(table, ITEMS)


def test_variant_says_what_differs(case: str, model: Recommender) -> None:
    assert json.dumps(model.variant)  # plain text
    if case == model.name and model.name not in (*ENSEMBLES, "UserKNN", "EASE", "ItemKNN"):
        assert model.variant == ""
    if case.endswith(" decay"):
        assert f"decay={model.decay}" in model.variant


def test_similar_items(model: Recommender) -> None:
    if isinstance(model, (Popularity, UserKNN, Hybrid)):
        with pytest.raises(TypeError, match="does not compare items"):
            model.similar_items(HIT)
        return
    item = int(GROUP_IDS[1, 2])
    table = model.similar_items(item, k=4)
    assert list(table.columns) == ["item_id", "rank", "similarity"]
    assert set(table["item_id"]) <= set(GROUP_IDS[1]) - {item}
    assert table["similarity"].is_monotonic_decreasing
    with pytest.raises(DataError, match=r"unknown item: \[8\]"):
        model.similar_items(8)
