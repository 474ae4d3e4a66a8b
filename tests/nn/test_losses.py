"""Losses: against their plain forms in float64, and against what they should be on average."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from m6rec_lite.m6rec.cost.measured_step import LiveTensors
from m6rec_lite.nn import losses
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.losses import AddedScores, linear_cross_entropy, pair_scores
from m6rec_lite.nn.packing import Packing


def randn(*shape: int, seed: int = 0, grad: bool = False, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).requires_grad_(
        grad
    )


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 12),
    items=st.integers(1, 9),
    chunk=st.integers(1, 14),
    biased=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 100),
)
def test_chunked_cross_entropy_equals_the_plain_one(
    n: int, items: int, chunk: int, biased: bool, scale: float, seed: int
) -> None:
    hidden = randn(n, 4, seed=seed, grad=True, scale=scale)
    weight = randn(items, 4, seed=seed + 1, grad=True, scale=scale)
    bias = randn(items, seed=seed + 2, grad=True) if biased else None
    targets = torch.randint(items, (n,), generator=torch.Generator().manual_seed(seed))
    ours = linear_cross_entropy(hidden, weight, targets, bias=bias, chunk=chunk)
    scores = hidden @ weight.t() + (bias if biased else 0)
    plain = F.cross_entropy(scores, targets)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    inputs = [hidden, weight] + ([bias] if biased else [])
    for a, b in zip(
        torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * plain, inputs), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    items=st.integers(1, 8),
    chunk=st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_excluded_items_have_no_share_in_the_softmax(
    lengths: list[int], items: int, chunk: int, seed: int
) -> None:
    packing = Packing(torch.tensor(sorted(lengths, reverse=True)))
    n, draws = sum(lengths), torch.Generator().manual_seed(seed)
    read = torch.randint(-1, items, (n,), generator=draws)  # -1 is no item
    targets = torch.randint(items, (n,), generator=draws)
    hidden, weight = randn(n, 3, seed=seed, grad=True), randn(items, 3, seed=seed + 1, grad=True)
    ours = linear_cross_entropy(
        hidden, weight, targets, excluded=Excluded.history(read, packing), chunk=chunk
    )
    out = torch.zeros(n, items, dtype=torch.bool)
    for token, first in enumerate(packing.starts.tolist()):
        history = set(read[first : token + 1].tolist()) - {-1, int(targets[token])}
        out[token, list(history)] = True
    plain = F.cross_entropy((hidden @ weight.t()).masked_fill(out, -torch.inf), targets)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    for a, b in zip(
        torch.autograd.grad(ours, [hidden, weight]),
        torch.autograd.grad(plain, [hidden, weight]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_added_scores_are_weighted_and_only_the_weight_learns(chunk: int) -> None:
    hidden, weight = randn(7, 3, grad=True), randn(5, 3, seed=1, grad=True)
    more, share = randn(7, 5, seed=2), torch.tensor([1.7], dtype=torch.float64, requires_grad=True)
    targets, lengths = torch.tensor([0, 4, 4, 1, 2, 3, 0]), torch.tensor([4, 3])
    excluded = Excluded.history(torch.tensor([1, 2, 0, 3, 3, 1, 4]), Packing(lengths))
    ours = linear_cross_entropy(
        hidden,
        weight,
        targets,
        excluded=excluded,
        added=AddedScores(share, lambda first, last: more[first:last]),
        chunk=chunk,
    )
    scores = hidden @ weight.t() + share * more
    tokens, items = excluded.pairs(0, 7)
    left_out = items != targets[tokens]
    out = torch.zeros(7, 5, dtype=torch.bool)
    out[tokens[left_out], items[left_out]] = True
    plain = F.cross_entropy(scores.masked_fill(out, -torch.inf), targets)
    torch.testing.assert_close(ours, plain)
    inputs = [hidden, weight, share]
    for a, b in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(plain, inputs), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_a_user_who_had_every_item_but_the_target_teaches_nothing() -> None:
    hidden, weight = randn(3, 2, grad=True), randn(3, 2, seed=1, grad=True)
    read, targets = torch.tensor([0, 1, 2]), torch.tensor([2, 2, 2])
    excluded = Excluded(read, torch.zeros(3).long(), torch.full((3,), 3))
    loss = linear_cross_entropy(hidden, weight, targets, excluded=excluded)
    assert float(loss.detach()) == 0
    loss.backward()
    assert (hidden.grad == 0).all()


def test_exclusions_need_a_row_for_each_token() -> None:
    excluded = Excluded(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]))
    with pytest.raises(ValueError, match="excluded has 1 tokens and hidden 2"):
        linear_cross_entropy(randn(2, 3), randn(4, 3), torch.tensor([0, 1]), excluded=excluded)


def test_exclusions_among_candidates_are_their_indices() -> None:
    excluded = Excluded(torch.tensor([5, 0, -1, 3]), torch.tensor([0, 1]), torch.tensor([4, 2]))
    among = excluded.among(torch.tensor([3, 5, 7]), 8)
    assert among.items.tolist() == [1, -1, -1, 0]
    token, item = among.pairs(0, 2)
    assert (token.tolist(), item.tolist()) == ([0, 0], [1, 0])


def test_chunked_cross_entropy_holds_a_chunk_and_not_all_scores() -> None:
    """Of 4,000 tokens and 3,000 items all scores would be 48 MB."""
    hidden, weight = torch.randn(4000, 8, requires_grad=True), torch.randn(3000, 8)
    targets = torch.randint(3000, (4000,))
    with LiveTensors() as tensors:
        linear_cross_entropy(hidden, weight, targets, chunk=100).backward()
    assert 100 * 3000 * 4 <= tensors.peak < 4000 * 3000


def test_cross_entropy_of_a_vanished_chance_is_its_logarithm() -> None:
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [300.0]])
    assert float(linear_cross_entropy(hidden, weight, torch.tensor([0]))) == pytest.approx(300)


def test_half_precision_gives_a_float32_loss() -> None:
    hidden = torch.randn(50, 8).bfloat16().requires_grad_()
    weight, targets = torch.randn(30, 8).bfloat16(), torch.randint(30, (50,))
    loss = linear_cross_entropy(hidden, weight, targets, chunk=16)
    assert loss.dtype == torch.float32
    plain = F.cross_entropy(hidden.float() @ weight.float().t(), targets)
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=0.02)
    loss.backward()
    assert hidden.grad.dtype == torch.bfloat16


def test_a_vocabulary_of_one_leaves_nothing_to_learn() -> None:
    hidden = randn(5, 3, grad=True)
    loss = linear_cross_entropy(hidden, randn(1, 3), torch.zeros(5, dtype=torch.long))
    assert float(loss.detach()) == 0
    loss.backward()
    assert (hidden.grad == 0).all()


def test_pair_scores_shared_or_not_and_hits_left_out() -> None:
    hidden, weight, bias = randn(3, 4), randn(6, 4, seed=1), randn(6, seed=2)
    targets, shared = torch.tensor([0, 2, 5]), torch.tensor([2, 2, 4, 1])
    right, wrong = pair_scores(hidden, weight, targets, shared, bias=bias)
    scores = hidden @ weight.t() + bias
    torch.testing.assert_close(right, scores[torch.arange(3), targets])
    torch.testing.assert_close(wrong[0], scores[0, shared])
    assert torch.isneginf(wrong[1]).tolist() == [True, True, False, False]
    own = pair_scores(hidden, weight, targets, shared.expand(3, -1), bias=bias)
    torch.testing.assert_close(own[1], wrong)


def test_bce_is_torchs_summed_over_the_pairs() -> None:
    right, wrong = randn(5), randn(5, 3, seed=1)
    plain = F.binary_cross_entropy_with_logits
    parts = plain(right, torch.ones(5).double(), reduction="none")
    parts = parts + plain(wrong, torch.zeros(5, 3).double(), reduction="none").sum(1)
    torch.testing.assert_close(losses.bce(right, wrong), parts.mean())


def test_gbce_is_bce_at_zero_and_calibrated_at_one() -> None:
    right, wrong = randn(4), randn(4, 2, seed=1)
    torch.testing.assert_close(
        losses.gbce(right, wrong, n_items=21, t=0.0), losses.bce(right, wrong)
    )
    # At t = 1, beta = a = 2 / 20: raising s(right) to beta.
    beta = 0.1
    wanted = (-beta * F.logsigmoid(right) - F.logsigmoid(-wrong).sum(1)).mean()
    torch.testing.assert_close(losses.gbce(right, wrong, n_items=21, t=1.0), wanted)
    with pytest.raises(ValueError, match=r"from 0 \(BCE\) to 1"):
        losses.gbce(right, wrong, n_items=21, t=1.5)


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_centred_a_network_that_knows_nothing_is_at_rest(t: float) -> None:
    """Item 0 is right as often as it is drawn: at scores of 0 nothing pulls on any score."""
    scores = torch.zeros(21, dtype=torch.float64, requires_grad=True)
    targets = torch.arange(21)
    negatives = torch.stack([targets.roll(-1), targets.roll(-2), targets.roll(-3)], dim=1)
    right, wrong = scores[targets], scores[negatives]
    (slope,) = torch.autograd.grad(
        losses.gbce(right, wrong, n_items=21, t=t, centred=True), scores, retain_graph=True
    )
    torch.testing.assert_close(slope, torch.zeros_like(slope))
    (plain,) = torch.autograd.grad(losses.gbce(right, wrong, n_items=21, t=t), scores)
    assert (plain > 0.04).all()  # uncentred, every score is pushed down


def test_centring_moves_scores_by_a_constant_and_changes_one_negative_not_at_all() -> None:
    right, wrong = randn(4), randn(4, 3, seed=1)
    rest = torch.tensor(0.5 / 3, dtype=torch.float64).log()
    torch.testing.assert_close(
        losses.bce(right, wrong, beta=0.5, centred=True),
        losses.bce(right + rest, wrong + rest, beta=0.5),
    )
    one = wrong[:, :1]
    assert torch.equal(losses.bce(right, one, centred=True), losses.bce(right, one))


def test_sampled_softmax_over_all_others_is_cross_entropy() -> None:
    hidden, weight, targets = randn(6, 4), randn(7, 4, seed=1), torch.arange(6)
    right, wrong = pair_scores(hidden, weight, targets, torch.arange(7))
    full = F.cross_entropy(hidden @ weight.t(), targets)
    torch.testing.assert_close(losses.sampled_softmax(right, wrong, None), full)


def test_log_q_gives_the_sum_over_all_items_the_right_expectation() -> None:
    """By popularity, uncorrected, the sum is far off; corrected, it is right on average."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=30)
    q = np.arange(1, 31) ** 2.0
    q /= q.sum()
    k, draws = 8, 40_000
    drawn = torch.from_numpy(rng.choice(30, size=(draws, k), p=q))
    right = torch.zeros(draws, dtype=torch.float64)
    wrong = torch.from_numpy(scores)[drawn]
    expected = torch.from_numpy(np.log(k * q))[drawn]

    def others(log_expected: torch.Tensor | None) -> float:
        per_draw = [
            losses.sampled_softmax(
                right[i : i + 1], wrong[i : i + 1],
                None if log_expected is None else log_expected[i : i + 1],
            )
            for i in range(0, draws, 40)
        ]  # fmt: skip
        return float(torch.stack(per_draw).exp().mean()) - 1

    truth = np.exp(scores).sum()
    assert others(expected) == pytest.approx(truth, rel=0.12)
    assert others(None) < truth / 3


