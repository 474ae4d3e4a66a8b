"""Exercise ``bucket_waits``: a rate limit by a bucket of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Waits = Callable[[list[float], float, float], list[float]]


def _waits(
    *,
    capped: bool = True,
    start: float = 1.0,
    pays_refused: bool = False,
    forgets_refused: bool = False,
    whole_tokens: bool = False,
    tokens_for_seconds: bool = False,
) -> Waits:
    """Return the right answer, or one with a mistake."""

    def waits(times: list[float], rate: float, burst: float) -> list[float]:
        tokens, then, result = start * burst, times[0] if times else 0.0, []
        for now in times:
            gained = (now - then) * rate
            tokens += int(gained) if whole_tokens else gained
            if capped:
                tokens = min(burst, tokens)
            allowed = tokens >= 1
            if allowed or not forgets_refused:
                then = now
            missing = 1 - tokens
            result.append(0.0 if allowed else missing if tokens_for_seconds else missing / rate)
            if allowed or pays_refused:
                tokens -= 1
        return result

    return waits


def _windows(times: list[float], rate: float, burst: float) -> list[float]:
    """Counts in fixed windows of ``burst / rate`` seconds."""
    window, result = burst / rate, []
    counts: dict[int, int] = {}
    for now in times:
        number = int((now - times[0]) // window)
        counts[number] = counts.get(number, 0) + 1
        left = times[0] + (number + 1) * window - now
        result.append(0.0 if counts[number] <= burst else left)
    return result


_answer = _waits()


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        ([0.0, 0.0, 0.0, 0.0], 2.0, 2.0, "four at once, a bucket of two"),
        ([0.0, 0.25, 0.5, 0.75, 1.0], 1.0, 2.0, "refused requests take no token"),
        ([0.0, 0.0, 60.0, 60.0, 60.0, 60.0], 1.0, 2.0, "a minute of quiet fills no more than two"),
        ([5.0, 5.5, 5.75, 6.0, 6.25, 6.5], 2.0, 1.0, "time starts at 5"),
        ([0.0, 0.125, 0.25, 0.375, 0.5], 4.0, 1.0, "tokens come in parts"),
        ([], 1.0, 3.0, "no request"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="bucket_waits",
    title="A rate limit",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _waits(capped=False),
            "The bucket overflows: it holds at most `burst` tokens, however long nothing comes. "
            "Without that, a client who was quiet for a day may send a day's requests at once.",
        ),
        KnownWrong(
            _waits(start=0.0),
            "The bucket is empty at the start. It is full: the first requests must not wait.",
        ),
        KnownWrong(
            _waits(pays_refused=True),
            "A refused request takes a token, too. Then a client who keeps asking is never served.",
        ),
        KnownWrong(
            _waits(forgets_refused=True),
            "The clock is not moved on when a request is refused, though its tokens were added: "
            "the same seconds count twice.",
        ),
        KnownWrong(
            _waits(whole_tokens=True),
            "Only whole tokens are added, and parts are lost: a client who asks often gets none. "
            "Keep tokens as a float.",
        ),
        KnownWrong(
            _waits(tokens_for_seconds=True),
            "That is the number of missing tokens. Divided by the rate it becomes seconds.",
        ),
        KnownWrong(
            _windows,
            "Requests are counted in fixed windows. At the border of two, twice the burst passes "
            "at once; a bucket has no border.",
        ),
    ),
    hints=(
        "State: the tokens, and when they were counted. Start with a full bucket at times[0].",
        "At each request: tokens = min(burst, tokens + (now - then) * rate), then = now.",
        "With a token or more, take one and append 0; else append (1 - tokens) / rate.",
    ),
    notice="Two numbers a client are enough, however many requests there were. The burst is what a "
    "page may load at once, the rate what a client gets in the long run.",
)
