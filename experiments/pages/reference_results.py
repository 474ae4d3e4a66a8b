"""The page ``results/reference_results.md``: our figures beside others, and why they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.records import RANKS, Records, RunKey
from experiments.reference_results import METRIC, TUNED, settings_of
from m6rec_lite.course.comparison import as_markdown, beside, known, tie_caveat
from m6rec_lite.course.documents import table
from m6rec_lite.course.files import read_rows
from m6rec_lite.course.published import SAME_TIES
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import accuracy
from m6rec_lite.evaluation.significance import bootstrap_interval

PAGE = "reference_results.md"

#: Entries of ``reference_results`` that are compared on users with exact timestamps.
EXACT_ENTRIES = (
    *("Popularity", "Popularity, as known at the moment", "Bigram", "Markov", "EASE decay"),
)
#: Users of MovieLens-1M below have the timestamps of the original file.
FIRST_INTERPOLATED = 3000

#: Two figures of NDCG@10 that differ by less count as the same.
SAME_NDCG = 0.0005

INTERPOLATED = (
    "The copy of MovieLens-1M that ours were measured on was rebuilt from public fragments: its "
    "rows and their order are complete, but 17.8 % of its timestamps are interpolated between "
    "known neighbours, all of users from 3000 on. Models that read the order alone are not "
    "concerned; rows of ours that read timestamps are: the time-aware ones, and *M6-Rec blocks*, "
    "which reads the pauses between events."
)
NO_RANKS = (
    "The ranks of single users were not kept when the rows of *M6-Rec blocks* were measured, so "
    "their figures on users with exact timestamps are not known."
)

_INTRODUCTION = """# Simple models beside figures from elsewhere

Real MovieLens rows, leave-one-out by time, every item ranked that the user has not seen. Ours rank
under this project's rules: ties of time in file order, tied scores worth their expectation,
settings tuned on validation by NDCG@10, fitted on the training rows only. The figures beside them
were measured for this project before it began, with public packages; those of MovieLens-1M under
another order of ties, those of MovieLens-100K in file order.

This page is written by code. Each section names the command that measured it; the figures lie in
`reference/`, the rank of each user's target in `runs/`.
"""

_READ = """*As theirs* is ours at the settings the source states. *With validation* is ours fitted
on train and validation together. *Over orders of ties* is the least and the most when nothing
changes but the order of rows of one user at one second (seven orders, listed below; theirs on
MovieLens-1M is not known). The users are the same here and there, so
sampling error, which the intervals show, is mostly shared and explains no difference.
"""


def write_page(folder: Path) -> Path:
    """Write the page from the tables in ``<folder>/reference`` and the recorded ranks.

    Returns:
        its path.
    """
    parts = [_INTRODUCTION]
    for path in sorted((folder / "reference").glob("ml-*.csv")):
        if not path.stem.endswith("-ties"):
            rows = read_rows(path, ("entry",), words=("settings", "their_settings"))
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
        rows: its table of entries.
        ties: its table of orders of ties.
    """
    name = rows["dataset"].iloc[0]
    both = rows[rows["theirs"].notna()]
    ours = pd.DataFrame(
        {
            "entry": rows["entry"],
            "settings, from validation": rows["settings"].replace("", "defaults"),
            "knows": rows["settings"].map(known),
            "HR@10": [_with_interval(row, "hr@10") for _, row in rows.iterrows()],
            "NDCG@10": [_with_interval(row, "ndcg@10") for _, row in rows.iterrows()],
            "seconds to fit": rows["fit_seconds"].map("{:.2f}".format),
            "numbers learnt": rows["n_params"].map("{:,.0f}".format),
        }
    )
    beside = pd.DataFrame(
        [
            {
                "entry": row["entry"],
                "ours": _both(row, ""),
                "theirs": _both(row, "theirs_"),
                "difference": f"{row['hr@10'] - row['theirs_hr@10']:+.4f} / "
                f"{row['ndcg@10'] - row['theirs_ndcg@10']:+.4f}",
                "as theirs": _both(row, "at_their_settings_"),
                "with validation": _both(row, "fitted_with_validation_"),
                "over orders of ties": _span(ties, row["entry"]),
            }
            for _, row in both.iterrows()
        ]
    )
    wide = ties.pivot_table(index="order", columns="entry", values="hr@10", sort=False)
    wide = wide[[name for name in both["entry"] if name in wide]].map("{:.4f}".format)
    changed = ties.groupby("order", sort=False)["targets_changed"].first()
    wide.insert(0, "test targets changed", changed.map("{:.1%}".format))
    pieces = [
        f"## {name}\n",
        f"`{rows['command'].iloc[0]}` (split {rows['split_hash'].iloc[0]}, "
        f"{rows['n_users'].iloc[0]:,} users; settings tuned on {rows['tuning_users'].iloc[0]:,} of "
        "them, drawn once; intervals are 95 % bootstrap over users)\n",
        table(ours),
        f"\n### {name}: beside theirs (HR@10 / NDCG@10)\n",
        _READ,
        table(beside),
        f"\nWhy they differ on {name}, entry by entry:\n",
        *(f"- {explain(row, ties)}" for _, row in both.iterrows()),
        f"\n### {name}: HR@10 by the order of ties\n",
        table(wide.reset_index()),
        "",
    ]
    for entry, figure in SAME_TIES.get(name, {}).items():
        ours = rows[rows["entry"] == entry].iloc[0]
        pieces.append(
            f"A check that involves no other tie order: {figure.source} gives the {figure.model} "
            f"{figure.hr:.4f} / {figure.ndcg:.4f} under these rules; ours gives "
            f"{_both(ours, '')}.\n"
        )
    return "\n".join(pieces)


