"""BERT: a Transformer that reads a text both ways and guesses the tokens hidden from it.

Source: Devlin et al., *BERT: Pre-training of deep bidirectional transformers for language
understanding*, 2019. Norms stand behind each branch (post-norm). On the same weights it gives the
logits of ``transformers``' ``BertForMaskedLM``, whose format it reads and writes.

Its second task, to tell whether one sentence follows another, is left out: models trained without
it do as well or better (Liu et al., *RoBERTa*, 2019, section 4.2). Segments stay, so that weights
trained with them can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from m6rec_lite.language.models.model_folder import ModelOnDisk
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import ACTIVATIONS, Transformer, TransformerConfig

#: The target of a token that is not asked for, as torch's ``cross_entropy`` ignores it.
IGNORED = -100

#: Of the tokens asked for: hidden behind the mask, replaced by a random token, left as they are.
SHARES: tuple[float, float, float] = (0.8, 0.1, 0.1)


def mask_tokens(
    ids: Tensor,
    tokenizer: Tokenizer,
    *,
    rate: float = 0.15,
    shares: Sequence[float] = SHARES,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Hide some tokens, to be guessed from the others.

    Each token that is not special is chosen with chance ``rate``. Of those chosen 80 % become
    ``[MASK]``, 10 % a random ordinary token, 10 % stay. Were all hidden behind ``[MASK]``, a model
    would have to say something of that token only, which no text to be read later holds; a token
    that may be wrong, or right, keeps it from trusting what it sees (section 3.1, appendix A.1).

    Args:
        ids: any shape, int64.
        tokenizer: whose ids they are; it tells special tokens from others.
        rate: chance of being chosen, from 0 to 1.
        shares: of masked, replaced and kept among the chosen; they add up to 1.
        generator: where chance comes from, on the device of ``ids``.

    Returns:
        The ids that the model reads, and its targets: the id where one was chosen, else
        ``IGNORED``. Both of the shape of ``ids``, which is left as it is.

    Raises:
        ValueError: if the rate or the shares are out of range, or an id is none of the
            tokenizer's.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1, got {rate!r}: 0.15 hides 15 tokens in 100")
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            "shares must be three numbers of at least 0 that add up to 1 (masked, replaced, kept), "
            f"got {tuple(shares)}"
        )
    _check_ids(ids, tokenizer.vocab_size)
    first = len(SPECIALS)  # special tokens have the first ids
    draw = {"generator": generator, "device": ids.device}
    chosen = (torch.rand(ids.shape, **draw) < rate) & (ids >= first)
    lot = torch.rand(ids.shape, **draw)
    other = torch.randint(first, tokenizer.vocab_size, ids.shape, **draw)
    masked, replaced, _ = shares
    read = ids.masked_fill(chosen & (lot < masked), tokenizer.id("[MASK]"))
    read = torch.where(chosen & (masked <= lot) & (lot < masked + replaced), other, read)
    return read, ids.masked_fill(~chosen, IGNORED)


@dataclass(frozen=True)
class BERTConfig:
    """Everything that fixes a BERT's shape.

    Raises:
        ValueError: on a value out of range; each says what would do.
    """

    vocab_size: int  # tokens, special ones included
    context: int = 256  # positions: tokens that are read at most
    hidden_size: int = 128  # of the vector of each position
    n_layers: int = 4  # blocks
    n_heads: int = 4  # attentions side by side; must divide hidden_size
    ffn_size: int | None = None  # inside the feed-forward nets; None is 4 * hidden_size
    activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu"  # of those nets and of the head
    dropout: float = 0.1  # share set to 0 while training
    n_segments: int = 2  # kinds of sentence: first and second of a pair
    norm_eps: float = 1e-12  # keeps the norms' quotients finite
    pad: int | None = 0  # id of the token that fills rows up
    tokenizer: str | None = None  # fingerprint of the tokenizer whose ids these are

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "n_segments"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        self.blocks()  # refuses what does not fit, such as heads that do not divide the size

    def blocks(self) -> TransformerConfig:
        """Of the blocks."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            ffn_size=self.ffn_size,
            activation=self.activation,
            dropout=self.dropout,
            norm_first=False,
            norm_eps=self.norm_eps,
            ffn_dropout=0.0,  # BERT has none there
        )


