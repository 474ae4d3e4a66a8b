"""Every saved model, loaded in a fresh process beside another file, answers by the original ids."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.linear import FactorizationMachineCTR, LogisticCTR
from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.recommenders import Recommender
from tests.contracts.test_recommenders import CASES

KINDS = ("apple", "boot")
#: Small networks that learn which kind a user takes.
NETWORK = {"hidden_size": 16, "max_length": 8, "lr": 0.02, "batch_size": 16, "epochs": 30}
RETRIEVER = {"epochs": 12, "max_length": 8, "vocab_size": 300, "batch_size": 16, "dropout": 0.0}


def _recommenders() -> dict[str, Recommender]:
    made = {name: make() for name, make in CASES.items()}
    for name, model in made.items():
        if {"hidden_size", "max_length"} <= model.get_params().keys():
            made[name] = type(model)(**(model.get_params() | NETWORK))
    made["M6RecRetriever both"] = M6RecRetriever(**RETRIEVER)
    made["M6RecRetriever text"] = M6RecRetriever(**RETRIEVER, item_input="text")
    made["M6RecRetriever ids"] = M6RecRetriever(**RETRIEVER, item_input="ids")
    return made


#: These rank by fame or take functions, which a saved model cannot hold: not by the user's kind.
BY_FAME = {"Popularity", "Popularity window", "Popularity half-life at"}
RECOMMENDERS = _recommenders()
CLICK_MODELS = {
    "MeanRateCTR": MeanRateCTR,
    "LogisticCTR": lambda: LogisticCTR(l2=1.0),
    "FactorizationMachineCTR": lambda: FactorizationMachineCTR(epochs=5),
    "DIN": lambda: DIN(epochs=3, max_length=4),
    "M6RecCTR": lambda: M6RecCTR(epochs=1, vocab_size=300, max_tokens=128, feature_groups=()),
}


def january() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (f"customer {user}", f"{KINDS[user % 2]}-{item:02}", 1_700_000_000 + 3600 * user + 60 * n)
        for user in range(60)
        for n, item in enumerate(rng.permutation(10)[:8])
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def items() -> pd.DataFrame:
    ids = [f"{kind}-{item:02}" for kind in KINDS for item in range(10)]
    title = [f"{'fresh fruit' if i[0] == 'a' else 'leather shoe'} {i[-2:]}" for i in ids]
    table = pd.DataFrame({"item_id": ids, "title": title, "tags": [[i.split("-")[0]] for i in ids]})
    table["vector"] = [[1.0, 0.1 * n] if n < 10 else [-1.0, 0.1 * n] for n in range(20)]
    return table


def impressions(rows: pd.DataFrame) -> pd.DataFrame:
    """Each user is shown one item of each kind, and clicks on their own kind."""
    last = rows["timestamp"].max() + 3600
    shown = [
        (slate, user, f"{kind}-{(slate + position) % 10:02}", last + 60 * slate, position,
         0.5, 1.0, kind == KINDS[int(user.split()[1]) % 2], False)
        for slate, user in enumerate(sorted(set(rows["user_id"])))
        for position, kind in enumerate(KINDS)
    ]  # fmt: skip
    columns = ["slate_id", "user_id", "item_id", "timestamp", "position", "propensity",
               "examination", "clicked", "purchased"]  # fmt: skip
    return pd.DataFrame(shown, columns=columns)


def load_both(folder: Path, reverse: bool) -> Any:
    """The rows as CSV files of a folder; in February they stand in the reverse order."""
    rows, table = january(), items()
    shown = impressions(rows)
    table["tags"] = table["tags"].str[0]
    step = -1 if reverse else 1
    folder.mkdir(exist_ok=True)
    rows.iloc[::step].to_csv(folder / "interactions.csv", index=False)
    table.drop(columns="vector").iloc[::step].to_csv(folder / "items.csv", index=False)
    shown.iloc[::step].to_csv(folder / "impressions.csv", index=False)
    return load_dataset(folder, progress=False)


SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.recommenders import Recommender
folder = Path(sys.argv[1])
data = load_dataset(folder / "february", progress=False)
split = leave_one_out(data)
found = {}
for path in sorted((folder / "models").iterdir()):
    model = Recommender.load(path)
    table = model.recommend(split.test.histories, k=2)
    found[path.name] = table[["user_id", "item_id"]].to_numpy().tolist()
from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.linear import LogisticCTR, FactorizationMachineCTR
from m6rec_lite.ctr.din import DIN
for kind in (MeanRateCTR, LogisticCTR, FactorizationMachineCTR, DIN, M6RecCTR):
    shown = data.impressions
    chance = kind.load(folder / "clicks" / kind.__name__).predict(shown, data)
    keys = zip(shown["user_id"], shown["item_id"])
    found[kind.__name__] = {f"{u} {i}": float(c) for (u, i), c in zip(keys, chance)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict, Any]:
    """What each model says of January, and, saved and loaded by a fresh process, of February."""
    folder = tmp_path_factory.mktemp("months")
    data = load_both(folder / "january", reverse=False)
    load_both(folder / "february", reverse=True)
    split, table = leave_one_out(data), items()
    now: dict[str, Any] = {}
    for name, model in RECOMMENDERS.items():
        model.fit(split.train, items=table, progress=False)
        model.save(folder / "models" / name)
        said = model.recommend(split.test.histories, k=2)
        now[name] = said[["user_id", "item_id"]].to_numpy().tolist()
    for name, make in CLICK_MODELS.items():
        model = make().fit(data.impressions, data, progress=False)
        model.save(folder / "clicks" / name)
        shown = data.impressions
        keys = zip(shown["user_id"], shown["item_id"], strict=True)
        chance = model.predict(shown, data)
        now[name] = {f"{u} {i}": c for (u, i), c in zip(keys, chance, strict=True)}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return now, json.loads(ran.stdout.splitlines()[-1]), split


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_loaded_recommender_says_the_same_of_the_same_people(name, world):
    now, then, _ = world
    assert then[name] == now[name]


@pytest.mark.parametrize("name", [name for name in RECOMMENDERS if name not in BY_FAME])
def test_it_recommends_the_right_kind(name, world):
    right = [
        item.startswith(KINDS[int(user.split()[1]) % 2]) for user, item in world[1][name]
    ]  # fmt: skip
    assert len(right) == 120
    assert np.mean(right) > 0.9  # half by chance


@pytest.mark.parametrize("name", CLICK_MODELS)
def test_a_loaded_click_model_says_the_same_of_the_same_rows(name, world):
    now, then, _ = world
    assert then[name].keys() == now[name].keys()
    np.testing.assert_allclose(
        [then[name][key] for key in now[name]], list(now[name].values()), rtol=1e-4, atol=1e-6
    )
