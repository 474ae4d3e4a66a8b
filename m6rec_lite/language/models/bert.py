"""BERT: a bidirectional Transformer that predicts masked tokens.

Source: Devlin et al., *BERT: Pre-training of deep bidirectional transformers for language
understanding*, 2019. Layer norms follow each branch (post-norm). With the same weights it computes
the logits of ``BertForMaskedLM`` of ``transformers``, whose format it reads and writes.

Next-sentence prediction is left out: models trained without it are as good or better (Liu et al.,
*RoBERTa*, 2019, section 4.2). Segment embeddings are kept, so that published weights can be loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from m6rec_lite.language.models import transformers_format
from m6rec_lite.language.models.language_model import LanguageModel, LanguageModelConfig
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.transformer import ACTIVATIONS, Transformer

#: Target of positions without a loss: the ``ignore_index`` of torch's ``cross_entropy``.
IGNORED = -100

#: Of the tokens chosen as targets: shares masked, replaced by a random token, left unchanged.
SHARES: tuple[float, float, float] = (0.8, 0.1, 0.1)


def mask_tokens(
    ids: Tensor,
    tokenizer: Tokenizer,
    *,
    rate: float = 0.15,
    shares: Sequence[float] = SHARES,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mask random tokens for masked language modelling.

    Each token that is not special is chosen with probability ``rate``. Of the chosen tokens 80 %
    become ``[MASK]``, 10 % a random ordinary token, and 10 % stay unchanged: ``[MASK]`` does not
    occur in later inputs, so the model must also represent unmasked tokens, any of which may be
    wrong (section 3.1, appendix A.1).

    Args:
        ids: token ids, any shape, int64; not modified.
        tokenizer: the tokenizer of the ids.
        rate: probability that a token is chosen, from 0 to 1.
        shares: of masked, replaced and unchanged tokens among the chosen; they sum to 1.
        generator: source of randomness, on the device of ``ids``.

    Returns:
        The model's input ids, and the targets: the original id where a token was chosen, else
        ``IGNORED``. Both have the shape of ``ids``.

    Raises:
        ValueError: if the rate or the shares are out of range, or an id is outside the vocabulary.
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
    device = ids.device
    chosen = torch.rand(ids.shape, generator=generator, device=device) < rate
    chosen &= ids >= first
    u = torch.rand(ids.shape, generator=generator, device=device)  # decides among the shares
    random_ids = torch.randint(
        first, tokenizer.vocab_size, ids.shape, generator=generator, device=device
    )
    masked, replaced, _ = shares
    inputs = ids.masked_fill(chosen & (u < masked), tokenizer.id("[MASK]"))
    inputs = torch.where(chosen & (masked <= u) & (u < masked + replaced), random_ids, inputs)
    return inputs, ids.masked_fill(~chosen, IGNORED)


@dataclass(frozen=True)
class BERTConfig(LanguageModelConfig):
    """Shape and dropout of a BERT.

    Raises:
        ValueError: if a value is out of range; the message names the range.
    """

    norm_eps: float = 1e-12
    n_segments: int = 2  # kinds of sentence: first and second of a pair
    pad: int | None = 0  # id of the padding token

    norm_first: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_at_least_one("n_segments")
        super().__post_init__()


class BERT(LanguageModel):
    """Embeddings, bidirectional Transformer blocks, and a head that predicts masked tokens.

    Input and output embeddings of tokens are tied. Weights are initialised as published: normal
    with a standard deviation of 0.02, biases 0.

    Args:
        config: shape and dropout.
        generator: source of the initial weights; torch's global generator by default.
    """

    config_class = BERTConfig
    format = transformers_format.BERT

    def __init__(self, config: BERTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.segments = nn.Embedding(config.n_segments, d)
        self.norm = nn.LayerNorm(d, config.norm_eps)
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
        """Compute the hidden state of each position from all tokens of its row.

        Args:
            ids: token ids, ``(batch, time)``, or ``(tokens,)`` with a packing.
            packing: row lengths when ``ids`` holds several rows one after the other; attention
                does not cross rows.
            mask: ``(batch, time)``, True or 1 for tokens and False or 0 for padding, as
                ``attention_mask`` in ``transformers``. States at padding are undefined.
            segments: from 0 to ``n_segments - 1``, same shape as ``ids``; 0 by default.
            positions: position indices, same shape as ``ids``; by default they count from 0 in
                each row.

        Returns:
            Hidden states, ``(batch, time, hidden_size)`` or ``(tokens, hidden_size)``.

        Raises:
            ValueError: if an id is outside the vocabulary, or a row is longer than the context.
        """
        _check_ids(ids, self.config.vocab_size)
        if positions is None:
            time = torch.arange(ids.shape[-1], device=ids.device)
            positions = time if packing is None else packing.positions
        if segments is None:
            segments = torch.zeros_like(ids)
        x = self.tokens(ids) + self.positions(positions) + self.segments(segments)
        keys = None if mask is None else mask.bool()[:, None, None, :]  # (batch, 1, 1, time)
        return self.transformer(self.dropout(self.norm(x)), keys, packing=packing)

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute token logits: ``(..., hidden_size)`` to ``(..., vocab_size)``."""
        return self.head(hidden) @ self.tokens.weight.t() + self.bias

    def head(self, hidden: Tensor) -> Tensor:
        """Transform hidden states for comparison with token embeddings; the shape is kept."""
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
        """Compute the mean cross-entropy of the masked tokens in nats.

        Args:
            ids: inputs from ``mask_tokens``, ``(tokens,)`` with a packing or ``(batch, time)``.
            targets: original ids, same shape as ``ids``; ``IGNORED`` elsewhere.
            packing: see ``forward``.
            mask: see ``forward``.
            segments: see ``forward``.

        Returns:
            A scalar.

        Raises:
            ValueError: if all targets are ``IGNORED``.
        """
        has_target = targets != IGNORED
        if not bool(has_target.any()):
            raise ValueError(
                f"no target among {targets.numel()} tokens: raise the rate of mask_tokens, or "
                "give a larger batch"
            )
        hidden = self(ids, packing=packing, mask=mask, segments=segments)
        states = self.head(hidden[has_target])  # (targets, hidden_size): others have no loss
        targets = targets[has_target]
        return linear_cross_entropy(states, self.tokens.weight, targets, bias=self.bias)


def _check_ids(ids: Tensor, vocab_size: int) -> None:
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(
            f"ids must be from 0 to {vocab_size - 1}, got {int(ids.min())} to {int(ids.max())}: "
            "they are another tokenizer's"
        )
