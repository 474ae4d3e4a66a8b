"""What a Transformer has read already: the keys and values of each layer.

A causal model that writes one token after another would, without a cache, read the whole text anew
for each. But what a position gives to look at (its key and value) does not change when more text
comes behind it. So it is kept, and only what is new runs through the network.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """What attention asks of a cache; ``transformers``' ``DynamicCache`` has it too."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add what is new in a layer, and get all there is."""
        ...

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many positions were read."""
        ...


class KeyValueCache:
    """Keys and values of all positions read so far, layer by layer.

    Room is taken ahead, twice as much each time it runs out, so that adding a position copies that
    position and not all before it.
    """

    def __init__(self) -> None:
        self._rooms: list[
            tuple[Tensor, Tensor]
        ] = []  # a layer each: (batch, heads, room, head_dim)
        self._lengths: list[int] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Add what is new in a layer.

        Args:
            key_states: ``(batch, heads, new, head_dim)``.
            value_states: likewise.
            layer_idx: 0 for the first; a layer not seen yet must be the next one.

        Returns:
            Keys and values ``(batch, heads, past + new, head_dim)``, the new ones last.

        Raises:
            ValueError: if a layer is left out, or the batch is not that of the past.
        """
        if layer_idx == len(self._rooms):
            self._rooms.append((key_states[:, :, :0], value_states[:, :, :0]))
            self._lengths.append(0)
        if not 0 <= layer_idx < len(self._rooms):
            raise ValueError(f"layer {layer_idx} comes before layer {len(self._rooms)} was read")
        rooms, past = self._rooms[layer_idx], self._lengths[layer_idx]
        if past and rooms[0].shape[0] != len(key_states):
            raise ValueError(
                f"the cache holds {rooms[0].shape[0]} rows and {len(key_states)} came: select the "
                "rows that go on"
            )
        length = past + key_states.shape[2]
        if torch.is_grad_enabled() and key_states.requires_grad:  # writing in place would cut it
            keys = torch.cat([rooms[0][:, :, :past], key_states], dim=2)
            values = torch.cat([rooms[1][:, :, :past], value_states], dim=2)
            self._rooms[layer_idx], self._lengths[layer_idx] = (keys, values), length
            return keys, values
        if length > rooms[0].shape[2]:
            rooms = tuple(
                _grown(room, new, past, 2 * length)
                for room, new in ((rooms[0], key_states), (rooms[1], value_states))
            )
            self._rooms[layer_idx] = rooms
        rooms[0][:, :, past:length] = key_states
        rooms[1][:, :, past:length] = value_states
        self._lengths[layer_idx] = length
        return rooms[0][:, :, :length], rooms[1][:, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many positions a layer has read."""
        return self._lengths[layer_idx] if layer_idx < len(self._lengths) else 0

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, each once or several times: ``(n,)`` places in the batch."""
        self._rooms = [
            (keys.index_select(0, rows), values.index_select(0, rows))
            for keys, values in self._rooms
        ]


def _grown(room: Tensor, new: Tensor, past: int, size: int) -> Tensor:
    """A larger room with the past in it."""
    larger = new.new_empty(*new.shape[:2], size, new.shape[3])
    larger[:, :, :past] = room[:, :, :past]
    return larger
