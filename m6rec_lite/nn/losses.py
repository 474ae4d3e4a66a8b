"""Losses of networks that predict the next item.

Full cross-entropy compares the target item with every other item; ``linear_cross_entropy`` does so
without storing all ``tokens x items`` scores, and can leave out the items that a token excludes,
such as those of the user's history. The other losses compare with sampled items, the
negatives: binary cross-entropy (BCE), its generalised form (gBCE), sampled softmax, BPR-max and
TOP1-max.

Notation: n tokens, d dimensions, V items, k negatives. ``positive`` is ``(n,)``, the scores of the
targets; ``negative`` is ``(n, k)``, -inf where a negative equals the target. Every loss is a mean
over the n tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from m6rec_lite.nn.excluded import Excluded

#: Tokens per chunk of scores: 256 rows of 3,400 items are 3.5 MB, which fits a CPU cache.
CHUNK = 256


@dataclass(frozen=True, eq=False)
class AddedScores:
    """Further scores of each token, multiplied by a learned weight.

    They are computed for one chunk of tokens at a time and discarded, as the other scores are.

    Attributes:
        weight: ``(1,)``; it receives a gradient, ``scores`` does not.
        scores: ``scores(first, last)`` returns ``(last - first, V)``, those of the tokens
            ``first`` to ``last - 1``.
    """

    weight: Tensor
    scores: Callable[[int, int], Tensor]


class _LinearCrossEntropy(torch.autograd.Function):
    """Compute the loss and its gradients in one pass over the chunks.

    The gradient of a token's loss with respect to its scores is ``softmax(scores) -
    onehot(target)``, so each chunk adds its part to all gradients and its scores are discarded.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        excluded: Excluded | None,
        added: AddedScores | None,
        added_weight: Tensor | None,
        chunk: int,
    ) -> Tensor:
        n = len(hidden)
        wide = torch.float32 if hidden.dtype in (torch.float16, torch.bfloat16) else hidden.dtype
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias) if bias is not None else None
        grad_added = torch.zeros_like(added_weight) if added_weight is not None else None
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        transposed = weight.t()
        # Two buffers are reused by all chunks, which saves allocations.
        all_scores = hidden.new_empty(min(chunk, n), len(weight))
        all_grads = all_scores.new_empty(all_scores.shape, dtype=wide)
        for start in range(0, n, chunk):
            h, y = hidden[start : start + chunk], targets[start : start + chunk, None]
            scores, grad = all_scores[: len(h)], all_grads[: len(h)]  # (chunk, V)
            torch.mm(h, transposed, out=scores)
            if bias is not None:
                scores += bias
            if added is not None and added_weight is not None:
                more = added.scores(start, start + len(h)).to(scores.dtype)
                scores += added_weight * more
            if excluded is not None:
                token, item = excluded.pairs(start, start + len(h))
                kept = scores.gather(1, y)  # a target is never left out
                scores.view(-1).index_fill_(0, token * len(weight) + item, -torch.inf)
                scores.scatter_(1, y, kept)
            torch.softmax(scores, dim=1, dtype=wide, out=grad)  # probabilities; below, the gradient
            positive = scores.gather(1, y)[:, 0].to(wide)
            prob = grad.gather(1, y)[:, 0]
            # -log of the probability; where that underflows, computed from the scores.
            tiny = prob < torch.finfo(wide).tiny * 1e6
            loss = -prob.log()
            if bool(tiny.any()):
                loss[tiny] = torch.logsumexp(scores[tiny].to(wide), dim=1) - positive[tiny]
            total += loss.sum(dtype=torch.float64)
            if not any(ctx.needs_input_grad):
                continue
            grad.scatter_add_(1, y, grad.new_full(y.shape, -1.0))
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[start : start + chunk])
            if grad_weight is not None:
                grad_weight.addmm_(grad.t(), h)
            if grad_bias is not None:
                grad_bias += grad.sum(dim=0)
            if grad_added is not None:
                grad_added += (grad * more).sum()
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias, grad_added)
        ctx.n = n
        return (total / n).to(wide)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        scale = g / ctx.n
        *grads, added = (None if grad is None else grad * scale for grad in ctx.saved_tensors)
        return *grads, None, None, None, added, None


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    excluded: Excluded | None = None,
    added: AddedScores | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Compute ``F.cross_entropy(hidden @ weight.T + bias, targets)`` in chunks.

    Stores ``chunk * V`` scores at a time, where the plain form stores ``n * V`` of them twice.
    The gradients are computed in the forward pass (as in Hsu et al., *Liger kernel*, 2024), so
    that nothing is computed twice.

    Args:
        hidden: ``(n, d)``, n at least 1.
        weight: ``(V, d)``, such as the item embeddings.
        targets: ``(n,)`` int64, each from 0 to V - 1.
        bias: ``(V,)``.
        excluded: for each token, items whose scores are set to -inf; the target never is.
        added: further scores, such as those of a linear model.
        chunk: number of tokens per chunk.

    Returns:
        The mean loss, a scalar; float32 for float16 and bfloat16.

    Raises:
        ValueError: if there is no token, or shapes do not match.
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
    if excluded is not None and len(excluded) != len(hidden):
        raise ValueError(f"excluded has {len(excluded)} tokens and hidden {len(hidden)}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    added_weight = None if added is None else added.weight
    return _LinearCrossEntropy.apply(
        hidden, weight, bias, targets, excluded, added, added_weight, chunk
    )


def pair_scores(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    negatives: Tensor,
    *,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the scores of the targets and of the negatives.

    Args:
        hidden: ``(n, d)``.
        weight: ``(V, d)``.
        targets: ``(n,)`` int64.
        negatives: int64, ``(k,)`` shared by all tokens, which is one matrix product, or ``(n, k)``,
            separate for each token.
        bias: ``(V,)``.

    Returns:
        ``positive`` ``(n,)`` and ``negative`` ``(n, k)``, the latter -inf where the negative equals
        the target.
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
    """Compute binary cross-entropy, ``-beta ln s(positive) - sum ln(1 - s(negative))``.

    s is the sigmoid. With k negatives the best constant score of all items is ``ln(beta / k)``.
    Without an output bias a network can reach it only by a common component of all states, which
    keeps the states similar for long. ``centred`` adds this constant to all scores, so that scores
    near 0 are the start; the order of the items is the same, and with one negative and beta 1
    nothing changes. Sources: Kang and McAuley, *SASRec*, 2018, equation 9, with
    one negative; Lin et al., *Focal loss for dense object detection*, 2017, section 3.3, whose
    output bias starts at the prior for the same reason.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``.
        beta: weight of the target.
        centred: whether to add ``ln(beta / k)`` to all scores.
    """
    if centred:
        offset = math.log(beta / negative.shape[1])
        positive, negative = positive + offset, negative + offset
    return (beta * F.softplus(-positive) + F.softplus(negative).sum(dim=1)).mean()


def gbce(
    positive: Tensor, negative: Tensor, *, n_items: int, t: float = 0.75, centred: bool = False
) -> Tensor:
    """Compute generalised BCE, ``-beta ln s(positive) - sum ln(1 - s(negative))``.

    With few negatives of many items, BCE overestimates probabilities, since targets are far more
    frequent among the scored items than in the catalogue. ``beta = a (t (1 - 1/a) + 1/a)``, where
    ``a = k / (V - 1)`` is the sampling rate of the negatives, corrects this: t = 0 is BCE, t = 1
    the full correction. Source: Petrov
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
    rate = min(1.0, negative.shape[1] / max(n_items - 1, 1))
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)
    return bce(positive, negative, beta=beta, centred=centred)


def sampled_softmax(positive: Tensor, negative: Tensor, log_expected: Tensor | None) -> Tensor:
    """Compute cross-entropy with the sum over all other items estimated from the negatives.

    ``-positive + ln(e^positive + sum e^(negative - log_expected))``, where ``expected`` is the
    expected number of draws of a negative, ``k q``. This makes the estimate of the sum unbiased
    (log-Q correction). Only the negatives are corrected, since the target is not drawn.

    Source: Bengio and Senecal, *Adaptive importance sampling to accelerate training of a neural
    probabilistic language model*, 2008.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``.
        log_expected: ``(k,)`` or ``(n, k)``; None corrects nothing.
    """
    if log_expected is not None:
        negative = negative - log_expected
    return (torch.logsumexp(torch.cat([positive[:, None], negative], dim=1), 1) - positive).mean()


def bpr_max(positive: Tensor, negative: Tensor, *, regularization: float = 1.0) -> Tensor:
    """Compute ``-ln sum w s(positive - negative) + regularization sum w negative^2``.

    w is the softmax over the negatives, so that the highest negatives dominate. Source:
    Hidasi and Karatzoglou, *Recurrent neural networks with top-k gains for session-based
    recommendations*, 2018, equation 10.

    Args:
        positive: ``(n,)``.
        negative: ``(n, k)``; not all of a row may be -inf.
        regularization: weight of the penalty on the scores of the negatives.
    """
    w, negative = _softmax_of_negatives(negative)
    margin = F.logsigmoid(positive[:, None] - negative)
    loss = -torch.logsumexp(w.clamp_min(torch.finfo(w.dtype).tiny).log() + margin, dim=1)
    return (loss + regularization * (w * negative**2).sum(dim=1)).mean()


def top1_max(positive: Tensor, negative: Tensor) -> Tensor:
    """Compute ``sum w (s(negative - positive) + s(negative^2))``.

    w and the source as in ``bpr_max``, equation 8.
    """
    w, negative = _softmax_of_negatives(negative)
    gap = torch.sigmoid(negative - positive[:, None]) + torch.sigmoid(negative**2)
    return (w * gap).sum(dim=1).mean()


def _softmax_of_negatives(negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the softmax weights of the negatives, and the negatives with 0 in place of -inf."""
    hit = torch.isneginf(negative)
    floor = negative.masked_fill(hit, torch.finfo(negative.dtype).min)  # a row of hits stays finite
    w = torch.softmax(floor, dim=1).masked_fill(hit, 0.0)
    return w, negative.masked_fill(hit, 0.0)