class BERT(ModelOnDisk, nn.Module):
    """Embeddings, blocks that look both ways, and a head that names the hidden tokens.

    The embeddings of tokens are read at the entry and scored with at the exit (tied). Weights start
    as published: normal with a deviation of .02, biases 0.

    Args:
        config: shape and dropout.
        generator: where the first weights come from; torch's own by default.
    """

    format = "m6rec_lite.language.models.bert_format"

    def __init__(self, config: BERTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        d = config.hidden_size
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, d)
        self.positions = LearnedPositions(config.context, d)
        self.segments = nn.Embedding(config.n_segments, d)
        self.norm = nn.LayerNorm(d, config.norm_eps)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config.blocks())
        self.dense = nn.Linear(d, d)
        self.norm_head = nn.LayerNorm(d, config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.positions.weight, std=0.02, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(
        self,
        ids: Tensor,
        *,
        packing: Packing | None = None,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """What each token means among the others.

        Args:
            ids: ``(batch, time)``, or ``(tokens,)`` with a packing.
            packing: how ragged rows lie in ``ids``; a row sees nothing but itself.
            mask: ``(batch, time)``, True or 1 for tokens and False or 0 for padding, as
                ``transformers``' ``attention_mask``. States of padding mean nothing.
            segments: shape of ``ids``, from 0 to ``n_segments - 1``; 0 by default.
            positions: shape of ``ids``; by default each row counts from 0.

        Returns:
            The states, ``(batch, time, hidden_size)`` or ``(tokens, hidden_size)``.

        Raises:
            ValueError: if an id is none of the vocabulary's, or a row longer than the context.
        """
        _check_ids(ids, self.config.vocab_size)
        if positions is None and packing is not None:
            lengths = packing.lengths.repeat_interleave(packing.lengths)
            positions = lengths - 1 - packing.steps_back
        elif positions is None:
            positions = torch.arange(ids.shape[-1], device=ids.device)
        if segments is None:
            segments = torch.zeros_like(ids)
        x = self.tokens(ids) + self.positions(positions) + self.segments(segments)
        seen = None if mask is None else mask.bool()[:, None, None, :]  # (batch, 1, 1, time)
        return self.transformer(self.dropout(self.norm(x)), seen, packing=packing)

    def logits(self, hidden: Tensor) -> Tensor:
        """A score for each token: ``(..., hidden_size)`` to ``(..., vocab_size)``."""
        return self.head(hidden) @ self.tokens.weight.t() + self.bias

    def head(self, hidden: Tensor) -> Tensor:
        """What is compared with the embeddings of tokens: the shape of ``hidden``."""
        return self.norm_head(ACTIVATIONS[self.config.activation](self.dense(hidden)))

    def loss(
        self,
        ids: Tensor,
        targets: Tensor,
        packing: Packing | None = None,
        *,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Mean cross-entropy in nats over the tokens that are asked for, and no others.

        Args:
            ids: as ``mask_tokens`` gives them, ``(tokens,)`` with a packing or ``(batch, time)``.
            targets: shape of ``ids``; ``IGNORED`` where nothing is asked.
            packing: see ``forward``, for the others too.
            mask: see there.
            segments: see there.

        Raises:
            ValueError: if nothing is asked.
        """
        asked = targets != IGNORED
        if not bool(asked.any()):
            raise ValueError(
                f"no target among {targets.numel()} tokens: raise the rate of mask_tokens, or "
                "give a larger batch"
            )
        hidden = self(ids, packing=packing, mask=mask, segments=segments)
        states = self.head(hidden[asked])  # (asked, hidden_size): the rest is never scored
        return linear_cross_entropy(states, self.tokens.weight, targets[asked], bias=self.bias)


def _check_ids(ids: Tensor, vocab_size: int) -> None:
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(
            f"ids must be from 0 to {vocab_size - 1}, got {int(ids.min())} to {int(ids.max())}: "
            "they are another tokenizer's"
        )
