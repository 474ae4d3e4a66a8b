"""The retriever that is pretrained on other people, beside simple models of the same rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.compare import user_metric
from experiments.records import CONFIG, REPORT, Records
from m6rec_lite.course.comparison import RETRIEVER
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import paired_test
from m6rec_lite.evaluation.report import markdown_table

EXPERIMENT = "pretrained_retriever"


def read_runs(results: Path) -> pd.DataFrame:
    """Return the recorded runs, best first: those of ``Records.frame``, with intervals.

    Returns:
        Also ``low`` and ``high``, the 95 % interval of NDCG@10, ``folder``, and
        ``pretraining_seconds`` (NaN for simple models).
    """
    records = Records(results)
    frame = records.frame()
    if not len(frame):
        return frame
    frame = frame[(frame["experiment"] == EXPERIMENT) & (frame["ranks"] == "kept")]
    folders = [records.runs / run_id for run_id in frame["id"]]
    ends = [read_json(folder / REPORT)["intervals"]["ndcg@10"] for folder in folders]
    seconds = [read_json(folder / CONFIG).get("pretraining_seconds") for folder in folders]
    frame = frame.assign(
        folder=folders,
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
        pretraining_seconds=pd.Series(seconds, index=frame.index, dtype=float),
    )
    return frame.sort_values("ndcg@10", ascending=False, ignore_index=True)


def run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs as text, with the seconds of pretraining."""
    return pd.DataFrame(
        {
            "model": runs["model"],
            "trained": runs["variant"],
            "seed": runs["seed"],
            "HR@10": runs["hr@10"].map("{:.4f}".format),
            "NDCG@10": [
                f"{row['ndcg@10']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
                for row in runs.to_dict("records")
            ],
            "seconds of pretraining": [
                "" if pd.isna(seconds) else f"{seconds:,.0f}"
                for seconds in runs["pretraining_seconds"]
            ],
        }
    )


def paired_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the paired difference of each retriever from each simple model."""
    rows = []
    ours = runs["model"] == RETRIEVER
    for own in runs[ours].to_dict("records"):
        for other in runs[~ours].to_dict("records"):
            first, second = (user_metric(row["folder"]) for row in (own, other))
            first, second = first.align(second, join="inner")
            test = paired_test(first.to_numpy(), second.to_numpy())
            rows.append(
                {
                    "retriever": own["variant"],
                    "seed": own["seed"],
                    "minus": f"{other['model']} {other['variant']}",
                    "difference": f"{test.mean_difference:+.4f}",
                    "95 % interval": f"{test.low:+.4f} to {test.high:+.4f}",
                }
            )
    return pd.DataFrame(rows)


def section(results: Path) -> str:
    """Return the section of the page; "" if nothing is recorded."""
    runs = read_runs(results)
    if not len(runs):
        return ""
    users = len(user_metric(runs["folder"].iloc[0]))
    return "\n".join(
        [
            "## A retriever pretrained on other people\n",
            "M6RecRetriever is trained on the people of `bazaar-large` who are not in `bazaar`, "
            f"and answers the bazaar's {users:,} questions: as it is (*pretrained*), and "
            "fine-tuned on the bazaar's own training rows. EASE and ItemKNN are fitted to the "
            "bazaar's rows (*the shop's rows*) and to these with those of all other people (*all "
            f"people's rows*). `{runs['command'].iloc[0]}`\n",
            markdown_table(run_table(runs)),
            "\nThe retriever minus the simple models, NDCG@10 paired over users:\n",
            markdown_table(paired_table(runs)),
            "",
        ]
    )
