"""Recipes for pretraining: which texts, which model, how long; and what is built from one."""

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
)
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer

KINDS = ("gpt", "bert")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out.

    Raises:
        ValueError: on a value out of range; each says what would do.
    """

    kind: str = "gpt"  # gpt foresees the next token; bert guesses hidden ones
    templates: str = "default"  # the sentences (templates.json)
    parts: tuple[str, ...] = ("domain", "title")  # what an event says of its item
    context: tuple[str, ...] = ("gender", "age_band", "occupation", "city")  # of the person
    items: bool = True  # read the items' own texts too
    vocab_size: int = 4096  # tokens
    window: int = 256  # tokens that the model sees at once
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    dropout: float = 0.1
    masking: float = 0.15  # share of tokens that a BERT is asked for
    epochs: int = 3
    batch_tokens: int = 2048  # about so many tokens a step
    lr: float = 2e-3  # of AdamW, warmed up over 100 steps, then falling by half a cosine
    weight_decay: float = 0.01
    share: float = 0.1  # of users and items, kept back to judge by
    users: int | None = None  # the first users only, to try it out
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 < self.share < 1:
            raise ValueError(
                f"share must be above 0 and below 1, got {self.share!r}: without documents kept "
                "back nothing can be judged"
            )
        if not 0 < self.masking <= 1:
            raise ValueError(f"masking must be above 0 and at most 1, got {self.masking!r}")
        for name in ("epochs", "batch_tokens", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr!r}")
        for name in ("parts", "context"):  # from JSON they come as lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def text(self, dataset: Dataset) -> BehaviourText:
        """How behaviour is put into words: who, then what, each with the time since the last.

        Nothing is said of the moment at which a question is asked, nor of searches: what the model
        knows is what the leaderboard's other models know, in words.
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
    """What is learnt from and what is kept back, by kind: ``behaviour`` and ``items``."""
    text = recipe.text(dataset)
    rows = split.train
    if recipe.users is not None:
        rows = rows.select(rows.users < recipe.users)
    division = {"share": recipe.share, "seed": recipe.seed}
    found = {"behaviour": behaviour_documents(rows, text, **division)}
    if recipe.items:
        found["items"] = item_documents(text, **division)
    marks = ("[CLS]", "[SEP]") if recipe.kind == "bert" else ("[BOS]", "[EOS]")
    return {
        name: Corpus(
            [d.wrapped(*marks) for d in each.train], [d.wrapped(*marks) for d in each.held_out]
        )
        for name, each in found.items()
    }


def batches_of(
    recipe: Recipe, tokenizer: Tokenizer, given: Sequence[Document], *, shuffle: bool = True
) -> TokenBatches:
    """Documents as batches: of next tokens for a GPT, of hidden ones for a BERT."""
    more: dict[str, Any] = {}
    if recipe.kind == "bert":
        more = {"build": masked(tokenizer, recipe.masking), "overlap": 0}
    rows = encode_documents(tokenizer, given)
    sizes = {"window": recipe.window, "tokens": recipe.batch_tokens}
    return TokenBatches(rows, shuffle=shuffle, **sizes, **more)


def masked(
    tokenizer: Tokenizer, rate: float
) -> Callable[[Sequence[np.ndarray], np.random.Generator], TokenBatch]:
    """Builds batches in which some tokens are hidden, anew in each epoch."""

    def build(rows: Sequence[np.ndarray], draw: np.random.Generator) -> TokenBatch:
        rows = sorted(rows, key=len, reverse=True)
        generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
        ids = torch.from_numpy(np.concatenate(rows))
        read, targets = mask_tokens(ids, tokenizer, rate=rate, generator=generator)
        if not bool((targets != IGNORED).any()):  # a tiny batch: ask for one token that is no mark
            places = torch.nonzero(ids >= len(SPECIALS))[:, 0]
            place = places[0] if len(places) else torch.tensor(0)
            targets[place], read[place] = ids[place], tokenizer.id("[MASK]")
        return TokenBatch(read, targets, torch.tensor([len(row) for row in rows]))

    return build


def build(recipe: Recipe, tokenizer: Tokenizer) -> GPT | BERT:
    """A model with fresh weights, drawn from torch's generator."""
    config = GPTConfig if recipe.kind == "gpt" else BERTConfig
    shape = config(
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=recipe.window,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.num_hidden_layers,
        num_attention_heads=recipe.num_attention_heads,
        dropout=recipe.dropout,
        tokenizer=tokenizer.fingerprint,
    )
    return (GPT if recipe.kind == "gpt" else BERT)(shape)
