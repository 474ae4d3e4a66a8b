"""Position encodings: attention alone does not depend on the order of its inputs.

``LearnedPositions`` and ``sinusoids`` are added to the inputs. ``rotary_angles`` and ``rotate``
rotate queries and keys, so that their product depends on their distance. ``RelativeTime`` adds a
learned bias to each score, from the number of steps and the time between query and key.

Recommenders count positions from the *end*: 0 is the latest event. The position from which the
next item is predicted is then the same in training and test for histories of any length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A learned vector for each position.

    Args:
        max_length: number of positions.
        hidden_size: length of the vectors.
    """

    def __init__(self, max_length: int, hidden_size: int) -> None:
        super().__init__()
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        self.max_length = max_length
        self.weight = nn.Parameter(torch.empty(max_length, hidden_size))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        """Return the vectors of ``positions`` of any shape: ``(*shape, hidden_size)``.

        Raises:
            ValueError: if a position is negative or not below ``max_length``.
        """
        if positions.numel() and not 0 <= int(positions.min()) <= int(positions.max()) < (
            self.max_length
        ):
            raise ValueError(
                f"positions must be from 0 to {self.max_length - 1}, got {int(positions.min())} to "
                f"{int(positions.max())}: cut the sequence to max_length={self.max_length}"
            )
        return nn.functional.embedding(positions, self.weight)


def sinusoids(positions: Tensor, hidden_size: int, *, base: float = 10_000.0) -> Tensor:
    """Return ``sin(p / base^(2i/d))`` and its ``cos``, interleaved, for i = 0 to d/2 - 1.

    Wavelengths range from 2 pi to 2 pi base. A shift by n steps rotates each pair by an angle
    that does not depend on the position. Source: Vaswani et al., 2017, section 3.5.

    Args:
        positions: ``(...)`` numbers of any kind.
        hidden_size: d, even.
        base: 10,000 in the paper.

    Returns:
        ``(..., hidden_size)`` float32, sine at even indices and cosine at odd ones.

    Raises:
        ValueError: if ``hidden_size`` is odd.
    """
    angles = rotary_angles(positions, hidden_size, base=base)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def rotary_angles(positions: Tensor, head_dim: int, *, base: float = 10_000.0) -> Tensor:
    """Return the rotation angle of each pair of dimensions, ``p / base^(2i/d)``.

    Args:
        positions: ``(...)`` numbers of any kind.
        head_dim: d, even.
        base: 10,000 in the paper.

    Returns:
        ``(..., head_dim / 2)`` float32.

    Raises:
        ValueError: if ``head_dim`` is odd.
    """
    if head_dim % 2:
        raise ValueError(
            f"dimensions are rotated in pairs: their number must be even, got {head_dim}"
        )
    pair = torch.arange(head_dim // 2, device=positions.device, dtype=torch.float64)
    frequency = base ** (-2 * pair / head_dim)
    return (positions[..., None].double() * frequency).float()


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the pairs ``(x[2i], x[2i + 1])`` of each head by the angles of the position.

    The product of a query rotated by p and a key rotated by q depends on p - q only. Source: Su et
    al., *RoFormer*, 2021, equation 34.

    Args:
        x: ``(..., time, heads, head_dim)``.
        angles: ``(..., time, head_dim / 2)``, from ``rotary_angles``.

    Returns:
        The shape and dtype of x.
    """
    cos, sin = angles.cos()[..., None, :].to(x.dtype), angles.sin()[..., None, :].to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


class RelativeTime(nn.Module):
    """A learned bias for each score, from the steps and the time between query and key.

    Each number of steps below ``max_steps`` has its own bias; times are put into buckets of their
    logarithm, so that one and two minutes differ, but a year and a year plus a minute do not.

    Source: Zhai et al., *HSTU*, 2024, section 3.2 (buckets ``floor(ln(max(1, dt)) / 0.301)``),
    where each layer has its own biases.

    Args:
        n_heads: number of heads, each with its own biases.
        max_steps: number of step biases; longer distances share the last.
        n_buckets: number of time buckets; longer times share the last. 64 reach 7 years.
    """

    def __init__(self, n_heads: int = 1, max_steps: int = 200, n_buckets: int = 64) -> None:
        super().__init__()
        if max_steps < 1 or n_buckets < 1:
            raise ValueError(
                f"max_steps and n_buckets must be at least 1, got {max_steps} and {n_buckets}"
            )
        self.steps = nn.Parameter(torch.zeros(n_heads, max_steps))
        self.times = nn.Parameter(torch.zeros(n_heads, n_buckets))

    def forward(self, timestamps: Tensor) -> Tensor:
        """Return the bias to add to the attention scores.

        Args:
            timestamps: ``(batch, time)`` int64 seconds; float32 is too imprecise.

        Returns:
            ``(batch, heads, time, time)``: rows are queries, columns keys. Later keys have the
            bias of distance 0; a causal mask hides them.

        Raises:
            TypeError: if the timestamps are not integers.
        """
        if timestamps.is_floating_point():
            raise TypeError(
                f"timestamps must be whole seconds (int64), got {timestamps.dtype}: float32 is 64 "
                "seconds apart at today's dates"
            )
        n = timestamps.shape[1]
        position = torch.arange(n, device=timestamps.device)
        steps = (position[:, None] - position).clamp(0, self.steps.shape[1] - 1)  # (time, time)
        seconds = (timestamps[:, :, None] - timestamps[:, None, :]).clamp(min=1)
        bucket = (seconds.double().log() / 0.301).long().clamp(max=self.times.shape[1] - 1)
        return self.steps[:, steps] + self.times[:, bucket].transpose(0, 1)
