"""DIN's network against its equations, and examples of likes from ratings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.din_input import Rows
from m6rec_lite.ctr.din_network import (
    GAPS,
    N_KINDS,
    Dice,
    DINNetwork,
    LocalActivation,
    Sizes,
    layers,
)
from m6rec_lite.ctr.event_log import histories_before
from m6rec_lite.ctr.likes import few_shot_curve, labelled_rows, like_examples
from m6rec_lite.ctr.linear import LogisticCTR
from m6rec_lite.data import Card, DataError, Dataset, Interactions, validate
from m6rec_lite.data.tables import EVENTS

SIZES = Sizes(fields=(9, 4), tags=5, profile=(3, 6), numbers=2, id_width=4, field_width=3)
N_ITEMS = 8


def made(**settings) -> tuple[DINNetwork, torch.Tensor, torch.Tensor]:
    """A network in float64 with all weights drawn, and a catalogue."""
    torch.manual_seed(0)
    network = DINNetwork(SIZES, (6,), (7, 5), **settings).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    codes = torch.stack([torch.arange(N_ITEMS) + 1, torch.arange(N_ITEMS) % 4], dim=1)
    tags = torch.tensor([[1, 2], [3, 0], [0, 0], [4, 5], [2, 0], [1, 0], [5, 3], [2, 4]])
    return network, codes, tags


def a_batch(lengths: list[int]) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    n, total = len(lengths), sum(lengths)
    draw = lambda high, *shape: torch.randint(high, shape, generator=g)  # noqa: E731
    return {
        "lengths": torch.tensor(lengths),
        "candidate": draw(N_ITEMS, n),
        "items": draw(N_ITEMS, total),
        "kinds": draw(N_KINDS, total),
        "gaps": draw(len(GAPS) + 1, total),
        "profile": torch.stack([draw(3, n), draw(6, n)], dim=1),
        "numbers": torch.randn(n, 2, generator=g, dtype=torch.float64),
    }


def row(batch: dict[str, torch.Tensor], i: int) -> dict[str, torch.Tensor]:
    ends = torch.cumsum(batch["lengths"], 0)
    here = slice(int(ends[i] - batch["lengths"][i]), int(ends[i]))
    events = {key: batch[key][here] for key in ("items", "kinds", "gaps")}
    rest = {k: batch[k][[i]] for k in ("lengths", "candidate", "profile", "numbers")}
    return rest | events


# Dice.


def test_dice_is_equation_5():
    torch.manual_seed(2)
    dice = Dice(3).double()
    nn.init.normal_(dice.alpha)
    s = torch.randn(50, 3, dtype=torch.float64) * 4 + 2
    p = 1 / (1 + torch.exp(-(s - s.mean(0)) / torch.sqrt(s.var(0, unbiased=False) + 1e-8)))
    torch.testing.assert_close(dice(s), p * s + (1 - p) * dice.alpha * s)


def test_dice_keeps_moving_averages_and_uses_them_later():
    torch.manual_seed(3)
    dice = Dice(2, momentum=0.5).double()
    s = torch.randn(40, 2, dtype=torch.float64) * 3 + 5
    for _ in range(60):
        dice(s)
    torch.testing.assert_close(dice.mean, s.mean(0))
    torch.testing.assert_close(dice.variance, s.var(0, unbiased=False))
    trained = dice(s)
    dice.eval()
    torch.testing.assert_close(dice(s), trained)  # the averages have arrived at the batch's
    torch.testing.assert_close(dice(s[:1]), trained[:1])  # and one row alone is enough
    before = dice.mean.clone()
    dice(s + 100)
    assert torch.equal(dice.mean, before)


def test_dice_bears_a_batch_of_one_and_of_none():
    dice = Dice(2)
    one = torch.tensor([[3.0, -1.0]])
    torch.testing.assert_close(dice(one), one / 2)  # at its own mean p is a half, alpha starts at 0
    assert dice(torch.zeros(0, 2)).shape == (0, 2)
    assert torch.isfinite(dice.mean).all()


def test_layers_end_without_an_activation():
    parts = layers([4, 3, 2, 1], "prelu")
    assert [type(p).__name__ for p in parts] == [
        "Linear", "PReLU", "Dropout", "Linear", "PReLU", "Dropout", "Linear",
    ]  # fmt: skip
    assert isinstance(layers([4, 3, 1], "dice")[1], Dice)


# The local activation unit and the interest.


def interest_of(network, batch, codes, tags):
    """The first part of what the last layers read."""
    seen = []
    hook = network.output.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    odds = network(batch, codes, tags)
    hook.remove()
    width = 2 * SIZES.id_width + SIZES.field_width
    return odds, seen[0][:, :width]


def test_the_interest_is_the_weighted_sum_of_equation_3():
    network, codes, tags = made(activation="prelu")
    batch = a_batch([3])
    _, interest = interest_of(network, batch, codes, tags)
    vectors = network.item_vectors(codes, tags)
    candidate, wanted = vectors[batch["candidate"][0]], 0
    for item, kind, gap in zip(batch["items"], batch["kinds"], batch["gaps"], strict=True):
        e = vectors[item] + network.kinds.weight[kind] + network.gaps.weight[gap]
        pair = torch.cat([e, candidate, e * candidate])
        wanted = wanted + network.activation.network(pair[None])[0, 0] * e
    torch.testing.assert_close(interest[0], wanted)


def test_weights_are_not_shared_out_as_by_a_softmax():
    network, codes, tags = made(activation="prelu")
    batch = a_batch([4])
    twice = batch | {k: batch[k].repeat(2) for k in ("items", "kinds", "gaps")}
    twice["lengths"] = batch["lengths"] * 2
    once, doubled = (interest_of(network, b, codes, tags)[1] for b in (batch, twice))
    torch.testing.assert_close(doubled, 2 * once)  # the same events again speak twice as loud
    unit = LocalActivation(5, (4,), "dice").double().eval()
    for parameter in unit.parameters():
        nn.init.normal_(parameter)
    weights = unit(torch.randn(200, 5).double(), torch.randn(200, 5).double())
    assert weights.min() < 0 < weights.max()


def test_the_candidate_decides_what_counts():
    network, codes, tags = made()
    batch = a_batch([5])
    other = batch | {"candidate": (batch["candidate"] + 1) % N_ITEMS}
    first, second = (interest_of(network, b, codes, tags)[1] for b in (batch, other))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("settings", [{}, {"activation": "prelu"}, {"use_gaps": False}])
def test_packed_rows_equal_rows_alone_and_events_have_no_order(settings):
    network, codes, tags = made(**settings)
    batch = a_batch([3, 0, 6, 1])
    together = network(batch, codes, tags)
    for i in range(4):
        torch.testing.assert_close(network(row(batch, i), codes, tags), together[[i]])
    turned = row(batch, 2)
    turned |= {k: turned[k].flip(0) for k in ("items", "kinds", "gaps")}
    torch.testing.assert_close(network(turned, codes, tags), together[[2]])


def test_no_row_reads_the_history_of_another():
    network, codes, tags = made()
    batch = a_batch([3, 4, 2])
    changed = batch | {"items": batch["items"].clone()}
    changed["items"][3:7] = (changed["items"][3:7] + 1) % N_ITEMS
    a, b = network(batch, codes, tags), network(changed, codes, tags)
    assert a[1] != b[1]
    assert torch.equal(a[[0, 2]], b[[0, 2]])


def test_gaps_and_kinds_are_read_unless_turned_off():
    batch = a_batch([4])
    moved = batch | {"gaps": (batch["gaps"] + 1) % len(GAPS)}
    network, codes, tags = made()
    assert network(batch, codes, tags) != network(moved, codes, tags)
    network, codes, tags = made(use_gaps=False)
    assert network(batch, codes, tags) == network(moved, codes, tags)


def test_the_output_starts_at_the_rate_of_the_label():
    network = DINNetwork(Sizes((3,), 0, (), 0, 4, 4, log_odds=-2.0))
    nn.init.zeros_(network.output[-1].weight)
    batch = a_batch([0])
    batch |= {"profile": torch.zeros(1, 0, dtype=torch.long), "numbers": torch.zeros(1, 0)}
    codes, tags = torch.zeros(N_ITEMS, 1, dtype=torch.long), torch.zeros(N_ITEMS, 1).long()
    assert network(batch, codes, tags).tolist() == [-2.0]


# The mini-batch aware penalty.


def test_the_penalty_charges_what_the_batch_holds_by_how_rare_it_is():
    network, codes, _ = made()
    batch = {"candidate": torch.tensor([0, 4]), "items": torch.tensor([4, 4, 1])}
    often = [torch.tensor([0.0, 2, 9, 9, 9, 5, 9, 9, 9]), torch.tensor([8.0, 3, 9, 9])]
    ids, kinds = (table.weight for table in network.fields)
    # items 0, 4 and 1 have ids 1, 5 and 2, and kinds 0, 0 and 1
    wanted = ids[1].square().sum() / 2 + ids[5].square().sum() / 5 + ids[2].square().sum() / 9
    wanted = wanted + kinds[0].square().sum() / 8 + kinds[1].square().sum() / 3
    penalty = network.batch_aware_penalty(batch, codes, often)
    torch.testing.assert_close(penalty, wanted / 2)
    penalty.backward()
    torch.testing.assert_close(ids.grad[5], ids[5].detach() / 5)  # equation 8
    assert not ids.grad[[3, 4, 6, 7, 8]].any()


def test_a_row_that_always_occurs_is_charged_its_square_once_an_epoch():
    """Over an epoch of n batches in which a value occurs each time, the charges add up to |w|²."""
    network, codes, _ = made()
    batch = {"candidate": torch.tensor([2]), "items": torch.tensor([], dtype=torch.long)}
    n = 10.0
    often = [torch.full((9,), n), torch.full((4,), n)]
    total = sum(network.batch_aware_penalty(batch, codes, often) for _ in range(int(n)))
    squares = (
        network.fields[0].weight[3].square().sum() + network.fields[1].weight[2].square().sum()
    )
    torch.testing.assert_close(total, squares / 2)


# What the network is given.


def rated(n_users: int = 30, seed: int = 0) -> Dataset:
    """Ratings in which everybody likes one of three tags and rates by it."""
    rng = np.random.default_rng(seed)
    tags = np.array(["war", "love", "space"])
    items = pd.DataFrame({"item_id": np.arange(60), "tags": [[tags[i % 3]] for i in range(60)]})
    items["title"] = [f"film {i}" for i in range(60)]
    rows = []
    for user in range(n_users):
        start = int(rng.integers(10**9, 10**9 + 10**7))
        for k, item in enumerate(rng.permutation(60)[:40]):
            good = item % 3 == user % 3
            stars = rng.choice([4, 5]) if good ^ (rng.random() < 0.1) else rng.choice([1, 3])
            rows.append((user, item, start + 60 * k, "rate", float(stars)))
    names = ["user_id", "item_id", "timestamp", "event", "value"]
    return Dataset(
        name="films",
        interactions=validate("interactions", pd.DataFrame(rows, columns=names)),
        items=validate("items", items),
        users=pd.DataFrame({"user_id": np.arange(n_users)}),
        card=Card("films", "none", "a test"),
    )


def test_events_tell_their_rating_and_their_age():
    dataset = rated(2)
    examples = like_examples(dataset, min_history=0, validation=0.2, test=0.2)
    histories, values = examples.histories(examples.test, latest=3)
    assert len(histories) == len(examples.test)
    assert (histories.lengths == 3).all()
    arrays = {"candidate": np.zeros(len(histories), dtype=np.int64)}
    inputs = Rows(histories, values, arrays, 4)
    np.testing.assert_array_equal(inputs.kinds, len(EVENTS) + 2 * values)
    ages = np.repeat(histories.at, histories.lengths) - histories.timestamps
    for age, gap in zip(ages, inputs.gaps, strict=True):
        ends = (0, *GAPS, np.inf)
        assert ends[gap] < age <= ends[gap + 1]
    batches = inputs.epoch(0, 0)
    assert sum(len(b["candidate"]) for b in batches) == len(histories)
    assert sum(len(b["items"]) for b in batches) == len(histories.items)
    some = inputs.batch(np.array([2, 0]))
    here = [slice(*histories.offsets[[i, i + 1]]) for i in (2, 0)]
    wanted = np.concatenate([histories.items[each] for each in here])
    np.testing.assert_array_equal(some["items"].numpy(), wanted)


# Likes.


def test_examples_of_likes_are_cut_by_time_and_balanced_where_they_are_judged():
    dataset = rated()
    examples = like_examples(dataset, validation=0.2, test=0.2)
    parts = [examples.train, examples.validation, examples.test]
    for early, late in pairwise(parts):
        assert early["timestamp"].max() < late["timestamp"].min()
    for part in parts[1:]:
        assert part["liked"].mean() == 0.5
    rows = dataset.interactions.set_index(["user_id", "item_id"])["value"]
    for part in parts:
        stars = rows.loc[list(zip(part["user_id"], part["item_id"], strict=True))]
        np.testing.assert_array_equal(part["liked"], stars.to_numpy() > 3)
        histories, _ = examples.histories(part, latest=40)
        assert histories.lengths.min() >= 10
        assert (histories.timestamps < np.repeat(histories.at, histories.lengths)).all()
    latest = like_examples(dataset, rows=200, validation=0.2, test=0.2)
    assert len(latest.train) == 120
    assert latest.train["timestamp"].min() > examples.train["timestamp"].min()


def test_shots_are_balanced_and_grow_by_adding():
    examples = like_examples(rated(), validation=0.2, test=0.2)
    few, more = examples.shots(16, seed=1), examples.shots(64, seed=1)
    assert (len(few), few["liked"].sum()) == (16, 8)
    assert set(few.index) < set(more.index)
    assert set(few.index) != set(examples.shots(16, seed=2).index)
    assert examples.shots(None) is examples.train
    with pytest.raises(ValueError, match="n must be even"):
        examples.shots(15)
    with pytest.raises(DataError, match="10000 shots need 5000 liked"):
        examples.shots(10_000)


def test_labelled_rows_are_impressions_or_else_ratings(bazaar):
    *parts, label = labelled_rows(bazaar)
    assert label == "clicked"
    assert sum(len(part) for part in parts) == len(bazaar.impressions)
    *parts, label = labelled_rows(rated())
    assert label == "liked"
    for early, late in pairwise(parts):
        assert early["timestamp"].max() < late["timestamp"].min()


def test_what_gives_no_examples_is_reported():
    dataset = rated()
    clicks = dataset.interactions.assign(event="click")
    with pytest.raises(DataError, match="films has no ratings"):
        like_examples(Dataset("films", clicks, dataset.items, dataset.users, dataset.card))
    with pytest.raises(DataError, match="train examples are of one kind"):
        like_examples(dataset, above=5.0)


def test_more_shots_teach_more():
    examples = like_examples(rated(60), validation=0.1, test=0.2)
    curve = few_shot_curve(
        lambda seed: LogisticCTR(l2=1.0, bins=0, groups=("matches",), label="liked"),
        examples,
        shots=(16, None),
    )
    assert curve["shots"].tolist() == [16] * 3 + [len(examples.train)] * 3
    mean = curve.groupby("shots")["auc"].mean()
    assert mean.iloc[1] > 0.8
    assert mean.iloc[0] < mean.iloc[1] - 0.02
    blind = few_shot_curve(
        lambda seed: MeanRateCTR(label="liked"), examples, shots=(None,), seeds=(0,)
    )
    assert blind["auc"].item() == 0.5
    assert blind["log_loss"].item() < 0.75


def test_histories_of_a_film_lover_hold_no_rating_of_the_same_second():
    dataset = rated(3)
    table = dataset.interactions.assign(timestamp=1000)  # everything in one sitting
    log = Interactions.from_frame(table)
    result, _ = histories_before(log, np.array([0, 1]), np.array([1000, 1001]))
    assert result.lengths.tolist() == [0, 40]