def by_hand(right: torch.Tensor, wrong: torch.Tensor, kind: str) -> float:
    """The papers' sums, one token at a time."""
    total = 0.0
    for r, row in zip(right.tolist(), wrong.tolist(), strict=True):
        row = [s for s in row if s > -math.inf]
        z = sum(math.exp(s) for s in row)
        w = [math.exp(s) / z for s in row]
        logistic = [1 / (1 + math.exp(s - r)) for s in row]
        squared = [1 / (1 + math.exp(-s * s)) for s in row]
        if kind == "bpr-max":
            total -= math.log(sum(a * b for a, b in zip(w, logistic, strict=True)))
            total += 0.5 * sum(a * s * s for a, s in zip(w, row, strict=True))
        else:
            total += sum(a * (1 - b + c) for a, b, c in zip(w, logistic, squared, strict=True))
    return total / len(right)


def test_bpr_max_and_top1_max_are_the_papers() -> None:
    right, wrong = randn(4), randn(4, 3, seed=1)
    wrong[1, 2] = -math.inf  # a hit
    assert float(losses.bpr_max(right, wrong, regularization=0.5)) == pytest.approx(
        by_hand(right, wrong, "bpr-max")
    )
    assert float(losses.top1_max(right, wrong)) == pytest.approx(by_hand(right, wrong, "top1-max"))


