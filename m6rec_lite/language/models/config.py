"""The fields that the configurations of GPT and BERT share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from m6rec_lite.nn.transformer import TransformerConfig

Activation = Literal["relu", "gelu", "gelu_tanh"]

#: Activation functions by the names that ``transformers`` uses.
FROM_TRANSFORMERS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
TO_TRANSFORMERS: dict[Activation, str] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_new",
}


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
