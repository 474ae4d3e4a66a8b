"""Costs of requests, and processes with limited memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from m6rec_lite.m6rec import (
    count_multiply_adds,
    energy_joules,
    limit_process,
    measure_latency,
    pareto,
    save_compressed,
    serve_limited,
)
from tests.m6rec.compress.small import TOKENIZER, a_model, rows, scorer


def test_requests_are_counted_once_after_the_warm_up():
    asked = []
    latency = measure_latency(asked.append, 4, warm_up=2)
    assert asked == [0, 1, 0, 1, 2, 3]
    assert 0 <= latency.p50 <= latency.p95
    with pytest.raises(ValueError, match="at least 1 request"):
        measure_latency(asked.append, 0)


def test_another_clock_may_count_the_seconds():
    ticks = iter(range(100))
    latency = measure_latency(lambda i: None, 3, clock=lambda: 0.001 * next(ticks))
    assert latency.p50 == pytest.approx(1.0)


def test_threads_are_restored_after_an_error():
    before = torch.get_num_threads()

    def fail(i):
        assert torch.get_num_threads() == 1
        raise KeyError(i)

    with pytest.raises(KeyError):
        measure_latency(fail, 1)
    assert torch.get_num_threads() == before


def test_products_and_energy_by_hand():
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    assert count_multiply_adds(lambda: a @ b) == 60
    assert energy_joules(1e9, 0) == pytest.approx(4.6e-3)
    assert energy_joules(0, 1e6) == pytest.approx(160e-6)


def test_the_front_holds_what_no_other_dominates():
    costs, values = np.array([1, 2, 2, 3, 3.0]), np.array([0.5, 0.7, 0.6, 0.7, 0.9])
    assert pareto(costs, values).tolist() == [True, True, False, False, True]
    assert pareto(np.ones(2), np.ones(2)).tolist() == [True, True]


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are Linux's")


@LINUX
def test_a_limited_process_cannot_take_more():
    code = (
        "from m6rec_lite.m6rec.cost.limited_process import limit_process; limit_process({}); "
        "print(len(bytearray({} << 20)))"
    )
    for memory_mib, wanted, fails in ((1024, 64, False), (1024, 1500, True)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(memory_mib, wanted)], capture_output=True, text=True
        )
        assert ("MemoryError" in done.stderr) is fails, done.stderr
        assert done.returncode == fails
    with pytest.raises(ValueError, match="at least 64"):
        limit_process(10)


@pytest.mark.slow
@LINUX
def test_a_model_is_served_within_its_limit(tmp_path):
    both, examples = scorer(a_model(2)), rows(3)
    save_compressed(both, TOKENIZER, tmp_path / "model.safetensors")
    requests = list(zip(examples.known, examples.written, strict=True))
    answers, peak = serve_limited(tmp_path / "model.safetensors", requests, 512)
    got = [answer["probability"] for answer in answers]
    np.testing.assert_allclose(got, both.task("scoring").predict(both.model, examples), atol=1e-6)
    assert peak > 50
    with pytest.raises(RuntimeError, match="the process with 64 MiB ended with code"):
        serve_limited(tmp_path / "model.safetensors", requests, 64)
