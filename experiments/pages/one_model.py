"""The page ``results/one_model.md``: one M6-Rec for every task, beside its twins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.one_model import FRESH, JOINT, STEPS, TOKENS
from experiments.records import REPORT, Records
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.report import markdown_table

PAGE = "one_model.md"
LESS, MORE, SAME = "loses", "wins", "cannot be told apart"
#: What each comparison with the joint model asks.
QUESTIONS = {
    STEPS: "Joint training against a model for the task alone, after as many steps",
    TOKENS: "Joint training against a model for the task alone, after as many tokens",
    FRESH: "Pretraining: the joint model against the same from new weights",
}

_INTRODUCTION = """# One model for every task

One checkpoint of M6-Rec scores, retrieves, ranks and writes (*{joint}*). Each task's test figure
stands beside that of a model trained for this task alone, at equal steps and at equal tokens, and
beside the same joint training without pretraining. Each model takes the learning rate and the
round that are best on validation. Intervals are 95 %, over test users or answers; a model *wins* or
*loses* where the interval of the paired difference does not contain 0. With one seed, they do not
include the variation between trainings.

The two comparisons with a model for the task alone ask different questions. At equal steps it has
read as many rows of its task as the joint model: the difference is what sharing the weights gives
or costs. At equal tokens it has read all the text of the joint training as rows of its own task:
the difference also contains what those further rows are worth.

This page is written by code (`python -m experiments results --only pages`) from the files of
`runs/`.
"""


def write_page(results: Path) -> Path | None:
    """Write the page from the records; return its path, or None if there are no records."""
    frame = Records(results).frame()
    if not len(frame) or not (frame["experiment"] == "one_model").any():
        return None
    rows = frame[frame["experiment"] == "one_model"]
    parts = [_INTRODUCTION.format(joint=JOINT)]
    for (dataset, variant, seed), group in rows.groupby(["dataset", "variant", "seed"], sort=True):
        reports = {
            row["model"]: read_json(results / "runs" / row["id"] / REPORT)["tasks"]
            for row in group.to_dict("records")
        }
        if JOINT not in reports:
            continue
        parts.append(f"## {dataset}: {variant}, seed {seed}\n")
        parts.append(markdown_table(figure_table(reports)) + "\n")
        parts.append(markdown_table(cost_table(reports)) + "\n")
        for model, question in QUESTIONS.items():
            if model in reports:
                parts.append(f"**{question}.**\n")
                parts += [f"- {line}" for line in verdicts(reports[model])]
                parts.append("")
        parts.append(f"Command: `{group['command'].iloc[0]}`\n")
    path = results / PAGE
    write_text(path, "\n".join(parts))
    return path


def figure_table(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each task: its figure by each model, with its interval."""
    rows = []
    for name, task in reports[JOINT].items():
        row = {"task": name, "figure": task["figure"], "n": task["n"]}
        row |= {model: _shown(reports[model][name]) for model in _in_order(reports)}
        rows.append(row)
    return pd.DataFrame(rows)


def cost_table(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each task: test loss in nats, and the tokens that each model has read."""
    rows = []
    for name in reports[JOINT]:
        row: dict[str, Any] = {"task": name}
        for model in _in_order(reports):
            task = reports[model][name]
            row[f"nats, {model}"] = f"{task['nats']:.3f}"
            row[f"tokens, {model}"] = f"{task['tokens'] / 1e6:.2f} M"
        rows.append(row)
    return pd.DataFrame(rows)


def verdicts(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each task on the joint model against another one.

    Args:
        tasks: report of the other model, with ``joint minus this``.
    """
    lines = []
    for name, task in tasks.items():
        test = task["joint minus this"]
        by = f"{test['mean']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}]"
        lines.append(f"{name}: {verdict(test)}, {task['figure']} {by}")
    n_losses = sum(verdict(task["joint minus this"]) == LESS for task in tasks.values())
    return [*lines, f"The joint model loses on {n_losses} of {len(tasks)} tasks."]


def verdict(test: Mapping[str, float]) -> str:
    """Return whether the first model of a paired test wins, loses, or cannot be told apart."""
    if test["low"] > 0:
        return MORE
    return LESS if test["high"] < 0 else SAME


def _in_order(reports: Mapping[str, Any]) -> list[str]:
    """Return the models of the reports, the joint one first."""
    return [model for model in (JOINT, STEPS, TOKENS, FRESH) if model in reports]


def _shown(task: Mapping[str, Any]) -> str:
    """Return a figure with its interval, if it has one."""
    value = "none" if task["value"] is None else f"{task['value']:.3f}"
    if task.get("low") is None:
        return value
    return f"{value} [{task['low']:.3f}, {task['high']:.3f}]"
