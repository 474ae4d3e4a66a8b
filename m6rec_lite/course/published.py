"""Published results on MovieLens: leave-one-out, ranking of all items.

Each result states its protocol as far as it is known: whether the model uses the query time, how
a user's rows with equal timestamps are ordered, and the number of ranked items. Results that
differ in one of these are not comparable; ``comparison`` groups them by protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Information on the query that a model uses beside the history. In a leave-one-out split the query
#: time is the target's timestamp; a model that uses it is *time-aware*.
NOTHING, QUERY_TIME = "nothing", "query time"

#: Order of a user's rows with equal timestamps.
STABLE, UNSTABLE, UNKNOWN = "stable", "unstable", "not known"
BERT4REC_FILE = "BERT4Rec's file"
FILE_ORDER = "file order"
#: Ties sorted by item id put the target after all items with a smaller id: the order leaks.
LEAKING = "by item id: leaks order"


@dataclass(frozen=True)
class Figure:
    """One published result.

    Attributes:
        model: name in the source.
        hr: HR@10; the highest where sources differ.
        ndcg: NDCG@10; the highest where sources differ.
        source: names of GitHub repositories (``owner/name``), separated by commas; or a sentence.
        settings: settings of the model in our terms, where the source states them.
        knows: ``NOTHING`` or ``QUERY_TIME``.
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
    knows: str = NOTHING
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


_EARLIER = "measured for this project before it began, with public packages"

#: Simple models, by data set and by our entry in ``results/reference``.
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

#: Results of an independent evaluator with our protocol: ties in file order.
SAME_TIES: dict[str, dict[str, Figure]] = {
    "ml-100k": {"Bigram": Figure("bigram", 0.1448, 0.0761, "an independent evaluator")},
    "ml-1m": {"Bigram": Figure("bigram", 0.2083, 0.1217, "an independent evaluator")},
}

_ANTKLEN = "antklen/sasrec-bert4rec-recsys23"
_BERT_REPRO = "blondered/bert4rec_repro"
_ESASREC = "blondered/transformer_benchmark"
_RECTOOLS = "MobileTeleSystems/RecTools"
_META = "meta-recsys/generative-recommenders"
_GSASREC = "asash/gSASRec-pytorch"
_T5 = "T5-small that writes item ids as text (OpenP5)"
_OPENP5 = "agiresearch/OpenP5"


def _five_core(model: str, hr: float, ndcg: float, source: str, **more: Any) -> Figure:
    """Return a result on the file of BERT4Rec's authors: items with at least 5 ratings."""
    return Figure(model, hr, ndcg, source, ties=BERT4REC_FILE, items=3416, **more)


#: Networks, by data set. HSTU uses the query time in Meta's repository (see its code and its
#: issue 348); RecTools reports it with that time and without.
PUBLISHED: dict[str, tuple[Figure, ...]] = {
    "ml-1m": (
        _five_core("SASRec, cross-entropy over 3,000 negatives", 0.3159, 0.1857, _ANTKLEN),
        _five_core("SASRec, full cross-entropy", 0.3152, 0.1821, _ANTKLEN),
        _five_core("SASRec, full softmax, RecTools", 0.3058, 0.1779, _BERT_REPRO),
        Figure("eSASRec", 0.3133, 0.1772, _ESASREC, ties=STABLE, items=3706),
        _five_core("gSASRec", 0.3003, 0.1726, _GSASREC),
        Figure("HSTU without time", 0.3023, 0.1718, _RECTOOLS, ties=STABLE, items=3706),
        Figure("SASRec, sampled softmax", 0.2929, 0.1684, _ESASREC, ties=STABLE, items=3706),
        Figure(_T5, 0.2945, 0.1683, _OPENP5, second_hand=True),
        _five_core("GRU4Rec, full cross-entropy", 0.2811, 0.1648, _META, second_hand=True),
        _five_core(
            "BERT4Rec, three replications",
            *(0.292, 0.162, f"{_BERT_REPRO}, {_ANTKLEN}"),
            lowest=(0.282, 0.152),
        ),
        Figure("SASRec, sampled softmax", 0.2853, 0.1603, _META, ties=UNSTABLE, items=3706),
        _five_core(
            "SASRec, binary cross-entropy, one negative",
            *(0.2500, 0.1341, f"{_BERT_REPRO}, {_GSASREC}, {_ANTKLEN}"),
            lowest=(0.1993, 0.1078),
        ),
        Figure("LRURec", 0.3264, 0.1930, "yueqirex/LRURec", ties=LEAKING, items=3416),
        Figure("SASRec beside LRURec", 0.3181, 0.1902, "yueqirex/LRURec", ties=LEAKING, items=3416),
        Figure(
            "HSTU-large, RecTools",
            *(0.3642, 0.2164, _RECTOOLS, {}, QUERY_TIME),
            ties=STABLE,
            items=3706,
        ),
        Figure(
            "HSTU, full softmax, 8 blocks",
            *(0.3419, 0.1944, "NetEase-Media/HSTU-Tensorflow", {}, QUERY_TIME),
        ),
        Figure("HSTU-large", 0.3294, 0.1893, _META, {}, QUERY_TIME, UNSTABLE, 3706),
        Figure("FuXi-alpha, recomputed", 0.3164, 0.1813, _ESASREC, {}, QUERY_TIME, STABLE, 3706),
        Figure("HSTU", 0.3097, 0.1720, _META, {}, QUERY_TIME, UNSTABLE, 3706),
    ),
    "ml-100k": (Figure(_T5, 0.1208, 0.0595, _OPENP5, second_hand=True),),
}


def best_published(dataset: str, knows: str = NOTHING) -> Figure | None:
    """Return the published network with the highest NDCG@10 for one use of the query time.

    Args:
        dataset: a name in ``PUBLISHED``.
        knows: ``NOTHING`` or ``QUERY_TIME``.

    Returns:
        The result, or None if there is none. Results with a leaking order are excluded.
    """
    comparable = [f for f in PUBLISHED.get(dataset, ()) if f.knows == knows and f.ties != LEAKING]
    return max(comparable, key=lambda figure: figure.ndcg, default=None)
