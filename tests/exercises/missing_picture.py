"""Right answers to ``missing_picture``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.missing_picture import Measure, _right


def _half(measure: Measure, prediction: float) -> dict[str, float]:
    return _right(measure, prediction, 0.5)


def _best_of_many(measure: Measure, prediction: float) -> dict[str, float]:
    rates = [0.1, 0.2, 0.4, 0.6, 0.8]
    return _right(measure, prediction, max(rates, key=lambda r: sum(measure(r).values())))


CORRECT = (_right, _half, _best_of_many)

EQUIVALENT = {
    "rate = 0.45": "the rate is the learner's choice",
    "return {'rate': rate, 'gain': gain, 'price': price, 'missed': abs(prediction - gain)}": (
        "an absolute difference has no direction"
    ),
}
