"""Decayed bags equal the recurrence ``s = table[item] + decay * s``, for any chunk of tokens."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from m6rec_lite.nn.bags import DecayedBags, decayed_bags
from m6rec_lite.nn.packing import Packing


def recurrence(rows: list[list[int]], table: torch.Tensor, decay: float) -> list[torch.Tensor]:
    """Return for each row ``(events, d)``: the sum after each event."""
    sums = []
    for row in rows:
        state, states = torch.zeros(table.shape[1], dtype=table.dtype), []
        for item in row:
            state = table[item] + decay * state
            states.append(state)
        sums.append(torch.stack(states) if states else table[:0])
    return sums


@given(
    lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=4),
    decay=st.sampled_from([0.3, 0.8, 1.0]),
    chunk=st.integers(1, 12),
    seed=st.integers(0, 100),
)
def test_sums_and_gradients_equal_the_recurrence(
    lengths: list[tuple[int, int]], decay: float, chunk: int, seed: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    lengths = sorted(lengths, reverse=True)
    rows = [
        torch.randint(7, (earlier + read,), generator=draws).tolist() for read, earlier in lengths
    ]
    table = torch.randn(7, 3, generator=draws, dtype=torch.float64, requires_grad=True)
    windows = [row[earlier:] for row, (_, earlier) in zip(rows, lengths, strict=True)]
    before = [row[:earlier] for row, (_, earlier) in zip(rows, lengths, strict=True)]
    packing = Packing(torch.tensor([len(window) for window in windows]))
    bags = DecayedBags(
        torch.tensor([item for row in windows for item in row]),
        packing,
        torch.tensor([item for row in before for item in row], dtype=torch.int64),
        torch.tensor([len(row) for row in before]),
    )
    n = len(bags.items)
    ours = torch.cat([bags.sums(table, decay, i, min(i + chunk, n)) for i in range(0, n, chunk)])
    sums = recurrence(rows, table, decay)
    plain = torch.cat([row[len(old) :] for row, old in zip(sums, before, strict=True)])
    torch.testing.assert_close(ours, plain)
    assert bags.n_events.tolist() == [
        len(old) + i + 1 for old, window in zip(before, windows, strict=True)
        for i in range(len(window))
    ]  # fmt: skip
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), table),
        torch.autograd.grad(plain.square().sum(), table),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_whole_histories_may_be_empty() -> None:
    table = torch.arange(6.0).reshape(3, 2)
    lengths = torch.tensor([0, 2, 0, 1])
    bags = decayed_bags(torch.tensor([1, 2, 0]), lengths, table, 0.5)
    assert bags.tolist() == [[0, 0], [4 + 0.5 * 2, 5 + 0.5 * 3], [0, 0], [0, 1]]
    nothing = decayed_bags(torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0]), table, 0.5)
    assert nothing.tolist() == [[0, 0], [0, 0]]
