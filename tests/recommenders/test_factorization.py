"""Factor models against direct solutions, differences of their losses, and known wrong answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from m6rec_lite.data import DataError, Histories, Interactions, leave_one_out, load_dataset
from m6rec_lite.data.files import seal
from m6rec_lite.evaluation import evaluate
from m6rec_lite.nn import DivergenceError, check_gradient
from m6rec_lite.recommenders import (
    BPR,
    IALS,
    WARP,
    ExplicitMF,
    FactorizationMachine,
    LogisticMF,
    NotFittedError,
    OneHot,
    Popularity,
    least_squares,
)
from m6rec_lite.recommenders.factorization_machine import machine_objective
from m6rec_lite.recommenders.ials import ials_objective
from m6rec_lite.recommenders.least_squares import solve_cg, solve_exact
from m6rec_lite.recommenders.rating_loss import rating_objective
from m6rec_lite.recommenders.sampled import Sampler


def drawn(seed: int = 0, users: int = 40, items: int = 25, share: float = 0.3) -> Interactions:
    """Ratings of a few hidden tastes, 1 to 5, on a random part of the cells; ids have gaps."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(users, 3)) @ rng.normal(size=(3, items)) + rng.normal(size=items)
    row, column = np.nonzero(rng.random((users, items)) < share)
    frame = pd.DataFrame({"user_id": 10 + 3 * row, "item_id": 100 + 2 * column})
    noise = 0.1 * rng.normal(size=len(row))
    frame["value"] = np.clip(3 + taste[row, column] + noise, 1, 5)
    frame["timestamp"] = rng.integers(1, 10**6, len(row))
    return Interactions.from_frame(
        frame, user_ids=10 + 3 * np.arange(users), item_ids=100 + 2 * np.arange(items)
    )


def equations(seed: int, n: int = 30, m: int = 20, factors: int = 6) -> tuple:
    rng = np.random.default_rng(seed)
    mask = rng.random((n, m)) < rng.random((n, 1))
    mask[3] = False  # an empty row
    weights = sparse.csr_array(np.where(mask, rng.random((n, m)) + 0.1, 0.0))
    y = rng.normal(size=(m, factors))
    return weights, rng.normal(size=weights.nnz), y, y.T @ y, rng.random(n) + 0.05


def directly(weights, pull, y, gram, ridge) -> np.ndarray:
    pulls = sparse.csr_array((pull, weights.indices, weights.indptr), shape=weights.shape).toarray()
    x = np.zeros((weights.shape[0], y.shape[1]))
    for u, w in enumerate(weights.toarray()):
        left = gram + ridge[u] * np.eye(len(gram)) + (y.T * w) @ y
        x[u] = np.linalg.solve(left, y.T @ pulls[u])
    return x


