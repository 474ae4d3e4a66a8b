"""Masks and positions of rows before which soft tokens stand.

Soft tokens are trained vectors without a word. They belong to the user region: it attends to them,
they attend to it and to each other, and the written region attends to them. Callers of an adapted
model pass masks, positions and prefix lengths of their own tokens alone; ``shift`` adds the soft
ones.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.m6rec.adapt.method import check_size
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.nn.cache import Cache


def check_fits(length: int, model: M6RecModel) -> None:
    """Refuse soft tokens that leave no room in the model's context for any row."""
    context = model.config.max_position_embeddings
    check_size("length", length, context - 1, f", below the model's context of {context} tokens")


def arguments(model: M6RecModel, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a call of ``M6RecModel.states`` by name, with their defaults."""
    call = inspect.signature(M6RecModel.states).bind(model, *args, **kwargs)
    call.apply_defaults()
    row = dict(call.arguments)
    del row["self"]
    if (row["input_ids"] is None) == (row["inputs_embeds"] is None):
        raise ValueError("give input_ids or inputs_embeds, one of them")
    return row


def is_start(cache: Cache | None) -> bool:
    """Return whether a call is the first of a row: there is no cache, or an empty one."""
    return cache is None or cache.get_seq_length() == 0


def shift(model: M6RecModel, length: int, row: dict[str, Any], *, queries: bool) -> dict[str, Any]:
    """Return the arguments of ``M6RecModel.states`` with soft tokens before each row.

    Args:
        model: the model.
        length: number of soft tokens, n.
        row: the arguments without soft tokens, from ``arguments``.
        queries: whether the soft tokens are computed in this call, like the tokens of the row;
            otherwise they are in the cache, as keys and values only.

    Returns:
        The arguments, with other masks and positions. A full mask ``(batch, 1, time, past +
        time)`` gets n columns of True, and for queries n rows that attend to the soft tokens
        alone: such a mask does not say which tokens are the user region, and soft tokens that
        read the row would carry it to tokens that may not see it.

    Raises:
        ValueError: if the prefix length cannot be determined, or learned positions do not suffice.
    """
    mask, positions, prefix = (
        row[name] for name in ("attention_mask", "position_ids", "prefix_length")
    )
    x = row["input_ids"] if row["inputs_embeds"] is None else row["inputs_embeds"]
    if model.context is not None and length + x.shape[1] > model.context:
        raise ValueError(
            f"{length} soft tokens and a row of {x.shape[1]} do not fit the model's "
            f"{model.context} positions: use fewer soft tokens, or shorter rows (max_tokens=)"
        )
    is_full = mask is not None and mask.ndim == 4
    if prefix is None and not is_full:
        prefix = _user_region(model, row["input_ids"], mask)
    if mask is not None:
        mask = torch.cat([mask.new_ones((*mask.shape[:-1], length)), mask], dim=-1)
    if is_full and queries:
        own = mask.new_zeros((*mask.shape[:2], length, mask.shape[-1]))
        own[..., :length] = True
        mask = torch.cat([own, mask], dim=-2)
    if positions is not None:
        positions = positions + length
        if queries:
            first = torch.arange(length, device=positions.device).expand(len(positions), -1)
            positions = torch.cat([first, positions], dim=1)
    prefix = None if prefix is None else prefix + length
    return row | {"attention_mask": mask, "prefix_length": prefix, "position_ids": positions}


def _user_region(model: M6RecModel, ids: Tensor | None, real: Tensor | None) -> Tensor:
    """Return the number of real tokens up to the last ``[EOS']`` of each row, ``(batch,)``."""
    if ids is None or model.config.user_end_token_id is None:
        raise ValueError(
            "prefix_length is not given, and without input_ids it cannot be determined: pass the "
            "number of real tokens of each row's user region"
        )
    known = (ids == model.config.user_end_token_id).flip(1).cumsum(1).flip(1) > 0
    return (known if real is None else known & (real[:, -ids.shape[1] :] != 0)).sum(1)
