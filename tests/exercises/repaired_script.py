"""Right answers to ``repaired_script``, written in other ways, and wrong ones."""

from __future__ import annotations

from typing import Any

import pandas as pd

from m6rec_lite.course.exercises.repaired_script import Log, _script, faulty_script, pieces


def _by_pandas(log: Log) -> dict[str, Any]:
    rows = pd.DataFrame(log).sort_values("time", kind="stable")
    is_last = ~rows["user"].duplicated(keep="last")
    train = rows[~is_last]
    table = pd.crosstab(train["user"], train["item"]).clip(upper=1)
    counts = train["item"].value_counts()
    order = sorted(counts.index, key=lambda item: (-counts[item], item))
    return {
        "targets": rows[is_last].set_index("user")["item"].to_dict(),
        "vocabulary": sorted(train["title"].map(pieces).explode().unique()),
        "labels": {(u, i): table.loc[u, i] for u in table.index for i in table},
        "lists": {u: [i for i in order if not table.loc[u, i]][:2] for u in table.index},
    }


CORRECT = (_script, _by_pandas)

WRONG = (
    (faulty_script, "Fault 1"),
    (lambda log: _script(log)["lists"], "Return a dict"),
    (lambda log: _script(log) | {"vocabulary": []}, ""),
)

EQUIVALENT: dict[str, str] = {}