@pytest.mark.parametrize("block", [1, 300, 2**19], ids=["one row", "some rows", "all rows"])
@pytest.mark.parametrize("factors", [1, 6, 40])
def test_solvers_equal_the_normal_equations(
    block: int, factors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(least_squares, "_BLOCK", block)
    problem = equations(1, factors=factors)
    expected = directly(*problem)
    np.testing.assert_allclose(solve_exact(*problem), expected, atol=1e-9)
    x = np.random.default_rng(0).normal(size=expected.shape)
    solve_cg(*problem, x, steps=3 * factors)
    np.testing.assert_allclose(x, expected, atol=1e-6)
    assert (x[3] == 0).all()


@pytest.mark.extra
@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_compiled_solver_equals_numpy(seed: int, steps: int) -> None:
    compiled = pytest.importorskip(
        "m6rec_lite.recommenders.least_squares_compiled", reason="needs the fast extra (numba)"
    )
    problem = equations(seed)
    start = np.random.default_rng(seed).normal(size=(30, 6))
    ours, two, one = start.copy(), start.copy(), start.copy()
    solve_cg(*problem, ours, steps)
    compiled.solve_cg(*problem, two, steps, threads=2)
    compiled.solve_cg(*problem, one, steps, threads=1)
    np.testing.assert_allclose(two, ours, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(one, two)


def test_a_singular_row_is_reported() -> None:
    weights, pull, y, gram, ridge = equations(0)
    with pytest.raises(np.linalg.LinAlgError, match="raise the regularization"):
        solve_exact(weights, pull, y, -10 * np.eye(len(gram)), ridge)


def dense_objective(model: IALS, train: Interactions) -> float:
    x, y = model.user_factors_.astype(float), model.item_factors_.astype(float)
    p = train.matrix().toarray()
    loss = ((1 + model.alpha * p) * (p - x @ y.T) ** 2).sum()
    return loss + model.regularization * ((x**2).sum() + (y**2).sum())


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_ials_objective_equals_the_sum_over_all_cells(alpha: float) -> None:
    train = drawn()
    model = IALS(factors=4, regularization=0.5, alpha=alpha, dtype="float64").fit(train)
    got = ials_objective(alpha * train.matrix(), model.user_factors_, model.item_factors_, 0.5)
    assert got == pytest.approx(dense_objective(model, train), rel=1e-10)


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_each_round_of_ials_goes_down_to_a_stationary_point(solver: str) -> None:
    train = drawn(3)
    options = {"factors": 3, "regularization": 2.0, "alpha": 4.0, "dtype": "float64"}
    losses = [
        dense_objective(IALS(iterations=n, solver=solver, **options).fit(train), train)
        for n in (1, 2, 3, 5, 8)
    ]
    assert (np.diff(losses) <= 1e-9).all()
    assert losses[-1] < losses[0]
    model = IALS(iterations=400, solver=solver, **options).fit(train)
    x, y, p = model.user_factors_, model.item_factors_, train.matrix().toarray()
    pull = (1 + 4.0 * p) * (p - x @ y.T)
    np.testing.assert_allclose(pull @ y - 2.0 * x, 0, atol=1e-4)
    np.testing.assert_allclose(pull.T @ x - 2.0 * y, 0, atol=1e-4)


def test_cg_and_exact_and_compiled_reach_the_same_objective() -> None:
    train = drawn(4, users=80, items=60)
    losses = {}
    for solver, backend in (("exact", "numpy"), ("cg", "numpy"), ("cg", "auto")):
        model = IALS(8, 1.0, 2.0, iterations=40, solver=solver, backend=backend).fit(train)
        losses[solver, backend] = dense_objective(model, train)
    first = losses["exact", "numpy"]
    assert all(loss == pytest.approx(first, rel=1e-3) for loss in losses.values())


def test_ials_folds_a_history_in_as_training_would() -> None:
    train = drawn(5)
    model = IALS(factors=5, regularization=1.0, alpha=2.0, iterations=300, dtype="float64")
    model.fit(train)
    np.testing.assert_allclose(model.fold_in(train.histories()), model.user_factors_, atol=1e-5)
    assert (model.fold_in(Histories.from_lists([[]], train.item_ids)) == 0).all()


def test_ials_decay_weighs_what_was_met_last() -> None:
    train = drawn(6)
    model = IALS(factors=20, regularization=0.1, decay=0.2, dtype="float64").fit(train)
    old, new = train.item_ids[3], train.item_ids[8]
    scores = model.score(Histories.from_lists([[old, new], [new, old]], train.item_ids))
    assert scores[0, 8] > scores[0, 3]
    assert scores[1, 3] > scores[1, 8]
    model.decay = 1.0
    same = model.score(Histories.from_lists([[old, new], [new, old]], train.item_ids))
    np.testing.assert_allclose(same[0], same[1])


def test_event_weights_are_confidence() -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 1, 2, 2, 2], "item_id": [1, 2, 1, 2, 2], "timestamp": [1, 2, 3, 4, 5],
         "event": ["view", "purchase", "purchase", "view", "view"]}
    )  # fmt: skip
    train = Interactions.from_frame(frame)
    model = IALS(2, 1.0, alpha=2.0, event_weights={"view": 0.5, "purchase": 3})
    np.testing.assert_allclose(model._extra(train).toarray(), [[1, 6], [6, 2]])
    with pytest.raises(ValueError, match=r"event_weights\['view'\] must be 0 or more"):
        IALS(event_weights={"view": -1})
    with pytest.raises(ValueError, match="must be 0 or more, got nan"):
        IALS(event_weights={"view": float("nan")})
    with pytest.raises(ValueError, match="names 'look'"):
        IALS(event_weights={"look": 1})


