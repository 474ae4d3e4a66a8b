"""GPT: a causal Transformer that predicts the next token of a text.

The architecture is exactly GPT-2's: layer norms before each branch (pre-norm), learned position
embeddings, the tanh approximation of GELU, and input and output embeddings that share one table.
Weights of any GPT-2 can be loaded, and ``transformers`` loads what is saved here.

Source: Radford et al., *Improving language understanding by generative pre-training*, 2018, and
*Language models are unsupervised multitask learners*, 2019 (GPT-2), section 2.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.language.models import transformers_format
from m6rec_lite.language.models.language_model import (
    Activation,
    LanguageModel,
    LanguageModelConfig,
)
from m6rec_lite.nn.cache import Cache
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.transformer import Transformer


@dataclass(frozen=True)
class GPTConfig(LanguageModelConfig):
    """Shape and dropout of a GPT: the defaults of GPT-2 in a small size.

    Raises:
        ValueError: if a value is out of range; the message names the range.
    """

    activation: Activation = "gelu_tanh"


class GPT(LanguageModel):
    """Token and position embeddings, causal Transformer blocks, and tied output embeddings.

    Args:
        config: shape and dropout.
        generator: source of the initial weights; torch's global generator by default.
    """

    config_class = GPTConfig
    format = transformers_format.GPT2

    def __init__(self, config: GPTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.transformer = Transformer(config.blocks())
        # As published: a standard deviation of 0.02, divided by sqrt(2 n) in the last layer of each
        # of the 2 n branches, so that the variance of their sum does not grow with the depth.
        nn.init.normal_(self.tokens.weight, std=0.02, generator=generator)
        nn.init.normal_(self.positions.weight, std=0.02, generator=generator)
        for name, module in self.transformer.named_modules():
            if isinstance(module, nn.Linear):
                ends_branch = name.endswith((".out", ".down_proj"))
                std = 0.02 / math.sqrt(2 * config.num_hidden_layers) if ends_branch else 0.02
                nn.init.normal_(module.weight, std=std, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(
        self,
        ids: Tensor,
        *,
        packing: Packing | None = None,
        cache: Cache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Compute the hidden state of each position from the tokens up to it.

        Args:
            ids: token ids, ``(batch, time)``, or ``(tokens,)`` with a packing.
            packing: row lengths when ``ids`` holds several rows one after the other; attention
                does not cross rows.
            cache: keys and values of the tokens before ``ids``; those of ``ids`` are appended.
            mask: ``(batch, past + time)``, True or 1 for tokens and False or 0 for padding, as
                ``attention_mask`` in ``transformers``. States at padding are undefined.
            positions: position indices, same shape as ``ids``; by default they count the tokens of
                each row without padding, starting after the cached tokens.

        Returns:
            Hidden states, ``(batch, time, hidden_size)`` or ``(tokens, hidden_size)``.

        Raises:
            ValueError: if an id is outside the vocabulary, or a row is longer than the context.
        """
        past = 0 if cache is None else cache.get_seq_length()
        if positions is None:
            position_vectors = self._positions(ids, packing, past, mask)  # (…, hidden_size)
        else:
            position_vectors = self.positions(positions)
        try:
            x = self.tokens(ids) + position_vectors
        except IndexError as error:
            raise ValueError(
                f"ids must be from 0 to {self.config.vocab_size - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}: they are of another tokenizer"
            ) from error
        keys = None if mask is None else mask.bool()[:, None, None, :]  # (batch, 1, 1, past + time)
        return self.transformer(self.dropout(x), keys, causal=True, packing=packing, cache=cache)

    def _positions(
        self, ids: Tensor, packing: Packing | None, past: int, mask: Tensor | None
    ) -> Tensor:
        """Return the vectors of positions 0, 1, 2, ... in each row."""
        time = past + ids.shape[-1] if packing is None else packing.groups[0].time
        if time > self.context and mask is None:
            raise ValueError(
                f"a text of {time} tokens is longer than the context of {self.context}: cut it, at "
                "its start where the latest matters most"
            )
        if packing is not None:
            return F.embedding(packing.positions, self.positions.weight)
        if mask is not None:
            return self.positions((mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, past:])
        return self.positions.weight[past:time]

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute next-token logits: ``(..., hidden_size)`` to ``(..., vocab_size)``."""
        return hidden @ self.tokens.weight.t()

    def loss(self, ids: Tensor, targets: Tensor, packing: Packing | None = None) -> Tensor:
        """Compute the mean cross-entropy of the next token in nats; its ``exp`` is the perplexity.

        Args:
            ids: token ids, ``(tokens,)`` with a packing, or ``(batch, time)``.
            targets: the next token's id at each position, same shape as ``ids``; negative values
                are ignored.
            packing: see ``forward``.

        Returns:
            A scalar.

        Raises:
            ValueError: if all targets are ignored; else as in ``forward``.
        """
        hidden, targets = self(ids, packing=packing).flatten(0, -2), targets.flatten()
        has_target = targets >= 0
        if not bool(has_target.all()):
            hidden, targets = hidden[has_target], targets[has_target]
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
        """Compute next-token logits and extend the cache; implements ``nn.decoding.Step``."""
        hidden = self(ids, cache=cache, mask=mask, positions=positions)
        return self.logits(hidden[:, -1] if last else hidden)
