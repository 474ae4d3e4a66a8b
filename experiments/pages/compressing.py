"""The page ``results/compressing.md``: quality against bytes, milliseconds and energy."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from m6rec_lite.course.figures import style
from m6rec_lite.data.files import png_bytes, write_text
from m6rec_lite.evaluation.report import markdown_table
from m6rec_lite.m6rec.cost.requests import pareto

PAGE, FIGURE = "compressing.md", "compressing-{}.png"
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
are those of single requests on one thread; late interaction is timed with a full cache, and with
an empty one in brackets. *Found* is the share of segments that a cache of 10,000 holds while the
test rows arrive in order. Energy is a formula, not a measurement: multiplications and additions at
4.6 pJ, and each byte of the weights at 160 pJ (Horowitz, ISSCC 2014). *Peak* is the resident memory
of a process that serves the file with one thread and a limit of 512 MiB.
"""


def write_page(results: Path) -> Path | None:
    """Write the page and a figure for each data set; None if nothing is recorded."""
    files = sorted((results / "compressing").glob("*.csv"))
    parts = [_TEXT]
    for file in files:
        rows = pd.read_csv(file)
        means = rows.groupby("variant", sort=False).mean(numeric_only=True).reset_index()
        name = FIGURE.format(file.stem)
        style()
        (results / name).write_bytes(png_bytes(plot(means, file.stem)))
        alt = f"AUC of each variant on {file.stem} against milliseconds, bytes and energy"
        parts += [f"## {file.stem}", f"![{alt}]({name})", markdown_table(table(rows, means))]
    if not files:
        return None
    write_text(results / PAGE, "\n\n".join(parts) + "\n")
    return results / PAGE


def table(rows: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a data set, in the order of the file.

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
    difference = "auc - dense-10m"
    if difference in rows:
        by = rows.groupby("variant", sort=False)
        low, high = by[f"{difference}, low"].min(), by[f"{difference}, high"].max()
        shown["difference"] = [
            "" if pd.isna(mean) else f"{mean:+.4f} ({low[name]:+.4f} to {high[name]:+.4f})"
            for name, mean in zip(means["variant"], means[difference], strict=True)
        ]
    for column, title in (("p50_ms", "ms, p50"), ("p95_ms", "ms, p95")):
        shown[title] = means[column].map("{:.2f}".format)
        cold = f"cold_{column}"
        if cold in means:
            brackets = means[cold].map(lambda ms: "" if pd.isna(ms) else f" ({ms:.2f})")
            shown[title] += brackets
    names = {"layers": "layers", "found": "found", "energy_mj": "mJ", "peak_mib": "peak MiB"}
    for column, title in names.items():
        shown[title] = means[column].round(2)
    shown["seconds to fit"] = means["fit_seconds"].round()
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
