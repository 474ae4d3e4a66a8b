"""GPT: a Transformer that reads a text from left to right and foresees each next token.

It is chapter 10's Transformer, causal, over tokens instead of items. Here it is GPT-2 to the
letter: norms before each branch, learned positions, GELU in its tanh form, and one table of
embeddings that is read at the entry and scored with at the exit. So it can take over the weights of
any GPT-2, and ``transformers`` opens what was trained here (``gpt_format``).

Source: Radford et al., *Improving language understanding by generative pre-training*, 2018, and
*Language models are unsupervised multitask learners*, 2019 (GPT-2), section 2.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.language.models.model_folder import ModelOnDisk
from m6rec_lite.nn.cache import Cache
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class GPTConfig:
    """Everything that fixes a GPT's shape.

    Raises:
        ValueError: on a value out of range; each says what would do.
    """

    vocab_size: int  # tokens, special ones included
    context: int = 256  # positions: tokens that are read at most
    hidden_size: int = 128  # of the vector of each position
    n_layers: int = 4  # blocks
    n_heads: int = 4  # attentions side by side; must divide hidden_size
    ffn_size: int | None = None  # inside the feed-forward nets; None is 4 * hidden_size
    activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu_tanh"  # of those nets
    dropout: float = 0.1  # share set to 0 while training
    norm_eps: float = 1e-5  # keeps the norms' quotients finite
    tokenizer: str | None = None  # fingerprint of the tokenizer whose ids these are

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context"):
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
            norm_eps=self.norm_eps,
            ffn_dropout=0.0,  # GPT-2 has none there
        )


class GPT(ModelOnDisk, nn.Module):
    """Embeddings of tokens plus those of positions, causal blocks, and the embeddings again.

    Args:
        config: shape and dropout.
        generator: where the first weights come from; torch's own by default.
    """

    format = "m6rec_lite.language.models.gpt_format"

    def __init__(self, config: GPTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = LearnedPositions(config.context, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config.blocks())
        # As published: small weights, smaller still where a branch is added to what came in. Each
        # of the 2 n branches adds its own variance; so the sum stays as large as one of them.
        nn.init.normal_(self.tokens.weight, std=0.02, generator=generator)
        nn.init.normal_(self.positions.weight, std=0.02, generator=generator)
        for name, module in self.transformer.named_modules():
            if isinstance(module, nn.Linear):
                ends_branch = name.endswith((".out", ".down_proj"))
                std = 0.02 / math.sqrt(2 * config.n_layers) if ends_branch else 0.02
                nn.init.normal_(module.weight, std=std, generator=generator)
                nn.init.zeros_(module.bias)

    @property
    def context(self) -> int:
        """Tokens that can be read at most."""
        return self.config.context

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.tokens.weight.device

    def forward(
        self,
        ids: Tensor,
        *,
        packing: Packing | None = None,
        cache: Cache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """What each position knows of the text up to it, from which the next token is foreseen.

        Args:
            ids: ``(batch, time)``, or ``(tokens,)`` with a packing.
            packing: how ragged rows lie in ``ids``; a row sees nothing but itself.
            cache: what was read before ``ids``, which are added to it.
            mask: ``(batch, past + time)``, True or 1 for tokens and False or 0 for padding, as
                ``transformers``' ``attention_mask``. States of padding mean nothing.
            positions: shape of ``ids``; by default each row counts its tokens, padding left out,
                behind what the cache holds.

        Returns:
            The states, ``(batch, time, hidden_size)`` or ``(tokens, hidden_size)``.

        Raises:
            ValueError: if an id is none of the vocabulary's, or a row is longer than the context.
        """
        past = 0 if cache is None else cache.get_seq_length()
        if positions is None:
            where = self._positions(ids, packing, past, mask)  # (…, hidden_size)
        else:
            where = self.positions(positions)
        try:
            x = self.tokens(ids) + where
        except IndexError as error:
            raise ValueError(
                f"ids must be from 0 to {self.config.vocab_size - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}: they are of another tokenizer"
            ) from error
        seen = None if mask is None else mask.bool()[:, None, None, :]  # (batch, 1, 1, past + time)
        return self.transformer(self.dropout(x), seen, causal=True, packing=packing, cache=cache)

    def _positions(
        self, ids: Tensor, packing: Packing | None, past: int, mask: Tensor | None
    ) -> Tensor:
        """The vectors of 0, 1, 2, ... in each row."""
        time = past + ids.shape[-1] if packing is None else packing.groups[0].time
        if time > self.context and mask is None:
            raise ValueError(
                f"a text of {time} tokens is longer than the context of {self.context}: cut it, at "
                "its start where the latest matters most"
            )
        if packing is not None:
            ends = packing.lengths.repeat_interleave(packing.lengths)
            return F.embedding(ends - 1 - packing.steps_back, self.positions.weight)
        if mask is not None:
            return self.positions((mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, past:])
        return self.positions.weight[past:time]

    def logits(self, hidden: Tensor) -> Tensor:
        """A score for each token to come next: ``(..., hidden_size)`` to ``(..., vocab_size)``."""
        return hidden @ self.tokens.weight.t()

    def loss(self, ids: Tensor, targets: Tensor, packing: Packing | None = None) -> Tensor:
        """Mean cross-entropy of the next token in nats; ``exp`` of it is the perplexity.

        Args:
            ids: ``(tokens,)`` with a packing, or ``(batch, time)``.
            targets: shape of ``ids``: the token that follows; below 0 where none is asked for.
            packing: how ragged rows lie in ``ids``.

        Returns:
            A scalar.

        Raises:
            ValueError: if nothing is asked for, and as ``forward``.
        """
        hidden, targets = self(ids, packing=packing).flatten(0, -2), targets.flatten()
        asked = targets >= 0
        if not bool(asked.all()):
            hidden, targets = hidden[asked], targets[asked]
        return linear_cross_entropy(hidden, self.tokens.weight, targets)

    def step(
        self,
        ids: Tensor,
        cache: Cache,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        last: bool = True,
    ) -> Tensor:
        """Read on and say what comes next: what ``nn.sampling`` asks of a model (``Step``)."""
        hidden = self(ids, cache=cache, mask=mask, positions=positions)
        return self.logits(hidden[:, -1] if last else hidden)
