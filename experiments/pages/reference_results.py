"""The page ``results/reference_results.md``: our results, reference results, and differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.records import RANKS, Records, RunKey
from experiments.reference_results import METRIC, TUNED, settings_of
from m6rec_lite.course.comparison import (
    as_markdown,
    compare_with_published,
    tie_caveat,
    time_awareness,
)
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_rows
from m6rec_lite.evaluation.published import SAME_TIES
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import accuracy
from m6rec_lite.evaluation.report import markdown_table
from m6rec_lite.evaluation.significance import bootstrap_interval

PAGE = "reference_results.md"

#: Entries of ``reference_results`` that are evaluated on users with exact timestamps.
EXACT_ENTRIES = (
    *("Popularity", "Popularity, as known at the moment", "Bigram", "Markov", "EASE decay"),
)
#: Users of MovieLens-1M with a smaller id have the timestamps of the original file.
FIRST_INTERPOLATED = 3000

#: Values of NDCG@10 that differ by less are considered equal.
SAME_NDCG = 0.0005

INTERPOLATED = (
    "Our copy of MovieLens-1M was rebuilt from public fragments: its rows and their order are "
    "complete, but 17.8 % of its timestamps are interpolated between known neighbours, all of "
    "users from 3000 on. This does not affect models that use the order alone. It affects our "
    "models that use timestamps: the time-aware ones, and *M6-Rec blocks*, which uses the time "
    "between events."
)
NO_RANKS = (
    "The ranks of single users were not saved when *M6-Rec blocks* was evaluated, so its results "
    "on users with exact timestamps are not known."
)

_INTRODUCTION = """# Simple models and reference results

MovieLens, leave-one-out by time, ranking of all items that the user has not seen. Our results
follow this project's protocol: equal timestamps in file order, expected metrics under tied scores,
settings tuned on validation by NDCG@10, models fitted on the training rows only. The reference
results were measured for this project before it began, with public packages: on MovieLens-1M with
another order of ties, on MovieLens-100K in file order.

