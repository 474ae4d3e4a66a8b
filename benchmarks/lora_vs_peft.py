"""A training step with LoRA: ours against ``peft``, on the same model, weights and rows.

Both adapt a copy of one M6-Rec model with the same low-rank weights and take a step of AdamW on the
same batches. They alternate; a turn takes ``--steps`` steps after two that are not counted. Before
that both must have the same loss and the same gradients.

    python benchmarks/lora_vs_peft.py [--size nano] [--rank 8] [--rows 16] [--tokens 128] ...
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from typing import Any

WARM_UP = 2


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", default="nano")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rows", type=int, default=16, help="of a batch")
    parser.add_argument("--tokens", type=int, default=128, help="of a row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()

    import peft
    import torch

    from m6rec_lite.m6rec import Adapted, LoRA, M6RecConfig, M6RecModel
    from m6rec_lite.m6rec.adapt.lora import LoRALinear
    from m6rec_lite.m6rec.adapt.method import TARGETS
    from m6rec_lite.m6rec.config import shape_of

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    base = M6RecModel(M6RecConfig(**shape_of(options.size)))
    ours = Adapted(copy.deepcopy(base), LoRA(options.rank, alpha=2.0 * options.rank)).train()
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=2 * options.rank,
        target_modules=list(TARGETS),
    )
    theirs: Any = peft.get_peft_model(copy.deepcopy(base), config).train()
    modules = dict(theirs.base_model.model.named_modules())
    pairs = []
    for name, module in ours.model.named_modules():
        if isinstance(module, LoRALinear):
            other = modules[name]
            pairs.append((module.a, other.lora_A["default"].weight))
            pairs.append((module.b, other.lora_B["default"].weight))
    with torch.no_grad():
        for own, other in pairs:
            own.normal_(std=0.02)
            other.copy_(own)

    n, time_of_row = WARM_UP + options.steps, options.tokens
    ids = torch.randint(11, base.config.vocab_size, (n, options.rows, time_of_row))
    prefix = torch.full((options.rows,), time_of_row // 2)

    def loss_of(model: Any, i: int) -> torch.Tensor:
        return model(ids[i], labels=ids[i], prefix_length=prefix, use_cache=False).loss

    models = {"ours": ours.model, "peer": theirs}
    losses = {name: loss_of(model, 0) for name, model in models.items()}
    for loss in losses.values():
        loss.backward()
    torch.testing.assert_close(losses["ours"], losses["peer"])
    for own, other in pairs:
        torch.testing.assert_close(own.grad, other.grad)
    optimizers = {
        "ours": torch.optim.AdamW([own for own, _ in pairs], 1e-3, fused=True),
        "peer": torch.optim.AdamW([other for _, other in pairs], 1e-3, fused=True),
    }

    def milliseconds(name: str) -> float:
        """Return the milliseconds of a step."""
        for i in range(n):
            if i == WARM_UP:
                clock = time.perf_counter()
            optimizers[name].zero_grad()
            loss_of(models[name], i).backward()
            optimizers[name].step()
        return 1000 * (time.perf_counter() - clock) / options.steps

    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(options.rounds):
        for name in models:
            times[name].append(milliseconds(name))
        print(f"round {turn + 1}: ours {times['ours'][-1]:.1f} ms, peft {times['peer'][-1]:.1f} ms")
    median = {name: statistics.median(values) for name, values in times.items()}
    what = f"a step of LoRA of rank {options.rank} on M6-Rec {options.size}"
    rows = f"{options.rows} rows of {options.tokens} tokens"
    print(
        json.dumps(
            {
                "name": f"{what}, {rows}, against peft, {options.threads} threads",
                "ours": round(median["ours"], 2),
                "peer": round(median["peer"], 2),
                "ratio": round(median["ours"] / median["peer"], 3),
                "unit": "ms",
            }
        )
    )


if __name__ == "__main__":
    main()