@pytest.mark.parametrize("kind", [IALS, BPR, WARP, LogisticMF])
def test_rows_without_entries_and_more_factors_than_items(kind: type) -> None:
    train = drawn(7, users=12, items=8, share=0.6)
    train = train.select((train.users != 4) & (train.items != 2))
    model = kind(factors=30).fit(train, progress=False)
    scores = model.score(train.histories())
    assert np.isfinite(scores).all()
    assert (model.item_factors_[2] == 0).all()
    assert model.popularity_[scores[4].argmax()] == model.popularity_.max()  # of 4 nothing is known
    assert (scores[[0, 1, 3], 2] < scores[[0, 1, 3]].max(axis=1)).all()


def _sampled(kind: Callable, seed: int) -> tuple[Callable, list[np.ndarray]]:
    """A sampled loss as a function of U, V and b, with the same draws at every call."""
    met = drawn(seed, users=12, items=15).matrix()
    rng = np.random.default_rng(seed)
    shapes = ((12, 3), (15, 3), (15, 1))

    def objective(u: np.ndarray, v: np.ndarray, b: np.ndarray):
        sampler = Sampler(met, 3, np.random.default_rng(seed))
        sampler.u, sampler.v, sampler.b = u, v, b
        users, items, slopes, loss = kind()._slopes(sampler, sampler.users, sampler.items)
        d = sparse.coo_array((slopes, (users, items)), shape=met.shape).tocsr()
        return loss, [d @ v, d.T @ u, d.sum(axis=0)[:, None]]

    return objective, [0.5 * rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "kind", [BPR, WARP, LogisticMF, lambda: LogisticMF(negatives=7, alpha=2.5)]
)
def test_slopes_of_the_sampled_losses_are_their_derivatives(kind: Callable, seed: int) -> None:
    objective, parameters = _sampled(kind, seed)
    check = check_gradient(objective, parameters)
    assert check.error < 1e-4, check  # WARP's weights are float32
    assert np.abs(objective(*parameters)[1][0]).max() > 0.1


def test_negatives_are_even_and_met_items_are_reported() -> None:
    met = drawn(2, users=5, items=10).matrix()
    sampler = Sampler(met, 2, np.random.default_rng(0))
    users = np.repeat(np.arange(5), 20_000)
    items, fair = sampler.draw(users)
    np.testing.assert_array_equal(fair, met.toarray()[users, items] == 0)
    counts = np.bincount(items, minlength=10)
    assert np.abs(counts / len(items) - 0.1).max() < 0.005


def test_a_sampled_step_moves_both_sides_from_the_same_old_values() -> None:
    sampler = Sampler(sparse.csr_array(np.ones((1, 1))), 1, np.random.default_rng(0))
    sampler.u[:], sampler.v[:] = 2.0, -3.0
    zero = np.array([0])
    sampler.step(zero, zero, np.array([0.5], dtype=np.float32), lr=0.1, decay=0.0)
    # The first AdaGrad step is lr times the sign of the gradient: D V = -1.5, D' U = 1, D = .5.
    assert sampler.u.item() == pytest.approx(2.1)
    assert sampler.v.item() == pytest.approx(-3.1)
    assert sampler.b.item() == pytest.approx(-0.1)


