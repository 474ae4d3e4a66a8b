"""A folder of M6-Rec is served with the data set whose items it ranks, over HTTP as in process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Interactions, load_dataset
from m6rec_lite.language import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel, MultiTaskModel
from m6rec_lite.recommenders import Markov
from m6rec_lite.serving import EventStore, Query, RecommendationService, create_app
from m6rec_lite.serving.__main__ import main
from m6rec_lite.serving.m6rec_ranker import M6RecRanker, m6rec_recommender
from tests.serving.models import ITEMS, LOG, ask, ids


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of M6-Rec, and one of a data set."""
    root = tmp_path_factory.mktemp("m6rec")
    (root / "data").mkdir()
    LOG.to_csv(root / "data" / "interactions.csv", index=False)
    ITEMS.to_csv(root / "data" / "items.csv", index=False)
    tokenizer = Tokenizer.train([*ITEMS["title"], "clicked a product named"] * 9, 400)
    torch.manual_seed(0)
    model = M6RecModel(M6RecConfig.of_size("nano", tokenizer))
    MultiTaskModel(model, {}).save(root / "model", tokenizer)
    return root


def service(made: Path) -> RecommendationService:
    dataset, events = load_dataset(made / "data"), EventStore()
    events.add_frame(dataset.interactions)
    return RecommendationService(
        made / "model", events=events, items=dataset.items, dataset=dataset
    )


def test_over_http_it_ranks_as_in_process(made) -> None:
    own = service(made)
    model = m6rec_recommender(made / "model", load_dataset(made / "data"))
    histories = Interactions.from_frame(LOG).histories()
    lists = model.recommend(histories, 3)
    wanted = [part["item_id"].tolist() for _, part in lists.groupby("user_id")]

    async def talk(client):
        users = [await client.post("/recommend", json={"user": u, "k": 3}) for u in (1, 2, 3, 4)]
        rest = [
            await client.post("/recommend", json={"k": 3}),
            await client.post("/similar", json={"item_id": 20, "k": 2}),
            await client.post("/explain", json={"user": 1, "item_ids": [40]}),
            await client.post("/recommend", json={"items": [11]}),
        ]
        return users, rest

    users, (new, similar, reasons, wrong) = ask(create_app(own), talk)
    assert [ids(answer) for answer in users] == wanted
    assert len(ids(new)) == 3
    assert len(ids(similar)) == 2
    assert reasons.status_code == 200
    assert wrong.status_code == 422


def test_the_scores_are_the_likelihoods_of_m6rec(made) -> None:
    dataset = load_dataset(made / "data")
    histories = Interactions.from_frame(LOG).histories()
    model = m6rec_recommender(made / "model", dataset)
    base, items, likelihood = model._parts(histories)
    order = np.take_along_axis(items, np.argsort(-likelihood, axis=1), axis=1)
    lists = model.recommend(histories, 3)
    for row, (_, part) in enumerate(lists.groupby("user_id")):
        best = [item for item in order[row].tolist() if item >= 0][:3]
        assert part["item_id"].tolist() == model.item_ids[best].tolist()
    assert base.shape == (4, 6)
    assert (likelihood[items >= 0] < 0).all()
    assert model.variant.startswith("model of 30 by Markov")


def test_a_model_that_another_replaced_is_read_with_the_same_data(made, tmp_path) -> None:
    shutil.copytree(made / "model", tmp_path / "model")
    own = RecommendationService(tmp_path / "model", dataset=load_dataset(made / "data"))
    train = Interactions.from_frame(LOG)
    shutil.rmtree(tmp_path / "model")
    Markov().fit(train, progress=False).save(tmp_path / "model")
    old = own.current.version
    own.replace(own.load_new())
    assert isinstance(own.current.model, Markov)
    assert own.current.version != old


def test_without_data_or_titles_it_says_what_to_give(made, tmp_path, capsys) -> None:
    with pytest.raises(DataError, match=r"knows no catalogue.*--data NAME"):
        RecommendationService(made / "model")
    model = shutil.copytree(made / "model", tmp_path / "model")
    assert main([str(model)]) == 1
    assert "--data NAME" in capsys.readouterr().err
    plain = load_dataset(pd.DataFrame(LOG))
    with pytest.raises(DataError, match="none of the 6 items has any text"):
        m6rec_recommender(made / "model", plain)


def test_a_damaged_model_is_refused(made, tmp_path) -> None:
    folder = shutil.copytree(made / "model", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 7}))
    with pytest.raises(DataError, match=r"config\.json"):
        RecommendationService(folder, dataset=load_dataset(made / "data"))


def test_only_the_shortlist_is_read(made) -> None:
    dataset = load_dataset(made / "data")
    train = Interactions.from_frame(LOG)
    ranker = M6RecRanker(str(made / "model"), candidates=2)
    ranker.fit(train, items=dataset.items, progress=False)
    histories = train.histories()
    _, items, likelihood = ranker._parts(histories)
    assert (items >= 0).sum(axis=1).max() <= 2
    assert (np.isfinite(likelihood) == (items >= 0)).all()
    own = service(made)
    (answer,) = own.recommend([Query()])
    assert len(answer.item_ids) == 6
