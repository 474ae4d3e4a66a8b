"""What a run of pretraining will cost, before it is paid for.

    python -m m6rec_lite.m6rec.cost.budget --size base --device-memory 80 --teraflops 989
    python -m m6rec_lite.m6rec.cost.budget --size nano --measure

Weights, arithmetic (``plan``) and memory (``memory``) follow from the shape by formulas, which
tests hold against built models, counted operations and counted bytes. Time follows from arithmetic
and speed: a step that was measured (``--measure``), or a device's peak times a utilisation that is
assumed and said. Energy and money follow from time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from m6rec_lite.m6rec.config import SIZE_HELP
from m6rec_lite.m6rec.cost.measured_step import Measured, measure, mix_of_example
from m6rec_lite.m6rec.cost.memory import (
    MARGIN,
    estimate_memory,
    free_bytes,
    largest_size_that_fits,
    needs,
    ways_to_fit,
)
from m6rec_lite.m6rec.cost.plan import (
    WIDTHS,
    Mix,
    Plan,
    count_parameters,
    flops_a_step,
    flops_a_token,
)
from m6rec_lite.nn.losses import CHUNK
from m6rec_lite.training.guard import in_words

__all__ = [
    "Cost",
    "Mix",
    "Plan",
    "count_parameters",
    "estimate_cost",
    "estimate_memory",
    "flops_a_step",
    "flops_a_token",
    "largest_size_that_fits",
    "needs",
    "table",
    "ways_to_fit",
]


@dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        tokens: real ones, of all steps.
        flops: operations of all steps.
        seconds: by the clock.
        kilowatt_hours: of all devices; None where no power was given.
        price: in the currency that was given; None where none was.
    """

    tokens: float
    flops: float
    seconds: float
    kilowatt_hours: float | None = None
    price: float | None = None


def estimate_cost(
    plan: Plan,
    *,
    step_seconds: float | None = None,
    teraflops: float | None = None,
    utilisation: float = 0.4,
    watts: float | None = None,
    price_an_hour: float | None = None,
) -> Cost:
    """The cost of a plan on devices of a known speed.

    Args:
        plan: what is run.
        step_seconds: a step, as measured; or
        teraflops: a device's peak, 10^12 operations a second, in the plan's precision.
        utilisation: share of that peak that goes into the model: an assumption until it is
            measured. With ``recompute`` the blocks' way forward, a third more, comes on top.
        watts: that one device draws.
        price_an_hour: of one device.

    Raises:
        ValueError: unless one of ``step_seconds`` and ``teraflops`` is given, or out of range.
    """
    if (step_seconds is None) == (teraflops is None):
        raise ValueError("give step_seconds, as measured, or teraflops, of the device's peak")
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation must be above 0 and at most 1, got {utilisation!r}")
    if step_seconds is None:
        parts = flops_a_token(plan)
        again = (parts["matrices"] + parts["attention"]) / 3 if plan.recompute else 0.0
        asked = (sum(parts.values()) + again) * plan.tokens_a_step
        step_seconds = asked / plan.processes / (teraflops * 1e12 * utilisation)
    seconds = plan.steps * step_seconds
    hours = plan.processes * seconds / 3600
    return Cost(
        plan.steps * plan.tokens_a_step,
        plan.steps * flops_a_step(plan),
        seconds,
        None if watts is None else hours * watts / 1000,
        None if price_an_hour is None else hours * price_an_hour,
    )


def table(plan: Plan, name: str = "", free: float | None = None) -> list[tuple[str, str]]:
    """The budget up to its time, as rows of a name and a value.

    Args:
        plan: what is run.
        name: of the size.
        free: bytes on the device, if they are known.
    """
    shape, weights = plan.config, count_parameters(plan.config)
    each = flops_a_token(plan)
    rows = [
        (
            f"M6-Rec {name}".strip(),
            f"{shape.num_hidden_layers} layers, {shape.num_attention_heads} heads, "
            f"{shape.hidden_size:,} dimensions, {shape.vocab_size:,} tokens known",
        ),
        (
            "a step",
            f"{plan.lines} lines of {plan.time:,} tokens x {plan.accumulate} x {plan.processes} "
            f"processes, {plan.precision}{', recomputed' * plan.recompute}",
        ),
        ("parameters", f"{sum(weights.values()):,}"),
        *((f"  {part}", f"{n:,}") for part, n in weights.items()),
        ("memory of a device, a step's fullest", _bytes(sum(estimate_memory(plan).values()))),
        *((f"  {part}", _bytes(n)) for part, n in estimate_memory(plan).items()),
        ("  with a margin for waste", f"{_bytes(needs(plan))} (x {MARGIN})"),
        ("FLOPs a token, both ways", f"{sum(each.values()) / 1e6:,.2f} million"),
        *((f"  {part}", f"{n / 1e6:,.2f} million") for part, n in each.items()),
        ("FLOPs a step", f"{flops_a_step(plan) / 1e12:,.3f} x 10^12"),
        ("tokens, all steps", f"{plan.steps * plan.tokens_a_step:,.0f} in {plan.steps:,} steps"),
    ]
    if free is not None:
        ways = [] if needs(plan) <= free else list(ways_to_fit(plan, free))
        said = "it fits" if needs(plan) <= free else "too little"
        rows.append(("memory free", f"{_bytes(free)}: {said}"))
        rows += [("  what would fit", way) for way in ways]
    return rows


