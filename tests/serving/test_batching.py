"""Requests that wait together are computed together, each with its own result or error."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from m6rec_lite.serving import Batcher, Overloaded


def batches_of(n: int, **options) -> list[int]:
    """Sizes of the batches of ``n`` requests that arrive at once."""
    sizes = []

    def double(numbers):
        sizes.append(len(numbers))
        return [2 * number for number in numbers]

    async def run():
        batcher = Batcher(double, ThreadPoolExecutor(1), **options)
        assert await asyncio.gather(*map(batcher, range(n))) == [2 * i for i in range(n)]
        await batcher.close()
        assert batcher.mean_size() == pytest.approx(n / len(sizes))

    asyncio.run(run())
    return sizes


def test_concurrent_requests_form_batches_of_at_most_the_limit() -> None:
    assert batches_of(10, max_batch=4) == [4, 4, 2]
    assert batches_of(3, max_batch=1) == [1, 1, 1]
    assert batches_of(1) == [1]


def test_an_error_reaches_its_request_alone() -> None:
    async def run():
        odd = ValueError("odd")
        batcher = Batcher(lambda ns: [odd if n % 2 else n for n in ns], ThreadPoolExecutor(1))
        return await asyncio.gather(*map(batcher, range(4)), return_exceptions=True)

    answers = asyncio.run(run())
    assert answers[0::2] == [0, 2]
    assert all(isinstance(error, ValueError) for error in answers[1::2])


def test_an_error_of_the_batch_reaches_all_and_the_next_batch_is_computed() -> None:
    async def run():
        batcher = Batcher(lambda ns: [1 // n for n in ns], ThreadPoolExecutor(1))
        first = await asyncio.gather(*map(batcher, (1, 0)), return_exceptions=True)
        return first, await batcher(1)

    first, second = asyncio.run(run())
    assert all(isinstance(error, ZeroDivisionError) for error in first)
    assert second == 1


def test_what_timed_out_is_not_computed_and_a_full_queue_refuses() -> None:
    computed, gate = [], threading.Event()

    def slow(numbers):
        gate.wait(10)
        computed.extend(numbers)
        return numbers

    async def run():
        batcher = Batcher(slow, ThreadPoolExecutor(1), max_batch=1, max_wait=0, max_queue=2)
        first = asyncio.create_task(batcher(0))
        await asyncio.sleep(0.05)  # the worker has taken it
        late, last = (asyncio.create_task(batcher(n)) for n in (1, 2))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher(3)
        late.cancel()
        gate.set()
        assert (await first, await last) == (0, 2)
        await batcher.close()

    asyncio.run(run())
    assert computed == [0, 2]


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="max_batch"):
        Batcher(list, ThreadPoolExecutor(1), max_batch=0)
