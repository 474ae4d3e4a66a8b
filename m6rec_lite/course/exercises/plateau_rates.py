"""Exercise ``plateau_rates``: a plateau whose lower bound is the rate itself."""

from __future__ import annotations

from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _plateau(
    *,
    late: int = 0,
    forget_wait: bool = False,
    best: Callable[[float, float], float] = min,
    tied: bool = False,
    floor: Callable[[float, float], float] = lambda lowest, lr: lowest,
    at_once: bool = False,
    subtract: bool = False,
) -> Callable[..., list[float]]:
    """A plateau, with its usual mistakes as options."""

    def plateau_rates(losses, lr, factor, patience, lowest):
        lowest, low, waited, rates = floor(lowest, lr), float("inf"), 0, []
        for loss in losses:
            better = loss <= low if tied else loss < low
            low, waited = best(low, loss), 0 if better else waited + 1
            if waited > patience + late or (at_once and waited > 0):
                lr = max(lr - factor if subtract else lr * factor, lowest)
                waited = waited if forget_wait else 0
            rates.append(lr)
        return rates

    return plateau_rates


_CURVE = [5.0, 4.0, 4.5, 4.2, 4.1, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
_ARGS: tuple[tuple, ...] = (
    ([5.0, 4.0, 4.0, 4.0, 3.9, 3.9], 1.0, 0.5, 1, 0.0),
    (_CURVE, 0.8, 0.25, 2, 0.0),
    (_CURVE, 0.8, 0.25, 0, 0.1),
)

EXERCISE = Exercise(
    id="plateau_rates",
    title="A plateau whose lower bound is the rate",
    cases=tuple(
        Case(args, _plateau()(*args), note=note)
        for args, note in zip(
            _ARGS,
            (
                "two losses in a row that are no better: more than the patience of 1",
                "a longer curve",
                "patience 0, and a lower bound of 0.1",
            ),
            strict=True,
        )
    ),
    known_wrong=(
        KnownWrong(
            _plateau(floor=lambda lowest, lr: lr),
            "The printed mistake: the lower bound is the rate itself, so the rate never falls.",
        ),
        KnownWrong(
            _plateau(late=-1),
            "The rate falls after `patience` losses that are no better; it takes more than "
            "`patience` of them.",
        ),
        KnownWrong(
            _plateau(forget_wait=True),
            "After a fall the count must begin again: yours falls at every further loss.",
        ),
        KnownWrong(
            _plateau(best=lambda low, loss: loss),
            "A loss is compared with the one before it. Compare it with the lowest so far: 4.2 "
            "after 4.5 is no progress if 4.0 was there.",
        ),
        KnownWrong(
            _plateau(tied=True),
            "A loss equal to the lowest counts as better in your function, so a flat curve never "
            "lowers the rate. Better means below.",
        ),
        KnownWrong(
            _plateau(floor=lambda lowest, lr: 0.0),
            "`lowest` is not used: the rate must not fall below it.",
        ),
        KnownWrong(
            _plateau(subtract=True, floor=lambda lowest, lr: -9.0),
            "The factor is subtracted from the rate; multiply by it.",
        ),
        KnownWrong(
            _plateau(at_once=True),
            "The rate falls at the first loss that is no better: `patience` is not used.",
        ),
    ),
    hints=(
        "Keep the lowest loss so far, and count the losses in a row that are not below it.",
        "If the count exceeds the patience: lr = max(lr * factor, lowest), and count from 0 again.",
        "Append the rate after each loss, also where it has not changed.",
    ),
    notice="With `lowest` equal to the rate every loss curve gives a constant. A test of one line "
    "would have found it: print the rates.",
)
