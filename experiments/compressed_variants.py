"""The variants of the experiment ``compressing``: a method of ``m6rec.compress`` with settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from m6rec_lite.m6rec import (
    EarlyExitScoring,
    LateInteractionScoring,
    M6RecModel,
    Scoring,
    factorize_embedding,
    share_layers,
)

#: Sizes as layers x width; with 2,048 tokens they have 10.5, 2.2 and 0.64 million parameters.
TEN, TWO, SMALL = "8x320", "6x160", "4x96"


@dataclass(frozen=True)
class Variant:
    """A method and its settings.

    Attributes:
        size: of a new network; or ``source``, the variant whose file is quantized.
        task: class of the task, with its ``settings``.
        change: applied to the new network.
        prune: share of the weights to prune.
        teacher: variant whose relations are learned first, for as many passes again.
        bits: of ``quantize_weights``; 0 for ``quantize_dynamic``; None leaves 32.
    """

    size: str = ""
    source: str = ""
    task: type[Scoring] = Scoring
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[M6RecModel], Any] | None = None
    prune: float = 0.0
    teacher: str = ""
    bits: int | None = None

    def describe(self) -> dict[str, Any]:
        """Return the attributes for a record, classes and functions by their names."""
        values = vars(self).items()
        return {name: getattr(value, "__name__", value) for name, value in values}


def share_and_factorize(model: M6RecModel) -> None:
    """Use one layer for all, and an embedding of rank 128."""
    factorize_embedding(share_layers(model), 128)


_PRINTED = {"exits": (1, 2, 3, 4, 5), "weighting": "printed"}
_NORMALIZED = _PRINTED | {"weighting": "normalized"}
VARIANTS: dict[str, Variant] = {
    "dense-10m": Variant(TEN),
    "dense-2m": Variant(TWO),
    "dense-600k": Variant(SMALL),
    "pruned-2m": Variant(TEN, prune=0.8),
    "late-1": Variant(TWO, task=LateInteractionScoring, settings={"joint_layers": 1}),
    "late-3": Variant(TWO, task=LateInteractionScoring, settings={"joint_layers": 3}),
    "exit-printed": Variant(TWO, task=EarlyExitScoring, settings=_PRINTED),
    "exit-normalized": Variant(TWO, task=EarlyExitScoring, settings=_NORMALIZED),
    "shared-factorized": Variant(TEN, change=share_and_factorize),
    "distilled-2m": Variant(TWO, teacher="dense-10m"),
    "10m-8bit": Variant(source="dense-10m", bits=8),
    "10m-dynamic-8bit": Variant(source="dense-10m", bits=0),
    "10m-4bit": Variant(source="dense-10m", bits=4),
    "2m-4bit": Variant(source="dense-2m", bits=4),
}
#: The registered comparison, for data sets on which the others are not needed.
REGISTERED = ("dense-10m", "dense-2m", "dense-600k", "pruned-2m")
