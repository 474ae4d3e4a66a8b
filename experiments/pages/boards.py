"""The leaderboards of the three bazaars, with the Bayes filter and the oracle beside the models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.compare import user_metric
from experiments.pages.filter_tables import FILTER, filter_runs
from experiments.records import Records
from m6rec_lite.course.comparison import RETRIEVER
from m6rec_lite.course.figures import PALETTE, leaderboard_alt_text, plot_leaderboard, style
from m6rec_lite.course.leaderboard import ORACLE, Leaderboard
from m6rec_lite.data.files import png_bytes
from m6rec_lite.evaluation import paired_test
from m6rec_lite.evaluation.report import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = "laptop"
#: Picture of each world's leaderboard, in ``results``.
PICTURES = {
    "bazaar": "ladder.png",
    "bazaar-large": "ladder-large.png",
    "bazaar-wide": "ladder-wide.png",
}
#: Networks whose runs are compared with the simple models, pair by pair.
NETWORKS = ("GRU4Rec", "SASRec", "BERT4Rec", RETRIEVER, "FullTextRetriever")
#: In the variant of a model that was trained on other people.
PRETRAINED = "not trained here"
#: Simple models that the networks are compared with.
RIVALS = (("EASE", "decay=0.8"), ("ItemKNN", "decay=0.8"))


def of_own_rows(board: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of models that were trained on the data set's own training rows, each once.

    Left out are a retriever that was pretrained on other people, and a model read from a file.
    """
    elsewhere = board["variant"].fillna("").str.contains(rf"{PRETRAINED}|^served$")
    return board[~elsewhere]


def board_rows(results: Path, dataset: str) -> pd.DataFrame:
    """Return the leaderboard of a world, seeds averaged, with the rows of the Bayes filter.

    Returns:
        ``model variant seeds questions hr@10 ndcg@10 low high fit_seconds``, best first. ``low``
        and ``high`` are the lowest and highest ends of the 95 % intervals of the seeds. The filter
        may have been evaluated on a sample of the questions.
    """
    board = Leaderboard(results / "leaderboard").latest(dataset, scale=SCALE)
    rows = (
        board.assign(variant=board["variant"].fillna(""))
        .groupby(["model", "variant"], sort=False)
        .agg(
            seeds=("seed", "nunique"),
            questions=("n_users", "first"),
            **{"hr@10": ("hr@10", "mean"), "ndcg@10": ("ndcg@10", "mean")},
            low=("ndcg@10_low", "min"),
            high=("ndcg@10_high", "max"),
            fit_seconds=("fit_seconds", "mean"),
        )
        .reset_index()
    )
    known = filter_runs(results, dataset)
    known = known[known["without"].map(len) == 0]
    variant = [f"shopper {row.shopper}, time {row.time}" for row in known.itertuples()]
    known = known.assign(model=FILTER, variant=variant, seeds=1)
    rows = pd.concat([rows, known.reindex(columns=rows.columns)], ignore_index=True)
    return rows.sort_values("ndcg@10", ascending=False, ignore_index=True)


def board_table(results: Path, dataset: str) -> pd.DataFrame:
    """Return the rows of ``board_rows`` as text, with the shares of the filter and the oracle."""
    rows = board_rows(results, dataset)
    inferred = (rows["model"] == FILTER) & rows["variant"].str.contains("inferred, time unknown")
    tops = {"filter": rows[inferred], "oracle": rows[rows["model"] == ORACLE]}
    shown = pd.DataFrame(
        {
            "model": rows["model"],
            "variant": rows["variant"],
            "seeds": rows["seeds"],
            "hr@10": rows["hr@10"].map("{:.3f}".format),
            "ndcg@10": [
                f"{row['ndcg@10']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
                for row in rows.to_dict("records")
            ],
            "seconds to fit": [
                "" if pd.isna(seconds) else f"{seconds:.1f}" for seconds in rows["fit_seconds"]
            ],
        }
    )
    epochs = best_epochs(results, dataset)
    shown["best epoch"] = [
        epochs.get((row["model"], row["variant"]), "") for row in rows.to_dict("records")
    ]
    for name, top in tops.items():
        if len(top):
            shares = rows["ndcg@10"] / top["ndcg@10"].iloc[0]
            shown[f"share of the {name}"] = shares.map("{:.0%}".format)
    if (rows["questions"] != rows["questions"].iloc[0]).any():
        shown.insert(3, "questions", rows["questions"].map("{:,.0f}".format))
    return shown


