"""The page ``results/zero_shot.md``: lists ranked by a pretrained M6-Rec without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.compare import compare_runs
from experiments.records import Records
from experiments.zero_shot import EXCHANGED, MODEL, SHUFFLED
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

EXPERIMENT, PAGE = "zero_shot", "zero_shot.md"

_INTRODUCTION = """# Ranking without any training

A list holds a user's target and random items that the user has not met. M6-Rec ranks it by the
likelihood of each item's sentence; it was pretrained on behaviour and has not been trained to rank
(`python -m experiments zero_shot`). *Lift*: less the score without a user. *Best on validation*:
the score and the weight of popularity that rank other lists best, whose answers are labels that
this row used. The text says how long before the question each event was, so M6-Rec knows the time
of the question; popularity, the bigram, EASE and the rule do not. Brackets hold 95 % intervals over
users; a difference is paired. A checkpoint whose pretraining read the library of a world knows the
stated rules of that world; the card of the checkpoint says so.

Written by `python -m experiments results --only pages` from `results/runs`.
"""


def write_page(results: Path) -> Path | None:
    """Write the page from the records; return its path, or None if there are no records."""
    records = Records(results)
    rows = [
        {name: config[name] for name in ("dataset", "model", "variant", "seed", "command")}
        | {"id": folder.name, "report": report}
        for folder, config, report in records.finished(EXPERIMENT)
    ]
    if not rows:
        return None
    parts = [_INTRODUCTION]
    frame = pd.DataFrame(rows)
    ours = frame["model"] == MODEL
    frame["checkpoint"] = frame["variant"].where(ours).str.partition(",")[0]
    for (dataset, seed), group in frame.groupby(["dataset", "seed"], sort=True):
        others = group[group["checkpoint"].isna()]
        for checkpoint, own in group.groupby("checkpoint"):
            first = own.iloc[0]
            n, read = first["report"]["n_users"], first["report"]["events read"]
            parts.append(f"## {dataset}, `{checkpoint}`, seed {seed}\n")
            parts.append(f"{n} lists; the model reads {read:g} events of a user on average.\n")
            table = lists_table(pd.concat([own, others]).to_dict("records"))
            parts.append(markdown_table(table) + "\n")
            parts += control_lines(records, own.to_dict("records"))
            parts.append(f"Command: `{first['command']}`\n")
    path = results / PAGE
    write_text(path, "\n".join(parts))
    return path


def lists_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a line for each ranking, the best first, with M6-Rec's differences from the others.

    Args:
        rows: with ``model``, ``variant`` and ``report``; the best row of M6-Rec on validation is
            compared with every other model.
    """
    best: dict[str, Any] = next((row["report"]["minus"] for row in rows if _is_best(row)), {})
    lines = []
    for row in sorted(rows, key=lambda row: -row["report"]["metrics"]["ndcg@10"]):
        low, high = row["report"]["intervals"]["ndcg@10"]
        name = row["model"] if row["model"] != MODEL else f"M6-Rec, {_score(row['variant'])}"
        lines.append(
            {
                "ranked by": name,
                "NDCG@10": f"{row['report']['metrics']['ndcg@10']:.3f} [{low:.3f}, {high:.3f}]",
                "M6-Rec, best on validation, minus this": _shown(best.get(row["model"])),
            }
        )
    return pd.DataFrame(lines)


def control_lines(records: Records, rows: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each control: the best row of M6-Rec minus the same row under it."""
    best = next((row for row in rows if _is_best(row)), None)
    lines = []
    for control in (SHUFFLED, EXCHANGED):
        other = next((row for row in rows if row["variant"].endswith(control)), None)
        if best and other:
            _, test = compare_runs(records, best["id"], other["id"])
            ends = {"mean": test.mean_difference, "low": test.low, "high": test.high}
            lines.append(f"- Best on validation minus the same with {control}: {_shown(ends)}")
    return [*lines, ""] if lines else []


def _is_best(row: Mapping[str, Any]) -> bool:
    ends_in_control = row["variant"].endswith((SHUFFLED, EXCHANGED))
    return row["model"] == MODEL and "best on validation" in row["variant"] and not ends_in_control


def _score(variant: str) -> str:
    """Return the part of a variant after the number of tokens."""
    return variant.partition(" tokens, ")[2]


def _shown(test: Mapping[str, float] | None) -> str:
    """Return a paired difference with its interval; nothing for None."""
    return f"{test['mean']:+.3f} [{test['low']:+.3f}, {test['high']:+.3f}]" if test else ""
