"""What a run of pretraining will cost, estimated in advance.

    python -m m6rec_lite.m6rec.cost.budget --size base --device-memory 80 --teraflops 989
    python -m m6rec_lite.m6rec.cost.budget --size nano --measure

Parameters, operations (``plan``) and memory (``memory``) follow from the shape by formulas, which
tests compare with models, counted operations and counted bytes. Time is estimated from a measured
step (``--measure``), or from the operations, a device's peak and an assumed utilisation. Energy and
price follow from time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from m6rec_lite.data.run_config import USER_ERRORS
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
    Plan,
    count_parameters,
    flops_a_step,
    flops_a_token,
)
from m6rec_lite.nn.losses import CHUNK
from m6rec_lite.training.guard import in_words


@dataclass(frozen=True)
class Cost:
    """The cost of a run.

    Attributes:
        tokens: of all steps, without padding.
        flops: operations of all steps.
        seconds: duration.
        kilowatt_hours: of all devices; None if no power was given.
        price: in the currency of ``price_an_hour``; None if that was not given.
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
    """Return the cost of a plan on devices of a known speed.

    Args:
        plan: the run.
        step_seconds: measured duration of a step; or
        teraflops: peak of a device, 10^12 operations a second, in the plan's precision.
        utilisation: assumed share of that peak. With ``recompute`` the forward pass of the blocks,
            a third more, is added.
        watts: power of one device.
        price_an_hour: of one device.

    Raises:
        ValueError: unless exactly one of ``step_seconds`` and ``teraflops`` is given, or on a
            utilisation out of range.
    """
    if (step_seconds is None) == (teraflops is None):
        raise ValueError("give step_seconds, as measured, or teraflops, of the device's peak")
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation must be above 0 and at most 1, got {utilisation!r}")
    if teraflops is not None:
        parts = flops_a_token(plan)
        recomputed = (parts["matrices"] + parts["attention"]) / 3 if plan.recompute else 0.0
        flops = (sum(parts.values()) + recomputed) * plan.tokens_a_step
        step_seconds = flops / plan.processes / (teraflops * 1e12 * utilisation)
    assert step_seconds is not None
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
    """Return the budget without its time, as rows of a name and a value.

    Args:
        plan: the run.
        name: of the size.
        free: free bytes on the device, if known.
    """
    shape, weights = plan.config, count_parameters(plan.config)
    each, memory = flops_a_token(plan), estimate_memory(plan)
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
        ("memory of a device, a step's fullest", _bytes(sum(memory.values()))),
        *((f"  {part}", _bytes(n)) for part, n in memory.items()),
        ("  with a margin for waste", f"{_bytes(needs(plan))} (x {MARGIN})"),
        ("FLOPs a token, both ways", f"{sum(each.values()) / 1e6:,.2f} million"),
        *((f"  {part}", f"{n / 1e6:,.2f} million") for part, n in each.items()),
        ("FLOPs a step", f"{flops_a_step(plan) / 1e12:,.3f} x 10^12"),
        ("tokens, all steps", f"{plan.steps * plan.tokens_a_step:,.0f} in {plan.steps:,} steps"),
    ]
    if free is not None:
        ways = [] if needs(plan) <= free else list(ways_to_fit(plan, free))
        verdict = "it fits" if needs(plan) <= free else "too little"
        rows.append(("memory free", f"{_bytes(free)}: {verdict}"))
        rows += [("  what would fit", way) for way in ways]
    return rows


def _bytes(n: float) -> str:
    return f"{n / 1e9:,.2f} GB" if n >= 1e8 else f"{n / 1e6:,.2f} MB"


def _of_cost(cost: Cost, how: str) -> list[tuple[str, str]]:
    rows = [("time", f"{in_words(cost.seconds / 60)} ({how})")]
    rows.append(("  FLOPs, all steps", f"{cost.flops:.3g}"))
    if cost.kilowatt_hours is not None:
        rows.append(("energy", f"{cost.kilowatt_hours:,.3g} kWh"))
    if cost.price is not None:
        rows.append(("price", f"{cost.price:,.2f}"))
    return rows


def _of_measured(measured: Measured) -> list[tuple[str, str]]:
    rows = [
        (
            "measured step",
            f"{measured.seconds:.4g} s, {measured.tokens_a_second:,.0f} tokens a second",
        ),
        ("  matrix product", f"{measured.peak_teraflops:.4g} x 10^12 FLOPs a second"),
        ("  of that in the model", f"{measured.utilisation:.1%}"),
    ]
    if measured.peak_bytes == measured.peak_bytes:  # a number
        rows.append(("  memory at the fullest", _bytes(measured.peak_bytes)))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.cost.budget", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="nano", help=SIZE_HELP)
    parser.add_argument("--vocab-size", type=int, default=4096)
    for name, text in (
        ("lines", "of a batch (default: the size's)"),
        ("time", "tokens a line (default: the size's)"),
        ("steps", "of the optimizer (default: the size's)"),
        ("accumulate", "batches a step"),
        ("processes", "devices that share a step"),
    ):
        parser.add_argument(f"--{name}", type=int, help=text)
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
    options = parser.parse_args(arguments)
    names = ("lines", "time", "steps", "accumulate", "processes", "precision", "recompute")
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    free = None if options.device_memory is None else options.device_memory * 1e9
    try:
        plan = Plan.of_size(
            options.size,
            vocab_size=options.vocab_size,
            chunk=None if options.full_scores else CHUNK,
            **{name: getattr(options, name) for name in names},
        )
        rows = table(plan, options.size, free)
        if free is not None:
            same = {name: getattr(options, name) for name in names if name != "lines"}
            fits = largest_size_that_fits(free, vocab_size=options.vocab_size, **same)
            rows.append(("  the largest size, with its usual lines", fits or "none"))
        speed: dict[str, float] = {}
        if options.measure:
            here = replace(plan, processes=1)
            available = free_bytes(device)
            if available is not None and needs(here) > available:
                raise ValueError(
                    f"a step needs about {_bytes(needs(here))} and {device} has "
                    f"{_bytes(available)} free: measure a smaller size, or fewer --lines"
                )
            measured = measure(here, device)
            rows += _of_measured(measured)
            speed = {"step_seconds": measured.seconds}
            seen = mix_of_example(here).seen
            how = f"as measured on {device}, lines full, {seen:.0%} of a line seen"
        elif options.teraflops is not None:
            speed = {"teraflops": options.teraflops, "utilisation": options.utilisation}
            how = (
                f"if {options.utilisation:.0%} of {options.teraflops:g} x 10^12 FLOPs a second are "
                "used"
            )
        if speed:
            price = {"watts": options.watts, "price_an_hour": options.price_an_hour}
            rows += _of_cost(estimate_cost(plan, **speed, **price), how)
    except USER_ERRORS as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for name, value in rows:
        print(f"{name:<40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