def test_warp_weighs_by_the_rank_that_its_draws_suggest() -> None:
    """A row that scores above all others but a few takes many draws, and then moves little."""
    n_items = 400
    met = sparse.csr_array(([1.0, 1.0], ([0, 1], [0, 0])), shape=(2, n_items))
    sampler = Sampler(met, 1, np.random.default_rng(1))
    sampler.v[:] = 1.0
    sampler.b[:] = 0.0
    sampler.u[:] = 0.0
    sampler.b[0], sampler.b[1:40] = 10.0, 20.0  # a tenth of the items violate the margin
    model = WARP(max_draws=200)
    users, items = np.zeros(3000, dtype=np.int64), np.zeros(3000, dtype=np.int64)
    _, moved, slopes, _ = model._slopes(sampler, users, items)
    assert set(moved[len(moved) // 2 :]) <= set(range(1, 40))
    harmonic = np.cumsum(1 / np.arange(1, n_items + 1))
    n = np.arange(1, 201)
    chance = 0.9 ** (n - 1) * 0.1
    expected = (chance * harmonic[np.maximum((n_items - 1) // n, 1) - 1]).sum()
    assert slopes[len(slopes) // 2 :].mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("kind", [BPR, WARP, LogisticMF])
def test_sampled_models_learn_and_encode_histories(kind: type) -> None:
    train = drawn(8, users=150, items=40, share=0.25)
    liked = train.select(train.values > 3.2)  # what is met now depends on taste
    model = kind(factors=8, epochs=40).fit(liked, progress=False)
    met = liked.matrix().toarray() > 0
    for scores in (
        model.user_factors_ @ model.item_factors_.T + model.item_biases_,
        model.score(liked.histories()),
    ):
        ahead = [
            (s[m][:, None] > s[~m]).mean() for s, m in zip(scores, met, strict=True) if m.any()
        ]
        assert np.mean(ahead) > 0.8  # AUC; popularity alone reaches less, see below
    popular = [
        (model.popularity_[m][:, None] > model.popularity_[~m]).mean() for m in met if m.any()
    ]
    assert np.mean(popular) < 0.75


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BPR(lr=1e6), "BPR diverged.*Lower the learning rate"),
        (lambda: LogisticMF(lr=1e6), "LogisticMF diverged"),
        (lambda: WARP(lr=1e6), "WARP diverged"),
        (lambda: ExplicitMF(method="sgd", lr=5.0), r"diverged.*lr=5.*\(try 0.5\)"),
        (lambda: ExplicitMF(method="gradient", lr=1.0, epochs=500), "diverged.*lr=1"),
        (lambda: ExplicitMF(method="sgd", optimizer="Momentum", lr=2.0), "diverged"),
    ],
)
def test_a_rate_too_large_is_reported(build: Callable, message: str) -> None:
    with pytest.raises(DivergenceError, match=message):
        build().fit(drawn(), progress=False)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (IALS, {"factors": 0}),
        (IALS, {"regularization": 0}),
        (IALS, {"alpha": -1}),
        (IALS, {"decay": 0}),
        (IALS, {"solver": "lu"}),
        (IALS, {"backend": "cuda"}),
        (IALS, {"dtype": "float16"}),
        (IALS, {"threads": 0}),
        (BPR, {"lr": 0}),
        (BPR, {"regularization": -1}),
        (BPR, {"epochs": 1.5}),
        (WARP, {"max_draws": 0}),
        (LogisticMF, {"negatives": 0}),
        (LogisticMF, {"alpha": 0}),
        (ExplicitMF, {"method": "newton"}),
        (ExplicitMF, {"optimizer": "Lion"}),
        (ExplicitMF, {"lr": -1}),
        (ExplicitMF, {"regularization": 0}),
        (FactorizationMachine, {"task": "ranking"}),
        (FactorizationMachine, {"lr": 0}),
    ],
)
def test_bad_settings_are_reported(kind: type, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        kind(**options)


def test_numba_that_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"m6rec-lite\[fast\]"):
        IALS(backend="numba").fit(drawn())
    IALS(backend="auto", iterations=1).fit(drawn())


def _mf_parameters(train: Interactions, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = (train.n_users,), (train.n_items,), (train.n_users, 3), (train.n_items, 3)
    return [rng.normal(size=shape) for shape in shapes]


def test_gradient_of_the_rating_loss() -> None:
    train = drawn(share=0.1)
    objective = rating_objective(train.users, train.items, train.values, 3.0, 0.3)
    parameters = _mf_parameters(train)
    check = check_gradient(objective, parameters)
    assert check.ok, check
    b, c, u, v = parameters
    by_hand = sum(
        (r - 3 - b[i] - c[j] - u[i] @ v[j]) ** 2
        + 0.3 * (b[i] ** 2 + c[j] ** 2 + u[i] @ u[i] + v[j] @ v[j])
        for i, j, r in zip(train.users, train.items, train.values, strict=True)
    )
    assert objective(*parameters)[0] == pytest.approx(by_hand / 2)


def test_one_gradient_step_moves_all_from_the_same_old_values() -> None:
    train = drawn()
    before = ExplicitMF(factors=4, method="gradient", epochs=1, lr=1e-12).fit(train)
    after = ExplicitMF(factors=4, method="gradient", epochs=1, lr=1e-3).fit(train)
    objective = rating_objective(train.users, train.items, train.values, before.mean_, 0.12)
    names = ("user_biases_", "item_biases_", "user_factors_", "item_factors_")
    gradients = objective(*(getattr(before, name) for name in names))[1]
    for name, g in zip(names, gradients, strict=True):
        expected = getattr(before, name) - 1e-3 * g
        np.testing.assert_allclose(getattr(after, name), expected, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "als"},
        {"method": "gradient", "lr": 0.02, "epochs": 400},
        {"method": "sgd", "batch_size": 20, "epochs": 100},
        {"method": "sgd", "optimizer": "Adam", "batch_size": 20, "epochs": 60},
        {"method": "sgd", "optimizer": "AdaGrad", "batch_size": 20, "epochs": 60},
    ],
    ids=lambda options: " ".join(str(value) for value in options.values()),
)
def test_explicit_mf_predicts_held_out_ratings(options: dict) -> None:
    rows = drawn(9, users=80, items=40, share=0.5)
    held_out = np.random.default_rng(0).random(len(rows)) < 0.2
    train, test = rows.select(~held_out), rows.select(held_out)
    model = ExplicitMF(factors=4, **options).fit(train, progress=False)
    assert model.losses_[-1] < model.losses_[0]
    biases = ExplicitMF(factors=1, regularization=10.0).fit(train).rmse(test)
    assert model.rmse(test) < 0.75 * min(biases, float(test.values.std()))


