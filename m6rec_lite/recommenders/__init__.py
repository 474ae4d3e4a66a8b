"""Recommenders: one file a family, one interface (``Recommender``).

The networks are read on first use: they bring torch, whose import takes longer than most of the
other models take to fit.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from m6rec_lite.recommenders.base import NotFittedError, Recommender, top_k
from m6rec_lite.recommenders.bpr import BPR, WARP, LogisticMF
from m6rec_lite.recommenders.content import ContentBased
from m6rec_lite.recommenders.factorization import ExplicitMF
from m6rec_lite.recommenders.factorization_machine import FactorizationMachine, OneHot
from m6rec_lite.recommenders.hybrid import Hybrid
from m6rec_lite.recommenders.ials import IALS
from m6rec_lite.recommenders.linear import EASE
from m6rec_lite.recommenders.markov import Bigram, Markov
from m6rec_lite.recommenders.neighbours import ItemKNN, UserKNN
from m6rec_lite.recommenders.popularity import Popularity

if TYPE_CHECKING:
    from m6rec_lite.recommenders.bert4rec import BERT4Rec
    from m6rec_lite.recommenders.gru4rec import GRU4Rec
    from m6rec_lite.recommenders.sasrec import SASRec
    from m6rec_lite.recommenders.text_vectors import ItemVectors, TextVectors
    from m6rec_lite.recommenders.title_likelihood import TitleLikelihood

_NETWORKS = {
    "BERT4Rec": "bert4rec",
    "GRU4Rec": "gru4rec",
    "ItemVectors": "text_vectors",
    "SASRec": "sasrec",
    "TextVectors": "text_vectors",
    "TitleLikelihood": "title_likelihood",
}

__all__ = [
    "BPR",
    "EASE",
    "IALS",
    "WARP",
    "BERT4Rec",
    "Bigram",
    "ContentBased",
    "ExplicitMF",
    "FactorizationMachine",
    "GRU4Rec",
    "Hybrid",
    "ItemKNN",
    "ItemVectors",
    "LogisticMF",
    "Markov",
    "NotFittedError",
    "OneHot",
    "Popularity",
    "Recommender",
    "SASRec",
    "TextVectors",
    "TitleLikelihood",
    "UserKNN",
    "top_k",
]


def __getattr__(name: str) -> Any:
    """A network's class, its module imported now."""
    if name not in _NETWORKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NETWORKS[name]}"), name)
