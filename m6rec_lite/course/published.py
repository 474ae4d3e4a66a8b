"""Figures from elsewhere, to put ours beside: MovieLens, leave-one-out, full ranking.

All rank every item that the user has not seen; items with fewer than 5 ratings are dropped, and
the last item of a user by time is the one to find. They do not all break ties of time alike, which
``anchors`` shows to matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Figure:
    """One row of a table that somebody else measured.

    Attributes:
        model: as the source calls it.
        hr: HR@10.
        ndcg: NDCG@10.
        source: who measured it.
        settings: of the model, where the source states them in our terms.
    """

    model: str
    hr: float
    ndcg: float
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)


_EARLIER = "measured for this project before it began, with public packages"

#: Simple models, by data set and by the name of our entry in ``anchors``.
SIMPLE: dict[str, dict[str, Figure]] = {
    "ml-100k": {
        "Popularity": Figure("popularity", 0.0870, 0.0445, _EARLIER),
        "ItemKNN": Figure("item-KNN", 0.1198, 0.0635, _EARLIER),
        "ItemKNN decay": Figure("item-KNN, recency decay", 0.2015, 0.1126, _EARLIER),
        "EASE": Figure("EASE", 0.1463, 0.0737, _EARLIER),
        "EASE decay": Figure("EASE, recency decay", 0.1898, 0.1031, _EARLIER),
        "Bigram": Figure("bigram over item ids", 0.1453, 0.0762, _EARLIER),
        "IALS": Figure("iALS", 0.1410, 0.0748, _EARLIER),
        "BPR": Figure("BPR", 0.1209, 0.0613, _EARLIER),
    },
    "ml-1m": {
        "Popularity": Figure("popularity", 0.0394, 0.0194, _EARLIER),
        "ItemKNN": Figure("item-KNN", 0.0778, 0.0382, _EARLIER, {"k": 20, "shrink": 50.0}),
        "ItemKNN decay": Figure("item-KNN, recency decay 0.7", 0.1773, 0.1010, _EARLIER),
        "EASE": Figure("EASE", 0.1079, 0.0538, _EARLIER, {"l2": 300.0}),
        "EASE decay": Figure(
            "EASE, recency decay", 0.2245, 0.1284, _EARLIER, {"l2": 1000.0, "decay": 0.7}
        ),
        "Bigram": Figure("bigram over item ids", 0.1919, 0.1122, _EARLIER),
        "IALS": Figure("iALS, 128 factors", 0.1028, 0.0521, _EARLIER),
        "BPR": Figure("BPR, 128 factors", 0.0768, 0.0368, _EARLIER),
    },
}

#: An independent evaluator of this course's own protocol, ties of time in file order.
SAME_TIES: dict[str, dict[str, Figure]] = {
    "ml-100k": {"Bigram": Figure("bigram", 0.1448, 0.0761, "an independent evaluator")},
    "ml-1m": {"Bigram": Figure("bigram", 0.2083, 0.1217, "an independent evaluator")},
}

#: Neural models on MovieLens-1M, as their authors' repositories print them: what is ahead.
#: None is told the moment of the question, as those of ``TIME_AWARE`` are.
NEURAL: dict[str, tuple[Figure, ...]] = {
    "ml-1m": (
        Figure("SASRec, binary cross-entropy, one negative", 0.1993, 0.1078, "BERT4Rec papers"),
        Figure("BERT4Rec, replications at best", 0.2920, 0.1620, "three replications"),
        Figure("GRU4Rec, full cross-entropy", 0.2811, 0.1648, "generative-recommenders"),
        Figure("SASRec, sampled softmax", 0.2853, 0.1603, "generative-recommenders"),
        Figure("T5-small that writes item ids as text", 0.2945, 0.1683, "OpenP5"),
        Figure("HSTU", 0.3097, 0.1720, "generative-recommenders"),
        Figure("gSASRec", 0.3003, 0.1726, "gSASRec"),
        Figure("SASRec, full cross-entropy", 0.3152, 0.1821, "antklen"),
        Figure("SASRec, cross-entropy over 3,000 negatives", 0.3159, 0.1857, "antklen"),
        Figure("HSTU-large", 0.3294, 0.1893, "generative-recommenders"),
    ),
    "ml-100k": (Figure("T5-small that writes item ids as text", 0.1208, 0.0595, "OpenP5"),),
}

#: Models that are told when the question is asked, which in a split is the target's own timestamp:
#: to be compared with their like.
TIME_AWARE: dict[str, tuple[Figure, ...]] = {
    "ml-1m": (
        Figure("HSTU", 0.3226, 0.1880, "RecTools"),
        Figure("HSTU-large", 0.3642, 0.2164, "RecTools"),
    ),
}

#: Of ours, what stands beside the published networks.
SHOWN = ("Popularity", "Bigram", "EASE", "GRU4Rec", "SASRec", "BERT4Rec", "M6RecRetriever")
#: How ours are called there by a word of their settings, the first that fits.
_READS = {"reads=text": "M6-Rec, text", "reads=ids": "M6-Rec, ids", "": "M6-Rec, text and ids"}
MOMENT = "the moment"


def beside(board: pd.DataFrame, dataset: str, models: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Our networks beside the published ones, and who was not run; the worst first.

    Args:
        board: leaderboard rows of the data set, oldest first; of each model, and of what it reads
            and is told, the settings that were run last count, and their seeds are averaged.
        dataset: a name in ``NEURAL``.
        models: which of ours.

    Returns:
        ``model knows seeds HR@10 NDCG@10 low high minutes source``: ``knows`` is "the moment" for
        models that are told when the question is asked, ``low`` and ``high`` are the ends of the
        seeds' intervals over people, ``minutes`` a seed's to fit.
    """
    board = board[board["model"].isin(models)]
    told = board["variant"].str.contains
    reads = [next(n for word, n in _READS.items() if word in v) for v in board["variant"]]
    names = np.where(board["model"] == "M6RecRetriever", reads, board["model"])
    knows = np.where(told("now=True|relative_to=at"), MOMENT, "")
    rows: list[dict[str, Any]] = []
    for (name, what), some in board.groupby([names, knows]):
        mine = some[some["variant"] == some["variant"].iloc[-1]]
        means = mine[["hr@10", "ndcg@10", "fit_seconds"]].mean()
        rows.append(
            {"model": name, "knows": what, "seeds": mine["seed"].nunique()}
            | {"HR@10": means["hr@10"], "NDCG@10": means["ndcg@10"]}
            | {"low": mine["ndcg@10_low"].min(), "high": mine["ndcg@10_high"].max()}
            | {"minutes": means["fit_seconds"] / 60, "source": "ours"}
        )
    wanted = [("M6-Rec, text", ""), ("M6-Rec, text and ids", ""), ("M6-Rec, text and ids", MOMENT)]
    wanted = [*((n, "") for n in models if n != "M6RecRetriever"), *wanted]
    there = {(row["model"], row["knows"]) for row in rows}
    rows += [
        {"model": name, "knows": what, "source": "not run here"}
        for name, what in wanted
        if (name, what) not in there
    ]
    for what, figures in (("", NEURAL), (MOMENT, TIME_AWARE)):
        rows += [
            {"model": f.model, "knows": what, "HR@10": f.hr, "NDCG@10": f.ndcg, "source": f.source}
            for f in figures.get(dataset, ())
        ]
    columns = ["model", "knows", "seeds", "HR@10", "NDCG@10", "low", "high", "minutes", "source"]
    table = pd.DataFrame(rows, columns=columns).astype({"seeds": "Int64"})
    return table.sort_values("NDCG@10", na_position="first").reset_index(drop=True)
