"""The losses of adapting: several binary labels of one row, a number, and their weighted sum.

    L = alpha L_mt + beta L_ad + L_ft

``L_mt`` is the loss of K binary labels that one state predicts, from one pass. ``joint`` has the
same sum for tasks with rows of their own. The form is a common one; the source is a secondary
article and not the paper of M6-Rec.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F


def multi_task_loss(
    logits: Tensor, labels: Tensor, *, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """Return ``-(1/N) Σᵢ Σₖ [y ln ŷ + (1 - y) ln(1 - ŷ)]`` over N rows and K binary labels.

    ``ŷ = sigmoid(logits)``. It is a sum over the labels: with more of them the loss is larger, and
    a weight before it means more.

    Args:
        logits: ``(N, K)``.
        labels: ``(N, K)`` of 0 and 1; NaN where a row has no such label, such as a purchase
            without a click.
        reduction: ``sum`` leaves out the ``1/N``: then the size of a batch changes what a weight
            before the loss means.

    Raises:
        ValueError: if the shapes differ, or a label is neither 0, 1 nor NaN.
    """
    labels = labels.to(logits.dtype)
    if labels.shape != logits.shape or logits.ndim != 2:
        raise ValueError(
            f"wanted logits and labels (N, K), got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    present = ~labels.isnan()
    labels = labels.nan_to_num(0.0)
    if bool(((labels != 0) & (labels != 1)).any()):
        raise ValueError(
            f"labels must be 0 or 1, got {labels.unique().tolist()[:5]}: with a label of 2 the "
            "loss falls without bound as ŷ rises. More than two classes need a softmax"
        )
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none") * present
    return each.sum() if reduction == "sum" else each.sum() / len(logits)


def regression_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean of ``(ŷ - y)²`` over the rows, summed over their numbers.

    Args:
        predicted: ``(N, R)``.
        target: ``(N, R)``, in units in which it varies by about 1: its scale is a weight.

    Raises:
        ValueError: if the shapes differ.
    """
    if predicted.shape != target.shape or predicted.ndim != 2:
        raise ValueError(
            f"wanted two arrays (N, R), got {tuple(predicted.shape)} and {tuple(target.shape)}"
        )
    return (predicted - target).square().sum() / len(predicted)


class MultiTaskHead(nn.Module):
    """Logits of K binary labels, and R numbers, from one state.

    Args:
        hidden_size: of the state.
        labels: K.
        numbers: R; 0 for none.
    """

    def __init__(self, hidden_size: int, labels: int, numbers: int = 0) -> None:
        super().__init__()
        self.labels = labels
        self.map = nn.Linear(hidden_size, labels + numbers)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(N, hidden_size)`` to logits ``(N, K)`` and numbers ``(N, R)``."""
        logits, numbers = self.map(states).split(
            [self.labels, self.map.out_features - self.labels], dim=1
        )
        return logits, numbers


def adaptation_loss(
    multi_task: Tensor, adapt: Tensor, finetune: Tensor, *, alpha: float, beta: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return ``L = alpha L_mt + beta L_ad + L_ft``, and its parts to log.

    Args:
        multi_task: L_mt, to be minimised: a loss that is negated once more would be maximised.
        adapt: L_ad, of the pretraining objectives on texts of the new data.
        finetune: L_ft, of the main task.
        alpha: at least 0.
        beta: at least 0.

    Raises:
        ValueError: if a weight is negative or infinite, or a part is negative.
    """
    parts = {"multi_task": multi_task, "adapt": adapt, "finetune": finetune}
    if not (0 <= alpha < math.inf and 0 <= beta < math.inf):
        raise ValueError(f"alpha and beta must be at least 0 and finite, got {alpha} and {beta}")
    for name, part in parts.items():
        if bool(part < 0):
            raise ValueError(
                f"{name} is {float(part):.4g}: a cross-entropy or a squared error is at least 0. "
                "Is it negated twice? Minimising -L raises L"
            )
    total = alpha * multi_task + beta * adapt + finetune
    return total, {name: part.detach() for name, part in parts.items()}
