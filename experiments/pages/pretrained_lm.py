"""The page ``results/pretrained_lm.md``: a real pretrained language model as M6-Rec."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.compare import compare_runs
from experiments.pages.adapting import PUBLISHED
from experiments.records import Records
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

EXPERIMENT, PAGE, MODEL = "pretrained_lm", "pretrained_lm.md", "SmolLM2-135M"
_INTRODUCTION = """# A real pretrained language model

M6-Rec started from SmolLM2-135M-Instruct (Apache-2.0, 135 million parameters, 4-bit weights
expanded to bfloat16), which comes as a package: `python -m experiments pretrained_lm` (extra
`pretrained`). Its attention is *causal*, as in its pretraining; with *prefix* the user and the
history are read in both directions, as in M6-Rec, which the model was never trained for. The text
has no times. Brackets hold 95 % intervals over users.
"""
_LISTS = """## Lists of twenty

Some of the lists of `experiments zero_shot` (a target, 19 random unseen items): {questions}. An
item's words are scored after "A user who does this also clicks" (films: "rates"). *Best on
validation* is the best of sum, mean, and both less the score without a user (*lift*), chosen on
other lists. *LoRA*: low-rank weights of rank 8 on the attention, trained on next items of the
training rows. A random order has an NDCG@10 of .227.
"""
_LIKES = """## Few-shot likes of films (AUC, ml-100k)

Test rows: {rows}, half of them likes, of {users} users; means over the seeds of the examples, with
the least and the greatest. Published figures (Bao et al., *TALLRec*, 2023) are of LLaMA-7B and of
SASRec, on other draws and other films' texts. *Film's share of likes* reads every earlier label;
*user's share of likes* only the ratings that the prompt holds.
"""
_COLD = """## Cold items (NDCG@10)

A fifth of the items has no training row; a user's profile is the sum of the unit vectors of the
items met before. Means over {seeds} draws of the items, with the least and the greatest; {counts}.
"""


def rows_of(results: Path) -> pd.DataFrame:
    """Return one row for each record of the experiment."""
    rows: list[dict[str, Any]] = []
    for folder, config, report in Records(results).finished(EXPERIMENT):
        rows.append(
            {name: config[name] for name in ("dataset", "model", "variant", "seed")}
            | {"id": folder.name, "report": report}
        )
    return pd.DataFrame(rows)


def interval(figures: Sequence[float], sign: str = "") -> str:
    """Return a figure with the ends of its interval, given as these three."""
    mean, low, high = figures
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def lists_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each ranking of the lists of one data set, the best first."""
    lines = []
    for row in rows.to_dict("records"):
        report = row["report"]
        ndcg = [report["metrics"]["ndcg@10"], *report["intervals"]["ndcg@10"]]
        minus = report.get("minus", {}).get("Popularity")
        difference = [minus[name] for name in ("mean", "low", "high")] if minus else []
        score = f" ({report['score']})" if "best" in row["variant"] else ""
        lines.append(
            {
                "model": row["model"],
                "variant": row["variant"] + score,
                "NDCG@10": interval(ndcg),
                "minus popularity": interval(difference, "+") if minus else "",
            }
        )
    return pd.DataFrame(lines).sort_values("NDCG@10", ascending=False)


def paired_lines(records: Records, rows: pd.DataFrame) -> list[str]:
    """Return sentences that compare adapted with zero-shot, and prefix with causal attention."""
    ids = {(row["model"], row["variant"]): row["id"] for row in rows.to_dict("records")}
    best = "best on validation"
    pairs = [(f"LoRA, {a}, {best}", f"zero-shot, {a}, {best}") for a in ("causal", "prefix")] + [
        (f"{s}, prefix, {best}", f"{s}, causal, {best}") for s in ("zero-shot", "LoRA")
    ]
    pairs += [
        (f"zero-shot, {a}, {best}", f"zero-shot, {a}, {best}; {control}")
        for a in ("causal", "prefix")
        for control in ("events in random order", "events of another user")
    ]
    lines = []
    for first, second in pairs:
        if (MODEL, first) in ids and (MODEL, second) in ids:
            _, test = compare_runs(records, ids[MODEL, first], ids[MODEL, second])
            figure = interval([test.mean_difference, test.low, test.high], "+")
            lines.append(f"- {first} minus {second}: {figure}")
    return lines


