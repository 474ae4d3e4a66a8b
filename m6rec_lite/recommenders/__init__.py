"""Recommenders: one file a family, one interface (``Recommender``)."""

from m6rec_lite.recommenders.base import NotFittedError, Recommender, top_k
from m6rec_lite.recommenders.bpr import BPR, WARP, LogisticMF
from m6rec_lite.recommenders.content import ContentBased
from m6rec_lite.recommenders.factorization import ExplicitMF
from m6rec_lite.recommenders.factorization_machine import FactorizationMachine, OneHot
from m6rec_lite.recommenders.hybrid import Hybrid
from m6rec_lite.recommenders.ials import IALS
from m6rec_lite.recommenders.linear import EASE
from m6rec_lite.recommenders.markov import Bigram
from m6rec_lite.recommenders.neighbours import ItemKNN, UserKNN
from m6rec_lite.recommenders.popularity import Popularity

__all__ = [
    "BPR",
    "EASE",
    "IALS",
    "WARP",
    "Bigram",
    "ContentBased",
    "ExplicitMF",
    "FactorizationMachine",
    "Hybrid",
    "ItemKNN",
    "LogisticMF",
    "NotFittedError",
    "OneHot",
    "Popularity",
    "Recommender",
    "UserKNN",
    "top_k",
]
