"""Gradual magnitude pruning: while a model trains, more and more of its smallest weights become 0.

The share of zeros at step t, from step t0 to t1, is cubic:

    s(t) = target * (1 - (1 - (t - t0) / (t1 - t0))^3)

It rises fast while many weights are superfluous, and slowly near the target. Source: Zhu and Gupta,
*To prune, or not to prune*, 2017, equation 1. Zeros anywhere in a matrix save bytes in a sparse
file; a dense matrix product takes as long as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from m6rec_lite.training import Callback

if TYPE_CHECKING:
    from m6rec_lite.training import Run

#: Matrices with fewer weights, such as a task's head, are not pruned.
SMALLEST = 1024


def cubic_sparsity(step: int, start: int, end: int, target: float) -> float:
    """Return s(t), the share of zeros at a step."""
    if not 0 <= target < 1:
        raise ValueError(
            f"target must be at least 0 and below 1, got {target!r}: with all weights at 0 a model "
            "gives the same answer to everything; .8 leaves every fifth"
        )
    done = min(max((step - start) / (end - start), 0.0), 1.0)
    return target * (1 - (1 - done) ** 3)


class GradualPruning(Callback):
    """Prune the matrices of a model while it trains, each to the same share of zeros.

    After every step the pruned weights are set to 0 again, and so are the optimizer's averages of
    their gradients. List it after ``Averaging``, and do not combine it with ``EarlyStopping``,
    which restores an earlier epoch's weights: those were pruned less.

    Args:
        target: final share of zeros, at least 0 and below 1.
        start: share of the run before pruning begins.
        end: share of the run after which the target is reached; the rest of it recovers.
        every: steps between two changes of the masks.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self, target: float = 0.8, *, start: float = 0.1, end: float = 0.7, every: int = 10
    ) -> None:
        cubic_sparsity(0, 0, 1, target)  # refuses a target out of range
        if not 0 <= start < end <= 1 or every < 1:
            raise ValueError(
                "start and end are shares of the run, 0 <= start < end <= 1, and every is at least "
                f"1 step; got {start!r}, {end!r} and {every!r}"
            )
        self.target, self.begin, self.finish, self.every = target, start, end, every
        self.masks: dict[str, Tensor] = {}

    def start(self, run: Run) -> None:
        """Begin with full masks, unless a checkpoint provided some."""
        weights = prunable(run.model)
        if not weights:
            raise ValueError(f"no matrix of the model has {SMALLEST} weights: nothing to prune")
        if run.step == 0 or not self.masks:
            self.masks = {name: w.new_ones(w.shape).bool() for name, w in weights.items()}
        self.masks = {name: mask.to(weights[name].device) for name, mask in self.masks.items()}

    def step(self, run: Run) -> None:
        """Extend the masks if it is time, and apply them."""
        end = max(1, int(self.finish * run.total_steps))
        start = min(int(self.begin * run.total_steps), end - 1)
        if start < run.step <= end and ((run.step - start) % self.every == 0 or run.step == end):
            self._extend(run.model, cubic_sparsity(run.step, start, end, self.target))
        self._apply(run)

    def end(self, run: Run) -> None:
        """Apply the masks to the weights that the run ends with."""
        self._apply(run)

    @torch.no_grad()
    def _extend(self, model: nn.Module, share: float) -> None:
        """Mask the smallest weights of each matrix until ``share`` of it is masked."""
        for name, weight in prunable(model).items():
            n_zeros = round(share * weight.numel())
            size = weight.abs().masked_fill(~self.masks[name], -1.0)  # masked ones stay masked
            smallest = size.flatten().topk(n_zeros, largest=False).indices
            self.masks[name].view(-1)[smallest] = False

    @torch.no_grad()
    def _apply(self, run: Run) -> None:
        """Set masked weights and their optimizer averages to 0."""
        weights = prunable(run.model)
        for name, mask in self.masks.items():
            weight = weights[name]
            state = run.optimizer.state.get(weight, {}).values()
            for value in (weight, *(v for v in state if isinstance(v, Tensor) and v.ndim == 2)):
                value.mul_(mask)

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        own = (self.target, self.begin, self.finish, self.every)
        return dict(zip(("target", "start", "end", "every"), own, strict=True))

    def state(self) -> dict[str, Any]:
        """Return the masks."""
        return {"masks": self.masks}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the masks."""
        self.masks = state["masks"]


def prunable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the matrices that are pruned, by name: embeddings and linear maps."""
    found = module.named_parameters()
    return {name: w for name, w in found if w.ndim == 2 and w.numel() >= SMALLEST}


def count_nonzero(module: nn.Module) -> int:
    """Return the number of parameters that are not 0; shared ones count once."""
    return sum(int(weight.count_nonzero()) for weight in module.parameters())
