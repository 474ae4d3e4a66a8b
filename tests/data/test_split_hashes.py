"""The name of a split: from the former one, over indices, to today's, over original ids."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.pretrained_domain import SHARES
from m6rec_lite.data import (
    DataError,
    Split,
    TiedOrderWarning,
    hidden_domain,
    leave_one_out,
    load_dataset,
)
from m6rec_lite.language.models.pretraining import _generate_bazaar
from tests.worlds import shipped

ROOT = Path(__file__).parents[2]
#: Data set → the former hash and today's of its leave-one-out split.
HASHES = {
    "bazaar": ("e18cd2d807f6", "d4520f47cf4b"),
    "ml-100k": ("60b973f740c8", "c12fa4fe1155"),
    "ml-1m": ("d54bcb00c7f1", "d35b4a11ad3c"),
    "ml-latest-small": ("0d71073bddf3", "e8dcc2a95a38"),
    "bazaar of bazaar-bert": ("619f4acb864f", "5b1986ce10d2"),
}

#: Hashes of the splits of ``experiments.pretrained_domain``, by the hidden domain of the bazaar.
DOMAINS = {
    "courses": "eae12857a2ff",
    "music": "7e7cfbea35f8",
    "posts": "455199d38148",
    "shop": "b89066afeeb5",
    "videos": "814d51a233fb",
}
#: Hashes of the splits of ``experiments.multimodal``: unseen items, and a world without seasons.
MULTIMODAL = {"9b638118f9ad", "e0203fdf2c96"}
#: Hashes of the splits of experiments that draw worlds, or people, of their own for each seed.
DRAWN = {
    "applications": {"0c85b833fd6d", "9a3f52e622e9", "f7561efcadc6"},
    "augmentation": {"4928acc34439", "5fe27b9bf236", "684cf4c20a39"},
    "generative": {"1ebf7ed00dc2", "3301ec4e0ae7"},
    "pretrained_lm": {
        "30fe4f92ba02", "493213211544", "5df4a28127b6", "7d7b5237953c", "a34299332dad",
        "adef22d99d19", "cd4ebf1a36b9", "e41b02dfb664",
    },
    "tuning": {
        "4289de4722b4", "4c43eea99ae9", "52b42eb724ab", "54f4264cc555", "5daf829d2be0",
        "704c37ca801a", "a1602811fa01", "fa91872f9dee",
    },
}  # fmt: skip
#: Hashes of splits that have no former one; the first two are bazaar-large and bazaar-wide.
NEW = {"295d6ce7081a", "696d18b07fae", *DOMAINS.values(), *MULTIMODAL}.union(*DRAWN.values())


def former_hash(split: Split) -> str:
    users = split.test.histories.user_ids[split.test.target_rows]
    pairs = np.stack([users, split.item_ids[split.test.targets]], axis=1).astype("<i8")
    return hashlib.sha256(pairs.tobytes()).hexdigest()[:12]


@pytest.mark.parametrize("name", ["bazaar", "bazaar of bazaar-bert"])
def test_a_former_hash_names_the_same_questions(name):
    of_bert = ["seed=1", "items=3000", "slates=0"]
    dataset = load_dataset(name) if name == "bazaar" else _generate_bazaar(of_bert)
    split = leave_one_out(dataset)
    assert (former_hash(split), split.hash) == HASHES[name]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_hash_of_a_hidden_domain(domain):
    split = hidden_domain(shipped(), domain, **SHARES, seed=0)
    assert split.hash == DOMAINS[domain]


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "ml-latest-small"])
def test_a_former_hash_of_movielens_names_the_same_questions(name):
    try:
        dataset = load_dataset(name, download=False)
    except DataError:
        pytest.skip(f"set M6REC_DATA to a folder that holds {name}")
    with pytest.warns(TiedOrderWarning):
        split = leave_one_out(dataset)
    assert (former_hash(split), split.hash) == HASHES[name]


def test_stored_rows_and_cards_bear_todays_hashes():
    today = {new for _, new in HASHES.values()} | NEW
    boards = [*(ROOT / "results").rglob("*.csv")]
    result: set[str] = set()
    for path in boards:
        table = pd.read_csv(path, dtype=str)
        if "split_hash" in table:
            result |= set(table["split_hash"])
    for path in (ROOT / "results").rglob("config.json"):
        result |= {json.loads(path.read_text(encoding="utf-8")).get("split_hash", "")} - {""}
    assert result
    assert result <= today
    former = [old for old, _ in HASHES.values()]
    texts = [ROOT / "README.md", ROOT / "datasets" / "README.md"]
    for pattern in ("checkpoints/*/README.md", "results/*.md", "docs/*.md"):
        texts += ROOT.glob(pattern)
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert not [old for old in former if old in text], path.name


def test_text_and_number_ids_of_one_file_have_one_hash(tmp_path):
    path = tmp_path / "orders.csv"
    rows = [(u, (u + n) % 9, 10 * u + n) for u in range(20) for n in range(5)]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = leave_one_out(load_dataset(path, progress=False), min_item_users=1)
        other = leave_one_out(load_dataset(path, progress=False, text_ids=True), min_item_users=1)
    assert one.hash == other.hash
