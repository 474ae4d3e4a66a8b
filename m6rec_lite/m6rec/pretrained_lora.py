"""LoRA on any model of ``transformers``, and its training on rows of text.

The low-rank weights are those of ``adapt.lora``. They stay in float32 beside frozen weights in
bfloat16, which are twice as fast on CPUs: Adam's small steps would be lost in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from m6rec_lite.m6rec.adapt.lora import LoRALinear
from m6rec_lite.m6rec.adapt.method import Change
from m6rec_lite.m6rec.pretrained import PretrainedM6Rec
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import History, fit
from m6rec_lite.training.batches import Epoch, rng

#: The linear maps of a Llama's attention.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


class MixedLoRALinear(LoRALinear):
    """``LoRALinear`` whose trained weights are float32, whatever the frozen ones are."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__(base, rank, alpha, dropout)
        self.a.data, self.b.data = self.a.data.float(), self.b.data.float()

    def product(self, x: Tensor) -> Tensor:
        """Return ``B A x`` in the type of ``x``."""
        return super().product(x.float()).to(x.dtype)


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float | None = None,
    targets: Sequence[str] = ATTENTION,
    *,
    seed: int = 0,
) -> list[Change]:
    """Freeze a model and put trained low-rank weights beside its linear maps.

    The adapted model starts as the pretrained one, because B is 0.

    Args:
        model: any module, changed in place.
        rank: of the low-rank weights.
        alpha: numerator of their scale; by default twice the rank.
        targets: last parts of the names of the linear maps.
        seed: of the initial weights.

    Returns:
        The changes; ``change.undo()`` on each restores the pretrained model, which stays frozen.

    Raises:
        ValueError: if the model has no such linear map, or the rank is out of range.
    """
    model.requires_grad_(False)
    owners = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if name in targets and isinstance(child, nn.Linear)
    ]
    if not owners:
        raise ValueError(f"{type(model).__name__} has no linear map named {' or '.join(targets)}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        changes = [
            Change(
                owner,
                name,
                MixedLoRALinear(getattr(owner, name), rank, 2.0 * rank if alpha is None else alpha),
            )
            for owner, name in owners
        ]
    for change in changes:
        change.apply()
    return changes


@dataclass(frozen=True)
class TextRows:
    """Training rows: what is known, and either what is written after it or whether it is liked.

    As batches for ``training.fit``, rows are drawn in a new order each epoch.

    Attributes:
        known: ``n`` known regions, lists of token ids.
        written: ``n`` written regions; None for likes.
        liked: ``n`` labels; None for written regions.
        batch_size: rows of a batch.

    Raises:
        ValueError: if there are no rows, or not exactly one of ``written`` and ``liked``.
    """

    known: Sequence[Sequence[int]]
    written: Sequence[Sequence[int]] | None = None
    liked: Sequence[bool] | None = None
    batch_size: int = 4

    def __post_init__(self) -> None:
        targets = [part for part in (self.written, self.liked) if part is not None]
        if len(targets) != 1 or len(targets[0]) != len(self.known) or not self.known:
            raise ValueError(
                f"give {len(self.known)} known regions, at least one, and either what is written "
                "after each or whether it is liked"
            )

    def epoch(self, seed: int, epoch: int) -> Epoch[TextRows]:
        """Return the batches of an epoch."""
        order = rng(seed, epoch).permutation(len(self.known)).tolist()
        size = self.batch_size
        return Epoch(-(-len(order) // size), lambda i: self._rows(order[i * size :][:size]))

    def _rows(self, rows: Sequence[int]) -> TextRows:
        return TextRows(
            [self.known[row] for row in rows],
            None if self.written is None else [self.written[row] for row in rows],
            None if self.liked is None else [self.liked[row] for row in rows],
            self.batch_size,
        )

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        """Return itself: the model moves the tokens."""
        return self

    def loss(self, model: PretrainedM6Rec) -> Tensor:
        """Return the mean loss of the rows in nats: a token of the written regions, or a label."""
        if self.written is not None:
            return model.written_loss(self.known, self.written)
        return model.like_loss(self.known, self.liked or [])


def train_lora(
    model: PretrainedM6Rec,
    rows: TextRows,
    *,
    steps: int,
    lr: float = 5e-4,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Train the low-rank weights of a model (``add_lora``) in place.

    Args:
        model: with low-rank weights; all others stay as they are.
        rows: of training.
        steps: of the optimizer, one batch each.
        lr: highest learning rate; it rises over the first tenth of the steps, then falls.
        seed: of the order of the rows.
        progress: show a progress bar.

    Returns:
        The losses, as of ``training.fit``.

    Raises:
        ValueError: if the model has no trained weights.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if not trained:
        raise ValueError("the model has no trained weights: call add_lora(model.model) first")
    warm = max(1, steps // 10)
    return fit(
        model,
        rows,
        lambda model, batch: batch.loss(model),
        optimizer=torch.optim.AdamW(trained, lr=lr, weight_decay=0.0),
        schedule=warm_up(warm, 0.01, then=cosine(max(1, steps - warm), 0.05)),
        steps=steps,
        clip_norm=1.0,
        precision="fp32",  # as loaded: autocast would change nothing but the speed
        seed=seed,
        progress=progress,
    )
