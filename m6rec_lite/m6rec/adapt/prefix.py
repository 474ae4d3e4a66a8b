"""Prefix tuning: trained keys and values before those of every row, in every layer.

Every token attends to n further keys and values, which no token computed: queries are left as they
are, and the number of positions that run through the network does not grow. Per layer ``2 n d``
numbers are trained. The paper trains the keys and values through a small network, which it discards
afterwards; here they are trained directly, as with ``peft``'s ``prefix_projection=False``. Source:
Li and Liang, *Prefix-tuning: optimizing continuous prompts for generation*, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from m6rec_lite.m6rec.adapt.method import Change, Method, check_size
from m6rec_lite.m6rec.adapt.soft import arguments, check_fits, is_start, shift
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.cache import Cache


class SoftPrefix(nn.Module):
    """The trained keys and values of every layer.

    Attributes:
        weight: ``(layers, 2, heads, length, head_dim)``: keys, then values.
    """

    def __init__(self, model: M6RecModel, length: int) -> None:
        super().__init__()
        check_fits(length, model)
        shape = model.config.blocks()
        sizes = (shape.n_layers, 2, shape.n_heads, length, shape.head_dim)
        self.weight = nn.Parameter(torch.randn(sizes) * model.config.initializer_range)
        self.to(model.embedding.weight)

    def fill(self, cache: Cache, batch: int) -> None:
        """Put the keys and values into an empty cache, the same for every row of the batch."""
        for layer, (keys, values) in enumerate(self.weight):
            sizes = (batch, *keys.shape)  # (batch, heads, length, head_dim)
            cache.update(keys.expand(sizes), values.expand(sizes), layer)


def states_with_prefix(self: M6RecModel, *args: Any, **kwargs: Any) -> Tensor:
    """Return the states of a row's tokens, which attend to the trained keys and values too.

    It replaces ``M6RecModel.states``; arguments and result are the same.

    Raises:
        ValueError: with gradient checkpointing, which recomputes blocks without a cache.
    """
    if self.gradient_checkpointing and self.training:
        raise ValueError(
            "prefix tuning keeps its keys in a cache, and gradient checkpointing uses none: call "
            "model.gradient_checkpointing_disable()"
        )
    prefix, row = cast(SoftPrefix, self.soft_prefix), arguments(self, *args, **kwargs)
    call = shift(self, prefix.weight.shape[3], row, queries=False)
    if row["past_key_values"] is None:
        call["past_key_values"] = DynamicCache()
    if is_start(row["past_key_values"]):
        x = row["inputs_embeds"] if row["input_ids"] is None else row["input_ids"]
        prefix.fill(call["past_key_values"], len(x))
    return M6RecModel.states(self, **call)


@dataclass(frozen=True)
class PrefixTuning(Method):
    """Trained keys and values in every layer.

    Args:
        length: number of keys of each layer.

    Raises:
        ValueError: if the length is below 1.
    """

    name: ClassVar[str] = "prefix"
    length: int = 16

    def __post_init__(self) -> None:
        check_size("length", self.length)

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Add keys and values to every layer."""
        return [
            Change(model, "soft_prefix", SoftPrefix(model, self.length)),
            Change(model, "states", MethodType(states_with_prefix, model)),
        ]
