"""Several methods at once, such as M6-Rec's option tuning with option-adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from m6rec_lite.m6rec.adapt.method import Change, Method
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task


@dataclass(frozen=True)
class Combined(Method):
    """Several methods that change different parts of a model.

    Args:
        methods: two or more.

    Raises:
        ValueError: if there are fewer than two; by ``changes``, if two change the same attribute.
    """

    name: ClassVar[str] = "combined"
    methods: Sequence[Method] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(self.methods))
        if len(self.methods) < 2:
            raise ValueError(f"combine two methods or more, got {len(self.methods)}")

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Return the changes of all methods."""
        changes = [change for method in self.methods for change in method.changes(model, task)]
        if len({(id(change.owner), change.name) for change in changes}) < len(changes):
            names = ", ".join(method.name for method in self.methods)
            raise ValueError(f"the methods {names} change the same part of the model: use one")
        return changes

    def trained_names(self, model: M6RecModel) -> set[str]:
        """Return what any of the methods trains."""
        return set().union(*(method.trained_names(model) for method in self.methods))

    def penalty(self, model: M6RecModel) -> Tensor | None:
        """Return the sum of the methods' penalties."""
        terms = [method.penalty(model) for method in self.methods]
        present = [term for term in terms if term is not None]
        return sum(present[1:], start=present[0]) if present else None

    def settings(self) -> dict[str, Any]:
        """Return the name and the settings of each method."""
        return {"methods": [[method.name, method.settings()] for method in self.methods]}
