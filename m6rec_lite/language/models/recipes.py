"""Recipes for pretraining: texts, model and training length; and the objects built from one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from m6rec_lite.data import Dataset, Split
from m6rec_lite.language.models.bert import BERT, IGNORED, BERTConfig, mask_tokens
from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import (
    Corpus,
    TokenBatch,
    TokenBatches,
    behaviour_documents,
    item_documents,
    next_tokens,
)
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer

KINDS = ("gpt", "bert")


@dataclass(frozen=True)
class Recipe:
    """All settings of a pretraining run.

    Raises:
        ValueError: if a value is out of range; the message names the range.
    """

    kind: str = "gpt"  # gpt predicts the next token; bert predicts masked tokens
    templates: str = "default"  # the sentences (templates.json)
    parts: tuple[str, ...] = ("domain", "title")  # parts of an item in an event's text
    context: tuple[str, ...] = ("gender", "age_band", "occupation", "city")  # of the user
    items: bool = True  # train on item texts too
    vocab_size: int = 4096  # tokens
    window: int = 256  # maximum input length of the model, in tokens
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    dropout: float = 0.1
    masking: float = 0.15  # share of tokens that are targets of a BERT
    epochs: int = 3
    batch_tokens: int = 2048  # approximate tokens per step
    lr: float = 2e-3  # peak of AdamW's learning rate: linear warm-up, then cosine decay
    weight_decay: float = 0.01
    share: float = 0.1  # of users and items held out for evaluation
    users: int | None = None  # use only the first users; None: all
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 < self.share < 1:
            raise ValueError(
                f"share must be above 0 and below 1, got {self.share!r}: without held-out "
                "documents nothing can be evaluated"
            )
        if not 0 < self.masking <= 1:
            raise ValueError(f"masking must be above 0 and at most 1, got {self.masking!r}")
        for name in ("epochs", "batch_tokens", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr!r}")
        for name in ("parts", "context"):  # lists when read from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def text(self, dataset: Dataset) -> BehaviourText:
        """Return the verbalizer of the data set: user, then events with the time since the last.

        The query time and searches are left out, so that the model has the same information as
        the other models on the leaderboard.
        """
        return BehaviourText(
            dataset,
            self.templates,
            parts=self.parts,
            context=self.context,
            times="later",
            queries="none",
            ratings=False,
        )


def documents(recipe: Recipe, dataset: Dataset, split: Split) -> dict[str, Corpus]:
    """Return the training and held-out documents by kind: ``behaviour`` and ``items``."""
    text = recipe.text(dataset)
    rows = split.train
    if recipe.users is not None:
        rows = rows.select(rows.users < recipe.users)
    share, seed = recipe.share, recipe.seed
    corpora = {"behaviour": behaviour_documents(rows, text, share=share, seed=seed)}
    if recipe.items:
        corpora["items"] = item_documents(text, share=share, seed=seed)
    return {name: wrapped(recipe, corpus) for name, corpus in corpora.items()}


def wrapped(recipe: Recipe, corpus: Corpus) -> Corpus:
    """Return the documents between the special tokens that the kind of model reads."""
    specials = ("[CLS]", "[SEP]") if recipe.kind == "bert" else ("[BOS]", "[EOS]")
    return Corpus(
        [document.wrapped(*specials) for document in corpus.train],
        [document.wrapped(*specials) for document in corpus.held_out],
    )


def batches_of(
    recipe: Recipe, tokenizer: Tokenizer, given: Sequence[Document], *, shuffle: bool = True
) -> TokenBatches:
    """Return batches of documents: with next-token targets for a GPT, masked for a BERT."""
    is_bert = recipe.kind == "bert"
    return TokenBatches(
        encode_documents(tokenizer, given),
        window=recipe.window,
        tokens=recipe.batch_tokens,
        shuffle=shuffle,
        build=masked(tokenizer, recipe.masking) if is_bert else next_tokens,
        overlap=0 if is_bert else 1,
    )


def masked(
    tokenizer: Tokenizer, rate: float
) -> Callable[[Sequence[np.ndarray], np.random.Generator], TokenBatch]:
    """Return a function that builds a batch with masked tokens, drawn anew in each epoch."""

    def build(rows: Sequence[np.ndarray], draw: np.random.Generator) -> TokenBatch:
        rows = sorted(rows, key=len, reverse=True)
        generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
        ids = torch.from_numpy(np.concatenate(rows))
        inputs, targets = mask_tokens(ids, tokenizer, rate=rate, generator=generator)
        if not bool((targets != IGNORED).any()):  # a tiny batch: mask its first ordinary token
            candidates = torch.nonzero(ids >= len(SPECIALS))[:, 0]
            position = candidates[0] if len(candidates) else torch.tensor(0)
            targets[position], inputs[position] = ids[position], tokenizer.id("[MASK]")
        return TokenBatch(inputs, targets, torch.tensor([len(row) for row in rows]))

    return build


def build(recipe: Recipe, tokenizer: Tokenizer) -> GPT | BERT:
    """Return a model with initial weights, drawn from torch's global generator."""
    shape: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size,
        "max_position_embeddings": recipe.window,
        "hidden_size": recipe.hidden_size,
        "num_hidden_layers": recipe.num_hidden_layers,
        "num_attention_heads": recipe.num_attention_heads,
        "dropout": recipe.dropout,
        "tokenizer": tokenizer.fingerprint,
    }
    return GPT(GPTConfig(**shape)) if recipe.kind == "gpt" else BERT(BERTConfig(**shape))
