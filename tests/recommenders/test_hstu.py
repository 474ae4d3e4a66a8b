"""HSTU: its block against loops, and which times it uses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.nn import Packing
from m6rec_lite.recommenders import HSTU, HSTUBlock
from m6rec_lite.recommenders.sequential.hstu import TimedBatches, event_times
from tests.contracts.sequential import N_ITEMS, SMALL, chain

TRAIN = Interactions.from_frame(chain(60), item_ids=np.arange(N_ITEMS))


def by_loops(block: HSTUBlock, x: Tensor, times: list[int], query_time: bool) -> Tensor:
    """One row: equations 1 to 3 of the paper, number by number."""
    time, d = x.shape
    heads, size = block.n_heads, d // block.n_heads
    u, v, q, k = F.silu(block.uvqk(F.layer_norm(x, (d,)))).chunk(4, dim=1)
    mixed = torch.zeros_like(x)
    for i in range(time):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            for j in range(i + 1):
                steps = i + 1 - j if query_time else i - j
                seconds = max(1, (times[i + 1] if query_time else times[i]) - times[j])
                bucket = min(63, int(math.log(seconds) / 0.301))
                score = sum(q[i, part][n] * k[j, part][n] for n in range(size))
                score = score + block.bias.steps[head, steps] + block.bias.times[head, bucket]
                weight = score / (1 + torch.exp(-score)) / block.max_length
                mixed[i, part] += weight * v[j, part]
    return x + block.out(F.layer_norm(mixed, (d,)) * u)


@pytest.mark.parametrize("query_time", [False, True])
@pytest.mark.parametrize("heads", [1, 2])
@torch.no_grad()
def test_a_block_equals_loops(heads: int, query_time: bool) -> None:
    torch.manual_seed(0)
    block = HSTUBlock(4, heads, max_length=6, dropout=0.0).double()
    for weight in (block.uvqk.weight, block.bias.steps, block.bias.times):
        torch.nn.init.normal_(weight)
    rows = [[0, 0, 40, 90_000, 90_001, 90_700, 2_000_000], [5, 5, 6, 7000, 7100, 90_000]]
    packing = Packing(torch.tensor([6, 5]), waste=0.5)  # one group, padded
    x = torch.randn(11, 4, dtype=torch.float64)
    padded = torch.tensor([rows[0], [*rows[1], 0]])
    together = block(x, packing, [padded], query_time)
    alone = [by_loops(block, part, row, query_time)
             for part, row in zip(x.split([6, 5]), rows, strict=True)]  # fmt: skip
    torch.testing.assert_close(together, torch.cat(alone))


def test_weights_keep_the_strength_of_an_interest() -> None:
    """Twice as many events like the query give twice the sum; a softmax would give the same."""
    block = HSTUBlock(2, 1, max_length=8, dropout=0.0)
    ones = [torch.ones(1, time, 2) for time in (2, 4)]
    zeros = [torch.zeros(1, 1, time, time) for time in (2, 4)]
    short, long = (block.attend(x, x, x, bias)[0, -1] for x, bias in zip(ones, zeros, strict=True))
    torch.testing.assert_close(long, 2 * short)


def fitted(**more: Any) -> HSTU:
    return HSTU(**SMALL | {"epochs": 2}, **more).fit(TRAIN, progress=False)


def asked(at: int, times: list[int]) -> Histories:
    return Histories.from_lists([[4, 9, 2, 11]], np.arange(N_ITEMS), timestamps=[times], at=[at])


def test_only_a_time_aware_model_changes_with_the_query_time() -> None:
    times = [0, 1, 2, 3]
    early, late, gap = asked(4, times), asked(90_000, times), asked(4, [-90_000, 1, 2, 3])
    steps = fitted(use_time_gaps=False)
    blind, aware = fitted(), fitted(use_query_time=True)
    for model in (steps, blind):
        np.testing.assert_array_equal(model.score(early), model.score(late))
    assert np.abs(aware.score(early) - aware.score(late)).max() > 1e-4
    np.testing.assert_array_equal(steps.score(early), steps.score(gap))
    for model in (blind, aware):
        assert np.abs(model.score(early) - model.score(gap)).max() > 1e-5


def test_without_times_the_three_read_steps() -> None:
    times = replace(asked(4, [0, 1, 2, 3]), has_time=False)
    assert (event_times(times) == 0).all()
    model = fitted(use_query_time=True)
    other = replace(times, at=np.array([10**6]))
    np.testing.assert_array_equal(model.score(times), model.score(other))


def test_the_next_time_is_that_of_the_target_or_the_query() -> None:
    lists, times = [[1, 2, 3], [], [4, 5]], [[10, 20, 30], [], [7, 9]]
    histories = Histories.from_lists(lists, np.arange(6), timestamps=times, at=[33, 0, 12])
    wanted = [[10, 20], [20, 30], [30, 33], [7, 9], [9, 12]]
    assert event_times(histories).tolist() == wanted
    batch = TimedBatches(histories, batch_size=4, max_length=2).epoch(0, 0)[0]
    assert batch["items"].tolist() == [1, 2, 4]
    assert batch["targets"].tolist() == [2, 3, 5]
    assert batch["times"].tolist() == [[10, 20], [20, 30], [7, 9]]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden_size": 10, "n_heads": 3}, "cannot be split among 3 heads"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"use_time_gaps": False, "use_query_time": True}, "set use_time_gaps=True too"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HSTU(**setting)
