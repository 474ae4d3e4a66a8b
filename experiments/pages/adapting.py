"""The page ``results/adapting.md``: methods of adapting by what they train and what they reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.records import Records
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

PAGE, TABLE = "adapting.md", "adapting.csv"
_VARIANT = re.compile(r"(?P<task>ctr|cvr|next|likes) rows=(?P<rows>\w+)")
_TITLES = {
    "ctr": "Clicks (AUC)",
    "cvr": "Purchases after a click (AUC)",
    "next": "Next item (NDCG@10)",
    "likes": "Likes of films (AUC)",
}
#: AUC by the number of examples in Bao et al., *TALLRec*, 2023, of LLaMA-7B and of SASRec.
PUBLISHED = {
    "TALLRec (published)": {16: 0.672, 64: 0.675, 256: 0.720},
    "SASRec (published there)": {256: 0.523},
}
_INTRODUCTION = """# Methods of adapting

One pretrained model (`checkpoints/bazaar-m6rec`), one task at a time. *Trained* is the number of
trained parameters in the model, *share* their share of all; a task's own head comes on top. *Bytes*
are those of a saved adapter with its head. *Seconds* are CPU seconds of training on one thread.
Figures are means over the seeds, with the least and the greatest; brackets hold the mean 95 %
interval over users. *Minus full* is the paired difference from full fine-tuning with the same rows
and seed. Learning rate and number of steps were chosen on validation.
"""


def cells(results: Path) -> pd.DataFrame:
    """Return one row for each recorded cell with default sizes."""
    rows: list[dict[str, Any]] = []
    for _, config, report in Records(results).finished("adapting"):
        match = _VARIANT.fullmatch(config["variant"])
        if match is None:
            continue
        metric = "ndcg@10" if match["task"] == "next" else "auc"
        low, high = report["intervals"][metric]
        rows.append(
            {"method": config["model"], "seed": config["seed"], **match.groupdict()}
            | {"figure": report["metrics"][metric], "low": low, "high": high}
            | {name: report["costs"][name] for name in ("trained", "share", "bytes")}
            | {"seconds": report["costs"]["fit_cpu_seconds"]}
            | {
                f"minus full, {name}": report.get("minus_full", {}).get(name)
                for name in ("mean", "low", "high")
            }
            | {"control": report["metrics"].get("auc of earlier likes")}
        )
    return pd.DataFrame(rows)


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each method, with means over the seeds."""
    lines = []
    for method, group in rows.groupby("method", sort=False):
        figure = group["figure"]
        minus, low, high = (group[f"minus full, {name}"].mean() for name in ("mean", "low", "high"))
        spread = f" ({figure.min():.3f} to {figure.max():.3f})" if len(group) > 1 else ""
        lines.append(
            {
                "method": method,
                "trained": f"{group['trained'].iloc[0]:,.0f}",
                "share": f"{group['share'].iloc[0]:.2%}",
                "bytes": f"{group['bytes'].iloc[0]:,.0f}",
                "seconds": f"{group['seconds'].mean():.0f}",
                "seeds": str(len(group)),
                "figure": f"{figure.mean():.3f}{spread} [{group['low'].mean():.3f}, "
                f"{group['high'].mean():.3f}]",
                "minus full": "" if pd.isna(minus) else f"{minus:+.3f} [{low:+.3f}, {high:+.3f}]",
            }
        )
    return pd.DataFrame(lines)


def few_rows(found: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return the mean figure of each method by the number of training rows, as text."""
    few = found[(found["task"] == task) & (found["rows"] != "all")]
    if not len(few):
        return pd.DataFrame()
    few = few.astype({"rows": int})
    means = few.pivot_table(values="figure", index="method", columns="rows")
    if task == "likes":
        control = few[few["control"].notna()].groupby("rows")["control"].mean()
        means = pd.concat([means, control.to_frame("likes of the film so far, all labels").T])
        means = pd.concat([means, pd.DataFrame(PUBLISHED).T]).rename_axis("method")
    means = means.sort_index(axis=1)
    return means.map(lambda value: "" if pd.isna(value) else f"{value:.3f}")


def _likes() -> str:
    """Return what to know about the table of films."""
    return (
        "Published figures are of LLaMA-7B, which has read about films, with other draws of the "
        "examples; our model has read one simulated shop. The row of the film's own likes reads "
        "every earlier label.\n"
    )


def write_page(results: Path) -> None:
    """Write the page and ``adapting.csv`` from the records; nothing if no cell is recorded."""
    found = cells(results)
    if not len(found):
        return
    write_text(results / TABLE, found.to_csv(index=False))
    text = [_INTRODUCTION]
    for task, title in _TITLES.items():
        whole = found[(found["task"] == task) & (found["rows"] == "all")]
        if len(whole):
            whole = whole.sort_values(["figure"], ascending=False)
            text += [f"## {title}\n", markdown_table(table_of(whole)) + "\n"]
    for task, title in (("ctr", "Few rows of clicks"), ("likes", "Few ratings of films")):
        few = few_rows(found, task)
        if len(few):
            text += [f"## {title} (AUC)\n", _likes() if task == "likes" else ""]
            text += [markdown_table(few.reset_index().rename(columns=str)) + "\n"]
    write_text(results / PAGE, "\n".join(text))
