"""The clipped and noisy gradient of DP-SGD."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.trust import clipped_sum, private_gradient


def loss(parameters, example):
    x, y = example
    return (x @ parameters["w"] + parameters["b"] - y) ** 2


def batch(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator), torch.randn(n, generator=generator)


PARAMETERS = {"w": torch.tensor([0.5, -1.0, 2.0]), "b": torch.tensor(0.3)}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.floats(0.05, 20))
def test_it_equals_a_loop_over_examples(n: int, max_norm: float) -> None:
    x, y = batch(n)
    expected, norms = {name: torch.zeros_like(p) for name, p in PARAMETERS.items()}, []
    for i in range(n):
        leaves = {name: p.clone().requires_grad_() for name, p in PARAMETERS.items()}
        loss(leaves, (x[i], y[i])).backward()
        gradient = {name: p.grad for name, p in leaves.items()}
        norm = sum(float((g**2).sum()) for g in gradient.values()) ** 0.5
        norms.append(norm)
        for name, g in gradient.items():
            expected[name] += g * min(1.0, max_norm / norm)
    sums, found = clipped_sum(loss, PARAMETERS, (x, y), max_norm)
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found, torch.tensor(norms), rtol=1e-4, atol=1e-4)


def test_one_example_moves_the_sum_by_at_most_the_limit() -> None:
    x, y = batch(6)
    x[5] *= 1000  # a person with extreme values
    all_of_them, _ = clipped_sum(loss, PARAMETERS, (x, y), 0.7)
    without, _ = clipped_sum(loss, PARAMETERS, (x[:5], y[:5]), 0.7)
    moved = sum(((all_of_them[n] - without[n]) ** 2).sum() for n in PARAMETERS) ** 0.5
    assert float(moved) <= 0.7 + 1e-4


def test_an_empty_batch_gives_noise_alone() -> None:
    options = {"max_norm": 2.0, "expected_size": 4.0}
    generator = torch.Generator().manual_seed(0)
    zero = private_gradient(
        loss, PARAMETERS, batch(0), noise_multiplier=0.0, generator=generator, **options
    )
    assert all(not value.any() for value in zero.values())
    wide = {"w": torch.zeros(50_000), "b": torch.tensor(0.0)}
    noisy = private_gradient(
        loss, wide, batch(0), noise_multiplier=3.0, generator=generator, **options
    )
    assert float(noisy["w"].std()) == pytest.approx(3.0 * 2.0 / 4.0, rel=0.02)


def test_without_noise_and_clipping_it_is_the_mean_gradient() -> None:
    x, y = batch(5)
    mean = torch.func.grad(lambda p, e: torch.func.vmap(loss, (None, 0))(p, e).mean())
    plain = private_gradient(
        loss,
        PARAMETERS,
        (x, y),
        max_norm=1e9,
        noise_multiplier=0.0,
        expected_size=5.0,
        generator=torch.Generator(),
    )
    torch.testing.assert_close(plain, mean(PARAMETERS, (x, y)))


@pytest.mark.parametrize("max_norm", [0.0, -1.0])
def test_a_limit_that_is_not_above_0_is_refused(max_norm: float) -> None:
    with pytest.raises(ValueError, match="max_norm must be > 0"):
        clipped_sum(loss, PARAMETERS, batch(2), max_norm)


@pytest.mark.extra
def test_opacus_clips_the_same() -> None:
    opacus = pytest.importorskip("opacus")
    x, y = batch(8)
    model = opacus.GradSampleModule(torch.nn.Linear(3, 1))
    ((model(x)[:, 0] - y) ** 2).mean().backward()
    linear = model._module
    parameters = {"w": linear.weight.detach()[0], "b": linear.bias.detach()[0]}
    _, norms = clipped_sum(loss, parameters, (x, y), 1.0)
    samples = torch.cat([linear.weight.grad_sample[:, 0], linear.bias.grad_sample], dim=1)
    torch.testing.assert_close(norms, samples.norm(dim=1), rtol=1e-4, atol=1e-5)
