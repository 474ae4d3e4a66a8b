"""Optimizers and schedules against torch's, gradients against differences, and divergence."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.nn import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    DivergenceError,
    Momentum,
    Nesterov,
    Optimizer,
    Plateau,
    RMSProp,
    check_gradient,
    cosine,
    descend,
    step_decay,
    warm_up,
)

PAIRS = {
    "SGD": (SGD, torch.optim.SGD, {"lr": 0.03}),
    "SGD decay": (SGD, torch.optim.SGD, {"lr": 0.03, "weight_decay": 0.1}),
    "Momentum": (Momentum, torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    "Momentum decay": (
        Momentum,
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.7, "weight_decay": 0.2},
    ),
    "Nesterov": (Nesterov, torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    "Nesterov decay": (
        Nesterov,
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.2},
    ),
    "AdaGrad": (AdaGrad, torch.optim.Adagrad, {"lr": 0.1}),
    "AdaGrad decay": (AdaGrad, torch.optim.Adagrad, {"lr": 0.1, "weight_decay": 0.1}),
    "RMSProp": (RMSProp, torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9}),
    "RMSProp decay": (RMSProp, torch.optim.RMSprop, {"lr": 0.01, "weight_decay": 0.1}),
    "Adam": (Adam, torch.optim.Adam, {"lr": 0.01}),
    "Adam decay": (
        Adam,
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3},
    ),
    "AdamW": (AdamW, torch.optim.AdamW, {"lr": 0.01}),
    "AdamW decay": (
        AdamW,
        torch.optim.AdamW,
        {"lr": 0.02, "betas": (0.7, 0.99), "eps": 1e-6, "weight_decay": 0.5},
    ),
}


def factorization(seed: int) -> tuple[list[np.ndarray], Callable]:
    """A random matrix to factor, with a bias: not convex, other entries seen at each step."""
    rng = np.random.default_rng(seed)
    r = rng.normal(size=(7, 5)) * np.exp(rng.normal(size=(7, 1)))
    parameters = [rng.normal(size=(7, 3)), rng.normal(size=(5, 3)), rng.normal(size=5)]
    masks = rng.random((100, 7, 5)) < 0.6

    def loss(t: int, u, v, b):
        """Works on numpy arrays and on tensors."""
        mask = masks[t] if isinstance(u, np.ndarray) else torch.from_numpy(masks[t])
        target = r if isinstance(u, np.ndarray) else torch.from_numpy(r)
        error = (target - u @ v.T - b) * mask
        return (error**2).sum() / 2, error

    return parameters, loss


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("pair", list(PAIRS))
def test_each_of_100_steps_equals_torch(pair: str, seed: int) -> None:
    kind, peer, options = PAIRS[pair]
    ours, loss = factorization(seed)
    expected = [torch.tensor(theta, requires_grad=True) for theta in ours]
    optimizer = kind(ours, **options)
    reference = peer(expected, **options, **({"nesterov": True} if kind is Nesterov else {}))
    start = [theta.copy() for theta in ours]
    for t in range(100):
        u, v, b = ours
        _, error = loss(t, u, v, b)
        optimizer.step([-error @ v, -error.T @ u, -error.sum(axis=0)])
        reference.zero_grad()
        loss(t, *expected)[0].backward()
        reference.step()
        for actual, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(actual, other.detach().numpy(), rtol=1e-7, atol=1e-7)
    assert all(np.abs(now - then).max() > 0.01 for now, then in zip(ours, start, strict=True))
    assert optimizer.steps == 100


def test_all_parameters_move_from_the_same_old_values() -> None:
    """U and V of a product: V's step must not see U's new value."""
    u, v, r = np.array([[1.0]]), np.array([[2.0]]), 5.0

    def objective(u: np.ndarray, v: np.ndarray):
        error = r - u @ v.T
        return float((error**2).sum()) / 2, [-error @ v, -error.T @ u]

    descend(objective, SGD([u, v], lr=0.1), 1)
    assert u.item() == pytest.approx(1 + 0.1 * 3 * 2)
    assert v.item() == pytest.approx(2 + 0.1 * 3 * 1)  # 1, the old u, not 1.6


@given(
    st.sampled_from(sorted({pair[0].__name__ for pair in PAIRS.values()})),
    st.floats(0.05, 20.0),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_each_goes_down_a_ravine(name: str, steep: float, seed: int) -> None:
    kind = {pair[0].__name__: pair[0] for pair in PAIRS.values()}[name]
    curvature = np.array([steep, 1.0])
    theta = np.random.default_rng(seed).normal(size=2) + 2.0
    lr = {"SGD": 0.05, "Momentum": 0.01, "Nesterov": 0.01}.get(name, 0.05)
    way = descend(
        lambda x: (float(curvature @ x**2) / 2, [curvature * x]),
        kind([theta], lr=lr),
        60,
        keep_path=True,
    )
    assert way.losses.shape == (61,)
    assert way.path[0].shape == (61, 2)
    np.testing.assert_array_equal(way.path[0][-1], theta)
    assert way.losses[-1] < way.losses[0]


def test_a_climbing_sign_is_reported_not_nan() -> None:
    """The sign slip of matrix factorization: ``U -= error V`` where ``error = r - u v``."""
    rng = np.random.default_rng(0)
    r, u, v = rng.normal(size=(20, 15)), rng.normal(size=(20, 4)), rng.normal(size=(15, 4))

    def slip(u: np.ndarray, v: np.ndarray):
        error = r - u @ v.T
        return float((error**2).sum()) / 2, [error @ v, error.T @ u]

    with pytest.raises(
        DivergenceError, match=r"SGD diverged: the loss went from .* lr=0\.05.*sign"
    ):
        descend(slip, SGD([u, v], lr=0.05), 500)


@pytest.mark.parametrize("kind", [SGD, Momentum, Nesterov])
def test_a_rate_too_large_is_reported(kind: type[Optimizer]) -> None:
    x = np.ones(3)
    optimizer = kind([x], lr=30.0)
    with pytest.raises(DivergenceError, match=re.escape("lr=30. Lower the learning rate (try 3)")):
        descend(lambda x: (float(x @ x), [2 * x]), optimizer, 1000)
    assert optimizer.lr == 30.0
    assert np.isfinite(x).all()


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    a, b = np.ones(2), np.ones(3)
    optimizer = Adam([a, b], lr=0.1)
    with pytest.raises(DivergenceError, match=r"gradient of parameters\[1\] is not finite"):
        optimizer.step([np.ones(2), np.array([0, np.nan, 0])])
    np.testing.assert_array_equal(a, 1.0)
    with pytest.raises(DivergenceError, match=r"parameters\[0\] is not finite at step 1"):
        SGD([np.full(2, 1e308)], lr=10.0).step([np.full(2, -1e308)])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD([], lr=0.1), "parameters is empty"),
        (lambda: SGD([np.ones(2)], lr=0), "lr must be above 0"),
        (lambda: SGD([np.ones(2)], lr=np.nan), "lr must be above 0"),
        (lambda: SGD([np.ones(2)], lr=np.inf), "lr must be above 0 and finite"),
        (lambda: SGD([np.ones(2)], lr=1, weight_decay=-1), "weight_decay must be 0 or more"),
        (lambda: Momentum([np.ones(2)], lr=1, momentum=1.0), "momentum must be .* below 1"),
        (lambda: RMSProp([np.ones(2)], alpha=1.5), "alpha must be"),
        (lambda: Adam([np.ones(2)], betas=(0.9, 1.0)), "beta2 must be"),
        (lambda: Adam([np.ones(2)], eps=-1), "eps must be"),
        (lambda: SGD([np.ones(2)], lr=1).step([]), "0 gradients for 1 parameters"),
        (lambda: SGD([np.ones(2)], lr=1).step([np.ones(3)]), r"shape \(3,\), its parameter \(2,\)"),
        (lambda: step_decay(0), "every must be at least 1"),
        (lambda: step_decay(2, factor=0), "factor must be"),
        (lambda: cosine(0), "steps must be at least 1"),
        (lambda: cosine(5, floor=2), "floor must be"),
        (lambda: warm_up(0), "steps must be at least 1"),
        (lambda: warm_up(5, start=0), "start must be"),
        (lambda: Plateau(SGD([np.ones(1)], lr=1), factor=1), "factor must be"),
        (lambda: Plateau(SGD([np.ones(1)], lr=1), patience=-1), "patience, threshold"),
        (lambda: Plateau(SGD([np.ones(1)], lr=1)).update(np.nan), "loss is NaN"),
    ],
)
def test_bad_settings_are_reported(build: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("theta", [np.arange(3), [1.0, 2.0]])
def test_parameters_that_cannot_be_changed_in_place_are_reported(theta: object) -> None:
    with pytest.raises(TypeError, match="must be a numpy array of floats"):
        SGD([theta], lr=0.1)


def torch_rates(make: Callable, steps: int, lr: float = 0.2) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


SCHEDULES = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("share", "make", "steps"),
    [
        (step_decay(3, 0.5), lambda o: SCHEDULES.StepLR(o, 3, 0.5), 20),
        (cosine(17), lambda o: SCHEDULES.CosineAnnealingLR(o, 17), 18),
        (cosine(9, 0.1), lambda o: SCHEDULES.CosineAnnealingLR(o, 9, eta_min=0.02), 10),
        (warm_up(6, 0.25), lambda o: SCHEDULES.LinearLR(o, 0.25, total_iters=6), 20),
        (
            warm_up(4, 0.1, cosine(10)),
            lambda o: SCHEDULES.SequentialLR(
                o,
                [SCHEDULES.LinearLR(o, 0.1, total_iters=4), SCHEDULES.CosineAnnealingLR(o, 10)],
                milestones=[4],
            ),
            14,
        ),
    ],
    ids=["step", "cosine", "cosine to a floor", "warm-up", "warm-up, then cosine"],
)
def test_schedules_equal_torch(share: Callable, make: Callable, steps: int) -> None:
    ours = [0.2 * share(t) for t in range(steps)]
    with np.errstate(all="raise"):
        np.testing.assert_allclose(ours, torch_rates(make, steps), rtol=1e-9, atol=1e-12)
    assert len(set(np.round(ours, 9))) > 2


def test_cosine_stays_at_its_floor() -> None:
    assert [cosine(5, 0.2)(t) for t in (5, 6, 100)] == pytest.approx([0.2] * 3)


@given(
    st.lists(st.floats(0.0, 10.0), min_size=1, max_size=60),
    st.integers(0, 4),
    st.sampled_from([0.0, 1e-4, 0.2]),
)
@settings(max_examples=60, deadline=None)
def test_plateau_equals_torch(losses: list[float], patience: int, threshold: float) -> None:
    ours = Plateau(
        SGD([np.ones(1)], lr=1.0), factor=0.5, patience=patience, threshold=threshold, lowest=0.01
    )
    peer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = SCHEDULES.ReduceLROnPlateau(
        peer, factor=0.5, patience=patience, threshold=threshold, min_lr=0.01, eps=0.0
    )
    for loss in losses:
        scheduler.step(loss)
        assert ours.update(loss) == pytest.approx(peer.param_groups[0]["lr"], rel=1e-12)


def test_a_schedule_moves_the_rate_and_puts_it_back() -> None:
    x = np.array([1.0])
    optimizer = SGD([x], lr=0.5)
    descend(lambda x: (float(x[0]), [np.ones(1)]), optimizer, 4, schedule=step_decay(2, 0.5))
    assert x[0] == pytest.approx(1 - 0.5 - 0.5 - 0.25 - 0.25)
    assert optimizer.lr == 0.5


def logistic(seed: int = 0) -> tuple[list[np.ndarray], Callable]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 2, 30)

    def objective(w: np.ndarray, b: np.ndarray):
        z = x @ w[:, 0] + b
        p = 1 / (1 + np.exp(-z))
        loss = float((np.logaddexp(0, z) - y * z).sum() + 0.05 * (w**2).sum())
        return loss, [(x.T @ (p - y))[:, None] + 0.1 * w, np.array((p - y).sum())]

    return [rng.normal(size=(4, 1)), np.array(0.3)], objective


def test_a_right_gradient_passes_and_parameters_stay() -> None:
    parameters, objective = logistic()
    kept = [theta.copy() for theta in parameters]
    check = check_gradient(objective, parameters)
    assert check.ok
    assert check.verdict == "right"
    assert check.tried == 5
    assert check.error < 1e-7
    for now, then in zip(parameters, kept, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda g: [-each for each in g], "opposite sign everywhere"),
        (lambda g: [2 * each for each in g], "2 times what it should be"),
        (lambda g: [1.0002 * each for each in g], "undecided"),
        (lambda g: [g[0] + [[0], [0], [1], [0]], g[1]], "no single factor"),
        (lambda g: [g[0], np.array(np.nan)], "not finite"),
    ],
    ids=["sign slip", "factor", "as small as rounding", "one entry", "nan"],
)
def test_wrong_gradients_are_named(spoil: Callable, message: str) -> None:
    parameters, objective = logistic(1)

    def wrong(*theta: np.ndarray):
        loss, gradients = objective(*theta)
        return loss, spoil(gradients)

    check = check_gradient(wrong, parameters)
    assert not check.ok
    assert message in check.verdict
    if message == "no single factor":
        assert check.where == (0, 2, 0)
    if message == "not finite":
        assert check.where == (1,)


def test_gradient_check_tells_what_it_cannot_use() -> None:
    parameters, objective = logistic()
    with pytest.raises(TypeError, match=r"parameters\[0\] is float32"):
        check_gradient(objective, [parameters[0].astype(np.float32), parameters[1]])
    with pytest.raises(ValueError, match="gradients of shapes"):
        check_gradient(lambda w: (0.0, [np.ones(2)]), [np.ones(3)])
    with pytest.raises(ValueError, match="nothing to try"):
        check_gradient(objective, parameters, entries=0)
