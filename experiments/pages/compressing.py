"""The page ``results/compressing.md``: quality against bytes, milliseconds and energy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from experiments.records import Records
from m6rec_lite.course.figures import style
from m6rec_lite.data.files import png_bytes, write_text
from m6rec_lite.evaluation.report import markdown_table
from m6rec_lite.m6rec.cost.requests import pareto

PAGE, FIGURE = "compressing.md", "compressing-{}.png"
#: The reference of the column *difference*, and the variants with default settings.
REFERENCE, _VARIANT = "dense-10m", re.compile(r"(threshold=(?P<threshold>[\d.]+))?")
#: Columns of a cost, and their axes.
COSTS = {
    "p50_ms": "milliseconds of a request (median)",
    "bytes": "bytes of the file",
    "energy_mj": "millijoules by the formula",
}
_TEXT = """# Faster and smaller

M6-Rec's click model, compressed by each method of `m6rec_lite/m6rec/compress/`. All networks are
trained on the same impressions without pretraining (`python -m experiments compressing`); values
are means over seeds. *AUC* is that of all clicked test rows and a sample of the others;
*difference* is from `dense-10m`, with the widest of the seeds' paired 95 % intervals. Milliseconds
are those of the processor for single requests on one thread; late interaction is timed with a full
cache, and with an empty one in brackets. *Found* is the share of segments that a cache of 10,000
holds while the test rows arrive in order. Energy is a formula, not a measurement: multiplications
and additions at 4.6 pJ, and each byte of the weights at 160 pJ (Horowitz, ISSCC 2014). *Peak* is
the resident memory of a process that serves the file with one thread and a limit of 512 MiB.
"""


def cells(results: Path) -> pd.DataFrame:
    """Return one row for each recorded variant with default settings."""
    rows: list[dict[str, Any]] = []
    for _, config, report in Records(results).finished("compressing"):
        match = _VARIANT.fullmatch(config["variant"])
        if match is None:
            continue
        minus = report["minus"].get(REFERENCE, {})
        rows.append(
            {"dataset": config["dataset"], "seed": config["seed"]}
            | {"variant": " ".join(filter(None, (config["model"], match["threshold"])))}
            | {"auc": report["metrics"]["auc"], **report["costs"]}
            | {name: minus.get(name) for name in ("mean", "low", "high")}
        )
    frame = pd.DataFrame(rows)
    numbers = frame.columns.difference(["dataset", "variant"])
    return frame.astype(dict.fromkeys(numbers, float))


def write_page(results: Path) -> Path | None:
    """Write the page and a figure for each data set; None if nothing is recorded."""
    found, parts = cells(results), [_TEXT]
    if not len(found):
        return None
    for dataset, rows in found.groupby("dataset"):
        means = rows.drop(columns="dataset").groupby("variant").mean().reset_index()
        means = means.sort_values("auc", ascending=False, ignore_index=True)
        name = FIGURE.format(dataset)
        style()
        (results / name).write_bytes(png_bytes(plot(means, str(dataset))))
        alt = f"AUC of each variant on {dataset} against milliseconds, bytes and energy"
        parts += [f"## {dataset}", f"![{alt}]({name})", markdown_table(table(rows, means))]
    write_text(results / PAGE, "\n\n".join(parts) + "\n")
    return results / PAGE


def table(rows: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a data set, in the order of ``means``.

    Args:
        rows: of all seeds.
        means: one row for each variant.
    """
    shown = pd.DataFrame({"variant": means["variant"]})
    shown["seeds"] = [int((rows["variant"] == name).sum()) for name in means["variant"]]
    shown["parameters"] = means["parameters"].map("{:,.0f}".format)
    shown["not zero"] = means["nonzero"].map("{:,.0f}".format)
    shown["KiB"] = (means["bytes"] / 1024).round()
    shown["AUC"] = means["auc"].round(4)
    by = rows.groupby("variant")
    low, high = by["low"].min(), by["high"].max()
    shown["difference"] = [
        "" if pd.isna(mean) else f"{mean:+.4f} ({low[name]:+.4f} to {high[name]:+.4f})"
        for name, mean in zip(means["variant"], means["mean"], strict=True)
    ]
    for column, title in (("p50_ms", "ms, p50"), ("p95_ms", "ms, p95")):
        shown[title] = means[column].map("{:.2f}".format)
        cold = f"cold_{column}"
        if cold in means:
            brackets = means[cold].map(lambda ms: "" if pd.isna(ms) else f" ({ms:.2f})")
            shown[title] += brackets
    names = {"layers": "layers", "found": "found", "energy_mj": "mJ", "peak_mib": "peak MiB"}
    for column, title in names.items():
        if column in means:
            shown[title] = means[column].round(2)
    shown["seconds to fit"] = means["fit_cpu_seconds"].round()
    return shown


def plot(means: pd.DataFrame, title: str) -> Figure:
    """Draw AUC against each cost; a line joins the variants that no other dominates."""
    fig, axes = plt.subplots(1, len(COSTS), figsize=(13, 4.2), sharey=True, layout="constrained")
    for ax, (column, label) in zip(axes, COSTS.items(), strict=True):
        known = means[means[column] > 0].sort_values(column)
        front = known[pareto(known[column].to_numpy(), known["auc"].to_numpy())]
        ax.plot(known[column], known["auc"], linestyle="none", marker="o")
        ax.plot(front[column], front["auc"], marker="none", linestyle="-")
        for row in known.itertuples():
            ax.annotate(row.variant, (getattr(row, column), row.auc), fontsize=6, rotation=20)
        ax.set(xscale="log", xlabel=label)
    axes[0].set_ylabel("AUC")
    fig.suptitle(f"Compressed click models on {title}; the line: no other is better in both")
    return fig
