"""Batches of sequences: every question once, positions and padding as they should be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import Histories, leave_one_out, load_dataset
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork, validator
from m6rec_lite.recommenders.sequential.sequences import (
    Batch,
    MaskedBatches,
    NextItemBatches,
    n_targets,
    questions,
)
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=12)


def histories(lists: list[list[int]]) -> Histories:
    return Histories.from_lists(lists, np.arange(10))


def pairs(batch: Batch) -> list[tuple[tuple[int, ...], int]]:
    """Each question of a packed batch: all that its token may see, and its target."""
    result, start = [], 0
    for length in batch["lengths"].tolist():
        row = batch["items"][start : start + length].tolist()
        wanted = batch["targets"][start : start + length].tolist()
        result += [(tuple(row[: i + 1]), wanted[i]) for i in range(length)]
        start += length
    assert start == len(batch["items"]) == n_targets(batch)
    return result


@settings(max_examples=50, deadline=None)
@given(lists=LISTS, size=st.integers(1, 5), length=st.integers(1, 12), epoch=st.integers(0, 3))
def test_every_next_item_of_the_latest_window_is_asked_once(
    lists: list[list[int]], size: int, length: int, epoch: int
) -> None:
    batches = NextItemBatches(histories(lists), batch_size=size, max_length=length)
    wanted: Counter = Counter()
    for row in lists:
        row = row[-length - 1 :]
        wanted.update((tuple(row[:i]), row[i]) for i in range(1, len(row)))
    plan = batches.epoch(7, epoch)
    assert Counter(pair for batch in plan for pair in pairs(batch)) == wanted
    for batch in plan:
        assert 1 <= len(batch["lengths"]) <= size
        assert (batch["lengths"].diff() <= 0).all()
        assert int(batch["lengths"].max()) <= length


def test_random_windows_reach_every_part_of_a_long_history() -> None:
    row = list(range(10))
    batches = NextItemBatches(histories([row]), batch_size=1, max_length=3, window="random")
    seen = {tuple(batches.epoch(0, e)[0]["items"].tolist()) for e in range(200)}
    assert seen == {(i, i + 1, i + 2) for i in range(7)}


@settings(max_examples=50, deadline=None)
@given(
    lists=LISTS,
    size=st.integers(1, 5),
    length=st.integers(2, 12),
    share=st.floats(0.01, 0.99),
    last=st.sampled_from([0.0, 0.5, 1.0]),
    epoch=st.integers(0, 3),
)
def test_masked_batches_hold_every_latest_window_once_and_can_be_filled_in_again(
    lists: list[list[int]], size: int, length: int, share: float, last: float, epoch: int
) -> None:
    batches = MaskedBatches(
        histories(lists), mask_share=share, last_share=last, batch_size=size, max_length=length
    )
    result: Counter = Counter()
    for batch in batches.epoch(7, epoch):
        assert n_targets(batch) == len(batch["target_indices"])
        masked = batch["items"] == 10
        assert torch.equal(masked.nonzero()[:, 0], batch["target_indices"])
        for part in masked.split(batch["lengths"].tolist()):
            assert 1 <= int(part.sum()) < len(part)  # something to ask and something to read
            assert last < 1 or part.nonzero()[:, 0].tolist() == [len(part) - 1]
        whole = batch["items"].clone()
        whole[batch["target_indices"]] = batch["targets"]
        result.update(tuple(row.tolist()) for row in whole.split(batch["lengths"].tolist()))
    assert result == Counter(tuple(row[-length:]) for row in lists if len(row) >= 2)


def test_masks_fall_as_often_as_asked_and_anew_each_epoch() -> None:
    lists = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] * 10_000
    batches = MaskedBatches(
        histories(lists), mask_share=0.3, last_share=0.4, batch_size=10_000, max_length=10
    )
    masked = (batches.epoch(0, 0)[0]["items"] == 10).view(-1, 10)
    last_only = (masked.sum(1) == 1) & masked[:, -1]
    share = last_only.float().mean()
    assert 0.38 < share < 0.43  # 0.4, and the few among the others that fall so by chance
    anywhere = masked[~last_only].float().mean(0)
    assert (anywhere - 0.3).abs().max() < 0.035
    again = (batches.epoch(0, 1)[0]["items"] == 10).view(-1, 10)
    assert not torch.equal(masked, again)
    assert torch.equal(masked, (batches.epoch(0, 0)[0]["items"] == 10).view(-1, 10))


def test_random_windows_of_masked_batches_reach_every_part() -> None:
    batches = MaskedBatches(
        histories([list(range(10))]), mask_share=0.3, last_share=0.0, batch_size=1, max_length=4,
        window="random",
    )  # fmt: skip
    seen = set()
    for epoch in range(200):
        (batch,) = batches.epoch(0, epoch)
        batch["items"][batch["target_indices"]] = batch["targets"]
        seen.add(tuple(batch["items"].tolist()))
    assert seen == {tuple(range(i, i + 4)) for i in range(7)}


def test_a_batch_of_random_users_stays_one() -> None:
    """Lengths are not gathered over batches: short and long users meet in each."""
    lists = [[0] * 3] * 200 + [[0] * 11] * 200
    plan = NextItemBatches(histories(lists), batch_size=50, max_length=10).epoch(0, 0)
    long = [int((batch["lengths"] > 5).sum()) for batch in plan]
    assert min(long) >= 12
    assert max(long) <= 38


@settings(max_examples=50, deadline=None)
@given(lists=LISTS, lanes=st.integers(1, 4), steps=st.integers(1, 6))
def test_lanes_hold_every_history_whole_and_apart(
    lists: list[list[int]], lanes: int, steps: int
) -> None:
    batches = ParallelBatches(histories(lists), lanes=lanes, steps=steps)
    wanted: Counter = Counter()
    for row in lists:
        wanted.update((tuple(row[:i]), row[i]) for i in range(1, len(row)))
    if not len(batches):
        assert not wanted
        return
    memory: dict[int, list[int]] = {}
    result: Counter = Counter()
    for i, batch in enumerate(batches.epoch(3, 0)):
        rows, time = batch["items"].shape
        assert time == steps
        targets = dict(
            zip(batch["target_indices"].tolist(), batch["targets"].tolist(), strict=True)
        )
        for lane in range(rows):
            for t in range(time):
                if batch["starts"][lane, t]:
                    memory[lane] = []
                if i == 0 and t == 0:
                    assert lane in memory  # every lane begins with a beginning
                if lane * time + t in targets:
                    memory[lane].append(int(batch["items"][lane, t]))
                    result[tuple(memory[lane]), targets[lane * time + t]] += 1
    assert result == wanted


def test_questions_cover_every_history_with_its_latest_items() -> None:
    rng = np.random.default_rng(0)
    lists = [[int(i) for i in rng.integers(0, 10, n)] for n in [0, 3, 12, 1, 0, 5, 12, 2]]
    answers = {}
    for rows, batch in questions(histories(lists), 4, tokens=8):
        parts = batch["items"].split(batch["lengths"].tolist())
        assert len(batch["items"]) <= 11  # 8, and what the last row adds
        answers |= {int(r): part.tolist() for r, part in zip(rows, parts, strict=True)}
    assert answers == {i: row[-4:] for i, row in enumerate(lists) if row}
    assert questions(histories([[], []]), 4) == []


def test_negatives_come_by_the_power_of_popularity() -> None:
    popularity = np.array([0, 3, 15, 63])
    for power, q in [(0.0, [1, 1, 1, 1]), (1.0, [1, 4, 16, 64]), (0.5, [1, 2, 4, 8])]:
        draws = Negatives(popularity, 100, power)
        share = np.array(q) / np.sum(q)
        drawn = draws.draw(np.random.default_rng(0), 2000)
        assert drawn.shape == (2000, 100)
        np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, share, atol=0.004)
        np.testing.assert_allclose(np.exp(draws.log_expected), 100 * share, rtol=1e-5)


def test_bad_settings_are_refused() -> None:
    rows = histories([[1, 2]])
    with pytest.raises(ValueError, match="window must be 'latest' or 'random'"):
        NextItemBatches(rows, batch_size=1, max_length=3, window="first")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        NextItemBatches(rows, batch_size=0, max_length=3)
    for wrong in ({"mask_share": 0.0}, {"mask_share": 1.0}, {"last_share": -0.1}):
        options = {"mask_share": 0.2, "last_share": 0.1} | wrong
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            MaskedBatches(rows, batch_size=1, max_length=3, **options)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        ParallelBatches(rows, lanes=2, steps=0)
    with pytest.raises(ValueError, match="negatives must be at least 1"):
        Negatives(np.ones(3), 0, 0.5)
    with pytest.raises(ValueError, match="power must be >= 0"):
        Negatives(np.ones(3), 1, -1.0)


class _Popular(ScoringNetwork):
    """Scores the items by their index, and records the shapes of the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, int]] = []

    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        shape = len(histories), histories.n_items
        self.shapes.append(shape)
        return np.tile(np.arange(histories.n_items, dtype=np.float32), (shape[0], 1))


def test_validation_takes_the_steps_of_evaluate_and_draws_its_questions_once(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": np.repeat(np.arange(50), 6),
                          "item_id": np.concatenate([rng.permutation(20)[:6] for _ in range(50)]),
                          "timestamp": np.arange(300)})  # fmt: skip
    split = leave_one_out(load_dataset(frame))
    network = _Popular()
    whole = validator(split.train, split.validation, 5, progress=False)(network)
    assert network.shapes == [(50, 20)]
    monkeypatch.setattr("m6rec_lite.evaluation.questions.MAX_CELLS", 7 * 20)
    assert validator(split.train, split.validation, 5, progress=False)(network) == whole
    assert max(rows for rows, _ in network.shapes[1:]) == 7
    monkeypatch.setattr(
        "m6rec_lite.recommenders.sequential.next_item_network.VALIDATION_QUESTIONS", 10
    )
    network.shapes.clear()
    validate = validator(split.train, split.validation, 5, progress=False)
    assert validate(network) == validate(network)
    assert sum(rows for rows, _ in network.shapes) == 20
