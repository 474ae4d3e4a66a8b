"""The Transformer: blocks of attention and a feed-forward net, each added to what came in.

Source: Vaswani et al., *Attention is all you need*, 2017 (norm behind each branch, "post-norm");
Xiong et al., *On layer normalization in the Transformer architecture*, 2020 (norm before each
branch, "pre-norm", which trains without warm-up).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.nn.attention import FULL, AttentionContext, MultiHeadAttention
from m6rec_lite.nn.cache import Cache
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import rotary_angles

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's: a formula without the erf
}


@dataclass(frozen=True)
class TransformerConfig:
    """Everything that fixes a Transformer's shape.

    Raises:
        ValueError: on a value out of range; each says what would do.
    """

    hidden_size: int = 64  # of the vector of each position
    n_layers: int = 2  # blocks
    n_heads: int = 1  # attentions side by side; must divide hidden_size
    ffn_size: int | None = None  # inside the feed-forward net; None is 4 * hidden_size
    activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu"  # of the feed-forward net
    dropout: float = 0.1  # share set to 0: attention weights, inside the net, what a branch adds
    norm_first: bool = True  # pre-norm; False is post-norm, as in 2017
    norm_eps: float = 1e-5  # keeps the norm's quotient finite
    bias: bool = True  # whether linear maps and norms add one
    rotary_base: float | None = None  # turn queries and keys by their position (10,000); None: no
    fused: bool = True  # torch's one kernel for attention; False: the formula, step by step
    ffn_dropout: float | None = None  # inside the net; None: as dropout (GPT-2 and BERT: 0)

    def __post_init__(self) -> None:
        for name in ("hidden_size", "n_layers", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.hidden_size % self.n_heads:
            fits = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            raise ValueError(
                f"hidden_size {self.hidden_size} cannot be split among {self.n_heads} heads; "
                f"numbers of heads that divide it are {fits}"
            )
        if self.ffn_size is not None and self.ffn_size < 1:
            raise ValueError(f"ffn_size must be at least 1, got {self.ffn_size!r}")
        for name in ("dropout", "ffn_dropout"):
            if not 0 <= (getattr(self, name) or 0.0) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, got {getattr(self, name)!r}"
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, got {self.activation!r}"
            )
        if self.rotary_base is not None and self.head_dim % 2:
            raise ValueError(
                f"rotary positions turn pairs: hidden_size / n_heads must be even, got "
                f"{self.hidden_size} / {self.n_heads} = {self.head_dim}"
            )

    @property
    def head_dim(self) -> int:
        """Dimensions of each head."""
        return self.hidden_size // self.n_heads


class Block(nn.Module):
    """Attention, then a feed-forward net, each behind or before a layer norm, each added.

    Equal to torch's ``TransformerEncoderLayer`` on the same weights (``load_torch``).

    Args:
        config: shape and dropout.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d, inside = config.hidden_size, config.ffn_size or 4 * config.hidden_size
        self.config = config
        self.attention = MultiHeadAttention(
            d, config.n_heads, dropout=config.dropout, bias=config.bias, fused=config.fused
        )
        self.up_proj = nn.Linear(d, inside, bias=config.bias)
        self.down_proj = nn.Linear(inside, d, bias=config.bias)
        self.norm_attention = nn.LayerNorm(d, config.norm_eps, bias=config.bias)
        self.norm_ffn = nn.LayerNorm(d, config.norm_eps, bias=config.bias)
        self.dropout = Dropout(config.dropout)
        inner = config.dropout if config.ffn_dropout is None else config.ffn_dropout
        self.dropout_ffn = Dropout(inner)

    def forward(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """``(batch, time, hidden_size)`` to the same; arguments as of ``MultiHeadAttention``."""
        if self.config.norm_first:
            x = x + self.dropout(self.attention(self.norm_attention(x), context))
            return x + self.dropout(self.ffn(self.norm_ffn(x)))
        x = self.norm_attention(x + self.dropout(self.attention(x, context)))
        return self.norm_ffn(x + self.dropout(self.ffn(x)))

    def ffn(self, x: Tensor) -> Tensor:
        """The feed-forward net: up to ``ffn_size``, activation, down; each position by itself."""
        return self.down_proj(
            self.dropout_ffn(ACTIVATIONS[self.config.activation](self.up_proj(x)))
        )

    @torch.no_grad()
    def load_torch(self, layer: nn.TransformerEncoderLayer) -> Block:
        """Take over the weights of torch's layer; returns the block itself."""
        pairs = [
            (self.attention.qkv.weight, layer.self_attn.in_proj_weight),
            (self.attention.qkv.bias, layer.self_attn.in_proj_bias),
            (self.attention.out.weight, layer.self_attn.out_proj.weight),
            (self.attention.out.bias, layer.self_attn.out_proj.bias),
        ]
        for ours, theirs in (
            (self.up_proj, layer.linear1),
            (self.down_proj, layer.linear2),
            (self.norm_attention, layer.norm1),
            (self.norm_ffn, layer.norm2),
        ):
            pairs += [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]
        for mine, given in pairs:
            if (mine is None) != (given is None):
                raise ValueError("one layer has biases and the other has none: set bias alike")
            if mine is not None:
                if mine.shape != given.shape:
                    raise ValueError(f"torch's layer has {given.shape} where this has {mine.shape}")
                mine.copy_(given)
        return self


class Transformer(nn.Module):
    """Blocks one upon another; pre-norm ends in one more norm.

    Args:
        config: shape and dropout.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        last = nn.LayerNorm(config.hidden_size, config.norm_eps, bias=config.bias)
        self.norm = last if config.norm_first else nn.Identity()

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        bias: Tensor | None = None,
        positions: Tensor | None = None,
        packing: Packing | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Run all blocks.

        Args:
            x: ``(batch, time, hidden_size)``, or ``(tokens, hidden_size)`` with a packing.
            mask: True where a query may look (``nn.attention``).
            causal: look at no later position.
            bias: added to every layer's scores.
            positions: ``(time,)``, ``(batch, time)`` or, packed, ``(tokens,)``, for rotary
                positions; by default 0, 1, 2, ..., behind what the cache holds (packed: the
                steps back, negative).
            packing: how ragged rows lie in x.
            cache: what was read before x; x is added to it.

        Returns:
            The shape of x.

        Raises:
            ValueError: if x is not of ``hidden_size``.
        """
        if x.shape[-1] != self.config.hidden_size:
            raise ValueError(
                f"x has {x.shape[-1]} dimensions a position, wanted hidden_size "
                f"{self.config.hidden_size}"
            )
        rotary = None
        if self.config.rotary_base is not None:
            if positions is None and packing is not None:
                positions = -packing.steps_back
            elif positions is None:
                past = 0 if cache is None else cache.get_seq_length()
                positions = torch.arange(past, past + x.shape[-2], device=x.device)
            rotary = rotary_angles(positions, self.config.head_dim, base=self.config.rotary_base)
        context = AttentionContext(mask, causal, bias, rotary, packing, cache)
        for layer, block in enumerate(self.blocks):
            x = block(x, replace(context, layer=layer))
        return self.norm(x)
