from .active import choose_users
from .augmentation import add_histories, augment, sample_histories, take_users
from .bag import BagRecommender, text_factors
from .base import NotFittedError, Recommender
from .bpr import BPR, WARP, LogisticMF
from .content import ContentBased, item_texts, tf_idf, words_and_bigrams
from .ease import EASE
from .ensembles import average_weights, bagging
from .factorization import ExplicitMF
from .factorization_machine import FactorizationMachine, OneHot
from .graph import follow_scores, friend_scores
from .history_gan import HistoryGAN
from .hybrid import Hybrid
from .ials import IALS, ials_objective
from .item2vec import Item2Vec, skip_gram_gradients
from .markov import Bigram, Markov
from .neighbours import ItemKNN, UserKNN
from .online import OnlineNextItem, WeightAnchor, next_events
from .popularity import Popularity
from .ranking import top_k
from .rating_loss import rating_objective
from .river import RiverNextItem
from .sequential.bert4rec import BERT4Rec
from .sequential.generative import GenerativeNetwork, GenerativeRetriever
from .sequential.gru4rec import GRU4Rec, GRU4RecNetwork
from .sequential.hstu import HSTU, HSTUBlock, HSTUNetwork
from .sequential.sasrec import SASRec, SASRecNetwork
from .sequential.semantic_ids import CodeTree, SemanticIds, resolve_collisions
from .sequential.sequences import MaskedBatches, NextItemBatches
from .sequential.session_parallel import ParallelBatches
from .stacking import Stacked
from .text_vectors import ItemVectors, TextVectors
from .title_likelihood import WEIGHTS, TitleLikelihood

__all__ = [
    "BPR",
    "EASE",
    "HSTU",
    "IALS",
    "WARP",
    "WEIGHTS",
    "BERT4Rec",
    "BagRecommender",
    "Bigram",
    "CodeTree",
    "ContentBased",
    "ExplicitMF",
    "FactorizationMachine",
    "GRU4Rec",
    "GRU4RecNetwork",
    "GenerativeNetwork",
    "GenerativeRetriever",
    "HSTUBlock",
    "HSTUNetwork",
    "HistoryGAN",
    "Hybrid",
    "Item2Vec",
    "ItemKNN",
    "ItemVectors",
    "LogisticMF",
    "Markov",
    "MaskedBatches",
    "NextItemBatches",
    "NotFittedError",
    "OneHot",
    "OnlineNextItem",
    "ParallelBatches",
    "Popularity",
    "Recommender",
    "RiverNextItem",
    "SASRec",
    "SASRecNetwork",
    "SemanticIds",
    "Stacked",
    "TextVectors",
    "TitleLikelihood",
    "UserKNN",
    "WeightAnchor",
    "add_histories",
    "augment",
    "average_weights",
    "bagging",
    "choose_users",
    "follow_scores",
    "friend_scores",
    "ials_objective",
    "item_texts",
    "next_events",
    "rating_objective",
    "resolve_collisions",
    "sample_histories",
    "skip_gram_gradients",
    "take_users",
    "text_factors",
    "tf_idf",
    "top_k",
    "words_and_bigrams",
]
