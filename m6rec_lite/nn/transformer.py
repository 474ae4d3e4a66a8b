"""The Transformer: blocks of attention and a feed-forward network with residual connections.

Source: Vaswani et al., *Attention is all you need*, 2017 (norm after each branch, "post-norm");
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
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2: an approximation without erf
}


@dataclass(frozen=True)
class TransformerConfig:
    """Settings of a Transformer.

    Raises:
        ValueError: if a value is out of range.
    """

    hidden_size: int = 64  # length of the vector of each position
    n_layers: int = 2  # number of blocks
    n_heads: int = 1  # attention heads; must divide hidden_size
    ffn_size: int | None = None  # hidden size of the feed-forward network; None: 4 * hidden_size
    activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu"  # of the feed-forward network
    dropout: float = 0.1  # rate for attention weights, feed-forward hidden layer, branch outputs
    norm_first: bool = True  # pre-norm; False is post-norm, as in 2017
    norm_eps: float = 1e-5  # prevents division by zero in the norms
    bias: bool = True  # whether linear maps and norms have a bias
    rotary_base: float | None = None  # base of rotary positions (10,000); None: none are used
    fused: bool = True  # torch's fused attention kernel; False: the formula, step by step
    ffn_dropout: float | None = None  # in the hidden layer; None: as dropout (GPT-2 and BERT: 0)

    def __post_init__(self) -> None:
        for name in ("hidden_size", "n_layers", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.hidden_size % self.n_heads:
            divisors = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            raise ValueError(
                f"hidden_size {self.hidden_size} cannot be split among {self.n_heads} heads; "
                f"numbers of heads that divide it are {divisors}"
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
                f"rotary positions rotate pairs: hidden_size / n_heads must be even, got "
                f"{self.hidden_size} / {self.n_heads} = {self.head_dim}"
            )

    @property
    def head_dim(self) -> int:
        """Number of dimensions of each head."""
        return self.hidden_size // self.n_heads


class Block(nn.Module):
    """Attention and a feed-forward network, each with a layer norm and a residual connection.

    Equal to torch's ``TransformerEncoderLayer`` on the same weights (``load_torch``).

    Args:
        config: sizes and dropout.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d, ffn_size = config.hidden_size, config.ffn_size or 4 * config.hidden_size
        self.config = config
        self.attention = MultiHeadAttention(
            d, config.n_heads, dropout=config.dropout, bias=config.bias, fused=config.fused
        )
        self.up_proj = nn.Linear(d, ffn_size, bias=config.bias)
        self.down_proj = nn.Linear(ffn_size, d, bias=config.bias)
        self.norm_attention = nn.LayerNorm(d, config.norm_eps, bias=config.bias)
        self.norm_ffn = nn.LayerNorm(d, config.norm_eps, bias=config.bias)
        self.dropout = Dropout(config.dropout)
        self.dropout_ffn = Dropout(
            config.dropout if config.ffn_dropout is None else config.ffn_dropout
        )

    def forward(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """Apply the block; arguments and result as in ``MultiHeadAttention.forward``."""
        if self.config.norm_first:
            x = x + self.dropout(self.attention(self.norm_attention(x), context))
            return x + self.dropout(self.ffn(self.norm_ffn(x)))
        x = self.norm_attention(x + self.dropout(self.attention(x, context)))
        return self.norm_ffn(x + self.dropout(self.ffn(x)))

    def ffn(self, x: Tensor) -> Tensor:
        """Apply the feed-forward network to each position separately."""
        return self.down_proj(
            self.dropout_ffn(ACTIVATIONS[self.config.activation](self.up_proj(x)))
        )

    @torch.no_grad()
    def load_torch(self, layer: nn.TransformerEncoderLayer) -> Block:
        """Copy the weights of torch's layer and return the block."""
        pairs: list[tuple[Tensor | None, Tensor | None]] = [
            (self.attention.qkv.weight, layer.self_attn.in_proj_weight),
            (self.attention.qkv.bias, layer.self_attn.in_proj_bias),
            (self.attention.out.weight, layer.self_attn.out_proj.weight),
            (self.attention.out.bias, layer.self_attn.out_proj.bias),
        ]
        for module, source_module in (
            (self.up_proj, layer.linear1),
            (self.down_proj, layer.linear2),
            (self.norm_attention, layer.norm1),
            (self.norm_ffn, layer.norm2),
        ):
            pairs += [
                (module.weight, source_module.weight),
                (module.bias, source_module.bias),
            ]
        for weight, source in pairs:
            if (weight is None) != (source is None):
                raise ValueError("one layer has biases and the other has none: use the same bias=")
            if weight is not None and source is not None:
                if weight.shape != source.shape:
                    raise ValueError(
                        f"torch's layer has {source.shape} where this has {weight.shape}"
                    )
                weight.copy_(source)
        return self


class Transformer(nn.Module):
    """A stack of blocks; with pre-norm, a final norm follows.

    Args:
        config: sizes and dropout.
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
            mask: True where a query may attend (``nn.attention``).
            causal: attend to no later position.
            bias: added to the scores of every layer.
            positions: ``(time,)``, ``(batch, time)`` or, packed, ``(tokens,)``, for rotary
                positions; by default 0, 1, 2, ... after the cached positions (packed: minus the
                distance from the end of the row).
            packing: layout of rows of different lengths in x.
            cache: keys and values of the earlier tokens; those of x are added.

        Returns:
            The shape of x.

        Raises:
            ValueError: if the last dimension of x is not ``hidden_size``.
        """
        if x.shape[-1] != self.config.hidden_size:
            raise ValueError(
                f"x has {x.shape[-1]} dimensions per position, expected hidden_size "
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
