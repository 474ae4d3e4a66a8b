from .bag import BagRecommender
from .base import NotFittedError, Recommender
from .bpr import BPR, WARP, LogisticMF
from .content import ContentBased, item_texts, tf_idf, words_and_bigrams
from .ease import EASE
from .factorization import ExplicitMF
from .factorization_machine import FactorizationMachine, OneHot
from .hybrid import Hybrid
from .ials import IALS, ials_objective
from .markov import Bigram, Markov
from .neighbours import ItemKNN, UserKNN
from .popularity import Popularity
from .ranking import top_k
from .rating_loss import rating_objective
from .sequential.bert4rec import BERT4Rec
from .sequential.gru4rec import GRU4Rec, GRU4RecNetwork
from .sequential.sasrec import SASRec, SASRecNetwork
from .sequential.sequences import MaskedBatches, NextItemBatches
from .sequential.session_parallel import ParallelBatches
from .text_vectors import ItemVectors, TextVectors
from .title_likelihood import WEIGHTS, TitleLikelihood

__all__ = [
    "BPR",
    "EASE",
    "IALS",
    "WARP",
    "WEIGHTS",
    "BERT4Rec",
    "BagRecommender",
    "Bigram",
    "ContentBased",
    "ExplicitMF",
    "FactorizationMachine",
    "GRU4Rec",
    "GRU4RecNetwork",
    "Hybrid",
    "ItemKNN",
    "ItemVectors",
    "LogisticMF",
    "Markov",
    "MaskedBatches",
    "NextItemBatches",
    "NotFittedError",
    "OneHot",
    "ParallelBatches",
    "Popularity",
    "Recommender",
    "SASRec",
    "SASRecNetwork",
    "TextVectors",
    "TitleLikelihood",
    "UserKNN",
    "ials_objective",
    "item_texts",
    "rating_objective",
    "tf_idf",
    "top_k",
    "words_and_bigrams",
]
