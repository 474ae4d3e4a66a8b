"""AdaLoRA: low-rank weights in the form of an SVD, whose ranks follow the importance of each term.

    W x + b + (alpha / r) P diag(e) Q x,     Q: (r, in), e: (r,), P: (out, r)

Every matrix starts with ``rank`` terms. Training removes the least important terms of all matrices
together, by setting their singular value e to 0, until ``target_rank`` terms a matrix are left on
average: a matrix that matters keeps more of them. The importance of a weight w is its smoothed
sensitivity ``|w dL/dw|`` times the smoothed deviation from it (uncertainty); that of a term is
that of its e plus the means over its row of Q and its column of P. A penalty keeps the rows of Q
and the columns of P orthonormal, as those of an SVD are. Source: Zhang et al., *AdaLoRA: adaptive
budget allocation for parameter-efficient fine-tuning*, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.adapt.lora import LowRank
from m6rec_lite.m6rec.adapt.method import (
    TARGETS,
    Change,
    Method,
    check_size,
    check_targets,
    replace_linear,
)
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task


class SVDLinear(LowRank):
    """``W x + b + (alpha / rank) P diag(e) Q x``.

    Attributes:
        q: ``(rank, in)``.
        e: ``(rank,)``, which starts at 0.
        p: ``(out, rank)``.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(base, rank, alpha)
        self.q = nn.Parameter(torch.randn(rank, base.in_features) * 0.02)
        self.e = nn.Parameter(torch.zeros(rank))
        self.p = nn.Parameter(torch.randn(base.out_features, rank) * 0.02)
        self.to(base.weight)

    def product(self, x: Tensor) -> Tensor:
        """Return ``P diag(e) Q x``."""
        return F.linear(F.linear(x, self.q) * self.e, self.p)

    def delta(self) -> Tensor:
        """Return ``(alpha / rank) P diag(e) Q``."""
        return self.scale * ((self.p * self.e) @ self.q)


def orthogonality(maps: Sequence[SVDLinear]) -> Tensor:
    """Return the mean over all P and Q of the Frobenius norm of ``PᵀP - I`` and ``QQᵀ - I``.

    ``peft`` computes the same; the paper squares the norms.
    """
    products = [product for m in maps for product in (m.q @ m.q.T, m.p.T @ m.p)]
    return torch.stack([(x - torch.eye(*x.shape).to(x)).norm() for x in products]).mean()


@dataclass(frozen=True)
class AdaLoRA(Method):
    """Low-rank weights whose ranks are allocated by importance; see ``RankAllocator``.

    Args:
        rank: initial number of terms of each matrix.
        target_rank: mean number of terms of a matrix at the end, at most ``rank``.
        alpha: numerator of the scale; by default twice the rank.
        targets: see ``LoRA``.
        penalty_weight: of ``orthogonality`` in the loss.

    Raises:
        ValueError: if a number is out of range, or a target unknown.
    """

    name: ClassVar[str] = "adalora"
    rank: int = 3
    target_rank: int = 2
    alpha: float | None = None
    targets: Sequence[str] = TARGETS
    penalty_weight: float = 0.5

    def __post_init__(self) -> None:
        check_size("rank", self.rank)
        check_size("target_rank", self.target_rank, self.rank, ", the initial rank")
        object.__setattr__(self, "targets", check_targets(self.targets))

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Replace each target by one with low-rank weights beside it."""
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        return replace_linear(model, self.targets, lambda base: SVDLinear(base, self.rank, alpha))

    def penalty(self, model: M6RecModel) -> Tensor:
        """Return the weighted penalty of the model's matrices."""
        return self.penalty_weight * orthogonality(svd_maps(model))


def svd_maps(model: nn.Module) -> list[SVDLinear]:
    """Return the matrices in the form of an SVD in a model."""
    return [module for module in model.modules() if isinstance(module, SVDLinear)]


class RankAllocator:
    """Removes the least important terms while a model is trained.

    Args:
        model: adapted by ``AdaLoRA``.
        target_rank: mean number of terms of a matrix at the end.
        steps: of training, T.
        warm_up: steps before the first term is removed.
        settle: last steps, in which the terms that are left are trained.
        every: steps between two removals.
        beta: decay of the averages of sensitivity and uncertainty.

    Raises:
        ValueError: if no step is left for removals, or ``beta`` is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        target_rank: int,
        steps: int,
        *,
        warm_up: int = 0,
        settle: int = 0,
        every: int = 1,
        beta: float = 0.85,
    ) -> None:
        if not 0 <= warm_up < steps - settle or settle < 0 or every < 1 or not 0 < beta < 1:
            raise ValueError(
                f"of {steps} steps, warm_up={warm_up!r} and settle={settle!r} must leave some for "
                f"removals; every={every!r} must be at least 1 and beta={beta!r} in (0, 1)"
            )
        self.maps, self.beta, self.every = svd_maps(model), beta, every
        self.first, self.last = warm_up, steps - settle
        self.n_terms = sum(len(m.e) for m in self.maps)
        self.n_target = target_rank * len(self.maps)
        self.sensitivity = [[torch.zeros_like(w) for w in (m.q, m.e, m.p)] for m in self.maps]
        self.uncertainty = [[w.clone() for w in weights] for weights in self.sensitivity]
        self.kept = [torch.ones_like(m.e, dtype=torch.bool) for m in self.maps]
        self.step_number = 0

    def budget(self, step: int) -> int:
        """Return the number of terms after a step: constant, then a cubic fall, then constant."""
        if step <= self.first:
            return self.n_terms
        left = max(0.0, 1 - (step - self.first) / (self.last - self.first))
        return int((self.n_terms - self.n_target) * left**3 + self.n_target)

    @torch.no_grad()
    def step(self) -> None:
        """Update the importances and remove terms; call it after ``optimizer.step()``.

        The gradients of the step must still be there: call ``optimizer.zero_grad()`` after it.
        """
        step, self.step_number = self.step_number, self.step_number + 1
        if step < self.last:
            self._update()
        due = step == self.last or (self.first < step < self.last and step % self.every == 0)
        n_removed = self.n_terms - self.budget(step)
        if due and n_removed:
            scores = [self._score(i) for i in range(len(self.maps))]
            limit = torch.cat(scores).kthvalue(n_removed).values
            self.kept = [score > limit for score in scores]
        if due or step > self.last:  # between removals a removed term may come back
            for m, kept in zip(self.maps, self.kept, strict=True):
                m.e.mul_(kept)

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Call ``step`` after every step of an optimizer, before its gradients are removed."""
        optimizer.register_step_post_hook(lambda *_: self.step())

    def _update(self) -> None:
        """Smooth ``|w dL/dw|`` and its deviation from that average (equations 9 and 10)."""
        for m, smooth, spread in zip(self.maps, self.sensitivity, self.uncertainty, strict=True):
            for i, weight in enumerate((m.q, m.e, m.p)):
                assert weight.grad is not None
                now = (weight * weight.grad).abs()
                smooth[i].lerp_(now, 1 - self.beta)
                spread[i].lerp_((now - smooth[i]).abs(), 1 - self.beta)

    def _score(self, i: int) -> Tensor:
        """Return the importance of each term of matrix i (equation 7), ``(rank,)``."""
        pairs = zip(self.sensitivity[i], self.uncertainty[i], strict=True)
        q, e, p = (smooth * spread for smooth, spread in pairs)
        return e + q.mean(1) + p.mean(0)
