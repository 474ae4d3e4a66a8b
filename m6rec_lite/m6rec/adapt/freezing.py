"""Freezing: which of the model's own weights are trained, and with which learning rates.

``FineTuning`` trains all weights, the top layers, nothing but the task's head, or only the biases
(BitFit). ``parameter_groups`` gives the head and the pretrained weights different learning rates:
a new head starts at random and takes about 1e-3, pretrained weights take 1e-5 to 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from torch import nn

from m6rec_lite.m6rec.adapt.method import Method
from m6rec_lite.m6rec.model import M6RecModel

Trained = Literal["all", "top", "head", "biases"]


@dataclass(frozen=True)
class FineTuning(Method):
    """Train the model's own weights, all or some of them, besides the task's head.

    Args:
        train: ``all``; ``top``, the last ``layers`` blocks and the final norm; ``head``, no weight
            of the model, only the task's; ``biases``, all biases, those of the norms included
            (Ben Zaken et al., *BitFit*, 2022).
        layers: number of blocks of ``top``, at least 1.

    Raises:
        ValueError: if ``train`` is unknown, or ``layers`` is below 1.
    """

    name: ClassVar[str] = "fine_tuning"
    train: Trained = "all"
    layers: int = 1

    def __post_init__(self) -> None:
        if self.train not in get_args(Trained):
            raise ValueError(f"train must be one of {get_args(Trained)}, got {self.train!r}")
        if self.layers < 1:
            raise ValueError(f"layers must be at least 1, got {self.layers!r}: use train='head'")

    def trained_names(self, model: M6RecModel) -> set[str]:
        """Return the names of the trained parameters; raises if there are fewer layers."""
        names = [name for name, _ in model.named_parameters()]
        if self.train == "top":
            first = len(model.blocks) - self.layers
            if first < 0:
                raise ValueError(
                    f"the model has {len(model.blocks)} layers, and the top {self.layers} were to "
                    "be trained: use fewer, or train='all'"
                )
            top = tuple(f"blocks.{i}." for i in range(first, len(model.blocks)))
            return {name for name in names if name.startswith((*top, "norm."))}
        if self.train == "biases":
            return {name for name in names if name.endswith(".bias")}
        return set(names) if self.train == "all" else set()


def parameter_groups(
    model: nn.Module,
    task: nn.Module | None,
    *,
    lr: float,
    head_lr: float | None = None,
    weight_decay: float = 0.01,
) -> list[dict[str, Any]]:
    """Return the groups of trained parameters for an optimizer such as AdamW.

    Args:
        model: an adapted model.
        task: with the head; None if there is none.
        lr: learning rate of the model's trained parameters.
        head_lr: of the task's; by default the same.
        weight_decay: of parameters with two or more dimensions; biases, norms and scales have none.

    Returns:
        At most four groups: of model and task, with and without decay. None of them is empty.

    Raises:
        ValueError: if no parameter is trained, or a rate is not above 0.
    """
    rates = {"model": lr, "task": lr if head_lr is None else head_lr}
    if not min(rates.values()) > 0:
        raise ValueError(f"learning rates must be above 0, got {rates}")
    groups = []
    for name, module in (("model", model), ("task", task)):
        parameters = [] if module is None else [p for p in module.parameters() if p.requires_grad]
        for decayed in (True, False):
            members = [p for p in parameters if (p.ndim >= 2) == decayed]
            if members:
                decay = weight_decay if decayed else 0.0
                groups.append({"params": members, "lr": rates[name], "weight_decay": decay})
    if not groups:
        raise ValueError(
            "no parameter is trained: FineTuning('head') needs a task with a head of its own"
        )
    return groups
