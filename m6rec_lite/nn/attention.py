"""Attention: each position computes a weighted mean of the values of other positions.

``scaled_dot_product_attention`` is the formula, written to be read; ``fused_attention`` computes
the same in one kernel of torch, which avoids the ``(time, time)`` matrix where it can. A test
compares the two, forward and backward. Source: Vaswani et al., *Attention is all you need*, 2017,
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
    """``softmax(q k' / sqrt(d) + bias) v``, step by step (equation 1).

    Scores of float16 and bfloat16 are computed in float32: a product of two vectors can leave the
    range of float16, which ends at 65,504. A query that may look at nothing gets zeros.

    Args:
        q: ``(..., queries, d)``.
        k: ``(..., keys, d)``.
        v: ``(..., keys, d_v)``.
        mask: bool, True where a query may look; broadcasts to ``(..., queries, keys)``.
        bias: added to the scores, such as one of relative positions; broadcasts likewise.
        dropout: share of the weights set to 0 (the rest grows to make up for it).

    Returns:
        The weighted means ``(..., queries, d_v)``, and the weights ``(..., queries, keys)``, whose
        rows add up to 1 (before dropout) or, where nothing may be looked at, to 0.

    Raises:
        TypeError: if the mask is not bool.
    """
    _check_mask(mask)
    wide = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    if mask is not None:  # the lowest finite number, not -inf: a row of -inf would become NaN
        scores = scores.masked_fill(~mask, torch.finfo(wide).min)
    weights = torch.softmax(scores, dim=-1)  # over the keys: each query's weights add up to 1
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
    """The same by ``torch.nn.functional.scaled_dot_product_attention``; weights are not returned.

    Args:
        q: ``(batch, heads, queries, d)``.
        k: ``(batch, heads, keys, d)``.
        v: ``(batch, heads, keys, d_v)``.
        mask: as in ``scaled_dot_product_attention``.
        bias: as in ``scaled_dot_product_attention``.
        causal: look at no later position; faster than the mask that says the same.
        dropout: as in ``scaled_dot_product_attention``.

    Returns:
        ``(batch, heads, queries, d_v)``.

    Raises:
        TypeError: if the mask is not bool.
    """
    _check_mask(mask)
    queries, keys = q.shape[-2], k.shape[-2]
    causal = causal and queries > 1  # the only query is the latest, and sees all
    if causal and (mask is not None or bias is not None or queries != keys):
        seen = causal_mask(queries, past=keys - queries, device=q.device)
        mask, causal = seen if mask is None else mask & seen, False
    if mask is None and bias is None:
        if dropout and q.device.type == "cpu":
            return _with_cheap_dropout(q, k, v, causal, dropout)
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout)
    added = mask
    if bias is not None:
        added = bias.to(q.dtype)
        if mask is not None:
            added = added.masked_fill(~mask, torch.finfo(q.dtype).min)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=added, dropout_p=dropout)
    if mask is None:
        return out
    return out.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def _with_cheap_dropout(q: Tensor, k: Tensor, v: Tensor, causal: bool, p: float) -> Tensor:
    """On a processor torch's kernel has no dropout, and falls back on something slower than this.

    The mask is added within the product that makes the scores, and costs no pass of its own.
    """
    shape, (queries, keys) = q.shape[:-2], (q.shape[-2], k.shape[-2])
    q, k, v = (part.flatten(0, -3) for part in (q, k, v))  # (batch * heads, time, head_dim)
    ahead = torch.zeros(queries, keys, dtype=q.dtype)
    if causal:
        ahead = ahead.masked_fill(~causal_mask(queries), -torch.inf)
    scores = torch.baddbmm(ahead, q, k.transpose(1, 2), alpha=1 / math.sqrt(q.shape[-1]))
    weights = random_dropout(torch.softmax(scores, dim=-1), p)
    return torch.bmm(weights.to(v.dtype), v).unflatten(0, shape)


def _check_mask(mask: Tensor | None) -> None:
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(
            f"a mask must be bool, True where a query may look, got {mask.dtype}: write mask.bool()"
            " (and mind that torch's MultiheadAttention means the opposite by True)"
        )


@dataclass(frozen=True, eq=False)
class AttentionContext:
    """What restricts and shifts the attention of a layer, handed through the blocks as one value.

    Attributes:
        mask: bool, True where a query may attend, ``(batch, 1, time, time)`` or what broadcasts
            to it; with a cache ``(batch, 1, time, past + time)``.
        causal: attend to no later position.
        bias: added to the scores, ``(batch, heads, time, time)`` or what broadcasts to it.
        rotary: ``(..., time, head_dim / 2)`` angles, one row per position (``nn.positions``).
        packing: how rows of different lengths lie in x; each row then attends to itself alone.
        cache: keys and values of earlier tokens, to which those of x are added.
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
        inside = (self.mask, self.bias, self.cache)
        if self.packing is not None and any(part is not None for part in inside):
            raise ValueError(
                "a packing says who sees whom: give no mask, no bias and no cache with it"
            )


#: Every position attends to every other.
FULL = AttentionContext()


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own ``hidden_size / n_heads`` dimensions.

    Args:
        hidden_size: of what comes in and goes out.
        n_heads: must divide ``hidden_size``.
        dropout: share of the attention weights set to 0 while training.
        bias: whether the linear maps add one.
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
            near = [n for n in range(1, max(hidden_size, 1) + 1) if hidden_size % n == 0]
            raise ValueError(
                f"hidden_size {hidden_size} cannot be split among {n_heads} heads; numbers of "
                f"heads that divide it are {near}"
            )
        self.hidden_size = hidden_size
        self.n_heads = n_heads
        self.dropout = dropout
        self.fused = fused
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.out = nn.Linear(hidden_size, hidden_size, bias=bias)

    def forward(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """Mix each position with the positions it attends to.

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
        """Queries, keys and values: ``(..., time, 3, heads, head_dim)``, the first two rotated."""
        shape = (3, self.n_heads, self.hidden_size // self.n_heads)
        qkv = self.qkv(x).unflatten(-1, shape)
        if rotary is None:
            return qkv
        q, k, v = qkv.unbind(dim=-3)
        return torch.stack([rotate(q, rotary), rotate(k, rotary), v], dim=-3)

    def weights(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """The attention map, ``(batch, heads, time, time)``: for pictures, never for training."""
        q, k, v = (part.transpose(1, 2) for part in self.split(x, context.rotary).unbind(dim=-3))
        mask = _with_causal(context, q, k)
        return scaled_dot_product_attention(q, k, v, mask, bias=context.bias)[1]

    def _attend(self, qkv: Tensor, context: AttentionContext) -> Tensor:
        """``(batch, time, 3, heads, head_dim)`` to ``(batch, time, heads, head_dim)``."""
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
    """The mask of a context, with that of a causal one in it."""
    if not context.causal:
        return context.mask
    queries, keys = q.shape[-2], k.shape[-2]
    causal = causal_mask(queries, past=keys - queries, device=q.device)
    return causal if context.mask is None else context.mask & causal
