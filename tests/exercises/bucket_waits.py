"""Right answers to ``bucket_waits``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.bucket_waits import _answer


def _by_package(times: list[float], rate: float, burst: float) -> list[float]:
    from m6rec_lite.serving import TokenBucket

    bucket = TokenBucket(rate, burst, times[0] if times else 0.0)
    return [bucket.wait(now) for now in times]


def _by_debt(times: list[float], rate: float, burst: float) -> list[float]:
    """Keeps the moment at which the bucket is full again, instead of tokens."""
    full, result = float("-inf"), []
    for now in times:
        full = max(full, now)
        tokens = burst - (full - now) * rate
        result.append(max(0.0, (1 - tokens) / rate))
        if tokens >= 1:
            full += 1 / rate
    return result


CORRECT = (_answer, _by_package, _by_debt)

EQUIVALENT: dict[str, str] = {}