This page is written by code. Each section names the command that produced it; the results are in
`reference/`, the rank of each user's target in `runs/`.
"""

_COLUMNS = """*At reference settings* is our result with the settings that the source states. *With
validation* is our result if fitted on train and validation together. *Over orders of ties* is the
range of our results over seven orders of a user's rows with equal timestamps (listed below; the
order of the reference on MovieLens-1M is not known). Both results are on the same users, so
sampling error, which the intervals show, is mostly shared and does not explain a difference.
"""


def write_page(folder: Path) -> Path:
    """Write the page from ``<folder>/reference`` and the recorded ranks; return its path."""
    parts = [_INTRODUCTION]
    for path in sorted((folder / "reference").glob("ml-*.csv")):
        if not path.stem.endswith("-ties"):
            rows = read_rows(path, ("entry",), text_columns=("settings", "their_settings"))
            ties = read_rows(path.with_name(f"{path.stem}-ties.csv"), ("entry",))
            parts += [section(rows, ties), published_section(folder, path.stem)]
    exact = exact_users(folder)
    if len(exact):
        parts.append(exact_section(exact))
    page = folder / PAGE
    write_text(page, "\n".join(parts))
    return page


def section(rows: pd.DataFrame, ties: pd.DataFrame) -> str:
    """Return the section of one data set.

    Args:
        rows: table of its entries.
        ties: table of its results by order of ties.
    """
    name = rows["dataset"].iloc[0]
    referenced = rows[rows["theirs"].notna()]
    ours = pd.DataFrame(
        {
            "entry": rows["entry"],
            "settings, from validation": rows["settings"].replace("", "defaults"),
            "knows": rows["settings"].map(time_awareness),
            "HR@10": [_with_interval(row, "hr@10") for _, row in rows.iterrows()],
            "NDCG@10": [_with_interval(row, "ndcg@10") for _, row in rows.iterrows()],
            "seconds to fit": rows["fit_seconds"].map("{:.2f}".format),
            "parameters": rows["n_params"].map("{:,.0f}".format),
        }
    )
    differences = pd.DataFrame(
        [
            {
                "entry": row["entry"],
                "ours": _both(row, ""),
                "reference": _both(row, "theirs_"),
                "difference": f"{row['hr@10'] - row['theirs_hr@10']:+.4f} / "
                f"{row['ndcg@10'] - row['theirs_ndcg@10']:+.4f}",
                "at reference settings": _both(row, "at_their_settings_"),
                "with validation": _both(row, "fitted_with_validation_"),
                "over orders of ties": _span(ties, row["entry"]),
            }
            for _, row in referenced.iterrows()
        ]
    )
    wide = ties.pivot_table(index="order", columns="entry", values="hr@10", sort=False)
    wide = wide[[name for name in referenced["entry"] if name in wide]].map("{:.4f}".format)
    changed = ties.groupby("order", sort=False)["targets_changed"].first()
    wide.insert(0, "test targets changed", changed.map("{:.1%}".format))
    pieces = [
        f"## {name}\n",
        f"`{rows['command'].iloc[0]}` (split {rows['split_hash'].iloc[0]}, "
        f"{rows['n_users'].iloc[0]:,} users; settings tuned on {rows['tuning_users'].iloc[0]:,} of "
        "them, sampled once; intervals are 95 % bootstrap over users)\n",
        markdown_table(ours),
        f"\n### {name}: differences from the reference (HR@10 / NDCG@10)\n",
        _COLUMNS,
        markdown_table(differences),
        f"\nReasons for the differences on {name}:\n",
        *(f"- {explain(row, ties)}" for _, row in referenced.iterrows()),
        f"\n### {name}: HR@10 by the order of ties\n",
        markdown_table(wide.reset_index()),
        "",
    ]
    for entry, figure in SAME_TIES.get(name, {}).items():
        own = _both(rows[rows["entry"] == entry].iloc[0], "")
        pieces.append(
            f"A check with the same tie order: {figure.source} measures "
            f"{figure.hr:.4f} / {figure.ndcg:.4f} for the {figure.model} with this protocol; our "
            f"result is {own}.\n"
        )
    return "\n".join(pieces)


def published_section(folder: Path, dataset: str) -> str:
    """Return the section that compares our models with published networks.

    Args:
        folder: folder of results.
        dataset: name of the data set.
    """
    rows = compare_with_published(folder, dataset)
    pieces = [
        f"### {dataset}: published networks, and ours\n",
        "Published values are those of the linked source; *second-hand* ones are quoted there or "
        "come from a secondary source, and a range covers the values of several sources. "
        "Time-blind networks come first, then *time-aware* ones, which use the query time: in this "
        "split the target's timestamp. Rows with ties sorted by item id come last: their order "
        "leaks the target. Our settings were selected on validation.\n",
        f"{tie_caveat(folder, dataset)}\n",
        as_markdown(rows[rows["NDCG@10"].notna()]),
        "",
    ]
    return "\n".join(pieces)


def exact_users(folder: Path, first: int = FIRST_INTERPOLATED) -> pd.DataFrame:
    """Return results on MovieLens-1M for users with exact and with interpolated timestamps.

    Args:
        folder: folder of results.
        first: smallest user id of the second group.

    Returns:
        ``model settings knows users n_users`` and HR@10 and NDCG@10 with 95 % bootstrap intervals
        over users; rows for each entry and group, and for all users. Empty if an entry has no
        recorded ranks.
    """
    records, settings = Records(folder), settings_of(folder / "reference" / "ml-1m.csv")
    rows: list[dict[str, Any]] = []
    for name in EXACT_ENTRIES:
        path = records.folder(RunKey("reference_results", "ml-1m", name, TUNED)) / RANKS
        if not path.is_file():
            return pd.DataFrame()
        users, ranks = read_ranks(path)
        per_user = accuracy(ranks, (10,))
        exact = users < first
        groups = {"all": exact | ~exact, f"below {first}": exact, f"from {first} on": ~exact}
        for group, rows_of_group in groups.items():
            row: dict[str, Any] = {"model": name, "settings": settings[name]}
            row |= {"knows": time_awareness(settings[name])}
            row |= {"users": group, "n_users": int(rows_of_group.sum())}
            for metric in ("hr@10", METRIC):
                values = per_user[metric][rows_of_group]
                low, high = bootstrap_interval(values)
                row |= {metric: values.mean(), f"{metric}_low": low, f"{metric}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def exact_section(rows: pd.DataFrame) -> str:
    """Return the section with the rows of ``exact_users``."""
    shown = pd.DataFrame(
        {
            "model": rows["model"],
            "settings": rows["settings"].replace("", "defaults"),
            "knows": rows["knows"],
            "users": [f"{row.users} ({row.n_users:,})" for row in rows.itertuples()],
            "HR@10": [_with_interval(row, "hr@10") for _, row in rows.iterrows()],
            "NDCG@10": [_with_interval(row, "ndcg@10") for _, row in rows.iterrows()],
        }
    )
    return "\n".join(
        [
            "## ml-1m: users with exact and with interpolated timestamps\n",
            "Computed from the recorded ranks (`runs/*/ranks.npz`).\n",
            f"{INTERPOLATED} Each model is fitted on all users. The two groups also differ for "
            "models that read no timestamp: compare models within a group.\n",
            markdown_table(shown),
            f"\n{NO_RANKS}\n",
        ]
    )


def explain(row: pd.Series, ties: pd.DataFrame) -> str:
    """Return why our result and the reference may differ, as far as it was measured."""
    reference, gap = row["theirs_hr@10"], row["hr@10"] - row["theirs_hr@10"]
    text = f"**{row['entry']}** ({gap:+.4f} HR@10): "
    one_user = 1 / row["n_users"]
    if abs(gap) < one_user / 2 and abs(row["ndcg@10"] - row["theirs_ndcg@10"]) < 1e-4:
        return text + "equal in all digits."
    reasons = []
    stated = row.get("at_their_settings_hr@10", np.nan)
    if np.isfinite(stated) and abs(stated - row["hr@10"]) >= one_user:
        closer = "closer" if abs(stated - reference) < abs(gap) else "farther"
        reasons.append(
            f"with the reference settings ({row['their_settings']}) HR@10 is {closer}, {stated:.4f}"
        )
    refit = row["fitted_with_validation_hr@10"]
    refit_ndcg = row["fitted_with_validation_ndcg@10"]
    if abs(refit - reference) < min(abs(gap), one_user) and (
        abs(refit_ndcg - row["theirs_ndcg@10"]) < SAME_NDCG
    ):
        reasons.append(
            f"fitted on train and validation together it equals the reference, {refit:.4f}"
        )
    same_ties, measured = row["dataset"] == "ml-100k", (ties["entry"] == row["entry"]).any()
    if measured and not same_ties:
        reasons.append(_tie_reason(row, ties))
    if not reasons:
        users = f"{round(abs(gap) * row['n_users'])} of {row['n_users']:,} users"
        settings = "stated" if row["their_settings"] else "unknown"
        order = "same order of ties" if same_ties else "other orders of ties not measured"
        reasons.append(f"{users}; {order}, reference settings {settings}; not explained further")
    return text + "; ".join(reasons) + "."


def _tie_reason(row: pd.Series, ties: pd.DataFrame) -> str:
    """Return what the order of ties explains; the order of the reference is unknown."""
    ours = ties[ties["entry"] == row["entry"]]
    spans, outside = [], []
    for metric, label in (("hr@10", "HR@10"), ("ndcg@10", "NDCG@10")):
        low, high, reference = ours[metric].min(), ours[metric].max(), row[f"theirs_{metric}"]
        spans.append(f"{label} between {low:.4f} and {high:.4f}")
        if not low <= reference <= high:
            distance = min(abs(reference - low), abs(reference - high))
            outside.append(f"the reference {label}, {reference:.4f}, is {distance:.4f} outside")
    text = f"the order of ties alone moves {' and '.join(spans)}; "
    if not outside:
        return text + "the reference is within both ranges, so ties may explain the difference"
    text += " and ".join(outside) + ", so ties do not explain all of it"
    if not row["their_settings"]:
        return text + "; the reference settings are not fully known, and the rest is unexplained"
    return text + "; the rest is unexplained"


def _both(row: pd.Series, prefix: str) -> str:
    hr, ndcg = row.get(f"{prefix}hr@10", np.nan), row.get(f"{prefix}ndcg@10", np.nan)
    return f"{hr:.4f} / {ndcg:.4f}" if np.isfinite(hr) else "not stated"


def _with_interval(row: pd.Series, metric: str) -> str:
    return f"{row[metric]:.4f} ({row[f'{metric}_low']:.4f} to {row[f'{metric}_high']:.4f})"


def _span(ties: pd.DataFrame, entry: str) -> str:
    if not (ties["entry"] == entry).any():
        return "not measured"
    spans = (ties[ties["entry"] == entry][metric] for metric in ("hr@10", "ndcg@10"))
    return " / ".join(f"{span.min():.4f} to {span.max():.4f}" for span in spans)
