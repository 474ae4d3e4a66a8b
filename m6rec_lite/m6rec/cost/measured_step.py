"""One step of pretraining, measured: seconds, tokens a second, bytes; beside what ``budget`` says.

A step is made of random tokens, so that it needs no data: what a step costs does not depend on
what the tokens are, only on how many there are and which see which.
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

#: By precision, what products are computed in.
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Measured:
    """What a step took on a device.

    Attributes:
        seconds: the median of several steps.
        tokens_a_second: real ones, of one device.
        teraflops: 10^12 operations of the model's formulas a second.
        peak_teraflops: what a plain product of large matrices reached just before and after.
        peak_bytes: the most a device held, on a GPU; NaN elsewhere (``peak_bytes`` counts there).
    """

    seconds: float
    tokens_a_second: float
    teraflops: float
    peak_teraflops: float
    peak_bytes: float

    @property
    def utilisation(self) -> float:
        """Share of the product's speed that went into the model."""
        return self.teraflops / self.peak_teraflops


def example_batch(plan: Plan, seed: int = 0) -> Batch:
    """A full batch: a document a line, of which the last tokens are foretold for two objectives."""
    lines, time_, mix = plan.lines, plan.time, mix_of_example(plan)
    draw = torch.Generator().manual_seed(seed)
    low = min(len(SPECIALS), plan.config.vocab_size - 1)
    ids = torch.randint(low, plan.config.vocab_size, (lines, time_), generator=draw)
    place = torch.arange(time_).expand(lines, time_).contiguous()
    written = _written(plan)
    known = place < time_ - written
    at = (~known).flatten().nonzero()[:, 0] - 1  # from the place before it
    follows = ids.flatten()[at + 1]
    parts = {"infilling": slice(0, None, 2), "sentence": slice(1, None, 2)}
    return {
        "ids": ids,
        "segment_ids": torch.ones_like(ids),
        "position_ids": place,
        "is_prefix": known,
        "targets": {k: (at[part].clone(), follows[part].clone()) for k, part in parts.items()},
        "tokens": lines * time_,
        "pairs": round(mix.seen * lines * time_ * time_),
    }


def mix_of_example(plan: Plan) -> Mix:
    """What stands in the lines of ``example_batch``."""
    n, c = plan.time, _written(plan)
    return Mix(1.0, ((n - c) * n + c * (c + 1) / 2) / (n * n), c / n)


def _written(plan: Plan) -> int:
    """Tokens of each line that are foretold; at least one for each objective."""
    return min(plan.time - 1, max(2, round(plan.mix.foretold * plan.time)))


def prepared_step(plan: Plan, device: torch.device) -> tuple[M6RecModel, Batch, Callable[[], None]]:
    """A model, a batch, and what takes a step of the optimizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = M6RecModel(plan.config)
    model.to(device).train()
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
    """Take some steps, after two that are not counted.

    Args:
        plan: of one process.
        device: where.
        steps: how many.
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
    """Count the bytes of the tensors that operations make while they are alive.

    Memory that kernels allocate inside an operation is not counted: it depends on the processor and
    on the number of threads. Autograd sums gradients out of place in such a mode, and in place
    otherwise.

    Attributes:
        now: bytes of the tensors that are alive.
        peak: the most that ``now`` was.
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
    return [one.untyped_storage() for one in tree_leaves(values) if isinstance(one, torch.Tensor)]


def peak_bytes(plan: Plan) -> int:
    """The most that tensors hold at once in a step on a CPU, above model, moments and batch.

    The same on every processor (see ``LiveTensors``); what ``budget.memory`` says of the same,
    without weights, moments and batch, is to be held against it.
    """
    _, _, step = prepared_step(plan, torch.device("cpu"))
    step()  # makes the moments
    with LiveTensors() as tensors:
        step()
    return tensors.peak


def kept_bytes(plan: Plan) -> int:
    """Bytes that the blocks keep for the way back, weights left out, counted by torch's hooks."""
    model, batch, _ = prepared_step(plan, torch.device("cpu"))
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept[place] = tensor  # holds on to it, so that no other takes its place
        return tensor

    half = plan.precision != "fp32"
    mask = torch.ones(plan.lines, 1, plan.time, plan.time, dtype=torch.bool)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", KINDS[plan.precision] if half else None, enabled=half):
        model.states(batch["ids"], mask, position_ids=batch["position_ids"])
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
