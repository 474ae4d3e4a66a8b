"""Key-value cache: the keys and values of the earlier tokens, for each layer.

Without a cache, a causal model that generates token by token would process the whole text again
for each token. The key and value of a position do not depend on later tokens, so they are stored,
and only the new tokens run through the network.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """Interface of a cache; the ``DynamicCache`` of ``transformers`` has it too."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values to a layer and return all of that layer."""
        ...

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of positions in a layer."""
        ...


class KeyValueCache:
    """Keys and values of all positions read so far, layer by layer.

    Memory is allocated ahead and enlarged by half when it runs out, so that adding a position
    copies that position and, on average, two earlier ones.
    """

    def __init__(self) -> None:
        # Keys and values of each layer, (batch, heads, capacity, head_dim).
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._lengths: list[int] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values to a layer.

        Args:
            key_states: ``(batch, heads, new, head_dim)``.
            value_states: likewise.
            layer_idx: 0 for the first; a layer not seen yet must be the next one.

        Returns:
            Keys and values ``(batch, heads, past + new, head_dim)``, the new ones last.

        Raises:
            ValueError: if a layer is skipped, or the batch size differs from the cached one.
        """
        if layer_idx == len(self._buffers):
            self._buffers.append((key_states[:, :, :0], value_states[:, :, :0]))
            self._lengths.append(0)
        if not 0 <= layer_idx < len(self._buffers):
            raise ValueError(f"layer {layer_idx} comes before layer {len(self._buffers)} was read")
        (keys, values), past = self._buffers[layer_idx], self._lengths[layer_idx]
        if past and keys.shape[0] != len(key_states):
            raise ValueError(
                f"the cache holds {keys.shape[0]} rows and {len(key_states)} were given: select "
                "the rows to continue"
            )
        length = past + key_states.shape[2]
        if torch.is_grad_enabled() and key_states.requires_grad:  # no in-place writes in a graph
            keys = torch.cat([keys[:, :, :past], key_states], dim=2)
            values = torch.cat([values[:, :, :past], value_states], dim=2)
            self._buffers[layer_idx], self._lengths[layer_idx] = (keys, values), length
            return keys, values
        if length > keys.shape[2]:
            size = length + max(length // 2, 8)
            keys = _enlarge(keys, key_states, past, size)
            values = _enlarge(values, value_states, past, size)
            self._buffers[layer_idx] = keys, values
        keys[:, :, past:length] = key_states
        values[:, :, past:length] = value_states
        self._lengths[layer_idx] = length
        return keys[:, :, :length], values[:, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of positions in a layer."""
        return self._lengths[layer_idx] if layer_idx < len(self._lengths) else 0

    def select(self, rows: Tensor) -> None:
        """Keep the rows with these ``(n,)`` indices; an index may occur several times."""
        for i, (keys, values) in enumerate(self._buffers):  # one layer is held twice at a time
            self._buffers[i] = keys.index_select(0, rows), values.index_select(0, rows)


def _enlarge(buffer: Tensor, new: Tensor, past: int, size: int) -> Tensor:
    """Return a buffer of ``size`` positions, shaped like ``new``, that starts with the past."""
    larger = new.new_empty(*new.shape[:2], size, new.shape[3])
    larger[:, :, :past] = buffer[:, :, :past]
    return larger
