"""Pretraining M6-Rec: tokens per second, with each optimization switched off in turn.

The base case is ``m6rec.pretraining`` on a CPU: documents packed into lines, the loss in chunks,
torch's fused attention with the prefix mask, torch's fused AdamW, tokens read from a memory map, a
step for every batch, activations kept. Each other case changes one of these:

    padding      one document per line, with padding
    full scores  the logits of all target tokens at once
    by hand      attention by its formula instead of torch's fused attention
    plain AdamW  torch's loop over the weights (``foreach=False``)
    in memory    the same tokens in an array in memory instead of the memory map
    accumulate   a step for every four batches
    recompute    activation checkpointing: activations are recomputed in the backward pass
    bf16         matrix products in 16 bits; not faster on a CPU without 16-bit units
    compiled     ``torch.compile`` of the blocks (needs a C++ compiler; else skipped)

The cases alternate in one process, and each is compared with the base turns before and after it;
padding is not counted as tokens. The model FLOPs utilization is relative to a plain fp32 matrix
product in the same run. This runs on a CPU; the effects on a GPU differ.

    python benchmarks/pretraining_throughput.py [--size nano] [--rounds 3] [--seconds 2] [--compile]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """Settings of one case."""

    packed: bool = True
    chunked: bool = True
    attention: bool = True
    fused: bool = True
    mapped: bool = True
    accumulate: int = 1
    recompute: bool = False
    half: bool = False
    compiled: bool = False


BASE = Case()
CASES = {
    "padding": replace(BASE, packed=False),
    "full scores": replace(BASE, chunked=False),
    "by hand": replace(BASE, attention=False),
    "plain AdamW": replace(BASE, fused=False),
    "in memory": replace(BASE, mapped=False),
    "accumulate": replace(BASE, accumulate=4),
    "recompute": replace(BASE, recompute=True),
    "bf16": replace(BASE, half=True),
}


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="nano")
    parser.add_argument("--lines", type=int, help="lines per batch (default: of the size)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of a turn")
    parser.add_argument("--compile", action="store_true", help="time compiled blocks too")
    options = parser.parse_args()

    import torch

    from m6rec_lite.training.metrics import matmul_teraflops

    torch.set_num_threads(options.threads)
    cases = dict(CASES)
    if options.compile and shutil.which("g++"):
        cases["compiled"] = replace(BASE, compiled=True)
    with tempfile.TemporaryDirectory() as folder:
        turns = Turns(Path(folder), options.size, options.lines)
        cpu = torch.device("cpu")
        turns.check()
        for case in (BASE, *cases.values()):
            turns.take(case, 0.0)  # warm-up
        rates: dict[str, list[float]] = {name: [] for name in ("base", *cases)}
        ratios: dict[str, list[float]] = {name: [] for name in cases}
        shares, peaks = [], []
        for _ in range(options.rounds):
            peaks.append(matmul_teraflops(cpu, torch.float32))
            before = turns.take(BASE, options.seconds)
            rates["base"].append(before[0])
            for name, case in cases.items():
                rates[name].append(turns.take(case, options.seconds)[0])
                after = turns.take(BASE, options.seconds / 2)
                ratios[name].append(2 * rates[name][-1] / (before[0] + after[0]))
                before = after
                rates["base"].append(after[0])
                shares.append(after[1] / peaks[-1])
    base = statistics.median(rates["base"])
    print(
        f"base: {base:,.0f} tokens/s; {statistics.median(shares):.1%} of a matrix product's "
        f"{statistics.median(peaks):.3g} x 10^12 operations a second"
    )
    for name in cases:
        print(
            f"{name:<12} {statistics.median(rates[name]):>10,.0f} tokens/s, "
            f"{statistics.median(ratios[name]):.3f} x base"
        )
    padding = statistics.median(ratios["padding"])
    print(
        json.dumps(
            {
                "name": f"pretraining M6-Rec {options.size}, packed lines against a document a "
                f"line, {options.threads} threads",
                "ours": round(base),
                "peer": round(base * padding),
                "ratio": round(1 / padding, 3),
                "unit": "tokens/s",
                "mfu": round(statistics.median(shares), 4),
                "times base": {
                    name: round(statistics.median(values), 3) for name, values in ratios.items()
                },
            }
        )
    )


class Turns:
    """Batches and steps of every case.

    Args:
        folder: folder for the tokens.
        size: size of the model.
        lines: lines per batch.
    """

    def __init__(self, folder: Path, size: str, lines: int | None) -> None:
        from m6rec_lite.data import leave_one_out
        from m6rec_lite.data.bazaar import generate
        from m6rec_lite.language.text.corpora import Corpus
        from m6rec_lite.language.text.document import distinct_texts
        from m6rec_lite.language.text.tokenizer import Tokenizer
        from m6rec_lite.m6rec.config import SIZES
        from m6rec_lite.m6rec.documents import pretraining_corpora
        from m6rec_lite.m6rec.settings import Pretraining
        from m6rec_lite.m6rec.token_file import TokenFile

        self.settings = Pretraining(size=size, lines=lines)
        self.time = SIZES[size]["max_position_embeddings"]
        world = generate(users=400, items=300, slates=0, seed=1)
        corpora = pretraining_corpora(world, leave_one_out(world))
        documents = sum(corpora.values(), start=Corpus([], [])).train
        self.tokenizer = Tokenizer.train(distinct_texts(documents), self.settings.vocab_size)
        self.file = TokenFile.write(folder / "tokens", documents, self.tokenizer, progress=False)
        self.plans = {key: self._plan(*key) for key in ((True, True), (True, False), (False, True))}
        self.steps: dict[Case, Callable[[int], tuple[int, float]]] = {}

    def _plan(self, packed: bool, mapped: bool) -> Any:
        """Return batches of packed lines or of one document per line, mapped or in memory."""
        import numpy as np

        from m6rec_lite.m6rec import batches as module

        assert self.settings.lines is not None  # set by Pretraining

        file = self.file
        if not mapped:
            from m6rec_lite.m6rec.token_file import TokenFile

            file = TokenFile(self.file.folder, self.tokenizer)
            file.tokens, file.ends = np.array(file.tokens), np.array(file.ends)
        packed_layout = module._lay
        if not packed:  # one row per line

            def alone(sizes: np.ndarray, time: int) -> tuple[np.ndarray, np.ndarray]:
                return np.arange(len(sizes)), np.zeros(len(sizes), dtype=np.int64)

            module._lay = alone
        try:
            plan = module.PretrainingBatches(
                file,
                self.settings.objectives(self.tokenizer),
                self.tokenizer,
                batch_size=self.settings.lines,
                seq_len=self.time,
            ).epoch(0, 0)
        finally:
            module._lay = packed_layout
        return plan

    def _model(self, case: Case) -> Any:
        import torch

        from m6rec_lite.m6rec import M6RecConfig, M6RecModel
        from m6rec_lite.nn.attention import MultiHeadAttention

        torch.manual_seed(0)
        model = M6RecModel(M6RecConfig.of_size(self.settings.size, self.tokenizer)).train()
        if case.recompute:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        for part in model.modules() if not case.attention else ():
            if isinstance(part, MultiHeadAttention):
                part.fused = False
        if case.compiled:
            for block in model.blocks:
                block.compile()
        return model

    def _loss(self, case: Case) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
        import torch
        from torch.nn import functional as F

        from m6rec_lite.m6rec import objective

        loss = objective.PretrainingLoss(self.settings.weights)
        chunked = objective.token_loss

        def full(model: Any, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            scores = F.linear(hidden, model.get_output_embeddings().weight)
            return F.cross_entropy(scores.float(), tokens)

        def compute(model: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
            objective.token_loss = chunked if case.chunked else full
            half = torch.autocast("cpu", torch.bfloat16) if case.half else nullcontext()
            try:
                with half:
                    return loss(model, batch)
            finally:
                objective.token_loss = chunked

        return compute

    def _make(self, case: Case) -> Callable[[int], tuple[int, float]]:
        """Return a function that takes a step and returns its tokens and teraflops."""
        import torch

        model, loss = self._model(case), self._loss(case)
        foreach = None if case.fused else False
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=1e-4, foreach=foreach, fused=case.fused
        )
        plan = self.plans[case.packed, case.mapped]

        def step(i: int) -> tuple[int, float]:
            tokens, work = 0, 0.0
            for part in range(case.accumulate):
                value, logs = loss(model, plan[(i * case.accumulate + part) % len(plan)])
                (value / case.accumulate).backward()
                tokens, work = tokens + logs["tokens"], work + logs["teraflop"]
            optimizer.step()
            optimizer.zero_grad()
            return tokens, work

        return step

    def take(self, case: Case, seconds: float) -> tuple[float, float]:
        """Return tokens and teraflops per second, over at least two steps."""
        if case not in self.steps:
            self.steps[case] = self._make(case)
        step, tokens, work, i = self.steps[case], 0, 0.0, 0
        clock = time.perf_counter()
        while i < 2 or time.perf_counter() - clock < seconds:
            more = step(i)
            tokens, work, i = tokens + more[0], work + more[1], i + 1
        passed = time.perf_counter() - clock
        return tokens / passed, work / passed

    def check(self) -> None:
        """Raise ``SystemExit`` unless equivalent cases have the same loss."""
        import torch

        with torch.no_grad():
            losses = {
                case: float(
                    self._loss(case)(self._model(case), self.plans[True, case.mapped][0])[0]
                )
                for case in (BASE, *CASES.values())
                if case.packed and not case.half
            }
        expected = losses[BASE]
        for case, value in losses.items():
            if abs(value - expected) > 1e-4 * expected:
                raise SystemExit(f"{case} has a loss of {value:.6f}, the base {expected:.6f}")


if __name__ == "__main__":
    main()
