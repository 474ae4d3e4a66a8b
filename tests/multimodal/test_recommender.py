"""The multimodal recommender: what it reads, what it learns, what it refuses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from m6rec_lite.data import DataError, Histories, Interactions, NotFittedError
from m6rec_lite.multimodal import MultimodalRecommender
from m6rec_lite.recommenders import Recommender

N, KINDS = 24, 4
ITEM_IDS = np.arange(100, 100 + N)
SMALL = {
    "hidden_size": 16, "n_layers": 1, "n_heads": 2, "max_length": 8, "batch_size": 32, "lr": 0.01,
    "epochs": 16, "dropout": 0.0, "device": "cpu",
}  # fmt: skip


def picture_of(kind: int, seed: int) -> np.ndarray:
    """A picture whose quarter shows the kind."""
    noise = np.random.default_rng(seed).integers(0, 60, (16, 16, 3))
    noise[8 * (kind // 2) : 8 * (kind // 2) + 8, 8 * (kind % 2) : 8 * (kind % 2) + 8] += 150
    return noise.astype(np.uint8)


@cache
def world() -> tuple[Interactions, pd.DataFrame]:
    """Users who keep to one kind of item. Titles say the kind of even items, pictures of all.

    The last item of each kind has no training row.
    """
    rng = np.random.default_rng(0)
    kind = np.arange(N) % KINDS
    rows = []
    for user in range(160):
        mine = ITEM_IDS[:-KINDS][kind[:-KINDS] == user % KINDS]
        for n, item in enumerate(rng.permutation(mine)[:4]):
            rows.append((user, item, 1_700_000_000 + 90_000 * user + 3600 * n))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame, item_ids=ITEM_IDS)
    titles = [f"kind{'abcd'[k]}" if i // KINDS % 2 == 0 else "thing" for i, k in enumerate(kind)]
    items = pd.DataFrame({"item_id": ITEM_IDS, "title": titles, "tags": [[]] * N})
    items["picture"] = [picture_of(k, i) for i, k in enumerate(kind)]
    return train, items


USERS = pd.DataFrame({"user_id": range(160), "city": ["Oslo", "Leeds"] * 80})
WEATHER = pd.DataFrame(
    {
        "city": np.repeat(["Oslo", "Leeds"], 400),
        "date": np.tile(pd.date_range("2023-11-01", periods=400), 2),
        "condition": ["sun", "rain"] * 400,
    }
)


@cache
def fitted(**settings) -> MultimodalRecommender:
    train, items = world()
    model = MultimodalRecommender(**SMALL | settings)
    return model.fit(train, items=items, users=USERS, weather=WEATHER, progress=False)


def asked(kinds: list[int] | None = None) -> Histories:
    """Histories of two items of a kind, the first and the third."""
    kinds = list(range(KINDS)) if kinds is None else kinds
    lists = [[100 + k, 100 + 2 * KINDS + k] for k in kinds]
    return Histories.from_lists(lists, ITEM_IDS, user_ids=kinds, at=1_700_000_000)


def unseen(scores: np.ndarray) -> np.ndarray:
    """The unseen item with the highest score of each history."""
    return scores[:, -KINDS:].argmax(axis=1)


@pytest.mark.parametrize("encoder", ["vit", "cnn"])
@pytest.mark.parametrize("fusion", ["cross-attention", "mlp"])
def test_pictures_rank_items_that_were_never_seen(encoder, fusion):
    model = fitted(modalities=("picture",), picture_encoder=encoder, fusion=fusion)
    assert unseen(model.score(asked())).tolist() == [0, 1, 2, 3]


def test_text_alone_cannot_tell_things_apart_and_the_picture_can():
    text = fitted(modalities=("text",), epochs=2)
    both = fitted(modalities=("text", "picture"), epochs=40)
    words = world()[1]["title"].to_numpy()[-KINDS:]
    same = text.score(asked())[:, -KINDS:][:, words == "thing"]
    assert np.ptp(same, axis=1).max() < 1e-4
    assert unseen(both.score(asked())).tolist() == [0, 1, 2, 3]


def test_an_id_that_was_never_trained_is_missing():
    model = fitted(modalities=("id",), epochs=2)
    assert np.ptp(model.score(asked())[:, -KINDS:], axis=1).max() < 1e-5


def test_a_hidden_modality_is_not_read():
    model = fitted(modalities=("text", "picture"), modality_dropout=0.3)
    hidden = model.without("picture")
    scores, before = hidden.score(asked()), model.score(asked())
    words = world()[1]["title"].to_numpy()
    assert np.ptp(scores[:, words == "thing"], axis=1).max() < 1e-4
    np.testing.assert_array_equal(model.score(asked()), before)  # the model itself is unchanged
    for wrong in (("text", "picture"), ("id",)):
        with pytest.raises(ValueError, match=r"without\(\) takes some of"):
            model.without(*wrong)
    with pytest.raises(NotFittedError):
        MultimodalRecommender().without("text")


def test_items_without_a_picture_are_scored_by_the_rest():
    train, items = world()
    some = items.assign(picture=[None, *items["picture"][1:]])
    model = MultimodalRecommender(**SMALL | {"epochs": 1}).fit(train, items=some, progress=False)
    assert np.isfinite(model.score(asked())).all()


def test_the_context_is_that_of_the_query():
    settings = {"modalities": ("id",), "context": ("season", "weekday", "place", "weather")}
    model, histories = fitted(**settings, epochs=3), asked([0, 0])
    histories.at[:] = [1_700_000_000, 1_710_000_000]
    first, second = model.score(histories)
    assert np.abs(first - second).max() > 1e-4
    plain = fitted(modalities=("id",), epochs=3)
    np.testing.assert_array_equal(*plain.score(histories))


@pytest.mark.parametrize(
    "settings",
    [
        {"modalities": ("id", "text", "picture"), "context": ("weather", "session")},
        {"modalities": ("picture",), "picture_encoder": "cnn", "fusion": "mlp"},
    ],
)
def test_a_saved_model_scores_the_same(settings, tmp_path):
    model = fitted(**settings, epochs=1)
    path = model.save(tmp_path / "model")
    for again in (MultimodalRecommender.load(path), Recommender.load(path)):
        np.testing.assert_allclose(again.score(asked()), model.score(asked()), atol=1e-6)
        assert again.get_params() == model.get_params()
        assert clone(again).get_params() == model.get_params()


def test_a_seed_gives_one_model():
    train, items = world()
    models = [
        MultimodalRecommender(**SMALL | {"epochs": 1, "modality_dropout": 0.5, "seed": seed}).fit(
            train, items=items, progress=False
        )
        for seed in (1, 1, 2)
    ]
    first, same, other = (model.score(asked()) for model in models)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_items_without_training_rows_are_no_negatives():
    model = fitted(modalities=("id",), epochs=1)
    train, _ = world()
    batch = next(iter(model._batches(train.histories()).epoch(0, 0)))
    model._loss(model._network.train(), batch).backward()
    gradient = model._network.items.ids.weight.grad
    model._network.eval().zero_grad()
    assert torch.all(gradient[-KINDS:] == 0)
    assert torch.all(gradient[:-KINDS].abs().sum(dim=1) > 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modalities": ("sound",)}, "modalities takes id, text, picture, not 'sound'"),
        ({"modalities": ()}, "at least one of"),
        ({"fusion": "sum"}, "fusion takes cross-attention, mlp"),
        ({"picture_encoder": "resnet"}, "picture_encoder takes vit, cnn, pretrained"),
        ({"context": ("moon",)}, "context takes season"),
        ({"n_heads": 5}, "cannot be split among 5 heads"),
        ({"tau": 0.0}, "tau"),
        ({"modality_dropout": 1.5}, "modality_dropout"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        MultimodalRecommender(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items.drop(columns="picture"), "no column 'picture'"),
        (lambda items: items.assign(picture=None), "leave 'picture' out of the modalities"),
        (lambda items: items.assign(title=""), "leave 'text' out of the modalities"),
        (lambda items: items.iloc[1:], "lacks 1 of the catalogue's 24 items"),
        (
            lambda items: items.assign(picture=[np.zeros((20, 20, 3), np.uint8)] * N),
            "multiple of 8 pixels, got 20",
        ),
        (
            lambda items: items.assign(picture=[*items["picture"][1:], np.zeros((8, 8, 3))]),
            "pictures must have one size",
        ),
    ],
)
def test_tables_that_cannot_be_read_are_refused(change, message):
    train, items = world()
    with pytest.raises((DataError, ValueError), match=message):
        MultimodalRecommender(**SMALL).fit(train, items=change(items), progress=False)


def test_the_context_needs_its_tables():
    train, items = world()
    with pytest.raises(DataError, match=r"weather=dataset\.weather"):
        MultimodalRecommender(context=("weather",)).fit(train, items=items, users=USERS)