def _bytes(n: float) -> str:
    return f"{n / 1e9:,.2f} GB" if n >= 1e8 else f"{n / 1e6:,.2f} MB"


def _of_cost(found: Cost, how: str) -> list[tuple[str, str]]:
    rows = [("time", f"{in_words(found.seconds / 60)} ({how})")]
    rows.append(("  FLOPs, all steps", f"{found.flops:.3g}"))
    if found.kilowatt_hours is not None:
        rows.append(("energy", f"{found.kilowatt_hours:,.3g} kWh"))
    if found.price is not None:
        rows.append(("price", f"{found.price:,.2f}"))
    return rows


def _of_measured(found: Measured) -> list[tuple[str, str]]:
    rows = [
        ("measured step", f"{found.seconds:.4g} s, {found.tokens_a_second:,.0f} tokens a second"),
        ("  matrix product", f"{found.peak_teraflops:.4g} x 10^12 FLOPs a second"),
        ("  of that in the model", f"{found.utilisation:.1%}"),
    ]
    if found.peak_bytes == found.peak_bytes:  # a number
        rows.append(("  memory at the fullest", _bytes(found.peak_bytes)))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.cost.budget", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="nano", help=SIZE_HELP)
    parser.add_argument("--vocab-size", type=int, default=4096)
    for name, said in (
        ("lines", "of a batch (default: the size's)"),
        ("time", "tokens a line (default: the size's)"),
        ("steps", "of the optimizer (default: the size's)"),
        ("accumulate", "batches a step"),
        ("processes", "devices that share a step"),
    ):
        parser.add_argument(f"--{name}", type=int, help=said)
    parser.add_argument("--precision", default="fp32", choices=list(WIDTHS))
    parser.add_argument("--recompute", action="store_true", help="keep no activations in blocks")
    parser.add_argument("--full-scores", action="store_true", help="hold all scores of a batch")
    parser.add_argument("--device-memory", type=float, metavar="GB", help="free on the device")
    parser.add_argument("--teraflops", type=float, help="peak of a device in that precision")
    parser.add_argument("--utilisation", type=float, default=0.4, help="of it, assumed (0.4)")
    parser.add_argument("--watts", type=float, help="that a device draws")
    parser.add_argument("--price-an-hour", type=float, help="of a device")
    parser.add_argument("--measure", action="store_true", help="take some steps here")
    parser.add_argument("--device", help="where to measure: cpu, cuda, … (default: the best)")
    given = parser.parse_args(arguments)
    names = ("lines", "time", "steps", "accumulate", "processes", "precision", "recompute")
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    free = None if given.device_memory is None else given.device_memory * 1e9
    try:
        plan = Plan.of_size(
            given.size,
            vocab_size=given.vocab_size,
            chunk=None if given.full_scores else CHUNK,
            **{name: getattr(given, name) for name in names},
        )
        rows = table(plan, given.size, free)
        if free is not None:
            options = {name: getattr(given, name) for name in names if name not in ("lines",)}
            fits = largest_size_that_fits(free, vocab_size=given.vocab_size, **options)
            rows.append(("  the largest size, with its usual lines", fits or "none"))
        speed: dict[str, float] = {}
        if given.measure:
            here = replace(plan, processes=1)
            there = free_bytes(device)
            if there is not None and needs(here) > there:
                raise ValueError(
                    f"a step needs about {_bytes(needs(here))} and {device} has {_bytes(there)} "
                    "free: measure a smaller size, or fewer --lines"
                )
            found = measure(here, device)
            rows += _of_measured(found)
            speed = {"step_seconds": found.seconds}
            seen = mix_of_example(here).seen
            how = f"as measured on {device}, lines full, {seen:.0%} of a line seen"
        elif given.teraflops is not None:
            speed = {"teraflops": given.teraflops, "utilisation": given.utilisation}
            how = (
                f"if {given.utilisation:.0%} of {given.teraflops:g} x 10^12 FLOPs a second are used"
            )
        if speed:
            more = {"watts": given.watts, "price_an_hour": given.price_an_hour}
            rows += _of_cost(estimate_cost(plan, **speed, **more), how)
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for name, value in rows:
        print(f"{name:<40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
