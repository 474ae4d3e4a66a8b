"""Training the retriever: CPU seconds of an epoch, beside SASRec of the same shape.

``M6RecRetriever`` of size nano and SASRec with as many blocks, heads, dimensions and events, both
with ``mask_history``, train on the same batches of a data set. The two alternate in one process; a
turn takes ``--steps`` steps of forward, backward and AdamW. The seconds of an epoch are the median
seconds of a step times the number of batches. The retriever's softmax, forward and backward, is
timed on the vectors of the same batches.

    python benchmarks/m6rec_retriever.py [--dataset bazaar-large] [--rounds 5] [--steps 4]

``--dataset bazaar --rounds 1 --steps 1`` is a quick check.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from training_steps import Steps

if TYPE_CHECKING:
    import torch

MAX_LENGTH, DROPOUT = 50, 0.1


class SoftmaxSteps(Steps):
    """Training steps whose softmax can be timed alone."""

    def softmax_seconds(self, i: int) -> float:
        """Return the CPU seconds of the retriever's softmax alone on batch ``i``."""
        network: Any = self.network
        retrieval = network.retrieval
        contrast, inputs = retrieval.contrast, []

        def keep(*arguments: Any) -> torch.Tensor:
            inputs.append(arguments)
            return contrast(*arguments)

        retrieval.contrast = keep
        try:
            self.model._loss(network, self.plan[i % len(self.plan)])
        finally:
            del retrieval.contrast
        people, items, *others = inputs[0]
        vectors = [each.detach().requires_grad_() for each in (people, items)]
        clock = time.process_time()
        contrast(*vectors, *others).backward()
        return time.process_time() - clock


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="bazaar-large")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of a model in a round")
    options = parser.parse_args()

    import torch

    from m6rec_lite.data import leave_one_out, load_dataset
    from m6rec_lite.m6rec import SIZES, M6RecRetriever
    from m6rec_lite.recommenders import SASRec

    torch.set_num_threads(options.threads)
    dataset = load_dataset(options.dataset)
    train, shape = leave_one_out(dataset).train, SIZES["nano"]
    retriever = M6RecRetriever(
        size="nano", max_length=MAX_LENGTH, dropout=DROPOUT, epochs=1, device="cpu"
    )
    sasrec = SASRec(
        shape["hidden_size"],
        n_layers=shape["num_hidden_layers"],
        n_heads=shape["num_attention_heads"],
        ffn_size=4 * shape["hidden_size"],
        max_length=MAX_LENGTH,
        dropout=DROPOUT,
        epochs=1,
        device="cpu",
    )
    ours = SoftmaxSteps(retriever, train, dataset)
    steps: dict[str, Steps] = {"ours": ours, "peer": Steps(sasrec, train, dataset)}
    seconds: dict[str, list[float]] = {"ours": [], "peer": [], "softmax": []}
    for step in steps.values():
        step.seconds(0)  # a warm-up
    for turn in range(options.rounds):
        for i in range(1 + turn * options.steps, 1 + (turn + 1) * options.steps):
            for name, step in steps.items():
                seconds[name].append(step.seconds(i))
            seconds["softmax"].append(ours.softmax_seconds(i))
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in medians.items())
        print(f"round {turn + 1}, median seconds of a step so far: {shown}", flush=True)
    n_batches = len(ours.plan)
    pairs = zip(seconds["ours"], seconds["peer"], strict=True)
    shares = zip(seconds["softmax"], seconds["ours"], strict=True)
    print(
        json.dumps(
            {
                "name": f"an epoch of M6RecRetriever (nano) on {options.dataset}, against SASRec "
                f"of the same shape, {options.threads} threads",
                "ours": round(medians["ours"] * n_batches, 2),
                "peer": round(medians["peer"] * n_batches, 2),
                "ratio": round(statistics.median(ours / peer for ours, peer in pairs), 4),
                "unit": "CPU seconds",
                "share of the softmax": round(statistics.median(a / b for a, b in shares), 4),
                "batches": n_batches,
            }
        )
    )


if __name__ == "__main__":
    main()
