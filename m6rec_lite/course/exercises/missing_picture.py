"""Exercise ``missing_picture``: predict, change a rate, measure (open)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.comparison import difference
from m6rec_lite.course.exercises.engine import Exercise, KnownWrong, Wrong

#: ``measure(rate)``: share of the variance explained with both inputs, and without the picture.
Measure = Callable[[float], dict[str, float]]


def study(noise: float = 0.5) -> Measure:
    """Return a function that fits a linear model with modality dropout, in closed form.

    A text and a picture both show a hidden trait t with variance 1; the text has noise of the given
    variance, the picture a tenth of it. The model is the best weighted sum of both when each is
    missing at the rate, and never both.
    """
    text, picture = 1 + noise, 1 + noise / 10  # variances; each has covariance 1 with the trait

    def measure(rate: float) -> dict[str, float]:
        """Fit at one rate of modality dropout, from 0 to below 1."""
        one, both = 1 - rate + rate**2 / 2, (1 - rate) ** 2  # a modality is present; both are
        w = np.linalg.solve([[one * text, both], [both, one * picture]], [one, one])
        error = 1 - 2 * w.sum() + w @ np.array([[text, 1.0], [1.0, picture]]) @ w
        alone = 1 - 2 * w[0] + text * w[0] ** 2
        return {"both": float(1 - error), "picture missing": float(1 - alone)}

    return measure


def _right(measure: Measure, prediction: float, rate: float = 0.3) -> dict[str, float]:
    before, after = measure(0.0), measure(rate)
    gain = after["picture missing"] - before["picture missing"]
    return {
        "rate": rate,
        "gain": gain,
        "price": before["both"] - after["both"],
        "missed": abs(gain - prediction),
    }


def _with(**changes: Callable[[Measure, float, dict[str, float]], float]) -> Callable[..., Any]:
    def answer(measure: Measure, prediction: float) -> dict[str, float]:
        right = _right(measure, prediction)
        return right | {
            name: change(measure, prediction, right) for name, change in changes.items()
        }

    return answer


#: Mistakes by entry of the result, with their messages; the first that agrees is named.
_FAULTS: dict[str, tuple[tuple[Callable[[Measure, float, dict[str, float]], float], str], ...]] = {
    "gain": (
        (
            lambda m, p, r: -r["gain"],
            "The sign of the gain is turned: with dropout less without it, on test without the "
            "picture.",
        ),
        (
            lambda m, p, r: -r["price"],
            "The gain is measured with both inputs present. Wanted is the test at which the "
            "picture is missing.",
        ),
        (
            lambda m, p, r: m(r["rate"])["picture missing"],
            "That is what the model reaches, not what dropout adds: subtract the same test of the "
            "model without dropout, measure(0.0).",
        ),
    ),
    "price": (
        (
            lambda m, p, r: -r["price"],
            "The sign of the price is turned: it is what is lost with both inputs, so without "
            "dropout less with it.",
        ),
        (
            lambda m, p, r: m(0.0)["picture missing"] - m(r["rate"])["picture missing"],
            "The price is measured without the picture. Dropout costs something where both inputs "
            "are present.",
        ),
    ),
    "missed": (
        (
            lambda m, p, r: r["gain"] - p if r["gain"] < p else p - r["gain"],
            "The miss has a sign. Wanted is its size, the absolute difference.",
        ),
        (
            lambda m, p, r: r["gain"],
            "The prediction is not compared with anything: the miss is gain less prediction, "
            "without its sign.",
        ),
    ),
}  # fmt: skip


def _check(answer: Any) -> None:
    """Reproduce the measurement of the rate that the answer chose."""
    if not callable(answer):
        raise Wrong("Pass the function itself: check(missing_picture).", output=answer)
    for noise, prediction in ((0.5, 0.05), (2.0, 0.9)):
        measure = study(noise)
        result = answer(measure, prediction)
        inputs = f"missing_picture(measure, prediction={prediction}), noise of the text {noise}"
        names = ["rate", "gain", "price", "missed"]
        if not isinstance(result, Mapping) or sorted(result) != sorted(names):
            raise Wrong(f"Return a dictionary of {names}.", inputs=inputs, output=result)
        rate = result["rate"]
        if not isinstance(rate, int | float) or not 0 < rate < 1:
            raise Wrong(
                "Choose a rate above 0 and below 1: at 0 nothing was changed.",
                inputs=inputs, output=result,
            )  # fmt: skip
        right = _right(measure, prediction, float(rate))
        for name in names[1:]:
            if not difference(result[name], right[name], 1e-9):
                continue
            messages = (
                message
                for wrong, message in _FAULTS[name]
                if not difference(result[name], wrong(measure, prediction, right), 1e-9)
            )
            raise Wrong(
                next(messages, ""), inputs=inputs, output=dict(result), expected=right,
                difference=difference(result[name], right[name], 1e-9, f"[{name!r}]"),
            )  # fmt: skip


EXERCISE = Exercise(
    id="missing_picture",
    title="Predict, change a rate, measure",
    check=_check,
    data={"study": study},
    known_wrong=(
        *(
            KnownWrong(_with(**{name: wrong}), message)
            for name, faults in _FAULTS.items()
            for wrong, message in faults
        ),
        KnownWrong(
            _with(rate=lambda m, p, r: 0.0),
            "Choose a rate above 0 and below 1: at 0 nothing was changed.",
        ),
        KnownWrong(
            lambda measure, prediction: _right(measure, prediction)["gain"],
            "Return a dictionary of ['rate', 'gain', 'price', 'missed'].",
        ),
    ),
    hints=(
        "before = measure(0.0) and after = measure(rate), with a rate of your choice.",
        "The gain compares 'picture missing' of the two, the price 'both'.",
        "abs(gain - prediction) says how far your prediction was from the measurement.",
    ),
    notice="Dropout moves weight from the better input to the other one: it helps where the better "
    "one is missing, and costs a little where it is there. Which of the two matters depends on how "
    "often the picture is missing in use, and that number is not in the model.",
)
