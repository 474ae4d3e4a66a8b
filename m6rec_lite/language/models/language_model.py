"""What GPT and BERT share: configuration, embeddings, saving as ``transformers`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import torch
from torch import nn

from m6rec_lite.language.models.transformers_format import (
    Format,
    from_transformers,
    read,
    to_transformers,
    write,
)
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import TransformerConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from m6rec_lite.language.text.tokenizer import Tokenizer

Activation = Literal["relu", "gelu", "gelu_tanh"]


@dataclass(frozen=True)
class LanguageModelConfig:
    """Shape and dropout of a language model, by the field names of ``transformers``.

    Raises:
        ValueError: if a value is out of range; the message names the range.
    """

    vocab_size: int  # tokens, special ones included
    max_position_embeddings: int = 256  # longest input, in tokens
    hidden_size: int = 128  # length of each position's vector
    num_hidden_layers: int = 4  # Transformer blocks
    num_attention_heads: int = 4  # per block; must divide hidden_size
    intermediate_size: int | None = None  # of the feed-forward networks; None: 4 * hidden_size
    activation: Activation = "gelu"  # of the feed-forward networks
    dropout: float = 0.1  # probability of setting an activation to 0 in training
    norm_eps: float = 1e-5  # added to the variance in layer norms
    tokenizer: str | None = None  # fingerprint of the tokenizer that the ids come from

    norm_first: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_at_least_one(
            "vocab_size", "max_position_embeddings", "num_hidden_layers", "num_attention_heads"
        )
        if self.intermediate_size is not None:
            self._check_at_least_one("intermediate_size")
        self.blocks()  # checks the other values, such as heads that do not divide hidden_size

    def _check_at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")

    def blocks(self) -> TransformerConfig:
        """Return the configuration of the Transformer blocks."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.num_hidden_layers,
            n_heads=self.num_attention_heads,
            ffn_size=self.intermediate_size,
            activation=self.activation,
            dropout=self.dropout,
            norm_first=self.norm_first,
            norm_eps=self.norm_eps,
            ffn_dropout=0.0,  # GPT-2 and BERT have none inside the feed-forward networks
        )


class LanguageModel(nn.Module):
    """Base class of GPT and BERT.

    Args:
        config: shape and dropout.

    Attributes:
        config_class: class of the configuration.
        format: how the model is saved.
    """

    config_class: ClassVar[type[LanguageModelConfig]]
    format: ClassVar[Format]

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = LearnedPositions(config.max_position_embeddings, config.hidden_size)
        self.dropout = Dropout(config.dropout)

    @property
    def context(self) -> int:
        """Maximum length of an input in tokens."""
        return self.config.max_position_embeddings

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.tokens.weight.device

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Raise an error if the tokenizer is not the model's.

        Raises:
            ValueError: if the model was trained with another one, or has fewer tokens.
        """
        own = self.config.tokenizer
        if own is not None and own != tokenizer.fingerprint:
            raise ValueError(
                f"the model was trained with the tokenizer {own}, and this is "
                f"{tokenizer.fingerprint}: give the one that was saved with the model"
            )
        if tokenizer.vocab_size > self.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} tokens and the model knows "
                f"{self.config.vocab_size}: they do not belong together"
            )

    def to_transformers(self) -> PreTrainedModel:
        """Return the same model as the class of ``transformers`` whose format it is saved in."""
        return to_transformers(self)

    @classmethod
    def from_transformers(cls, model: PreTrainedModel) -> Self:
        """Convert a model of that class, in ``eval`` mode.

        Raises:
            ModelError: if it is a variant that this class does not implement.
        """
        return from_transformers(cls, model)

    def save_pretrained(self, folder: str | Path, tokenizer: Tokenizer | None = None) -> Path:
        """Write a folder that ``from_pretrained`` loads, here and in ``transformers``.

        Args:
            folder: created if missing; a model in it is replaced, other files are kept.
            tokenizer: saved with the model, so that ``AutoTokenizer`` loads the folder too.

        Raises:
            NotADirectoryError: if there is a file of that name.
            ValueError: if the tokenizer is not the model's.
        """
        if tokenizer is not None:
            self.check_tokenizer(tokenizer)
        return write(self, Path(folder), tokenizer)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Load a model by folder or name (``hub.find_model``), in ``eval`` mode.

        Raises:
            ModelError: if there is no such model, or this class does not implement it.
        """
        return read(cls, name)
