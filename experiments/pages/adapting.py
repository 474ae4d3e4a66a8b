"""The page ``results/adapting.md``: methods of adapting by what they train and what they reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.records import CONFIG, REPORT
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.report import markdown_table

PAGE = "adapting.md"
_VARIANT = re.compile(r"(?P<task>ctr|cvr|next) rows=(?P<rows>\w+)")
_TITLES = {
    "ctr": "Clicks (AUC)",
    "cvr": "Purchases after a click (AUC)",
    "next": "Next item (NDCG@10)",
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
    for path in sorted((results / "runs").glob(f"*/{REPORT}")):
        config = read_json(path.with_name(CONFIG))
        match = _VARIANT.fullmatch(config["variant"])
        if config["experiment"] != "adapting" or match is None:
            continue
        report = read_json(path)
        metric = "ndcg@10" if match["task"] == "next" else "auc"
        low, high = report["intervals"][metric]
        rows.append(
            {"method": config["model"], "seed": config["seed"], **match.groupdict()}
            | {"figure": report["metrics"][metric], "low": low, "high": high}
            | {name: report["costs"][name] for name in ("trained", "share", "bytes")}
            | {"seconds": report["costs"]["fit_cpu_seconds"]}
            | {"minus": report.get("minus_full", {}).get("mean")}
        )
    return pd.DataFrame(rows)


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each method, with means over the seeds."""
    lines = []
    for method, group in rows.groupby("method", sort=False):
        figure, minus = group["figure"], group["minus"].mean()
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
                "minus full": "" if pd.isna(minus) else f"{minus:+.3f}",
            }
        )
    return pd.DataFrame(lines)


def write_page(results: Path) -> None:
    """Write the page from the records; without a recorded cell, nothing is written."""
    found = cells(results)
    if not len(found):
        return
    text = [_INTRODUCTION]
    for task, title in _TITLES.items():
        whole = found[(found["task"] == task) & (found["rows"] == "all")]
        if len(whole):
            whole = whole.sort_values(["figure"], ascending=False)
            text += [f"## {title}\n", markdown_table(table_of(whole)) + "\n"]
    few = found[(found["task"] == "ctr") & (found["rows"] != "all")]
    if len(few):
        few = few.astype({"rows": int})
        means = few.pivot_table(values="figure", index="method", columns="rows")
        shown = means.map(lambda value: "" if pd.isna(value) else f"{value:.3f}").reset_index()
        text += ["## Few rows of clicks (AUC)\n", markdown_table(shown.rename(columns=str)) + "\n"]
    write_text(results / PAGE, "\n".join(text))
