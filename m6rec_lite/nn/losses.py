"""What a network that foresees the next item minimises, and what that costs.

Full cross-entropy compares the right item with every other. ``linear_cross_entropy`` does so
without ever holding all ``tokens x items`` scores. The others compare with some items, the
negatives: binary cross-entropy (BCE), its generalised form (gBCE), sampled softmax, and BPR-max
and TOP1-max.

Letters: n tokens, d dimensions, V items, k negatives. ``positive`` is ``(n,)``, the scores of the
right items; ``negative`` is ``(n, k)``, and -inf where a negative is the right item itself. Every
loss is a mean over the n tokens.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

#: Tokens whose scores are held at a time: 256 rows of 3,400 items are 3.5 MB, and stay in cache.
CHUNK = 256


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass over the chunks.

    The gradient of a token's loss by its scores is ``softmax(scores) - onehot(target)``: known as
    soon as the scores are. So each chunk gives its share of all gradients and is forgotten.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, chunk: int
    ) -> Tensor:
        n = len(hidden)
        wide = torch.float32 if hidden.dtype in (torch.float16, torch.bfloat16) else hidden.dtype
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        of_bias = torch.zeros_like(bias) if bias is not None else None
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        turned = weight.t()
        # Two buffers for all chunks: fresh ones would be fetched from the system each time.
        all_scores = hidden.new_empty(min(chunk, n), len(weight))
        all_slopes = all_scores.new_empty(all_scores.shape, dtype=wide)
        for start in range(0, n, chunk):
            h, y = hidden[start : start + chunk], targets[start : start + chunk, None]
            scores, slope = all_scores[: len(h)], all_slopes[: len(h)]  # (chunk, V)
            torch.mm(h, turned, out=scores)
            if bias is not None:
                scores += bias
            torch.softmax(scores, dim=1, dtype=wide, out=slope)
            right = scores.gather(1, y)[:, 0].to(wide)
            chance = slope.gather(1, y)[:, 0]
            # -log of the chance; where it has vanished, from the scores themselves.
            lost = chance < torch.finfo(wide).tiny * 1e6
            part = -chance.log()
            if bool(lost.any()):
                part[lost] = torch.logsumexp(scores[lost].to(wide), dim=1) - right[lost]
            total += part.sum(dtype=torch.float64)
            if of_hidden is None and of_weight is None:
                continue
            slope.scatter_add_(1, y, slope.new_full(y.shape, -1.0))
            slope = slope.to(hidden.dtype)
            if of_hidden is not None:
                torch.mm(slope, weight, out=of_hidden[start : start + chunk])
            if of_weight is not None:
                of_weight.addmm_(slope.t(), h)
            if of_bias is not None:
                of_bias += slope.sum(dim=0)
        ctx.save_for_backward(of_hidden, of_weight, of_bias)
        ctx.n = n
        return (total / n).to(wide)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        share = g / ctx.n
        of_all = (None if part is None else part * share for part in ctx.saved_tensors)
        return *of_all, None, None


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """``F.cross_entropy(hidden @ weight.T + bias, targets)`` without the matrix of all scores.

    Holds ``chunk * V`` scores at a time, where the plain form keeps ``n * V`` of them twice.
    The gradients are computed along the way (as in Hsu et al., *Liger kernel*, 2024), so that
    nothing is computed twice.

    Args:
        hidden: ``(n, d)``, n at least 1.
        weight: ``(V, d)``, such as the item embeddings.
        targets: ``(n,)`` int64, each from 0 to V - 1.
        bias: ``(V,)``.
        chunk: tokens at a time.

    Returns:
        The mean loss, a scalar; float32 for float16 and bfloat16.

    Raises:
        ValueError: if there is no token, or shapes do not fit.
    """
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"hidden must be (n, d) and weight (V, d), got {tuple(hidden.shape)} and "
            f"{tuple(weight.shape)}"
        )
    if len(hidden) == 0 or targets.shape != hidden.shape[:1]:
        raise ValueError(
            f"targets must be (n,) with n at least 1, one for each row of hidden: got "
            f"{tuple(targets.shape)} for {len(hidden)} rows; a mean over nothing is not a number"
        )
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    return _LinearCrossEntropy.apply(hidden, weight, bias, targets, chunk)


def pair_scores(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    negatives: Tensor,
    *,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores of the right items and of the negatives.

    Args:
        hidden: ``(n, d)``.
        weight: ``(V, d)``.
        targets: ``(n,)`` int64.
        negatives: int64, ``(k,)`` shared by all tokens, which is one matrix product, or ``(n, k)``,
            each token its own.
        bias: ``(V,)``.

    Returns:
        ``positive`` ``(n,)`` and ``negative`` ``(n, k)``, the latter -inf where the negative drawn
        is the right item.
    """
    positive = (hidden * F.embedding(targets, weight)).sum(dim=1)
    if negatives.ndim == 1:
        negative = hidden @ F.embedding(negatives, weight).t()  # (n, k)
    else:
        negative = torch.einsum("nd,nkd->nk", hidden, F.embedding(negatives, weight))
    if bias is not None:
        positive, negative = positive + bias[targets], negative + bias[negatives]
    return positive, negative.masked_fill(negatives == targets[:, None], -torch.inf)