def test_als_ends_where_the_gradient_is_zero() -> None:
    train = drawn(10)
    model = ExplicitMF(factors=2, regularization=0.5, epochs=600).fit(train, progress=False)
    assert (np.diff(model.losses_) <= 1e-9).all()
    objective = rating_objective(train.users, train.items, train.values, model.mean_, 0.5)
    names = ("user_biases_", "item_biases_", "user_factors_", "item_factors_")
    for gradient in objective(*(getattr(model, name) for name in names))[1]:
        assert np.abs(gradient).max() < 1e-3


def test_several_ratings_of_a_pair_all_count() -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 1, 1, 2], "item_id": [5, 5, 6, 6], "value": [1.0, 5.0, 3.0, 3.0]}
    ).assign(timestamp=range(4))
    model = ExplicitMF(factors=1, regularization=0.01).fit(Interactions.from_frame(frame))
    assert model.predict([1], [5])[0] == pytest.approx(3.0, abs=0.05)


def test_ratings_may_be_negative_but_not_nan() -> None:
    train = drawn(11)
    shifted = Interactions(**{**vars(train), "values": train.values - 10})
    ours = ExplicitMF(factors=3).fit(train).predict(train.user_ids[:25], train.item_ids)
    other = ExplicitMF(factors=3).fit(shifted).predict(train.user_ids[:25], train.item_ids)
    np.testing.assert_allclose(other, ours - 10, atol=1e-5)
    values = train.values.copy()
    values[7] = np.nan
    broken = Interactions(**{**vars(train), "values": values})
    with pytest.raises(DataError, match=r"train.values: 1 of \d+ .* the first at row 7 \(nan\)"):
        ExplicitMF().fit(broken)
    with pytest.raises(DataError, match=r"rows\.values: 1 of"):
        ExplicitMF().fit(train).rmse(broken)


