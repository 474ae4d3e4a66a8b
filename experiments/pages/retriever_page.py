"""The page ``results/pretrained_retriever.md``: what pretraining and each option are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.pages.retriever_card import difference
from experiments.records import REPORT, Records
from experiments.retriever_options import CHANGES, key_of, retriever
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.report import markdown_table

PAGE = "pretrained_retriever.md"

_HEAD = """# The pretrained retriever, and the options of the retriever

Written by `python -m experiments results --only pages` from `results/runs`; NDCG@10 on test with
its 95 % interval. *Difference* is paired over users: the row minus the row named in its heading.
"""
_BOARD = """
## In a shop with few people

`M6RecRetriever` trained on the people of `bazaar-large` who are not in `bazaar`, asked the test
questions of `bazaar`; beside it, models fitted to the same rows, and the retriever fitted to the
shop's people alone. To compare: rows of one model differ in the *people* it was trained on, rows
that read `ids`, `text` or `both` in the *text*, and rows of the same people in the *model*.
"""
_DOMAIN = """
## In a domain without rows

Pretrained on the rows of four domains, asked for a person's last item of the fifth among the
domain's items (`python -m experiments pretrained_domain`). *Through text*: the score of a new item
is the mean of those of the items with the most similar texts. *And popularity*: a weighted sum with
popularity in the fifth domain, with the weight chosen on validation.
"""
_OPTIONS = """
## One option at a time

The retriever on `bazaar`, trained on the shop's rows alone with one recipe
(`python -m experiments retriever_options`).
"""


def write_page(results: Path) -> Path:
    """Write the page from the records; a section without rows is left out."""
    records = Records(results)
    runs = records.frame()
    parts = [_HEAD]
    if len(runs):
        rival = runs[
            (runs["experiment"] == "pretrained_retriever")
            & (runs["variant"] == "decay=0.8, all people's rows")
            & (runs["model"] == "EASE")
        ]
        control = runs["variant"].str.startswith("4600 people") & (
            runs["model"] == "M6RecRetriever"
        )
        board = (runs["experiment"] == "pretrained_retriever") | (
            (runs["experiment"] == "people") & control
        )
        parts += _section(records, _BOARD, runs[board], "EASE, all people's rows", rival)
        domain = runs[runs["experiment"] == "pretrained_domain"]
        popular = domain[domain["model"] == "Popularity"]
        parts += _section(records, _DOMAIN, domain, "Popularity", popular)
        options = pd.concat(
            [runs[runs["id"] == key_of(retriever(name, {}, 0), "bazaar").id] for name in CHANGES]
            + [runs[runs["experiment"] == "retriever_options"]]
        )
        base = options[options["id"] == key_of(retriever("base", {}, 0), "bazaar").id]
        parts += _section(records, _OPTIONS, options, "base", base)
        parts += _ensembles(records, options[options["model"] == "Hybrid"])
    path = results / PAGE
    write_text(path, "\n".join(parts))
    return path


def _section(
    records: Records, text: str, runs: pd.DataFrame, name: str, reference: pd.DataFrame
) -> Sequence[str]:
    """Return a section: its text, and the table of some runs, best first.

    Args:
        records: of the runs.
        text: before the table.
        runs: rows of ``Records.frame``.
        name: of the reference in the heading of its column.
        reference: the run to compare with, of the same seed and test set; may be empty.
    """
    rows = []
    for _, run in runs.sort_values("ndcg@10", ascending=False).iterrows():
        low, high = read_json(records.runs / run["id"] / REPORT)["intervals"]["ndcg@10"]
        row = {key: run[key] for key in ("model", "variant", "seed")}
        row |= {"NDCG@10": f"{run['ndcg@10']:.4f}", "95 %": f"[{low:.4f}, {high:.4f}]"}
        others = [
            other
            for _, other in reference.iterrows()
            if other["seed"] == run["seed"]
            and _questions(records, other["id"]) == _questions(records, run["id"])
        ]
        if len(reference):
            row[f"difference from {name}"] = (
                difference(records, run["id"], others[0]["id"]) if others else ""
            )
        rows.append(row | {"run": run["id"]})
    return [text, markdown_table(pd.DataFrame(rows)) + "\n"] if rows else []


def _questions(records: Records, run_id: str) -> str:
    return read_json(records.runs / run_id / REPORT).get("split_hash", "")


def _ensembles(records: Records, runs: pd.DataFrame) -> Sequence[str]:
    """Return a sentence for each ensemble: its weight, and its difference from EASE."""
    lines = []
    for _, run in runs.iterrows():
        report = read_json(records.runs / run["id"] / REPORT)
        more = report["more than EASE, paired"]
        lines.append(
            f"- {run['variant']}: weight {report['weight of the retriever']:g} for the retriever, "
            f"chosen on validation; minus EASE, paired: {more['mean']:+.4f} "
            f"[{more['low']:+.4f}, {more['high']:+.4f}]."
        )
    return ["\n".join(lines) + "\n"] if lines else []
