"""The three readers of ``messy_dates`` differ in what they should, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.messy_dates import READERS, readings
from m6rec_lite.data import MESSY_ENCODING, leave_one_out, load_dataset, write_messy_csv


def test_readers_share_rows_or_dates(tmp_path: Path) -> None:
    n, each = 60, 8
    rows = pd.DataFrame({"user_id": np.arange(n).repeat(each) + 1})
    rows["item_id"] = 100 + (rows["user_id"] * 5 + rows.groupby("user_id").cumcount() * 3) % 20
    rows["timestamp"] = 1_680_000_000 + np.random.default_rng(0).permutation(len(rows)) * 90_000
    dataset = load_dataset(rows)
    split = leave_one_out(dataset)
    write_messy_csv(dataset, tmp_path / "messy.csv", seed=1, missing=0.0)
    messy = pd.read_csv(tmp_path / "messy.csv", encoding=MESSY_ENCODING, dtype=str)
    read = readings(messy, split)
    assert tuple(read) == READERS
    for name in ("users", "items", "timestamps"):
        np.testing.assert_array_equal(getattr(read["careful"], name), getattr(split.train, name))
    pairs = {
        name: set(zip(r.users.tolist(), r.items.tolist(), strict=True)) for name, r in read.items()
    }
    assert pairs["guessed"] == pairs["lost"] < pairs["careful"]  # unix seconds are lost
    assert set(read["lost"].timestamps) <= set(split.train.timestamps)
    assert not set(read["guessed"].timestamps) <= set(split.train.timestamps)