def bce(positive: Tensor, negative: Tensor, *, beta: float = 1.0, centred: bool = False) -> Tensor:
    """Binary cross-entropy: ``-beta ln s(positive) - sum ln(1 - s(negative))``, s the sigmoid.

    With k negatives a network that knows nothing does best to score everything ``ln(beta / k)``:
    nearly all it sees is wrong. Without an output bias it can say so only by turning every state
    the same way, and its states stay alike for long after. ``centred`` counts scores from there,
    so that scores around 0 are where it starts; the order of the items is the same, and with one
    negative and beta 1 nothing changes. Sources: Kang and McAuley, *SASRec*, 2018, equation 9, with
    one negative; Lin et al., *Focal loss for dense object detection*, 2017, section 3.3, whose
    output bias starts at the prior for the same reason.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``.
        beta: weight of the right item.
        centred: whether a score of 0 means "as likely as any item".
    """
    if centred:
        rest = math.log(beta / negative.shape[1])
        positive, negative = positive + rest, negative + rest
    return (beta * F.softplus(-positive) + F.softplus(negative).sum(dim=1)).mean()


def gbce(
    positive: Tensor, negative: Tensor, *, n_items: int, t: float = 0.75, centred: bool = False
) -> Tensor:
    """Generalised BCE: ``-beta ln s(positive) - sum ln(1 - s(negative))``.

    With few negatives of many items BCE sees the right item far too often and learns that
    everything is likely. ``beta = a (t (1 - 1/a) + 1/a)``, where ``a = k / (V - 1)`` is the share
    of the negatives that is drawn, takes that back: t = 0 is BCE, t = 1 all of it. Source: Petrov
    and Macdonald, *gSASRec*, 2023, equations 11 and 14.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``.
        n_items: V.
        t: in [0, 1].
        centred: see ``bce``.

    Raises:
        ValueError: if t is out of range.
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t must be from 0 (BCE) to 1 (fully calibrated), got {t!r}")
    share = min(1.0, negative.shape[1] / max(n_items - 1, 1))
    beta = share * (t * (1 - 1 / share) + 1 / share)
    return bce(positive, negative, beta=beta, centred=centred)


def sampled_softmax(positive: Tensor, negative: Tensor, log_expected: Tensor | None) -> Tensor:
    """Cross-entropy whose sum over all other items is estimated from the negatives.

    ``-positive + ln(e^positive + sum e^(negative - log_expected))``, where ``expected`` is how
    often a negative is drawn on average, ``k q``: the sum then has the right expectation, and an
    item that is drawn ten times as often counts a tenth each time (the log-Q correction). Only the
    negatives are corrected: the right item is not drawn. Source: Bengio and Senecal, *Adaptive
    importance sampling to accelerate training of a neural probabilistic language model*, 2008.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``.
        log_expected: ``(k,)`` or ``(n, k)``; None corrects nothing.
    """
    if log_expected is not None:
        negative = negative - log_expected
    return (torch.logsumexp(torch.cat([positive[:, None], negative], dim=1), 1) - positive).mean()


def bpr_max(positive: Tensor, negative: Tensor, *, regularization: float = 1.0) -> Tensor:
    """``-ln sum w s(positive - negative) + regularization sum w negative^2``.

    w is the softmax over the negatives: the highest matters most. Source: Hidasi and Karatzoglou,
    *Recurrent neural networks with top-k gains for session-based recommendations*, 2018,
    equation 10.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``; not all of a row may be -inf.
        regularization: keeps the scores of negatives near 0.
    """
    w, negative = _softmax_of_negatives(negative)
    ahead = F.logsigmoid(positive[:, None] - negative)
    loss = -torch.logsumexp(w.clamp_min(torch.finfo(w.dtype).tiny).log() + ahead, dim=1)
    return (loss + regularization * (w * negative**2).sum(dim=1)).mean()


def top1_max(positive: Tensor, negative: Tensor) -> Tensor:
    """``sum w (s(negative - positive) + s(negative^2))``; w as in ``bpr_max`` (equation 8)."""
    w, negative = _softmax_of_negatives(negative)
    gap = torch.sigmoid(negative - positive[:, None]) + torch.sigmoid(negative**2)
    return (w * gap).sum(dim=1).mean()


def _softmax_of_negatives(negative: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of the negatives, and the negatives with 0 for -inf (their weight is 0)."""
    hit = torch.isneginf(negative)
    floor = negative.masked_fill(hit, torch.finfo(negative.dtype).min)  # a row of hits stays finite
    w = torch.softmax(floor, dim=1).masked_fill(hit, 0.0)
    return w, negative.masked_fill(hit, 0.0)
