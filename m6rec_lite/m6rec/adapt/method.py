"""What a method of adapting is: settings, and the changes that it makes to a model.

A change sets one attribute of one module: a linear map is replaced by one with low-rank weights
beside it, a method by one that prepends soft prompts. ``M6RecModel`` itself knows nothing of the
methods. Every change can be undone, so that one model serves many tasks in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
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
class Method(ABC):
    """A method of adapting: its settings, and how it changes a model.

    Attributes:
        name: of the method, in saved files.
    """

    name: ClassVar[str]

    @abstractmethod
    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Return the changes to a model, whose weights are frozen, with new weights in them.

        Args:
            model: to be adapted; not changed by this call.
            task: whose head the method may replace; None if there is none.

        Raises:
            ValueError: if a setting does not fit the model or the task.
        """

    def trained_names(self, model: M6RecModel) -> set[str]:
        """Return the names of the model's own parameters that are trained; none by default."""
        return set()

    def penalty(self, model: M6RecModel) -> Tensor | None:
        """Return a term to add to the loss of an adapted model; None by default."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON values."""
        return asdict(self)


def blocks_of(model: M6RecModel) -> list[Block]:
    """Return the Transformer blocks, also those that a method has wrapped."""
    return [cast(Block, getattr(block, "block", block)) for block in model.blocks]


def linear_maps(
    model: M6RecModel, targets: Collection[str]
) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yield the module, the attribute and the linear map of each target, block by block."""
    for block in blocks_of(model):
        for name in TARGETS:
            if name in targets:
                owner = block.attention if name in ("qkv", "out") else block
                yield owner, name, getattr(owner, name)


def check_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the targets as a tuple.

    Raises:
        ValueError: if there is none, or one is not in ``TARGETS``.
    """
    if not targets or set(targets) - set(TARGETS):
        raise ValueError(f"targets must be some of {', '.join(TARGETS)}; got {list(targets)}")
    return tuple(targets)


def check_rank(rank: int, *sizes: int, what: str = "rank") -> None:
    """Check the rank of a product of two matrices.

    Args:
        rank: of the product.
        sizes: of the full matrix; none checks only that the rank is at least 1.
        what: name of the setting in the message.

    Raises:
        ValueError: if the rank is below 1 or above the smallest size.
    """
    if rank < 1 or (sizes and rank > min(sizes)):
        limit = f" and at most {min(sizes)}, the smaller side of the matrix" if sizes else ""
        raise ValueError(
            f"{what} must be at least 1{limit}, got {rank!r}: a product of two matrices adds "
            "nothing at rank 0, and cannot have a rank above its width"
        )


def like(module: nn.Module, weight: Tensor) -> None:
    """Move a new module to the device and the dtype of a weight of the model."""
    module.to(device=weight.device, dtype=weight.dtype)
