"""Attention masks.

Masks are boolean; True marks a key that a query may attend to, as in torch's
``scaled_dot_product_attention``. They broadcast to ``(batch, heads, queries, keys)`` and are
combined with ``&``. (In the masks of ``nn.MultiheadAttention`` True means the opposite.)
"""

from __future__ import annotations

import torch
from torch import Tensor


def causal_mask(time: int, *, past: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Return the mask of causal attention: no query attends to a later position.

    Args:
        time: number of queries.
        past: number of keys before the first query (from a cache).
        device: device of the mask.

    Returns:
        ``(time, past + time)`` bool: query i attends to the keys up to ``past + i``.
    """
    return torch.ones(time, past + time, dtype=torch.bool, device=device).tril(diagonal=past)


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """Return the mask that hides the padding at the end of each row.

    Args:
        lengths: ``(batch,)`` integers, each from 0 to ``time``.
        time: length to which rows are padded.

    Returns:
        ``(batch, 1, 1, time)`` bool.

    Raises:
        ValueError: if a length is negative or above ``time``.
    """
    _check_lengths(lengths, time, "lengths")
    return (torch.arange(time, device=lengths.device) < lengths[:, None])[:, None, None, :]


def prefix_mask(prefix_lengths: Tensor, time: int) -> Tensor:
    """Return the mask of a prefix language model.

    Positions of the prefix attend to the whole prefix; later positions attend to the prefix and
    to the positions up to their own.

    Source: Raffel et al., *T5*, 2020, section 3.2.1 (prefix language model).

    Args:
        prefix_lengths: ``(batch,)``, each from 0 (all causal) to ``time`` (all bidirectional).
        time: length of the rows.

    Returns:
        ``(batch, 1, time, time)`` bool.

    Raises:
        ValueError: if a prefix is negative or longer than ``time``.
    """
    _check_lengths(prefix_lengths, time, "prefix_lengths")
    inside = torch.arange(time, device=prefix_lengths.device) < prefix_lengths[:, None]
    return inside[:, None, None, :] | causal_mask(time, device=prefix_lengths.device)


def _check_lengths(lengths: Tensor, time: int, name: str) -> None:
    if lengths.numel() and (int(lengths.min()) < 0 or int(lengths.max()) > time):
        raise ValueError(
            f"{name} must be from 0 to time={time}, got {int(lengths.min())} to "
            f"{int(lengths.max())}: cut longer rows first"
        )
