"""Published results on MovieLens: leave-one-out, ranking of all items.

Each result of ``published.csv`` states its protocol as far as it is known: whether the model uses
the query time, how a user's rows with equal timestamps are ordered, and the number of ranked items.
Results that differ in one of these are not comparable. HSTU uses the query time in Meta's
repository (see its code and its issue 348); RecTools reports it with that time and without.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

#: Information on the query that a model uses beside the history. In a leave-one-out split the query
#: time is the target's timestamp; a model that uses it is *time-aware*.
TIME_BLIND, TIME_AWARE = "nothing", "query time"

#: Order of a user's rows with equal timestamps, in our splits and where it is not known.
FILE_ORDER, UNKNOWN = "file order", "not known"
#: Ties sorted by item id put the target after all items with a smaller id: the order leaks.
LEAKING = "by item id: leaks order"


@dataclass(frozen=True)
class PublishedResult:
    """One published result.

    Attributes:
        model: name in the source.
        hr: HR@10; the highest where sources differ.
        ndcg: NDCG@10; the highest where sources differ.
        source: names of GitHub repositories (``owner/name``), separated by commas; or a sentence.
        settings: settings of the model in our terms, where the source states them.
        knows: ``TIME_BLIND`` or ``TIME_AWARE``.
        ties: order of a user's rows with equal timestamps.
        items: number of ranked items; None if the source does not state it.
        lowest: the lowest HR@10 and NDCG@10 of the sources; None where they agree.
        second_hand: whether the source quotes another one, or is itself a secondary source.
    """

    model: str
    hr: float
    ndcg: float
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    knows: str = TIME_BLIND
    ties: str = UNKNOWN
    items: int | None = None
    lowest: tuple[float, float] | None = None
    second_hand: bool = False

    @property
    def cited(self) -> str:
        """The source as Markdown links, marked if the result is second-hand."""
        names = self.source.split(", ")
        links = ", ".join(
            f"[{name}](https://github.com/{name})" if "/" in name else name for name in names
        )
        return f"{links} (second-hand)" if self.second_hand else links


def _read(kind: str) -> dict[str, list[tuple[str, PublishedResult]]]:
    """Return entry and result of the rows of one kind, by data set."""
    results: dict[str, list[tuple[str, PublishedResult]]] = {}
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] != kind:
                continue
            result = PublishedResult(
                row["model"],
                float(row["hr"]),
                float(row["ndcg"]),
                row["source"],
                settings=json.loads(row["settings"] or "{}"),
                knows=row["knows"],
                ties=row["ties"],
                items=int(row["items"]) if row["items"] else None,
                second_hand=bool(row["second_hand"]),
            )
            if row["lowest_hr"]:
                lowest = float(row["lowest_hr"]), float(row["lowest_ndcg"])
                result = replace(result, lowest=lowest)
            results.setdefault(row["dataset"], []).append((row["entry"], result))
    return results


#: Simple models, by data set and by our entry in ``results/reference``.
SIMPLE_MODELS = {dataset: dict(rows) for dataset, rows in _read("simple").items()}

#: Results of an independent evaluator with our protocol (ties in file order), by our entry.
SAME_TIES = {dataset: dict(rows) for dataset, rows in _read("same ties").items()}

#: Networks, by data set.
PUBLISHED = {dataset: tuple(row for _, row in rows) for dataset, rows in _read("network").items()}


def best_published(dataset: str, knows: str = TIME_BLIND) -> PublishedResult | None:
    """Return the published network with the highest NDCG@10 for one use of the query time.

    Args:
        dataset: a name in ``PUBLISHED``.
        knows: ``TIME_BLIND`` or ``TIME_AWARE``.

    Returns:
        The result, or None if there is none. Results with a leaking order are excluded.
    """
    comparable = [f for f in PUBLISHED.get(dataset, ()) if f.knows == knows and f.ties != LEAKING]
    return max(comparable, key=lambda result: result.ndcg, default=None)
