"""Exercise ``training_budget``: budget a run."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Figures = dict[str, float]


def _budget(
    parameters: float,
    tokens: float,
    teraflops: float,
    utilisation: float,
    devices: int,
    watts: float,
    price_an_hour: float,
) -> Figures:
    """The right answer."""
    flops = 6 * parameters * tokens
    hours = flops / (devices * teraflops * 1e12 * utilisation) / 3600
    paid = devices * hours
    return {
        "flops": flops,
        "hours": hours,
        "kWh": paid * watts / 1000,
        "price": paid * price_an_hour,
    }


def _times(found: Figures, **by: float) -> Figures:
    return {name: value * by.get(name, 1.0) for name, value in found.items()}


def _budget_cases() -> tuple[Case, ...]:
    rows = (
        ((1e9, 2e10, 1000.0, 0.5, 1, 500.0, 2.0), "one device"),
        ((3.06e8, 6.1e9, 989.0, 0.4, 8, 700.0, 3.0), "`base`, 20 tokens a weight, eight cards"),
    )
    return tuple(Case(given, _budget(*given), note=note) for given, note in rows)


EXERCISE = Exercise(
    id="training_budget",
    title="Budget a run",
    cases=_budget_cases,
    known_wrong=(
        KnownWrong(
            lambda *a: _times(_budget(*a), flops=1 / 3, hours=1 / 3, kWh=1 / 3, price=1 / 3),
            "Two operations a weight are those of the way forward. The way back has twice as many: "
            "six in all.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[3], kWh=a[3], price=a[3]),
            "The peak is taken for the speed: divide by the utilisation too.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[3] ** 2, kWh=a[3] ** 2, price=a[3] ** 2),
            "The time is multiplied by the utilisation. The less of the peak is used, the longer "
            "it takes.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=a[4]),
            "The hours are those of one device working alone; several share the work, and the "
            "clock shows fewer.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), kWh=1 / a[4], price=1 / a[4]),
            "Energy and price are counted by the clock, for one device: each of them draws power "
            "and is paid for.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), kWh=1000.0),
            "That energy is in watt-hours; a kilowatt-hour is a thousand of them.",
        ),
        KnownWrong(
            lambda *a: _times(_budget(*a), hours=3600.0, kWh=3600.0, price=3600.0),
            "The time is in seconds; an hour has 3,600 of them.",
        ),
    ),
    hints=(
        "Operations: six a weight and token.",
        "Speed: devices * teraflops * 1e12 * utilisation operations a second.",
        "Energy and money follow from device-hours, hours * devices.",
    ),
    notice="More devices make the run shorter and not cheaper: device-hours stay, and grow as soon "
    "as utilisation falls. Only utilisation is a guess: measure it with a few steps.",
)
