"""Tables that compare our results with published ones, grouped by evaluation protocol.

For each of our models the table shows the settings with the best validation metric. Leaderboard
rows are test metrics and never select settings: where a validation metric is missing, all settings
are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.published import (
    FILE_ORDER,
    LEAKING,
    PUBLISHED,
    TIME_AWARE,
    TIME_BLIND,
    PublishedResult,
)
from m6rec_lite.evaluation.report import markdown_table

RETRIEVER = "M6RecRetriever"
#: Our models that are compared with the published networks.
DEFAULT_MODELS = ("Popularity", "Bigram", "EASE", "GRU4Rec", "SASRec", "BERT4Rec", RETRIEVER)
#: Names of ``RETRIEVER`` in tables, by its item input.
TEXT_RETRIEVER, ID_RETRIEVER, TEXT_ID_RETRIEVER = (
    f"M6-Rec blocks over item vectors ({inputs})" for inputs in ("text", "ids", "text, ids")
)
#: Names in tables of other models whose class name says too little.
DISPLAY_NAMES = {"FullTextRetriever": "M6-Rec full-text retriever"}
#: Number of ranked items in our splits: items with at least 5 ratings.
ITEMS = {"ml-100k": 1349, "ml-1m": 3416}
SCALE = "laptop"
NOT_RUN = "not run here"
OURS = "ours"

_COLUMNS = ["model", "variant", "knows", "ties", "items", "seeds", "HR@10", "HR@10 from"]
_COLUMNS += ["NDCG@10", "NDCG@10 from", "low", "high", "minutes", "source"]


def display_name(model: str, variant: str) -> str:
    """Return the name of one of our models in tables; the retriever's includes its item input."""
    if model != RETRIEVER:
        return DISPLAY_NAMES.get(model, model)
    if "item_input=text" in variant:
        return TEXT_RETRIEVER
    return ID_RETRIEVER if "item_input=ids" in variant else TEXT_ID_RETRIEVER


def time_awareness(variant: str) -> str:
    """Return ``TIME_AWARE`` if the settings use the query time, else ``TIME_BLIND``."""
    time_aware = "use_query_time=True" in variant or "relative_to=at" in variant
    return TIME_AWARE if time_aware else TIME_BLIND


def chosen_on_validation(results: Path, dataset: str, models: Iterable[str] = ()) -> pd.DataFrame:
    """Return the leaderboard rows with the settings selected on validation.

    Settings are compared within one model, item input and use of the query time. If all of them
    have a validation NDCG@10 in a ``report.json``, those with the highest mean over seeds are
    selected; else those that ``reference/`` lists as tuned on validation, with a decay and
    without; else all. Test metrics are not used.

    Args:
        results: folder with ``leaderboard/``, ``reference/`` and ``runs/``.
        dataset: name of the data set.
        models: names of models; all if empty.

    Returns:
        The rows, with the columns ``name``, ``knows`` and ``validation`` (NaN where not recorded).
    """
    board = Leaderboard(results / "leaderboard").latest(dataset, scale=SCALE)
    if not len(board):
        return board.assign(name=[], knows=[], validation=[])
    names = set(models)
    board = board[board["model"].isin(names)] if names else board
    validation, tuned = _validation_metrics(results), _tuned(results, dataset)
    board = board.assign(
        name=[display_name(*pair) for pair in zip(board["model"], board["variant"], strict=True)],
        knows=board["variant"].map(time_awareness),
        validation=board["command"].map(validation).astype(float),
    )
    selected = []
    for _, rows in board.groupby(["name", "knows"], sort=False):
        means = rows.groupby("variant", sort=False)["validation"].mean()
        if means.notna().all():
            is_best = rows["variant"] == means.idxmax()
        else:
            pairs = zip(rows["model"], rows["variant"], strict=True)
            is_best = pd.Series([pair in tuned for pair in pairs], index=rows.index)
        selected.append(rows[is_best] if is_best.any() else rows)
    return pd.concat(selected) if selected else board


