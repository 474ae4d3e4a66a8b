"""The configuration of an M6-Rec model: its shape, its special tokens and its tokenizer.

Four sizes have names. ``nano`` is for automatic checks on a CPU, ``tiny`` for a laptop, ``small``
for some minutes on one GPU, ``base`` has the published shape (24 layers, 16 heads, 1,024
dimensions; Cui et al., *M6-Rec*, 2022).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal, TypedDict

from transformers import PreTrainedConfig

from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.transformer import TransformerConfig


class Shape(TypedDict):
    """The fields of ``M6RecConfig`` that a size determines."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int


#: Shapes by name.
SIZES: dict[str, Shape] = {
    "nano": {
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 128,
    },
    "tiny": {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "max_position_embeddings": 256,
    },
    "small": {
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "max_position_embeddings": 512,
    },
    "base": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "max_position_embeddings": 1024,
    },
}

#: Of sizes given as layers x width: dimensions of a head, and maximum length of a sequence.
HEAD, LINE = 32, 128
#: Help text of ``--size`` in commands.
SIZE_HELP = f"one of {', '.join(SIZES)}, or layers x width, such as 3x64"


def shape_of(size: str) -> Shape:
    """Return the shape of a named size, or of one given as layers x width, such as ``3x64``.

    Args:
        size: a name of ``SIZES``, or two whole numbers, the width being a multiple of ``HEAD``;
            sequences then have at most ``LINE`` tokens.

    Raises:
        ValueError: if ``size`` is neither.
    """
    if size in SIZES:
        return SIZES[size].copy()
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if match is None or int(match[2]) % HEAD:
        raise ValueError(
            f"size must be one of {', '.join(SIZES)}, or layers x width with a width in multiples "
            f"of {HEAD}, such as 3x64; got {size!r}"
        )
    layers, width = int(match[1]), int(match[2])
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD,
        "max_position_embeddings": LINE,
    }


class M6RecConfig(PreTrainedConfig):
    """The configuration of the model; ``M6RecConfig.of_size`` creates one from a size.

    The fields have the names that ``transformers`` and ``peft`` use.

    Args:
        vocab_size: number of tokens.
        hidden_size: dimensions of the hidden states.
        num_hidden_layers: number of blocks.
        num_attention_heads: must divide ``hidden_size``.
        intermediate_size: of the feed-forward networks; None is 4 * ``hidden_size``.
        max_position_embeddings: maximum length of a sequence in pretraining. Learned positions
            end there; rotary ones do not, but longer sequences were not trained on.
        positions: ``"rotary"`` or ``"learned"``. Which of the two the paper uses is not known.
        rotary_base: of rotary positions.
        dropout: rate of dropout in training. Pretraining repeats little text and needs none.
        activation: of the feed-forward networks, see ``TransformerConfig``.
        initializer_range: standard deviation of the initial weights.
        pad_token_id: ``[PAD]``, the padding token.
        user_start_token_id: ``[BOS']``, the first token of the user region.
        user_end_token_id: ``[EOS']``, the last token of the user region.
        bos_token_id: ``[BOS]``, the first token of the written region.
        eos_token_id: ``[EOS]``, the last token of the written region, at which ``generate`` stops.
        mask_token_id: ``[MASK]``, which replaces a masked span.
        tokenizer: fingerprint of the tokenizer; others are refused (``check_tokenizer``).

    Raises:
        ValueError: on an inconsistent shape.
    """

    model_type = "m6rec"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    vocab_size: int = 4096
    hidden_size: int = 192
    num_hidden_layers: int = 4
    num_attention_heads: int = 6
    intermediate_size: int | None = None
    max_position_embeddings: int = 256
    positions: str = "rotary"
    rotary_base: float = 10_000.0
    dropout: float = 0.0
    activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu"
    initializer_range: float = 0.02
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = 0
    user_start_token_id: int | None = 1
    user_end_token_id: int | None = 2
    bos_token_id: int | None = 3
    eos_token_id: int | None = 4
    mask_token_id: int | None = 5
    tokenizer: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.vocab_size < 1 or self.max_position_embeddings < 1:
            raise ValueError(
                "vocab_size and max_position_embeddings must be at least 1, got "
                f"{self.vocab_size!r} and {self.max_position_embeddings!r}"
            )
        if self.positions not in ("rotary", "learned"):
            raise ValueError(f"positions must be 'rotary' or 'learned', got {self.positions!r}")
        if not self.tie_word_embeddings:
            raise ValueError("M6-Rec reads and writes with the same embeddings: leave them tied")
        self.blocks()  # refuses an inconsistent shape

    def blocks(self) -> TransformerConfig:
        """Return the configuration of the blocks, for ``nn.transformer``."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.num_hidden_layers,
            n_heads=self.num_attention_heads,
            ffn_size=self.intermediate_size,
            activation=self.activation,
            dropout=self.dropout,
            norm_first=True,
            rotary_base=self.rotary_base if self.positions == "rotary" else None,
        )

    @classmethod
    def of_size(cls, size: str, tokenizer: Tokenizer, **changes: Any) -> M6RecConfig:
        """Return the configuration of a size for a tokenizer.

        Args:
            size: see ``shape_of``.
            tokenizer: supplies the vocabulary size, special tokens and fingerprint.
            changes: values of other fields.

        Raises:
            ValueError: on an unknown size.
        """
        fields: dict[str, Any] = {
            **shape_of(size),
            "vocab_size": tokenizer.vocab_size,
            "pad_token_id": tokenizer.id("[PAD]"),
            "user_start_token_id": tokenizer.id("[BOS']"),
            "user_end_token_id": tokenizer.id("[EOS']"),
            "bos_token_id": tokenizer.id("[BOS]"),
            "eos_token_id": tokenizer.id("[EOS]"),
            "mask_token_id": tokenizer.id("[MASK]"),
            "tokenizer": tokenizer.fingerprint,
        }
        return cls(**fields | changes)

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that the model was not made for.

        Raises:
            ValueError: naming both fingerprints.
        """
        if self.tokenizer is not None and tokenizer.fingerprint != self.tokenizer:
            raise ValueError(
                f"this model was made for the tokenizer {self.tokenizer} and was given "
                f"{tokenizer.fingerprint}: to another tokenizer its numbers mean other words; load "
                "the tokenizer that was saved in the model's folder"
            )
