"""Batching of concurrent requests: those that wait are computed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class Overloaded(RuntimeError):
    """More requests wait than the queue holds."""


class Batcher(Generic[Request, Result]):
    """Runs a function on batches of requests, in one thread, while further requests are queued.

    A batch starts at once if enough requests wait to fill it, else after ``max_wait``. Requests
    that arrive while a batch is computed form the next one, so batches grow with the load.

    Args:
        run: maps a list of requests to as many results; a result that is an exception is raised
            for its request alone.
        executor: of one thread, which all uses of the model share.
        max_batch: maximum number of requests in a batch.
        max_wait: seconds to wait for further requests.
        max_queue: number of waiting requests above which more are refused.
    """

    def __init__(
        self,
        run: Callable[[list[Request]], list[Result | Exception]],
        executor: ThreadPoolExecutor,
        *,
        max_batch: int = 64,
        max_wait: float = 0.002,
        max_queue: int = 1000,
    ) -> None:
        if max_batch < 1 or max_wait < 0 or max_queue < 1:
            raise ValueError(
                "max_batch and max_queue must be at least 1, max_wait 0 or more; got "
                f"{max_batch}, {max_queue}, {max_wait}"
            )
        self._run, self._executor = run, executor
        self.max_batch, self.max_wait = max_batch, max_wait
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Result]]]
        self._queue = asyncio.Queue(max_queue)
        self._worker: asyncio.Task[None] | None = None
        self._sizes: deque[int] = deque(maxlen=1000)

    async def __call__(self, request: Request) -> Result:
        """Return the result of one request.

        Raises:
            Overloaded: if the queue is full.
        """
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((request, future))
        except asyncio.QueueFull:
            raise Overloaded(f"{self._queue.maxsize} requests wait already") from None
        return await future

    def mean_size(self) -> float:
        """Return the mean size of the latest 1,000 batches, 0 before the first."""
        return sum(self._sizes) / max(1, len(self._sizes))

    async def close(self) -> None:
        """Answer the waiting requests, then stop."""
        if self._worker is not None:
            await self._queue.join()
            self._worker.cancel()
            self._worker = None

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            if self._queue.qsize() < self.max_batch - 1:
                await asyncio.sleep(self.max_wait)
            while len(batch) < self.max_batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            waiting = [pair for pair in batch if not pair[1].done()]  # the others timed out
            if waiting:
                await self._answer(waiting)
            for _ in batch:
                self._queue.task_done()

    async def _answer(self, batch: list[tuple[Request, asyncio.Future[Result]]]) -> None:
        loop, requests = asyncio.get_running_loop(), [request for request, _ in batch]
        self._sizes.append(len(batch))
        results: list[Result | Exception]
        try:
            results = await loop.run_in_executor(self._executor, self._run, requests)
        except Exception as error:  # of the batch as a whole: every request learns of it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
