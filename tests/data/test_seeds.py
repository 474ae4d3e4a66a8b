"""One rule for seeds, wherever one is given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m6rec_lite.data import cold_item, leave_one_out, load_dataset, random_split
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.evaluation import evaluate
from m6rec_lite.language import load_corpus
from m6rec_lite.recommenders import BPR, Popularity
from m6rec_lite.training import RowBatches, fit

ITEMS = np.concatenate([np.random.default_rng(user).permutation(9) for user in range(20)])
ROWS = pd.DataFrame({"user_id": np.arange(180) // 9, "item_id": ITEMS, "timestamp": np.arange(180)})
DATA = load_dataset(ROWS)
SPLIT = leave_one_out(DATA)


def train_with(seed):
    net = torch.nn.Linear(2, 1)
    rows = RowBatches(torch.ones(4, 2), batch_size=4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    fit(
        net, rows, lambda model, batch: model(batch[0]).mean(), optimizer=optimizer, epochs=1,
        seed=seed, progress=False,
    )  # fmt: skip


ENTRIES = {
    "random_split": lambda seed: random_split(DATA, seed=seed),
    "cold_item": lambda seed: cold_item(DATA, seed=seed, share=0.5),
    "Recommender.fit": lambda seed: BPR(2, epochs=1, seed=seed).fit(SPLIT.train, progress=False),
    "evaluate": lambda seed: evaluate(Popularity().fit(SPLIT.train), SPLIT, seed=seed, bootstrap=9),
    "training.fit": train_with,
    "load_corpus": lambda seed: load_corpus(map(str, range(99)), seed=seed),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_has_the_one_rule(entry):
    ENTRIES[entry](np.int64(3))
    for seed in (1.5, -1, None, "1", True):
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got"):
            ENTRIES[entry](seed)


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers_are_seeds(seed):
    assert check_seed(seed) == seed
    assert type(check_seed(seed)) is int