def likes_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the AUC by the number of examples."""
    shots = rows["variant"].str.extract(r"likes rows=(\d+)$")[0]
    ours = rows[shots.notna()].assign(shots=shots.dropna().astype(int))
    table: dict[str, dict[int, str]] = {}
    for n, group in ours.groupby("shots"):
        figures = [report["metrics"]["auc"] for report in group["report"]]
        ends = pd.DataFrame([report["intervals"]["auc"] for report in group["report"]]).mean()
        spread = f" ({min(figures):.3f} to {max(figures):.3f})" if len(figures) > 1 else ""
        mean = sum(figures) / len(figures)
        text = f"{mean:.3f}{spread} [{ends[0]:.3f}, {ends[1]:.3f}]"
        table.setdefault(f"{MODEL}, LoRA", {})[int(n)] = text
    for row in rows[rows["variant"] == "likes"].to_dict("records"):
        report = row["report"]
        text = interval([report["metrics"]["auc"], *report["intervals"]["auc"]])
        table[row["model"]] = dict.fromkeys(sorted(set(ours["shots"])), text)
    for name, published in PUBLISHED.items():
        table[name] = {n: f"{value:.3f}" for n, value in published.items()}
    frame = pd.DataFrame(table).T.sort_index(axis=1).fillna("").rename_axis("method")
    return frame.reset_index().rename(columns=str)


def cold_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean NDCG of each encoder on the cold items of each data set."""
    lines: dict[str, dict[str, str]] = {}
    for (model, dataset, variant), group in rows.groupby(["model", "dataset", "variant"]):
        figures = [report["metrics"]["ndcg@10"] for report in group["report"]]
        name = f"{dataset}{variant.removeprefix('cold items')}"
        mean = sum(figures) / len(figures)
        text = f"{mean:.4f} ({min(figures):.4f} to {max(figures):.4f})"
        lines.setdefault(str(model), {})[name] = text
    frame = pd.DataFrame(lines).T.fillna("").rename_axis("vectors")
    return frame.reset_index()


def write_page(results: Path) -> None:
    """Write the page from the records; nothing if there is none."""
    rows, records = rows_of(results), Records(results)
    if not len(rows):
        return
    text = [_INTRODUCTION]
    is_list = rows["variant"].str.match(r"(zero-shot|LoRA|lists of)") & ~rows[
        "variant"
    ].str.contains(r" questions$")
    lists = rows[is_list]
    if len(lists):
        counts = {row["dataset"]: row["report"]["n_users"] for row in lists.to_dict("records")}
        words = ", ".join(f"{n} test lists of {name}" for name, n in counts.items())
        text.append(_LISTS.format(questions=words))
        for dataset, group in lists.groupby("dataset"):
            text += [f"### {dataset}\n", markdown_table(lists_table(group)) + "\n"]
            paired = paired_lines(records, group)
            if paired:
                text += ["Paired differences in NDCG@10:\n", "\n".join(paired) + "\n"]
    likes = rows[rows["variant"].str.match(r"likes")]
    if len(likes):
        n_users = likes["report"].map(lambda report: report.get("users", 0)).max()
        n_rows = likes["report"].iloc[0]["rows"]
        text.append(_LIKES.format(rows=n_rows, users=n_users))
        text.append(markdown_table(likes_table(likes)) + "\n")
    cold = rows[rows["variant"].str.match(r"cold items")]
    if len(cold):
        users = cold["report"].map(lambda report: report["n_users"])
        names = cold["dataset"] + cold["variant"].str.removeprefix("cold items")
        means = users.groupby(names).mean()
        sizes = ", ".join(f"{n:.0f} questions a draw of {name}" for name, n in means.items())
        text.append(_COLD.format(seeds=cold["seed"].nunique(), counts=sizes))
        text.append(markdown_table(cold_table(cold)) + "\n")
    pairs = rows[rows["variant"] == "English to Chinese words"]
    if len(pairs):
        text.append("## English words and their Chinese counterparts\n")
        text.append(
            f"Each of {pairs['report'].iloc[0]['pairs']} English words of the simulated shop ranks "
            "the Chinese ones by cosine; *hit@1* is the share whose counterpart is first.\n"
        )
        table = [
            {"vectors": row["model"]}
            | {name: f"{value:.3f}" for name, value in row["report"]["metrics"].items()}
            for row in pairs.to_dict("records")
        ]
        text.append(markdown_table(pd.DataFrame(table)) + "\n")
    write_text(results / PAGE, re.sub(r"\n{3,}", "\n\n", "\n".join(text)))
