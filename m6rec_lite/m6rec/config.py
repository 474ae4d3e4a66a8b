"""What fixes an M6-Rec model: its shape, its special tokens, and the tokenizer it was made for.

Four sizes have names. ``nano`` is for automatic checks on a processor, ``tiny`` for a laptop,
``small`` for one GPU and some minutes, ``base`` has the published shape (24 layers, 16 heads,
1,024 dimensions; Cui et al., *M6-Rec*, 2022).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from transformers import PreTrainedConfig

from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.transformer import TransformerConfig

#: Shapes by name.
SIZES: dict[str, dict[str, int]] = {
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

#: Of sizes given as layers x width: dimensions of a head, and tokens read at once.
HEAD, LINE = 32, 128
#: What a command says of its ``--size``.
SIZE_HELP = f"one of {', '.join(SIZES)}, or layers x width, such as 3x64"


def shape_of(size: str) -> dict[str, int]:
    """The shape of a named size, or of one given as layers x width, such as ``3x64``.

    Args:
        size: a name of ``SIZES``, or two whole numbers; the width is a multiple of ``HEAD``, and
            ``LINE`` tokens are read at once.

    Returns:
        ``hidden_size``, ``num_hidden_layers``, ``num_attention_heads`` and
        ``max_position_embeddings``.

    Raises:
        ValueError: if it is neither.
    """
    if size in SIZES:
        return dict(SIZES[size])
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if found is None or int(found[2]) % HEAD:
        raise ValueError(
            f"size must be one of {', '.join(SIZES)}, or layers x width with a width in multiples "
            f"of {HEAD}, such as 3x64; got {size!r}"
        )
    layers, width = int(found[1]), int(found[2])
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD,
        "max_position_embeddings": LINE,
    }


class M6RecConfig(PreTrainedConfig):
    """Everything that fixes the model; ``M6RecConfig.of_size`` fills it in from a name.

    The fields carry the names that ``transformers`` and ``peft`` know them by.

    Args:
        vocab_size: number of tokens.
        hidden_size: of the vector of each position.
        num_hidden_layers: blocks.
        num_attention_heads: attentions side by side; must divide ``hidden_size``.
        intermediate_size: inside the feed-forward nets; None is 4 * ``hidden_size``.
        max_position_embeddings: tokens that pretraining reads at once. Learned positions end
            there; rotary ones do not, but nothing beyond was practised.
        positions: ``"rotary"`` (queries and keys are turned) or ``"learned"`` (a vector each).
            Which of the two the paper uses is not known.
        rotary_base: of rotary positions.
        dropout: share set to 0 while training. Pretraining sees little text twice and needs none.
        activation: of the feed-forward nets, see ``TransformerConfig``.
        initializer_range: standard deviation of the weights at the start.
        pad_token_id: ``[PAD]``, which fills up rows.
        user_start_token_id: ``[BOS']``, which opens the user region.
        user_end_token_id: ``[EOS']``, which closes it.
        bos_token_id: ``[BOS]``, which opens the region that is written.
        eos_token_id: ``[EOS]``, which closes it: ``generate`` stops there.
        mask_token_id: ``[MASK]``, which stands for what was taken out.
        tokenizer: fingerprint of the tokenizer; another one is refused (``check_tokenizer``).

    Raises:
        ValueError: on a shape that does not fit together; each says what would do.
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
    activation: str = "gelu"
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
        self.blocks()  # refuses a shape that does not fit together

    def blocks(self) -> TransformerConfig:
        """The shape of the blocks, as ``nn.transformer`` wants it."""
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
        """The configuration of a named size for a tokenizer.

        Args:
            size: see ``shape_of``.
            tokenizer: its vocabulary, special tokens and fingerprint enter.
            changes: fields that shall differ.

        Raises:
            ValueError: if there is no such size.
        """
        given = {
            "vocab_size": tokenizer.vocab_size,
            "pad_token_id": tokenizer.id("[PAD]"),
            "user_start_token_id": tokenizer.id("[BOS']"),
            "user_end_token_id": tokenizer.id("[EOS']"),
            "bos_token_id": tokenizer.id("[BOS]"),
            "eos_token_id": tokenizer.id("[EOS]"),
            "mask_token_id": tokenizer.id("[MASK]"),
            "tokenizer": tokenizer.fingerprint,
        }
        return cls(**(shape_of(size) | given | changes))

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