def test_cold_start_of_ratings_is_reported_or_answered() -> None:
    train = drawn(12)
    train = train.select((train.users != 4) & (train.items != 2))
    model = ExplicitMF(factors=30, epochs=5).fit(train)  # more factors than items
    known, cold = train.item_ids[0], train.item_ids[2]
    empty_user = train.user_ids[4]
    bias = np.clip(model.mean_ + model.item_biases_[0], model.low_, model.high_)
    assert model.predict([empty_user], [known])[0] == pytest.approx(bias)
    assert model.predict([empty_user], [cold])[0] == pytest.approx(model.mean_)
    with pytest.raises(DataError, match=r"unknown user \[99999\].*predict_new_user"):
        model.predict([99999], [known])
    with pytest.raises(DataError, match=r"unknown item \[3\]"):
        model.predict([empty_user], [3])
    both = model.predict([99999, 99999], [known, 3], unknown="mean")
    np.testing.assert_allclose(both, [bias, model.mean_])
    np.testing.assert_allclose(model.predict_new_user([], [], [known]), [bias])
    with pytest.raises(DataError, match="unknown item"):
        model.predict_new_user([3], [5.0], [known])
    with pytest.raises(DataError, match="ratings: 1 of 1"):
        model.predict_new_user([known], [np.nan], [known])
    with pytest.raises(ValueError, match="give pairs"):
        model.predict_new_user([known], [1.0, 2.0], [known])
    with pytest.raises(ValueError, match="2 user_ids for 1 item_ids"):
        model.predict(train.user_ids[:2], [known])
    with pytest.raises(ValueError, match="unknown must be"):
        model.predict([empty_user], [known], unknown="zero")
    nothing = train.select(np.zeros(len(train), dtype=bool))
    with pytest.raises(DataError, match="no rows"):
        ExplicitMF().fit(nothing)
    with pytest.raises(DataError, match="no ratings"):
        model.rmse(nothing)
    with pytest.raises(NotFittedError, match="call fit"):
        ExplicitMF().predict([1], [1])


def test_a_new_user_gets_what_the_same_ratings_gave_an_old_one() -> None:
    train = drawn(13)
    model = ExplicitMF(factors=3, epochs=400).fit(train, progress=False)
    own = train.users == 6
    rated, ratings = train.item_ids[train.items[own]], train.values[own]
    got = model.predict_new_user(rated, ratings, train.item_ids)
    old = model.predict(np.full(train.n_items, train.user_ids[6]), train.item_ids)
    np.testing.assert_allclose(got, old, atol=1e-3)


