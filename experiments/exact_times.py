"""MovieLens-1M by users whose timestamps are exact, and by the others.

    python -m m6rec_lite.course.exact_times

The copy of MovieLens-1M that this project measures on was rebuilt from public fragments. Its rows
and their order are complete, so the questions of leave-one-out are the original ones; but 17.8 % of
its timestamps are interpolated, all of them of users from 3000 on. A model that reads timestamps
reads these too. The command fits models that take seconds, at the settings that ``anchors`` tuned
on validation, and judges them on users 1 to 2999 and on the others. It writes
``results/anchors/ml-1m-exact-users.csv`` and, from that, its section of ``results/anchors.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from m6rec_lite.course.anchors import METRIC, entries
from m6rec_lite.course.anchors_page import EXACT_USERS, write_page
from m6rec_lite.course.long_runs import settings as read_settings

from m6rec_lite.course.comparison import known
from m6rec_lite.course.places import project_root
from m6rec_lite.data import Dataset, leave_one_out, load_dataset
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.significance import bootstrap_interval
from m6rec_lite.recommenders import Recommender

COMMAND = "python -m m6rec_lite.course.exact_times"
#: Entries of ``anchors`` that fit in seconds.
ENTRIES = ("Popularity", "Popularity, as known at the moment", "Bigram", "Markov", "EASE decay")
#: Users below have the timestamps of the original file.
FIRST_INTERPOLATED = 3000


def tuned(folder: Path) -> list[Recommender]:
    """The models of ``ENTRIES``, unfitted, at the settings in ``<folder>/anchors/ml-1m.csv``.

    An entry that ``anchors`` has not measured there has its defaults.
    """
    path = folder / "anchors" / "ml-1m.csv"
    rows = pd.read_csv(path, dtype={"settings": str}).fillna({"settings": ""})
    chosen = dict(zip(rows["entry"], rows["settings"], strict=True))
    kinds = entries()
    return [type(kinds[name][0])(**read_settings(chosen.get(name, "").split())) for name in ENTRIES]


def measure(
    dataset: Dataset, compared: Sequence[Recommender], *, first: int = FIRST_INTERPOLATED
) -> pd.DataFrame:
    """Fit each model on all users and judge it on two groups of them.

    Args:
        dataset: with user ids as numbers.
        compared: unfitted models.
        first: the first user of the second group.

    Returns:
        ``model settings knows users n_users`` and HR@10 and NDCG@10 with 95 % bootstrap intervals
        over users; a row for each model and group, and one for all users.
    """
    split = leave_one_out(dataset)
    rows: list[dict[str, Any]] = []
    for model in compared:
        model.fit(split.train, items=dataset.items, progress=False)
        report = evaluate(model, split, k=10, bootstrap=0, progress=False)
        exact = report.user_ids < first
        groups = {"all": exact | ~exact, f"below {first}": exact, f"from {first} on": ~exact}
        for users, chosen in groups.items():
            row = {"model": model.name, "settings": model.variant, "knows": known(model.variant)}
            row |= {"users": users, "n_users": int(chosen.sum())}
            for metric in ("hr@10", METRIC):
                values = report.per_user[metric][chosen]
                low, high = bootstrap_interval(values)
                row |= {metric: values.mean(), f"{metric}_low": low, f"{metric}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=None, help="folder to write to")
    folder = parser.parse_args(arguments).results or project_root() / "results"
    table = measure(load_dataset("ml-1m"), tuned(folder)).assign(command=COMMAND)
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(folder / "anchors" / EXACT_USERS, text)
    print(table.drop(columns="command").round(4).to_string(index=False))
    print(f"written: {write_page(folder)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
