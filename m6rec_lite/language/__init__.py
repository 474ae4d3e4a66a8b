"""Language models over any tokens: words of a sentence, items of a history."""

from m6rec_lite.language.counts import Counts, Stream, count_ngrams
from m6rec_lite.language.discounting import (
    SMOOTHINGS,
    AbsoluteDiscounting,
    KneserNey,
    ModifiedKneserNey,
)
from m6rec_lite.language.ngram import NGram
from m6rec_lite.language.smoothing import (
    AddK,
    Estimate,
    JelinekMercer,
    MaximumLikelihood,
    Smoothing,
    WittenBell,
)
from m6rec_lite.language.vocabulary import Vocabulary

__all__ = [
    "SMOOTHINGS",
    "AbsoluteDiscounting",
    "AddK",
    "Counts",
    "Estimate",
    "JelinekMercer",
    "KneserNey",
    "MaximumLikelihood",
    "ModifiedKneserNey",
    "NGram",
    "Smoothing",
    "Stream",
    "Vocabulary",
    "WittenBell",
    "count_ngrams",
]