def compare_with_published(
    results: Path,
    dataset: str,
    models: Sequence[str] = DEFAULT_MODELS,
    more: Iterable[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Compare our models with the published networks, grouped by protocol.

    Args:
        results: the project's folder of results.
        dataset: ``"ml-1m"`` or ``"ml-100k"``.
        models: names of our models.
        more: further rows, such as those of a lesson: ``model``, ``HR@10``, ``NDCG@10`` and
            ``source``; time-blind unless ``knows`` is set.

    Returns:
        ``model variant knows ties items seeds HR@10 NDCG@10 low high minutes source``. Time-blind
        rows come first, then time-aware ones, then those with a leaking order; each group is
        sorted by NDCG@10. ``low`` and ``high`` are the lowest and highest interval bounds over the
        seeds, ``minutes`` the mean fit time. ``HR@10 from`` and ``NDCG@10 from`` are the lowest
        values where sources differ. Models that were not run have a row without metrics at the end.
    """
    board = chosen_on_validation(results, dataset, models)
    rows = [
        _average_seeds(group, dataset)
        for _, group in board.groupby(["name", "knows", "variant"], sort=False)
    ]
    defaults = {"knows": TIME_BLIND, "ties": FILE_ORDER, "items": ITEMS.get(dataset)}
    rows += [defaults | dict(row) for row in more]
    rows += [_published(figure) for figure in PUBLISHED.get(dataset, ())]
    listed = [(name, TIME_BLIND) for name in models if name != RETRIEVER]
    if RETRIEVER in models:
        listed += [
            (TEXT_RETRIEVER, TIME_BLIND),
            (TEXT_ID_RETRIEVER, TIME_BLIND),
            (TEXT_ID_RETRIEVER, TIME_AWARE),
        ]
    present = {(row["model"], row["knows"]) for row in rows if row["source"] == OURS}
    rows += [
        {"model": name, "knows": knows, "source": NOT_RUN} for name, knows in listed
        if (name, knows) not in present
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=_COLUMNS).astype({"seeds": "Int64", "items": "Int64"})
    group = np.select(
        [frame["NDCG@10"].isna(), frame["ties"] == LEAKING, frame["knows"] == TIME_AWARE],
        [3, 2, 1],
    )
    frame = frame.assign(group=group).sort_values(["group", "NDCG@10"], ascending=[True, False])
    return frame.drop(columns="group").reset_index(drop=True)


def format_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Format the rows of a comparison as text: four digits, ranges as ``a to b``, "" for NaN."""
    shown = rows[["model", "knows", "ties", "items", "seeds", "HR@10", "NDCG@10", "source"]]
    shown = shown.astype(object)
    ours = rows["source"] == OURS
    several = rows.groupby(["model", "knows"])["variant"].transform("nunique") > 1
    settings = [f" ({text or 'defaults'})" for text in rows["variant"].fillna("")]
    shown["model"] = rows["model"] + np.where(ours & several, settings, "")
    for metric in ("HR@10", "NDCG@10"):
        pairs = zip(rows[f"{metric} from"], rows[metric], strict=True)
        shown[metric] = [_span(low, high) for low, high in pairs]
    shown["items"] = [f"{n:,}" if pd.notna(n) else "not known" for n in rows["items"]]
    shown.loc[rows["source"] == NOT_RUN, ["ties", "items"]] = ""
    return shown.where(shown.notna(), "")


def as_markdown(rows: pd.DataFrame) -> str:
    """Return the rows of ``compare_with_published`` as Markdown with links to the sources."""
    return markdown_table(format_rows(rows))


def tie_caveat(results: Path, dataset: str, entry: str = "Bigram") -> str:
    """Return a sentence on the effect of tie order, from ``reference/<dataset>-ties.csv``."""
    path = results / "reference" / f"{dataset}-ties.csv"
    text = (
        "Rows with a different *knows*, *ties* or *items* follow a different protocol and must "
        "not be compared digit by digit"
    )
    if not path.is_file():
        return f"{text}."
    rows = pd.read_csv(path)
    figures = rows.loc[rows["entry"] == entry, "ndcg@10"]
    return (
        f"{text}: on {dataset} the order of rows with equal timestamps alone moves NDCG@10 of our "
        f"{entry.lower()} between {figures.min():.4f} and {figures.max():.4f}."
    )


def _average_seeds(rows: pd.DataFrame, dataset: str) -> dict[str, Any]:
    """Return one row of a comparison: the mean over the seeds of one of our models."""
    means = rows[["hr@10", "ndcg@10", "fit_seconds"]].mean()
    return {
        "model": rows["name"].iloc[0],
        "variant": rows["variant"].iloc[0],
        "knows": rows["knows"].iloc[0],
        "ties": FILE_ORDER,
        "items": ITEMS.get(dataset),
        "seeds": rows["seed"].nunique(),
        "HR@10": means["hr@10"],
        "NDCG@10": means["ndcg@10"],
        "low": rows["ndcg@10_low"].min(),
        "high": rows["ndcg@10_high"].max(),
        "minutes": means["fit_seconds"] / 60,
        "source": OURS,
    }


def _published(figure: PublishedResult) -> dict[str, Any]:
    """Return one row of a comparison: a published network."""
    hr, ndcg = figure.lowest or (np.nan, np.nan)
    return {
        "model": figure.model,
        "knows": figure.knows,
        "ties": figure.ties,
        "items": figure.items,
        "HR@10": figure.hr,
        "HR@10 from": hr,
        "NDCG@10": figure.ndcg,
        "NDCG@10 from": ndcg,
        "source": figure.cited,
    }


def _span(low: float, high: float) -> str:
    """Format a metric, or the range of its values."""
    if pd.isna(high):
        return ""
    return f"{high:.4f}" if pd.isna(low) else f"{low:.4f} to {high:.4f}"


def _validation_metrics(results: Path) -> dict[str, float]:
    """Return the best validation NDCG@10 of each recorded run, by its command."""
    values = {}
    for path in sorted(results.glob("runs/*/report.json")):
        config = path.with_name("config.json")
        report = read_json(path)
        if "validation ndcg@10" in report and config.is_file():
            command = read_json(config)["command"]
            values[command] = report["validation ndcg@10"]
    return values


def _tuned(results: Path, dataset: str) -> set[tuple[str, str]]:
    """Return model and settings of each entry of ``reference/`` (tuned on validation)."""
    path = results / "reference" / f"{dataset}.csv"
    if not path.is_file():
        return set()
    rows = pd.read_csv(path, dtype={"settings": str}).fillna({"settings": ""})
    models = rows["entry"].str.split(r"[ ,]", regex=True).str[0]
    return set(zip(models, rows["settings"], strict=True))