def published_section(folder: Path, dataset: str) -> str:
    """Return the section of published networks, ours beside them, protocol by protocol.

    Args:
        folder: of results.
        dataset: its name.
    """
    rows = beside(folder, dataset)
    pieces = [
        f"### {dataset}: published networks, and ours\n",
        "Figures are as the linked source prints them; *second-hand* ones are quoted there or "
        "come from a secondary source, and a range spans what several sources print. Time-blind "
        "networks stand first, then *time-aware* ones, which read the time of the question: in "
        "this split the target's own timestamp. Rows whose ties are sorted by item id stand last: "
        "their order leaks the target. Of ours, validation chose the settings.\n",
        f"{tie_caveat(folder, dataset)}\n",
        as_markdown(rows[rows["NDCG@10"].notna()]),
        "",
    ]
    return "\n".join(pieces)


def exact_users(folder: Path, first: int = FIRST_INTERPOLATED) -> pd.DataFrame:
    """Split the figures of MovieLens-1M by users with exact timestamps, from recorded ranks.

    Args:
        folder: of results.
        first: the first user of the second group.

    Returns:
        ``model settings knows users n_users`` and HR@10 and NDCG@10 with 95 % bootstrap intervals
        over users; a row for each entry and group, and one for all users. Empty where an entry
        has no recorded ranks.
    """
    records, chosen = Records(folder), settings_of(folder / "reference" / "ml-1m.csv")
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
            row = {"model": name, "settings": chosen[name], "knows": known(chosen[name])}
            row |= {"users": group, "n_users": int(rows_of_group.sum())}
            for metric in ("hr@10", METRIC):
                values = per_user[metric][rows_of_group]
                low, high = bootstrap_interval(values)
                row |= {metric: values.mean(), f"{metric}_low": low, f"{metric}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def exact_section(rows: pd.DataFrame) -> str:
    """Return the section of the users of MovieLens-1M whose timestamps are exact.

    Args:
        rows: of ``exact_users``.
    """
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
            "## ml-1m: users with exact timestamps apart\n",
            "Computed from the recorded ranks (`runs/*/ranks.npz`).\n",
            f"{INTERPOLATED} Each model is fitted on all users. The two groups also differ for "
            "models that read no timestamp: compare models within a group.\n",
            table(shown),
            f"\n{NO_RANKS}\n",
        ]
    )


def explain(row: pd.Series, ties: pd.DataFrame) -> str:
    """Return why the two figures may differ: each clause from a measurement, gaps named."""
    reference, gap = row["theirs_hr@10"], row["hr@10"] - row["theirs_hr@10"]
    text = f"**{row['entry']}** ({gap:+.4f} HR@10): "
    one_user = 1 / row["n_users"]
    if abs(gap) < one_user / 2 and abs(row["ndcg@10"] - row["theirs_ndcg@10"]) < 1e-4:
        return text + "the same to every digit printed."
    reasons = []
    stated = row.get("at_their_settings_hr@10", np.nan)
    if np.isfinite(stated) and abs(stated - row["hr@10"]) >= one_user:
        verb = "brings it to" if abs(stated - reference) < abs(gap) else "moves it away, to"
        reasons.append(f"taking their settings ({row['their_settings']}) {verb} {stated:.4f}")
    refit = row["fitted_with_validation_hr@10"]
    refit_ndcg = row["fitted_with_validation_ndcg@10"]
    if abs(refit - reference) < min(abs(gap), one_user) and (
        abs(refit_ndcg - row["theirs_ndcg@10"]) < SAME_NDCG
    ):
        reasons.append(f"fitted on train and validation together it gives theirs, {refit:.4f}")
    same_ties, measured = row["dataset"] == "ml-100k", (ties["entry"] == row["entry"]).any()
    if measured and not same_ties:
        reasons.append(_tie_reason(row, ties))
    if not reasons:
        users = f"{round(abs(gap) * row['n_users'])} of {row['n_users']:,} users"
        known = "at settings that are stated" if row["their_settings"] else "their settings unknown"
        order = "ties are in the same order" if same_ties else "other orders of ties not measured"
        reasons.append(f"{users}; {order}, {known}; not explained further")
    return text + "; ".join(reasons) + "."


def _tie_reason(row: pd.Series, ties: pd.DataFrame) -> str:
    """Return what the orders of ties explain; the order of the reference is unknown."""
    ours = ties[ties["entry"] == row["entry"]]
    spans, outside = [], []
    for metric, label in (("hr@10", "HR@10"), ("ndcg@10", "NDCG@10")):
        low, high, reference = ours[metric].min(), ours[metric].max(), row[f"theirs_{metric}"]
        spans.append(f"{label} between {low:.4f} and {high:.4f}")
        if not low <= reference <= high:
            rest = min(abs(reference - low), abs(reference - high))
            outside.append(f"their {label}, {reference:.4f}, lies {rest:.4f} outside")
    text = f"the order of ties alone moves {' and '.join(spans)}; "
    if not outside:
        return (
            text + "theirs lies within both, so ties can account for the gap, though not prove it"
        )
    text += " and ".join(outside) + ", so ties do not account for it all"
    if not row["their_settings"]:
        return text + "; their settings are not known in full, and the rest is unexplained"
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
