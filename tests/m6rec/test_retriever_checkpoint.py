"""The pretrained retriever that ships is what its card says."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from experiments.pages import retriever_card
from experiments.pretrained_retriever import key_of, variants
from experiments.records import RANKS, REPORT, Records
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import DataError, Dataset, Split
from m6rec_lite.data.files import damage
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import TargetRanks, accuracy
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.language import checkpoints
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import Recommender
from tests.worlds import shipped, shipped_split

ROOT = project_root()
FOLDER = ROOT / retriever_card.FOLDER
RECORDS = Records(ROOT / "results")
KEY = key_of("M6RecRetriever", variants({})[0])


@pytest.fixture(scope="module")
def shop() -> tuple[Dataset, Split]:
    return shipped(), shipped_split()


@pytest.fixture(scope="module")
def pretrained() -> M6RecRetriever:
    return M6RecRetriever.load(FOLDER)


@pytest.fixture(scope="module")
def served(pretrained, shop) -> M6RecRetriever:
    dataset, split = shop
    return pretrained.for_catalogue(split.item_ids, items=dataset.items)


def test_its_files_are_whole_small_and_found_by_name() -> None:
    assert damage(FOLDER) is None
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 10_000_000
    assert checkpoints()["bazaar-retriever"] == FOLDER


def test_a_damaged_copy_is_refused(tmp_path) -> None:
    copy = tmp_path / "bazaar-retriever"
    shutil.copytree(FOLDER, copy)
    weights = copy / "network.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"network.safetensors is damaged"):
        Recommender.load(copy)


def test_the_card_is_that_of_the_records() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    output = re.search(r"```text\n(.*?)```", card, re.DOTALL)[1]
    assert card == retriever_card.card_text(ROOT, output)
    report = read_json(RECORDS.folder(KEY) / REPORT)
    assert f"{report['metrics']['ndcg@10']:.4f}" in card
    assert report["split_hash"] in card
    assert "41,400 people" in card


def test_its_ranks_are_those_of_the_record(served, shop) -> None:
    """A sample of the questions: a model of popularity or of other weights would fail by far."""
    split = shop[1]
    sample = split.test[::15]
    histories = sample.histories
    scores = served.score(histories)
    scores[histories.rows, histories.items] = -np.inf
    ranks = TargetRanks.from_scores(scores, sample.target_rows, sample.targets)
    ours = accuracy(ranks, (10,))["ndcg@10"]
    users, kept = read_ranks(RECORDS.folder(KEY) / RANKS)
    rows = np.searchsorted(users, histories.user_ids)
    recorded = accuracy(kept, (10,))["ndcg@10"][rows]
    assert len(sample) > 300
    assert np.mean(np.abs(ours - recorded) < 1e-6) > 0.98  # ties of the last digit may differ
    assert ours.mean() == pytest.approx(recorded.mean(), abs=0.003)
    counts = np.tile(served.popularity_, (len(histories), 1))
    counts[histories.rows, histories.items] = -np.inf
    popular = TargetRanks.from_scores(counts, sample.target_rows, sample.targets)
    assert ours.mean() > 5 * accuracy(popular, (10,))["ndcg@10"].mean()


def test_it_recommends_to_the_people_of_the_shop(served, shop) -> None:
    split = shop[1]
    histories = split.test.histories[:20]
    table = served.recommend(histories, k=5)
    assert len(table) == 100
    assert set(table["item_id"]) <= set(split.item_ids)
    for row, user in enumerate(histories.user_ids):
        seen = histories.item_ids[histories[row].items]
        assert not set(table.loc[table["user_id"] == user, "item_id"]) & set(seen)
    empty = histories.last(0)[:1]  # a new person is answered by popularity
    best = split.item_ids[np.argsort(-served.popularity_, kind="stable")[:3]]
    assert served.recommend(empty, k=3)["item_id"].tolist() == best.tolist()


def test_an_item_that_it_does_not_know_is_described_by_its_text(pretrained, shop) -> None:
    dataset, split = shop
    known = dataset.items.iloc[[0]]
    new = known.assign(item_id=split.item_ids.max() + 1)
    items = pd.concat([dataset.items, new])
    ids = np.append(split.item_ids, new["item_id"])
    model = pretrained.for_catalogue(ids, items=items)
    histories = split.test.histories[:50].align(ids)
    scores = model.score(histories)
    column = int(np.searchsorted(ids, known["item_id"].iloc[0]))
    assert np.isfinite(scores).all()
    similar = np.corrcoef(scores[:, -1], scores[:, column])[0, 1]
    others = [np.corrcoef(scores[:, -1], scores[:, i])[0, 1] for i in range(0, len(ids) - 1, 9)]
    assert similar > np.quantile(others, 0.95)


def test_it_can_be_fine_tuned(pretrained, shop) -> None:
    dataset, split = shop
    model = pretrained.for_catalogue(split.item_ids, items=dataset.items)
    histories = split.test.histories[:5]
    before = model.score(histories)
    few = split.train.select(split.train.users < 60)
    model.adapt(few, epochs=1, lr=3e-4, progress=False)
    after = model.score(histories)
    assert not np.array_equal(before, after)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(  # the model that was loaded is as it was
        pretrained.for_catalogue(split.item_ids, items=dataset.items).score(histories), before
    )
