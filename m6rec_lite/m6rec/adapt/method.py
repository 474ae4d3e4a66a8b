"""What a method of adapting is: settings, and the changes that it makes to a model.

A change sets one attribute of one module: a linear map is replaced by one with low-rank weights
beside it, a method by one that prepends soft prompts. ``M6RecModel`` itself knows nothing of the
methods. Every change can be undone, so that one model serves many tasks in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.transformer import Block

#: The linear maps of a block that low-rank weights may stand beside.
TARGETS = ("qkv", "out", "up_proj", "down_proj")


@dataclass
class Change:
    """One attribute of a module and the value that a method gives it.

    Attributes:
        owner: the module.
        name: of the attribute.
        new: the value while the method is attached.
        old: the value without the method; None if the module itself has no such attribute (a
            method of its class then applies).
    """

    owner: nn.Module
    name: str
    new: Any
    old: Any = None

    def apply(self) -> None:
        """Set the new value."""
        own = {**self.owner.__dict__, **self.owner._modules}
        self.old = own.get(self.name)
        setattr(self.owner, self.name, self.new)

    def undo(self) -> None:
        """Set the old value again."""
        if self.old is None:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.old)


@dataclass(frozen=True)
class Method:
    """A method of adapting: its settings, and how it changes a model.

    Attributes:
        name: of the method, in saved files.
    """

    name: ClassVar[str]

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Return the changes to a model, whose weights are frozen; none by default.

        Args:
            model: to be adapted; not changed by this call.
            task: whose head the method may replace; None if there is none.

        Raises:
            ValueError: if a setting does not fit the model or the task.
        """
        return []

    def trained_names(self, model: M6RecModel) -> set[str]:
        """Return the names of the model's own parameters that are trained; none by default."""
        return set()

    def penalty(self, model: M6RecModel) -> Tensor | None:
        """Return a term to add to the loss of an adapted model; None by default."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Combined(Method):
    """Several methods at once, such as option tuning with option-adapters.

    Args:
        methods: two or more, which change different parts of a model.

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


def blocks_of(model: M6RecModel) -> list[Block]:
    """Return the Transformer blocks of a model."""
    return [cast(Block, block) for block in model.blocks]


def replace_linear(
    model: M6RecModel, targets: Sequence[str], build: Callable[[nn.Linear], nn.Module]
) -> list[Change]:
    """Return changes that replace linear maps, block by block.

    Args:
        model: whose blocks have the maps.
        targets: names in ``TARGETS``.
        build: returns the new module of a map.
    """
    changes = []
    for block in blocks_of(model):
        for name in (target for target in TARGETS if target in targets):
            owner = block.attention if name in ("qkv", "out") else block
            changes.append(Change(owner, name, build(getattr(owner, name))))
    return changes


def check_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the targets as a tuple; refuse none, and unknown ones."""
    if not targets or set(targets) - set(TARGETS):
        raise ValueError(f"targets must be some of {', '.join(TARGETS)}; got {list(targets)}")
    return tuple(targets)


def check_size(what: str, size: int, limit: int | None = None, of: str = "") -> None:
    """Check a rank, a width, or a number of soft tokens.

    Raises:
        ValueError: if it is below 1 or above the limit; ``of`` says what the limit is.
    """
    if size < 1 or (limit is not None and size > limit):
        most = "" if limit is None else f" and at most {limit}{of}"
        raise ValueError(f"{what} must be at least 1{most}, got {size!r}")