def machine_rows(seed: int = 0) -> tuple[sparse.csr_array, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    x = sparse.csr_array(np.where(rng.random((25, 9)) < 0.4, rng.normal(size=(25, 9)), 0.0))
    parameters = [rng.normal(size=1), rng.normal(size=9), rng.normal(size=(9, 3))]
    return x, rng.integers(0, 2, 25).astype(float), parameters


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_gradient_of_the_factorization_machine(task: str) -> None:
    x, targets, parameters = machine_rows()
    check = check_gradient(machine_objective(x, targets, 0.2, task), parameters)
    assert check.ok, check


def test_factorization_machine_equals_the_sum_over_pairs() -> None:
    x, targets, (w0, w, v) = machine_rows(1)
    model = FactorizationMachine(factors=3, epochs=1).fit(x, targets, progress=False)
    model.w0_, model.w_, model.v_ = w0, w, v
    expected = [
        w0[0]
        + sum(w[k] * row[k] for k in range(9))
        + sum(v[k] @ v[m] * row[k] * row[m] for k in range(9) for m in range(k + 1, 9))
        for row in x.toarray()
    ]
    np.testing.assert_allclose(model.predict(x), expected)
    model.task = "classification"
    np.testing.assert_allclose(model.predict(x), 1 / (1 + np.exp(-np.array(expected))))


def test_on_two_ids_the_machine_is_explicit_factorization() -> None:
    train = drawn(14)
    mf = ExplicitMF(factors=3).fit(train)
    table = pd.DataFrame({"user": train.users, "item": train.items})
    encoder = OneHot(["user", "item"]).fit(table)
    x = encoder.transform(table)
    model = FactorizationMachine(factors=3, epochs=1).fit(x, train.values, progress=False)
    users = np.unique(train.users)  # the columns, then those of the items
    items = np.unique(train.items)
    model.w0_ = np.array([mf.mean_])
    model.w_ = np.concatenate([mf.user_biases_[users], mf.item_biases_[items]])
    model.v_ = np.vstack([mf.user_factors_[users], mf.item_factors_[items]])
    ids = train.user_ids[train.users], train.item_ids[train.items]
    expected = mf.predict(*ids)
    np.testing.assert_allclose(np.clip(model.predict(x), mf.low_, mf.high_), expected)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_side_features_help_where_ids_cannot(task: str) -> None:
    """Items never seen: their group, which carries the taste, is all that is known of them."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"user": rng.integers(0, 30, 3000), "item": rng.integers(0, 60, 3000)})
    rows["group"] = rows["item"] % 4
    taste = rng.normal(size=(30, 4))[rows["user"], rows["group"]]
    y = taste if task == "regression" else (taste > 0).astype(float)
    cold = (rows["item"] >= 45).to_numpy()
    errors = {}
    for columns in (["user", "item"], ["user", "item", "group"]):
        encoder = OneHot(columns).fit(rows[~cold])
        model = FactorizationMachine(8, task, regularization=0.01, lr=0.02, batch_size=100)
        model.fit(encoder.transform(rows[~cold]), y[~cold], progress=False)
        errors[len(columns)] = np.mean(
            (model.predict(encoder.transform(rows[cold])) - y[cold]) ** 2
        )
    assert errors[3] < 0.5 * errors[2]


def test_one_hot_of_lists_missing_and_unseen_values() -> None:
    table = pd.DataFrame({"tags": [["a", "b"], [], ["b"], None], "sex": ["F", "M", None, "F"]})
    encoder = OneHot(["tags", "sex"]).fit(table)
    assert encoder.names == ["tags=a", "tags=b", "sex=F", "sex=M"]
    expected = [[0.5, 0.5, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(encoder.transform(table).toarray(), expected)
    new = pd.DataFrame({"tags": [["c", "b"]], "sex": ["X"]}, index=[77])
    np.testing.assert_allclose(encoder.transform(new).toarray(), [[0, 0.5, 0, 0]])
    with pytest.raises(DataError, match="no column 'sex'"):
        encoder.transform(table[["tags"]])
    with pytest.raises(NotFittedError, match="call fit"):
        OneHot("sex").transform(table)
    with pytest.raises(ValueError, match="columns is empty"):
        OneHot([])


def test_saved_predictors_answer_alike(tmp_path: Path) -> None:
    train = drawn(15)
    mf = ExplicitMF(factors=3, epochs=3, seed=4).fit(train, progress=False)
    mf.save(tmp_path / "mf")
    again = ExplicitMF.load(tmp_path / "mf")
    assert again.get_params() == mf.get_params()
    ids = train.user_ids[train.users], train.item_ids[train.items]
    np.testing.assert_array_equal(again.predict(*ids), mf.predict(*ids))
    args = train.item_ids[:3], [1.0, 5.0, 2.0], train.item_ids
    np.testing.assert_array_equal(again.predict_new_user(*args), mf.predict_new_user(*args))

    table = pd.DataFrame({"tags": [["a", "b"], [], ["b"]], "age": [18, 25, 18]})
    encoder = OneHot(["tags", "age"]).fit(table)
    x = encoder.transform(table)
    machine = FactorizationMachine(factors=2, task="classification", epochs=2)
    machine.fit(x, np.array([0.0, 1.0, 1.0]), progress=False)
    encoder.save(tmp_path / "encoder")
    machine.save(tmp_path / "machine")
    x_again = OneHot.load(tmp_path / "encoder").transform(table)
    np.testing.assert_array_equal(x_again.toarray(), x.toarray())
    got = FactorizationMachine.load(tmp_path / "machine").predict(x_again)
    np.testing.assert_array_equal(got, machine.predict(x))


def test_what_cannot_be_saved_or_read_is_reported(tmp_path: Path) -> None:
    for model in (ExplicitMF(), FactorizationMachine(), OneHot("age")):
        with pytest.raises(NotFittedError, match="call fit"):
            model.save(tmp_path / "none")
    mixed = OneHot("x").fit(pd.DataFrame({"x": [True, 2]}))
    with pytest.raises(TypeError, match="column 'x' are neither all text nor all numbers"):
        mixed.save(tmp_path / "mixed")
    ExplicitMF(factors=2, epochs=1).fit(drawn(), progress=False).save(tmp_path / "mf")
    with pytest.raises(DataError, match=r"holds a ExplicitMF.*read it with ExplicitMF\.load"):
        FactorizationMachine.load(tmp_path / "mf")
    config = tmp_path / "mf" / "config.json"
    config.write_text(config.read_text().replace('"factors": 2', '"factors": 0'))
    seal(config.parent, [config.name])
    with pytest.raises(DataError, match="does not fit ExplicitMF: factors must be"):
        ExplicitMF.load(tmp_path / "mf")
    with pytest.raises(FileNotFoundError, match="no saved model"):
        ExplicitMF.load(tmp_path / "gone")


def test_what_a_machine_cannot_use_is_reported() -> None:
    x, targets, _ = machine_rows()
    machine = FactorizationMachine(epochs=1)
    with pytest.raises(DataError, match="one target a row"):
        machine.fit(x, targets[:-1])
    with pytest.raises(DataError, match="not finite"):
        machine.fit(x, np.where(np.arange(25) == 3, np.nan, targets))
    with pytest.raises(DataError, match=r"0 and 1, got \[2\.0\]"):
        FactorizationMachine(task="classification").fit(x, targets + 1)
    with pytest.raises(NotFittedError, match="call fit"):
        machine.predict(x)
    with pytest.raises(DataError, match="x has 4 columns; the machine was fitted on 9"):
        machine.fit(x, targets, progress=False).predict(x[:, :4])
    with pytest.raises(DivergenceError, match="Lower the learning rate"):
        FactorizationMachine(lr=1e3, batch_size=5).fit(x, targets, progress=False)


def real(name: str):
    folder = os.environ.get("M6REC_DATA")
    if not folder or not os.path.isdir(os.path.join(folder, name)):
        pytest.skip(f"M6REC_DATA names no folder with {name}")
    return load_dataset(name)


@pytest.mark.real_data
def test_rmse_on_movielens_100k() -> None:
    rows = Interactions.from_frame(real("ml-100k").interactions)
    fold = np.random.default_rng(0).permutation(len(rows)) % 5
    errors = [
        ExplicitMF(factors=16, epochs=12)
        .fit(rows.select(fold != k), progress=False)
        .rmse(rows.select(fold == k))
        for k in range(5)
    ]
    assert np.mean(errors) <= 0.935


@pytest.mark.real_data
def test_ials_on_movielens_1m() -> None:
    split = leave_one_out(real("ml-1m"))
    model = IALS(factors=192, regularization=20, alpha=0.5)  # the best of ten on validation
    model.fit(split.train, progress=False)
    got = evaluate(model, split, k=10, bootstrap=0, progress=False).metrics["ndcg@10"]
    popular = evaluate(Popularity().fit(split.train), split, k=10, bootstrap=0, progress=False)
    assert got >= 0.050
    assert got > 2 * popular.metrics["ndcg@10"]
