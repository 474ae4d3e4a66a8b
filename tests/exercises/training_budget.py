"""Right answers to ``training_budget``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.training_budget import Figures, _budget


def _budget_by_device_hours(
    parameters, tokens, teraflops, utilisation, devices, watts, price_an_hour
) -> Figures:
    a_second = teraflops * 1e12 * utilisation
    seconds = 2 * parameters * tokens / a_second + 4 * parameters * tokens / a_second
    return {
        "flops": parameters * tokens * 6.0,
        "hours": seconds / devices / 3600,
        "kWh": watts * seconds / 3.6e6,
        "price": price_an_hour * seconds / 3600,
    }


CORRECT = (_budget, _budget_by_device_hours)
