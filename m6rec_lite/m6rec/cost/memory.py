"""How much memory a step of pretraining needs, by formulas, and what to do where it is too much.

Held against the bytes of all tensors in a step (``measured_step.peak_bytes``), the formulas are
within a few hundredths in float32 and bfloat16, with and without recomputing, whichever loss is
taken. What kernels allocate for themselves depends on the processor, and is not in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from m6rec_lite.m6rec.config import SIZES
from m6rec_lite.m6rec.cost.plan import WIDTHS, Plan, count_parameters


def estimate_memory(plan: Plan) -> dict[str, float]:
    """Bytes that one device holds at the fullest moment of a step, by part.

    That moment is the turn from the way forward to the way back. Weights and the moments of AdamW
    stand there in 4 bytes, and from a step's second batch on the gradients of those before. With
    ``w`` bytes a number in the blocks (4, or 2 in 16 bits), a block keeps for each of ``n = lines *
    time`` cells ``8 d + 7 w d + 2 w f`` bytes of states: the stream twice in 4 bytes; what comes
    out of each norm, queries, keys, values, what attention gives and what of it is let through
    (``7 d``); and what is before and behind the bend (``2 f``). To this come ``w time`` of the mask
    that attention adds to its scores, ``2 w`` times a head's dimensions of rotary sines, and a few
    bytes of means. With ``recompute`` blocks keep the stream alone, ``4 d``, and one at a time the
    rest. On top stands what passes: the scores of the tokens, or the last block's own way back.

    Where few cells meet many weights, or blocks keep little, the fullest moment is the end of the
    way back: all gradients are there, and of the activations only the first block's.

    The program itself, and what libraries and their allocators waste, are not in it: ``MARGIN``.
    """
    config, w = plan.config, WIDTHS[plan.precision]
    d, f = config.hidden_size, config.intermediate_size or 4 * config.hidden_size
    layers, heads, vocab = config.num_hidden_layers, config.num_attention_heads, config.vocab_size
    n_weights, cells = sum(count_parameters(config).values()), plan.lines * plan.time
    block = 8 * d + 7 * w * d + 2 * w * f + w * plan.time + 4 * heads + 17
    if config.positions == "rotary":
        block += 2 * w * (d // heads)
    if config.dropout:  # what was let through; attention step by step. Not held against a count
        block += w * (2 * d + f) + 2 * w * heads * plan.time
    stream = cells * (4 * d + 8)
    matrices = count_parameters(config)["matrices of the blocks"]
    held = {"weights": 4.0 * n_weights, "moments of AdamW": 8.0 * n_weights}
    held["batch"] = 25.0 * cells
    if plan.processes > 1:
        held["buckets of gradients to send"] = 4.0 * n_weights
    foretold = cells * plan.mix.filled * plan.mix.foretold
    turn = _loss_bytes(plan, foretold) + cells * plan.time
    back = 4 * vocab * d + cells * (w * f + (w + 4) * d)
    of_one = cells * block
    kept = layers * of_one
    if plan.recompute:
        kept = cells * (layers * 4 * d + plan.time)
        turn = max(turn, back + of_one - cells * 4 * d - stream)
    turning = held | {"activations": float(kept + stream), "what passes": float(max(turn, back))}
    if plan.accumulate > 1:
        turning["gradients"] = 4.0 * n_weights
    first = back - 4 * vocab * d + of_one - 4 * matrices / layers
    if plan.recompute:  # what is computed anew has an end of its own, and the mask is at hand
        first += cells * (4 * d + plan.time)
    last = max(4 * vocab * d + 2 * stream, first)
    ending = held | {"gradients": 4.0 * n_weights, "what passes": float(last)}
    if w < 4:
        head = 0 if plan.chunk else vocab * d
        turning["weights in 16 bits"] = 2.0 * (head + matrices)
        ending["weights in 16 bits"] = 2.0 * matrices / layers
    return max(turning, ending, key=lambda parts: sum(parts.values()))


def _loss_bytes(plan: Plan, foretold: float) -> float:
    """What the loss of two objectives, with half of the foretold tokens each, holds at most."""
    config, w = plan.config, WIDTHS[plan.precision]
    d, vocab = config.hidden_size, config.vocab_size
    if not plan.chunk:  # log-chances of all; and of one objective, on the way back, twice as much
        return max(foretold * (w * d + 4 * vocab + 8 * vocab / 2), 3 * w * vocab * d)
    buffers = 8 * vocab * min(plan.chunk, foretold / 2)  # scores and chances of a chunk
    kept = 4 * vocab * d + 4 * d * foretold / 2  # gradients, made along the way, of each
    hidden = 4 * d * plan.lines * plan.time
    return max(2 * kept + hidden + buffers, 2 * kept + 4 * vocab * d)


#: What a prediction is raised by before it is called too much: kernels' own memory and waste.
MARGIN = 1.1


def needs(plan: Plan) -> float:
    """Bytes that a device should have free for a plan."""
    return MARGIN * sum(estimate_memory(plan).values())


def largest_size_that_fits(n_bytes: float, **changes: object) -> str | None:
    """The largest named size whose run fits, or None.

    Args:
        n_bytes: free on the device.
        changes: of ``Plan.of_size``; without ``lines`` each size has its usual ones.
    """
    fitting = [size for size in SIZES if needs(Plan.of_size(size, **changes)) <= n_bytes]
    return max(fitting, key=lambda size: SIZES[size]["hidden_size"], default=None)


def ways_to_fit(plan: Plan, n_bytes: float) -> Iterator[str]:
    """What would make a plan fit, in the words of the command, the gentlest first."""
    half = replace(plan, precision="bf16")
    less = replace(plan, recompute=True)
    if plan.precision == "fp32" and needs(half) <= n_bytes:
        yield "--precision bf16"
    if not plan.recompute and needs(less) <= n_bytes:
        yield "--recompute (a third more time)"
    for part in range(2, plan.lines + 1):
        lines = plan.lines // part
        if lines >= 4 and lines * part == plan.lines:
            fewer = replace(plan, lines=lines, accumulate=plan.accumulate * part)
            if needs(fewer) <= n_bytes:
                yield f"--lines {lines} --accumulate {fewer.accumulate} (the same step)"
                return


#: Where Linux says how much memory a container may take, and has taken.
CONTAINER = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> float | None:
    """Memory that a process may still take on a device; None where nobody can say.

    Of a processor it is what the system has to give, or what a container's limit leaves.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    free = float(psutil.virtual_memory().available)
    limit, used = (CONTAINER / f"memory.{name}" for name in ("max", "current"))
    try:
        left = int(limit.read_text()) - int(used.read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free
    return min(free, float(max(0, left)))
