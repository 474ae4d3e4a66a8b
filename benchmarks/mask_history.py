"""Masking the history in the training softmax: CPU seconds of a step, with and without.

SASRec (cross-entropy over the whole catalogue) and ``M6RecRetriever`` (in-batch softmax), each with
``mask_history`` on and off, train on the same batches of a data set. The four alternate in one
process; a turn takes ``--steps`` steps of forward, backward and AdamW. Reported are the medians of
all steps.

    python benchmarks/mask_history.py [--dataset bazaar] [--threads 1] [--rounds 5] [--steps 4]
"""

from __future__ import annotations

import argparse
import json
import statistics

from training_steps import Steps

MODELS = ("SASRec", "M6RecRetriever")


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of a model in a round")
    options = parser.parse_args()

    import torch

    from m6rec_lite.data import leave_one_out, load_dataset
    from m6rec_lite.m6rec import M6RecRetriever
    from m6rec_lite.recommenders import SASRec

    torch.set_num_threads(options.threads)
    dataset = load_dataset(options.dataset)
    train = leave_one_out(dataset).train
    kinds = dict(zip(MODELS, (SASRec, M6RecRetriever), strict=True))
    steps = {
        (name, mask): Steps(kind(mask_history=mask, device="cpu"), train, dataset)
        for name, kind in kinds.items()
        for mask in (True, False)
    }
    seconds: dict[tuple[str, bool], list[float]] = {key: [] for key in steps}
    for step in steps.values():
        step.seconds(0)  # a warm-up
    for turn in range(options.rounds):
        for i in range(options.steps):  # the same batch, one model after the other
            for key, step in steps.items():
                seconds[key].append(step.seconds(1 + turn * options.steps + i))
        medians = {key: statistics.median(values) for key, values in seconds.items()}
        shown = ", ".join(f"{name} {mask}: {medians[name, mask]:.4f}" for name, mask in medians)
        print(f"round {turn + 1}, median seconds of a step so far: {shown}", flush=True)
    ratios = {
        name: statistics.median(
            on / off for on, off in zip(seconds[name, True], seconds[name, False], strict=True)
        )
        for name in MODELS
    }
    worst = max(ratios, key=lambda name: ratios[name])
    print(
        json.dumps(
            {
                "name": f"a training step on {options.dataset} with mask_history against without, "
                f"{worst}, {options.threads} threads",
                "ours": round(medians[worst, True], 4),
                "peer": round(medians[worst, False], 4),
                "ratio": round(ratios[worst], 4),
                "unit": "CPU seconds",
                **{f"ratio of {name}": round(ratio, 4) for name, ratio in ratios.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
