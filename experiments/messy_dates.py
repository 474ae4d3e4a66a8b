"""Fit on the messy export as three readers understand its dates, and judge on the true questions.

    python -m experiments messy_dates --seeds 0 1 2

``careful`` reads each of the four formats. ``guessed`` lets pandas guess each date
(``format="mixed", errors="coerce"``) and loses what it cannot read. ``lost`` has the same rows as
``guessed`` with the right dates. All fit the same model and answer the test questions of the clean
data; a seed draws the faults.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.records import Records, RunKey, summary
from m6rec_lite.data import (
    MESSY_DATES,
    MESSY_ENCODING,
    Interactions,
    Split,
    leave_one_out,
    load_dataset,
    write_messy_csv,
)
from m6rec_lite.evaluation import fit_and_evaluate
from m6rec_lite.recommenders import Markov

READERS = ("careful", "guessed", "lost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])


def run(options: argparse.Namespace) -> None:
    """Measure and record the readers and seeds that are not recorded."""
    records = Records(options.root / "results")
    dataset = load_dataset(options.dataset)
    split = leave_one_out(dataset)
    for seed in options.seeds:
        keys = {name: RunKey("messy_dates", dataset.name, "Markov", name, seed) for name in READERS}
        if all(map(records.is_recorded, keys.values())) and not options.again:
            print(f"seed {seed}: recorded")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messy.csv"
            write_messy_csv(dataset, path, seed=seed)
            rows = pd.read_csv(path, encoding=MESSY_ENCODING, dtype=str).dropna(
                subset=["customer", "sku"]
            )
        for name, train in readings(rows, split).items():
            records.start(keys[name], command=options.command, split_hash=split.hash)
            part = Split(split.name, split.dataset, train, split.validation, split.test)
            report = fit_and_evaluate(Markov(), part, k=(5, 10, 20), progress=False)
            records.finish(keys[name], summary(report), ranks=report)
            print(f"seed {seed}, {name}: {len(train):,} rows, NDCG@10 {report['ndcg@10']:.4f}")
    records.write_metrics("messy_dates", dataset.name)


def readings(rows: pd.DataFrame, split: Split) -> dict[str, Interactions]:
    """Return the training rows of the split as each reader understands their dates."""
    true = pd.to_datetime(pd.to_numeric(rows["when"], errors="coerce"), unit="s", utc=True)
    for form in MESSY_DATES:
        true = true.fillna(pd.to_datetime(rows["when"], format=form, errors="coerce", utc=True))
    guess = pd.to_datetime(rows["when"], format="mixed", errors="coerce", utc=True)
    train = split.train
    user_ids, item_ids = train.user_ids, train.item_ids
    known = user_ids[train.users] * 10**9 + item_ids[train.items]
    user, item = (rows[name].astype(int) for name in ("customer", "sku"))
    is_train = np.isin(user * 10**9 + item, known)
    whens = {"careful": true, "guessed": guess, "lost": true.where(guess.notna())}
    result = {}
    for name, when in whens.items():
        table = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": when})
        table["event"] = rows["what"]
        table = table[is_train & when.notna()].sort_values("timestamp", kind="stable")
        table = table.drop_duplicates(["user_id", "item_id"])
        result[name] = Interactions.from_frame(table, user_ids=user_ids, item_ids=item_ids)
    return result
