"""8 and 4 bits: milliseconds of a request, and bytes of the file, against 32 bits.

A click model of ``--size`` with new weights answers single rows of the bazaar on one thread.
*Ours* is the network in 8 bits by ``quantize_dynamic``, whose products are computed in 8 bits;
*peer* is the same network in 32. ``quantize_weights`` in 8 and 4 bits, which reads its weights back
at each call, is reported beside them. The sides alternate in rounds.

    python benchmarks/quantization.py [--size 8x320] [--requests 60] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np


def answer_row(answer: Callable, rows: list, i: int) -> float:
    """Answer request ``i``."""
    return answer(*rows[i])


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="8x320")
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    import torch

    from m6rec_lite.data import load_dataset
    from m6rec_lite.language import BehaviourText, Tokenizer
    from m6rec_lite.language.models.hub import find_model
    from m6rec_lite.m6rec import (
        M6RecConfig,
        M6RecModel,
        MultiTaskModel,
        PromptBuilder,
        Scoring,
        answers_with,
        measure_latency,
        quantize_dynamic,
        quantize_weights,
        save_compressed,
    )

    dataset = load_dataset("bazaar")
    tokenizer = Tokenizer.load(find_model("bazaar-m6rec"))
    prompts = PromptBuilder(BehaviourText(dataset), tokenizer, 256)
    assert dataset.impressions is not None
    drawn = np.random.default_rng(0).permutation(len(dataset.impressions))[: options.requests]
    shown = dataset.impressions.iloc[drawn]
    config = M6RecConfig.of_size(options.size, tokenizer)
    sides, size, library = {}, {}, ""
    for name in ("32 bits", "dynamic 8 bits", "8 bits", "4 bits"):
        torch.manual_seed(0)
        task = Scoring(config.hidden_size)
        both = MultiTaskModel(M6RecModel(config), {"scoring": task}).eval()
        examples = task.encode(shown, dataset, prompts, fit=True)
        if name == "dynamic 8 bits":
            library = quantize_dynamic(both.model)
        elif name != "32 bits":
            quantize_weights(both.model, int(name[0]))
        if name != "dynamic 8 bits":
            with tempfile.TemporaryDirectory() as folder:
                size[name] = save_compressed(both, tokenizer, Path(folder) / "model")
        sides[name] = answers_with(both)
    rows = list(zip(examples.known, examples.written, strict=True))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds):
        for name, answer in sides.items():
            latency = measure_latency(partial(answer_row, answer, rows), len(rows))
            times[name].append(latency.p50)
        shown_times = ", ".join(f"{name} {times[name][-1]:.2f}" for name in sides)
        print(f"round {turn + 1}, median milliseconds: {shown_times}", flush=True)
    p50 = {name: float(np.median(values)) for name, values in times.items()}
    full = "32 bits"
    slower = {f"ratio, {n} read back": round(p50[n] / p50[full], 4) for n in size if n != full}
    print(
        json.dumps(
            {
                "name": f"a request to a click model of {options.size} in 8 bits by {library}, "
                "against 32 bits, 1 thread",
                "ours": round(p50["dynamic 8 bits"], 3),
                "peer": round(p50[full], 3),
                "ratio": round(p50["dynamic 8 bits"] / p50[full], 4),
                "unit": "ms, p50",
                **slower,
                **{f"share of bytes, {n}": round(size[n] / size[full], 4) for n in size},
            }
        )
    )


if __name__ == "__main__":
    main()
