"""Attention: each position computes a weighted mean of the values of other positions.

``scaled_dot_product_attention`` is the formula, written to be read; ``fused_attention`` computes
the same in one torch kernel, which avoids the ``(time, time)`` matrix where possible. A test
compares their outputs and gradients. Source: Vaswani et al., *Attention is all you need*, 2017,
section 3.2.

Masks are boolean; True marks a position that may be attended to (``nn.masks``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.nn.cache import Cache
from m6rec_lite.nn.dropout import dropout as random_dropout
from m6rec_lite.nn.masks import causal_mask, padding_mask
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import rotate


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute ``softmax(q k' / sqrt(d) + bias) v`` step by step (equation 1).

    Scores of float16 and bfloat16 inputs are computed in float32: a product of two vectors can
    exceed the largest float16 number, 65,504. A query that may attend to no key gets zeros.

    Args:
        q: ``(..., queries, d)``.
        k: ``(..., keys, d)``.
        v: ``(..., keys, d_v)``.
        mask: bool, True where a query may attend; broadcasts to ``(..., queries, keys)``.
        bias: added to the scores, such as a relative position bias; broadcasts likewise.
        dropout: dropout rate of the weights.

    Returns:
        The weighted means ``(..., queries, d_v)``, and the weights ``(..., queries, keys)``, whose
        rows sum to 1 before dropout, or to 0 if every key is masked.

    Raises:
        TypeError: if the mask is not bool.
    """
    _check_mask(mask)
    wide = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    if mask is not None:  # the lowest finite number: softmax of a row of -inf is NaN
        scores = scores.masked_fill(~mask, torch.finfo(wide).min)
    weights = torch.softmax(scores, dim=-1)  # over the keys: each query's weights sum to 1
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    weights = random_dropout(weights, dropout)
    return weights.to(v.dtype) @ v, weights


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Compute attention with ``torch.nn.functional.scaled_dot_product_attention``.

    The weights are not returned.

    Args:
        q: ``(batch, heads, queries, d)``.
        k: ``(batch, heads, keys, d)``.
        v: ``(batch, heads, keys, d_v)``.
        mask: as in ``scaled_dot_product_attention``.
        bias: as in ``scaled_dot_product_attention``.
        causal: attend to no later position; faster than the equivalent mask.
        dropout: as in ``scaled_dot_product_attention``.

    Returns:
        ``(batch, heads, queries, d_v)``.

    Raises:
        TypeError: if the mask is not bool.
    """
    _check_mask(mask)
    queries, keys = q.shape[-2], k.shape[-2]
    causal = causal and queries > 1  # a single query is the last position
    if causal and (mask is not None or bias is not None or queries != keys):
        lower = causal_mask(queries, past=keys - queries, device=q.device)
        mask, causal = lower if mask is None else mask & lower, False
    if mask is None and bias is None:
        if dropout and q.device.type == "cpu":
            return _attention_with_dropout(q, k, v, causal, dropout)
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout)
    attn_mask = mask
    if bias is not None:
        attn_mask = bias.to(q.dtype)
        if mask is not None:
            attn_mask = attn_mask.masked_fill(~mask, torch.finfo(q.dtype).min)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=dropout)
    if mask is None:
        return out
    return out.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def _attention_with_dropout(q: Tensor, k: Tensor, v: Tensor, causal: bool, p: float) -> Tensor:
    """Compute attention with dropout on a CPU, where torch's kernel has none and is slower.

    The causal mask is added by ``baddbmm``, in the same pass that computes the scores.
    """
    shape, (queries, keys) = q.shape[:-2], (q.shape[-2], k.shape[-2])
    q, k, v = (part.flatten(0, -3) for part in (q, k, v))  # (batch * heads, time, head_dim)
    offset = torch.zeros(queries, keys, dtype=q.dtype)
    if causal:
        offset = offset.masked_fill(~causal_mask(queries), -torch.inf)
    scores = torch.baddbmm(offset, q, k.transpose(1, 2), alpha=1 / math.sqrt(q.shape[-1]))
    weights = random_dropout(torch.softmax(scores, dim=-1), p)
    return torch.bmm(weights.to(v.dtype), v).unflatten(0, shape)


def _check_mask(mask: Tensor | None) -> None:
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(
            f"a mask must be bool, True where a query may attend, got {mask.dtype}: write "
            "mask.bool() (note that True means the opposite in torch's MultiheadAttention)"
        )


@dataclass(frozen=True, eq=False)
class AttentionContext:
    """Masks, biases, positions and cache of the attention layers, passed through the blocks.

    Attributes:
        mask: bool, True where a query may attend; broadcasts to ``(batch, 1, time, time)``,
            with a cache to ``(batch, 1, time, past + time)``.
        causal: attend to no later position.
        bias: added to the scores; broadcasts to ``(batch, heads, time, time)``.
        rotary: ``(..., time, head_dim / 2)`` angles, one row per position (``nn.positions``).
        packing: layout of the rows in x; each row then attends only to itself.
        cache: keys and values of earlier tokens; those of x are added.
        layer: index of the layer in the cache.
    """

    mask: Tensor | None = None
    causal: bool = False
    bias: Tensor | None = None
    rotary: Tensor | None = None
    packing: Packing | None = None
    cache: Cache | None = None
    layer: int = 0

    def __post_init__(self) -> None:
        others = (self.mask, self.bias, self.cache)
        if self.packing is not None and any(part is not None for part in others):
            raise ValueError(
                "a packing sets which positions attend to which: give no mask, no bias and no "
                "cache with it"
            )


#: Every position attends to every other.
FULL = AttentionContext()


class MultiHeadAttention(nn.Module):
    """Several attention heads in parallel, each on its own ``hidden_size / n_heads`` dimensions.

    Args:
        hidden_size: size of inputs and outputs.
        n_heads: number of heads; must divide ``hidden_size``.
        dropout: dropout rate of the attention weights, in training.
        bias: whether the linear maps have a bias.
        fused: use ``fused_attention``; else ``scaled_dot_product_attention``.

    Raises:
        ValueError: if ``n_heads`` does not divide ``hidden_size``.
    """

    def __init__(
        self,
        hidden_size: int,
        n_heads: int = 1,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if n_heads < 1 or hidden_size % n_heads:
            divisors = [n for n in range(1, max(hidden_size, 1) + 1) if hidden_size % n == 0]
            raise ValueError(
                f"hidden_size {hidden_size} cannot be split among {n_heads} heads; numbers of "
                f"heads that divide it are {divisors}"
            )
        self.hidden_size = hidden_size
        self.n_heads = n_heads
        self.dropout = dropout
        self.fused = fused
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.out = nn.Linear(hidden_size, hidden_size, bias=bias)

    def forward(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """Compute the attention output of each position.

        Args:
            x: ``(batch, time, hidden_size)``, or ``(tokens, hidden_size)`` with a packing.
            context: masks, biases, positions, cache.

        Returns:
            The shape of x.
        """
        qkv = self.split(x, context.rotary)  # (..., time, 3, heads, head_dim)
        packing = context.packing
        if packing is None:
            return self.out(self._attend(qkv, context).flatten(-2))
        parts = []
        for group, padded in zip(packing.groups, packing.pad(qkv), strict=True):
            full = context.causal or group.full
            mask = None if full else padding_mask(group.lengths, group.time)
            parts.append(self._attend(padded, AttentionContext(mask, context.causal)))
        return self.out(packing.unpad(parts).flatten(-2))

    def split(self, x: Tensor, rotary: Tensor | None = None) -> Tensor:
        """Return queries, keys (both rotated) and values: ``(..., time, 3, heads, head_dim)``."""
        shape = (3, self.n_heads, self.hidden_size // self.n_heads)
        qkv = self.qkv(x).unflatten(-1, shape)
        if rotary is None:
            return qkv
        q, k, v = qkv.unbind(dim=-3)
        return torch.stack([rotate(q, rotary), rotate(k, rotary), v], dim=-3)

    def weights(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """Return the attention weights, ``(batch, heads, time, time)``, for plots."""
        q, k, v = (part.transpose(1, 2) for part in self.split(x, context.rotary).unbind(dim=-3))
        mask = _with_causal(context, q, k)
        return scaled_dot_product_attention(q, k, v, mask, bias=context.bias)[1]

    def _attend(self, qkv: Tensor, context: AttentionContext) -> Tensor:
        """Map ``(batch, time, 3, heads, head_dim)`` to ``(batch, time, heads, head_dim)``."""
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(dim=2))  # (batch, heads, time, …)
        if context.cache is not None:
            k, v = context.cache.update(k, v, context.layer)  # (batch, heads, past + time, …)
        bias, p = context.bias, self.dropout if self.training else 0.0
        if self.fused:
            out = fused_attention(
                q, k, v, context.mask, bias=bias, causal=context.causal, dropout=p
            )
        else:
            mask = _with_causal(context, q, k)
            out = scaled_dot_product_attention(q, k, v, mask, bias=bias, dropout=p)[0]
        return out.transpose(1, 2)


def _with_causal(context: AttentionContext, q: Tensor, k: Tensor) -> Tensor | None:
    """Return the mask of a context, combined with the causal mask if it is causal."""
    if not context.causal:
        return context.mask
    queries, keys = q.shape[-2], k.shape[-2]
    causal = causal_mask(queries, past=keys - queries, device=q.device)
    return causal if context.mask is None else context.mask & causal