def best_epochs(results: Path, dataset: str) -> dict[tuple[str, str], str]:
    """Return the best epochs of each recorded network and of how many, by model and variant.

    Where the best epoch is the last, validation was still rising.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for _, config, report in Records(results).finished("long_runs"):
        if config["dataset"] == dataset and "best_epoch" in report:
            key = (config["model"], config["variant"])
            found.setdefault(key, []).append(f"{report['best_epoch']} of {report['epochs']}")
    return {key: ", ".join(values) for key, values in found.items()}


def paired_table(results: Path, dataset: str) -> pd.DataFrame:
    """Return the paired difference of each network with ranks from the simple models ``RIVALS``.

    Runs of several seeds are averaged for each user.
    """
    records = Records(results)
    frame = records.frame()
    if not len(frame):
        return frame
    frame = frame[(frame["dataset"] == dataset) & (frame["ranks"] == "kept")]
    simple = frame[frame["experiment"] == "simple_models"].set_index(["model", "variant"])["id"]
    own = frame[(frame["experiment"] == "long_runs") & frame["model"].isin(NETWORKS)]
    rows = []
    for (model, variant), group in own.groupby(["model", "variant"]):
        values = [user_metric(records.runs / run_id) for run_id in group["id"]]
        mean = pd.concat(values, axis=1).mean(axis=1)
        for rival in RIVALS:
            if rival not in simple.index:
                continue
            first, second = mean.align(user_metric(records.runs / simple[rival]), join="inner")
            test = paired_test(first.to_numpy(), second.to_numpy())
            rows.append(
                {
                    "model": model,
                    "variant": variant,
                    "seeds": len(group),
                    "minus": " ".join(rival),
                    "difference": f"{test.mean_difference:+.4f}",
                    "95 % interval": f"{test.low:+.4f} to {test.high:+.4f}",
                }
            )
    return pd.DataFrame(rows)


def draw(root: Path, dataset: str) -> str:
    """Draw the leaderboard of a world; return the picture as Markdown for ``docs/``."""
    rows = Leaderboard(root / "results" / "leaderboard").latest(dataset, scale=SCALE)
    runs = filter_runs(root / "results", dataset)
    inferred = (runs["shopper"] == "inferred") & (runs["time"] == "unknown")
    values = runs.loc[inferred & (runs["without"].map(len) == 0), "ndcg@10"]
    style()
    fig = plot_leaderboard(rows, title=dataset)
    text = leaderboard_alt_text(rows)
    if len(values):
        _draw_line(fig, float(values.iloc[0]))
        text += f" Line: the Bayes filter {values.iloc[0]:.3f}."
    path = root / "results" / PICTURES[dataset]
    path.write_bytes(png_bytes(fig))
    return f"![{text}](../results/{path.name})\n"


def _draw_line(fig: Figure, value: float) -> None:
    """Draw the line of the Bayes filter, as ``plot_leaderboard`` draws that of the oracle."""
    ax = fig.axes[0]
    middle = sum(ax.get_ylim()) / 2
    ax.axvline(value, color=PALETTE["green"], linestyle=":", marker="")
    ax.text(
        value, middle, f"Bayes filter {value:.3f}", rotation=90, ha="right", va="center", fontsize=9
    )


def section(root: Path, dataset: str, introduction: str) -> str:
    """Return the section of a larger world; "" if it has no leaderboard."""
    results = root / "results"
    if not len(Leaderboard(results / "leaderboard").latest(dataset, scale=SCALE)):
        return ""
    paired = paired_table(results, dataset)
    pieces = [
        f"## {dataset}\n",
        f"{introduction}\n",
        draw(root, dataset),
        markdown_table(board_table(results, dataset)),
        "",
    ]
    if len(paired):
        pieces += ["Networks minus simple models, NDCG@10 paired over users:\n"]
        pieces += [markdown_table(paired), ""]
    return "\n".join(pieces)
