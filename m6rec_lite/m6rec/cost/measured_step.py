"""Measure a pretraining step: seconds, tokens a second and bytes, to compare with ``budget``.

A step has random tokens, so that it needs no data: its cost depends only on the number of tokens
and on the attention mask.
"""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec.batches import Batch
from m6rec_lite.m6rec.cost.plan import Mix, Plan
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, batch_flops
from m6rec_lite.training.metrics import matmul_teraflops

#: Type of matrix products, by precision.
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Measured:
    """The measured speed and memory of a step on a device.

    Attributes:
        seconds: the median of several steps.
        tokens_a_second: of one device, without padding.
        teraflops: 10^12 operations a second, by the formulas of ``objective.batch_flops``.
        peak_teraflops: the same of a product of large matrices, just before and after.
        peak_bytes: peak memory on a GPU; NaN elsewhere (see the function ``peak_bytes``).
    """

    seconds: float
    tokens_a_second: float
    teraflops: float
    peak_teraflops: float
    peak_bytes: float

    @property
    def utilisation(self) -> float:
        """Speed of the model as a share of the speed of the product."""
        return self.teraflops / self.peak_teraflops


def example_batch(plan: Plan, seed: int = 0) -> Batch:
    """Return a batch without padding, whose sequences end with the targets of two objectives."""
    lines, time_, mix = plan.lines, plan.time, mix_of_example(plan)
    draw = torch.Generator().manual_seed(seed)
    low = min(len(SPECIALS), plan.config.vocab_size - 1)
    ids = torch.randint(low, plan.config.vocab_size, (lines, time_), generator=draw)
    position = torch.arange(time_).expand(lines, time_).contiguous()
    written = _written(plan)
    known = position < time_ - written
    at = (~known).flatten().nonzero()[:, 0] - 1  # from the position before it
    follows = ids.flatten()[at + 1]
    parts = {"infilling": slice(0, None, 2), "sentence": slice(1, None, 2)}
    return {
        "ids": ids,
        "segment_ids": torch.ones_like(ids),
        "position_ids": position,
        "is_prefix": known,
        "targets": {k: (at[part].clone(), follows[part].clone()) for k, part in parts.items()},
        "tokens": lines * time_,
        "pairs": round(mix.seen * lines * time_ * time_),
    }


def mix_of_example(plan: Plan) -> Mix:
    """Return the mix of ``example_batch``."""
    n, c = plan.time, _written(plan)
    return Mix(1.0, ((n - c) * n + c * (c + 1) / 2) / (n * n), c / n)


def _written(plan: Plan) -> int:
    """Return the number of targets of a sequence, at least one for each objective."""
    return min(plan.time - 1, max(2, round(plan.mix.predicted * plan.time)))


def prepared_step(plan: Plan, device: torch.device) -> tuple[M6RecModel, Batch, Callable[[], None]]:
    """Return a model, a batch, and a function that runs an optimizer step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = M6RecModel(plan.config)
    model.to(device).train()  # type: ignore[arg-type]  # the stub of a decorator loses self
    if plan.recompute:
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    batch = send_to_device(example_batch(plan), device)
    loss = PretrainingLoss({"infilling": 1.0, "sentence": 1.0})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    half = plan.precision != "fp32"

    def step() -> None:
        for _ in range(plan.accumulate):
            with torch.autocast(device.type, KINDS[plan.precision] if half else None, enabled=half):
                value, _ = loss(model, batch)
            (value / plan.accumulate).backward()
        optimizer.step()
        optimizer.zero_grad()

    return model, batch, step


def measure(plan: Plan, device: str | torch.device = "cpu", *, steps: int = 5) -> Measured:
    """Measure steps, after two warm-up steps.

    Args:
        plan: of one process.
        device: of the measurement.
        steps: number of measured steps.
    """
    device = torch.device(device)
    model, batch, step = prepared_step(plan, device)
    cuda = device.type == "cuda"

    def timed() -> float:
        clock = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize(device)
        return time.perf_counter() - clock

    peaks = [matmul_teraflops(device, KINDS[plan.precision])]
    timed(), timed()
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = statistics.median(timed() for _ in range(steps))
    peaks.append(matmul_teraflops(device, KINDS[plan.precision]))
    return Measured(
        seconds,
        plan.accumulate * batch["tokens"] / seconds,
        plan.accumulate * batch_flops(model.config, batch) / 1e12 / seconds,
        max(peaks),
        float(torch.cuda.max_memory_allocated(device)) if cuda else float("nan"),
    )


class LiveTensors(TorchDispatchMode):
    """Count the bytes of the live tensors that operations create.

    Memory that kernels allocate inside an operation is not counted: it depends on the processor and
    on the number of threads. Autograd sums gradients out of place in such a mode, and in place
    otherwise.

    Attributes:
        now: bytes of the live tensors.
        peak: maximum of ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        before = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage._cdata not in before | self._alive:
                self._alive.add(storage._cdata)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        return out

    def _free(self, key: int, n_bytes: int) -> None:
        self._alive.discard(key)
        self.now -= n_bytes


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [
        leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)
    ]


def peak_bytes(plan: Plan) -> int:
    """Return the peak bytes of tensors in a step on a CPU, without model, moments and batch.

    It is the same on every processor (see ``LiveTensors``), and can be compared with
    ``estimate_memory`` without weights, moments and batch.
    """
    _, _, step = prepared_step(plan, torch.device("cpu"))
    step()  # creates the moments
    with LiveTensors() as tensors:
        step()
    return tensors.peak


def kept_bytes(plan: Plan) -> int:
    """Return the bytes that blocks save for the backward pass, without weights."""
    model, batch, _ = prepared_step(plan, torch.device("cpu"))
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in weights:
            saved[address] = tensor  # the reference keeps the address from being reused
        return tensor

    half = plan.precision != "fp32"
    mask = torch.ones(plan.lines, 1, plan.time, plan.time, dtype=torch.bool)
    hooks = torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", KINDS[plan.precision] if half else None, enabled=half):
        model.states(batch["ids"], mask, position_ids=batch["position_ids"])
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