@pytest.mark.parametrize(
    "loss",
    [
        losses.bce,
        lambda r, w: losses.gbce(r, w, n_items=9),
        lambda r, w: losses.gbce(r, w, n_items=9, centred=True),
        lambda r, w: losses.sampled_softmax(r, w, torch.zeros(2)),
        losses.bpr_max,
        losses.top1_max,
    ],
)
def test_losses_and_gradients_are_finite_where_every_negative_is_a_hit(loss) -> None:
    right, wrong = torch.randn(3, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    hit = torch.tensor([[True, True], [True, False], [False, False]])
    value = loss(right, wrong.masked_fill(hit, -torch.inf))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(right.grad).all()
    assert torch.isfinite(wrong.grad).all()
    assert (wrong.grad[hit] == 0).all()


@pytest.mark.parametrize(
    "loss",
    [losses.bce, losses.bpr_max, losses.top1_max,
     lambda r, w: losses.gbce(r, w, n_items=9), lambda r, w: losses.sampled_softmax(r, w, None)],
)  # fmt: skip
def test_raising_the_right_item_lowers_every_loss(loss) -> None:
    right, wrong = randn(4, grad=True), randn(4, 3, seed=1, grad=True)
    by_right, by_wrong = torch.autograd.grad(loss(right, wrong), [right, wrong])
    assert (by_right < 0).all()
    assert loss(right + 5, wrong) < loss(right, wrong)
    assert (by_wrong.sum(1) > 0).any()


def test_bad_input_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="a mean over nothing"):
        linear_cross_entropy(torch.zeros(0, 3), torch.zeros(4, 3), torch.zeros(0).long())
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4, 5\)"):
        linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 5), torch.zeros(2).long())
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(2).long(), chunk=0)
