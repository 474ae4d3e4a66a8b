"""Formulas for the memory of a pretraining step, and settings that reduce it.

The formulas agree within a few percent with the bytes of all tensors of a step
(``measured_step.peak_bytes``), in float32 and bfloat16, with and without recomputation, for both
losses. Memory that kernels allocate internally depends on the processor, and is not included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from m6rec_lite.evaluation.memory import free_memory
from m6rec_lite.m6rec.config import SIZES
from m6rec_lite.m6rec.cost.plan import WIDTHS, Plan, count_parameters


def estimate_memory(plan: Plan) -> dict[str, float]:
    """Return the peak memory of one device in a step, in bytes, by part.

    The peak is usually between the forward and the backward pass. Weights and the moments of AdamW
    are then in memory with 4 bytes each and, from a step's second batch on, the gradients. With
    ``w`` bytes a number in the blocks (4, or 2 in 16 bits), a block keeps for each of ``n = lines *
    time`` positions ``8 d + 7 w d + 2 w f`` bytes of activations: the residual twice in 4 bytes;
    the outputs of both norms, queries, keys, values, the output of attention and of its projection
    (``7 d``); and the input and output of the activation function (``2 f``). To this come ``w
    time`` bytes of the mask that is added to the attention scores, ``2 w`` times a head's
    dimensions of rotary sines and cosines, and a few bytes of statistics of the norms. With
    ``recompute`` blocks keep only the residual, ``4 d``, and the other activations of one block at
    a time. Temporary tensors are added: the logits, or the last block's backward pass.

    With few positions and many weights, or few activations, the peak is at the end of the backward
    pass, with all gradients and the activations of the first block.

    The program itself and the overhead of allocators are not included: see ``MARGIN``.
    """
    config, w = plan.config, WIDTHS[plan.precision]
    d, f = config.hidden_size, config.intermediate_size or 4 * config.hidden_size
    layers, heads, vocab = config.num_hidden_layers, config.num_attention_heads, config.vocab_size
    n_weights, cells = sum(count_parameters(config).values()), plan.lines * plan.time
    block = 8 * d + 7 * w * d + 2 * w * f + w * plan.time + 4 * heads + 17
    if config.positions == "rotary":
        block += 2 * w * (d // heads)
    if config.dropout:  # masks of dropout; attention unfused. Not compared with a count
        block += w * (2 * d + f) + 2 * w * heads * plan.time
    residual = cells * (4 * d + 8)
    matrices = count_parameters(config)["matrices of the blocks"]
    constant = {"weights": 4.0 * n_weights, "moments of AdamW": 8.0 * n_weights}
    constant["batch"] = 25.0 * cells
    if plan.processes > 1:
        constant["buckets of gradients to send"] = 4.0 * n_weights
    targets = cells * plan.mix.filled * plan.mix.predicted
    forward_peak = _loss_bytes(plan, targets) + cells * plan.time
    backward = 4 * vocab * d + cells * (w * f + (w + 4) * d)
    one_block = cells * block
    activations = layers * one_block
    if plan.recompute:
        activations = cells * (layers * 4 * d + plan.time)
        forward_peak = max(forward_peak, backward + one_block - cells * 4 * d - residual)
    between = constant | {
        "activations": float(activations + residual),
        "what passes": float(max(forward_peak, backward)),
    }
    if plan.accumulate > 1:
        between["gradients"] = 4.0 * n_weights
    first = backward - 4 * vocab * d + one_block - 4 * matrices / layers
    if plan.recompute:  # the output of the recomputed block, and the mask
        first += cells * (4 * d + plan.time)
    last = max(4 * vocab * d + 2 * residual, first)
    at_end = constant | {"gradients": 4.0 * n_weights, "what passes": float(last)}
    if w < 4:
        head = 0 if plan.chunk else vocab * d
        between["weights in 16 bits"] = 2.0 * (head + matrices)
        at_end["weights in 16 bits"] = 2.0 * matrices / layers
    return max(between, at_end, key=lambda parts: sum(parts.values()))


def _loss_bytes(plan: Plan, targets: float) -> float:
    """Return the peak bytes of the loss of two objectives with half of the targets each."""
    config, w = plan.config, WIDTHS[plan.precision]
    d, vocab = config.hidden_size, config.vocab_size
    if not plan.chunk:  # log-probabilities of all targets; twice of one objective's in backward
        return max(targets * (w * d + 4 * vocab + 8 * vocab / 2), 3 * w * vocab * d)
    buffers = 8 * vocab * min(plan.chunk, targets / 2)  # logits and probabilities of a chunk
    gradients = 4 * vocab * d + 4 * d * targets / 2  # of each objective, made in the forward pass
    hidden = 4 * d * plan.lines * plan.time
    return max(2 * gradients + hidden + buffers, 2 * gradients + 4 * vocab * d)


#: Factor on an estimate, for internal memory of kernels and overhead of allocators.
MARGIN = 1.1


def needs(plan: Plan) -> float:
    """Return the bytes that should be free on a device for a plan."""
    return MARGIN * sum(estimate_memory(plan).values())


def largest_size_that_fits(n_bytes: float, **changes: Any) -> str | None:
    """Return the largest named size whose run fits, or None.

    Args:
        n_bytes: free on the device.
        changes: see ``Plan.of_size``; without ``lines`` each size has its default.
    """
    fitting = [size for size in SIZES if needs(Plan.of_size(size, **changes)) <= n_bytes]
    return max(fitting, key=lambda size: SIZES[size]["hidden_size"], default=None)


def ways_to_fit(plan: Plan, n_bytes: float) -> Iterator[str]:
    """Yield options of the command with which a plan would fit, the least costly first."""
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


def free_bytes(device: torch.device) -> float | None:
    """Return the free memory of a device in bytes; None where it is unknown.

    For a CPU it is the available memory of the system, or the remainder of a container's limit.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    return free_memory()
