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
from pathlib import Path

from click_requests import alternate, bazaar_rows


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="8x320")
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    import torch

    from m6rec_lite.m6rec import (
        M6RecConfig,
        M6RecModel,
        MultiTaskModel,
        Scoring,
        answers_with,
        quantize_dynamic,
        quantize_weights,
        save_compressed,
    )

    tokenizer, rows_of = bazaar_rows(options.requests)
    config = M6RecConfig.of_size(options.size, tokenizer)
    sides, size, library = {}, {}, ""
    for name in ("32 bits", "dynamic 8 bits", "8 bits", "4 bits"):
        torch.manual_seed(0)
        task = Scoring(config.hidden_size)
        both = MultiTaskModel(M6RecModel(config), {"scoring": task}).eval()
        rows = rows_of(task)  # also fits the levels of the task
        if name == "dynamic 8 bits":
            library = quantize_dynamic(both.model)
        elif name != "32 bits":
            quantize_weights(both.model, int(name[0]))
        if name != "dynamic 8 bits":
            with tempfile.TemporaryDirectory() as folder:
                size[name] = save_compressed(both, tokenizer, Path(folder) / "model")
        sides[name] = answers_with(both), rows
    p50, _ = alternate(sides, options.rounds)
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
