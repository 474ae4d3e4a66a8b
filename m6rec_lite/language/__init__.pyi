from .models.bert import BERT, IGNORED, BERTConfig, mask_tokens
from .models.causal_lm import CausalLM
from .models.features import TextEncoder
from .models.fusion import AttentionFusion, Concatenation, Gate
from .models.gpt import GPT, GPTConfig
from .models.hub import (
    MINILM,
    checkpoints,
    describe_model,
    find_model,
    load_config,
    load_model,
    load_tokenizer,
)
from .models.model_folder import ModelError, quiet
from .models.next_event import NextEvent, wording
from .models.packaged import UniversalSentenceEncoder, load_smollm2
from .models.pooling import AttentionPooling, last_pooling, mean_pooling
from .models.pretraining import Pretrained, evaluate_lm, pretrain
from .models.probing import attention_probe, linear_probe, token_states, typical_words
from .models.recipes import Recipe, batches_of, build, documents, masked
from .ngrams.classifier import NGramClassifier
from .ngrams.counts import Counts, TokenSequence, count_ngrams
from .ngrams.discounting import SMOOTHINGS, AbsoluteDiscounting, KneserNey, ModifiedKneserNey
from .ngrams.ngram import NGram
from .ngrams.smoothing import (
    AddK,
    Estimate,
    JelinekMercer,
    MaximumLikelihood,
    Smoothing,
    WittenBell,
)
from .ngrams.vocabulary import Vocabulary
from .text.behaviour import BehaviourText
from .text.byte_pairs import apply_merges, learn_merges
from .text.corpora import Corpus, TokenBatches, library_corpus
from .text.document import Document, distinct_texts, encode_document, encode_documents
from .text.plain_texts import load_corpus
from .text.reviews import ReviewSource
from .text.templates import Templates
from .text.tokenizer import SPECIALS, Tokenizer

__all__ = [
    "BERT",
    "GPT",
    "IGNORED",
    "MINILM",
    "SMOOTHINGS",
    "SPECIALS",
    "AbsoluteDiscounting",
    "AddK",
    "AttentionFusion",
    "AttentionPooling",
    "BERTConfig",
    "BehaviourText",
    "CausalLM",
    "Concatenation",
    "Corpus",
    "Counts",
    "Document",
    "Estimate",
    "GPTConfig",
    "Gate",
    "JelinekMercer",
    "KneserNey",
    "MaximumLikelihood",
    "ModelError",
    "ModifiedKneserNey",
    "NGram",
    "NGramClassifier",
    "NextEvent",
    "Pretrained",
    "Recipe",
    "ReviewSource",
    "Smoothing",
    "Templates",
    "TextEncoder",
    "TokenBatches",
    "TokenSequence",
    "Tokenizer",
    "UniversalSentenceEncoder",
    "Vocabulary",
    "WittenBell",
    "apply_merges",
    "attention_probe",
    "batches_of",
    "build",
    "checkpoints",
    "count_ngrams",
    "describe_model",
    "distinct_texts",
    "documents",
    "encode_document",
    "encode_documents",
    "evaluate_lm",
    "find_model",
    "last_pooling",
    "learn_merges",
    "library_corpus",
    "linear_probe",
    "load_config",
    "load_corpus",
    "load_model",
    "load_smollm2",
    "load_tokenizer",
    "mask_tokens",
    "masked",
    "mean_pooling",
    "pretrain",
    "quiet",
    "token_states",
    "typical_words",
    "wording",
]
