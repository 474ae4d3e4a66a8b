"""Sampled against full softmax on catalogues of 10,000 to 1,000,000 items: seconds and memory.

SASRec (one block, 64 dimensions) trains on 20,000 generated users with the lengths of Amazon's
*Beauty* (8.9 items on average). Every measurement is a process of its own, so that the peak of one
does not hide another's, and the contenders alternate. A process takes some steps of ``fit``, then
scores and ranks the catalogue for some users. The seconds of an epoch are the median CPU seconds of
a step, without the first ones, times the steps of an epoch; MiB are the growth during ``fit``.

    python benchmarks/sampled_softmax.py [--items 10000 100000 1000000] [--rounds 3] [--threads 1]

Each loss is measured twice: ``kept`` is with a C library that keeps freed memory (``KEEP``), which
by default returns the gradient of a large table to the system and maps it again in every step. Full
softmax is left out where it needs more memory than is free.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from m6rec_lite.data import Holdout, Interactions, Split
from m6rec_lite.evaluation import Meter, evaluate
from m6rec_lite.evaluation.memory import free_memory

USERS, MEAN_ITEMS, MIN_ITEMS, HIDDEN, BATCH = 20_000, 8.9, 5, 64, 128
STEPS_AN_EPOCH = -(-USERS // BATCH)
#: Tokens whose scores of all items full softmax holds at once, twice: ``nn.losses.CHUNK``.
CHUNK = 256
RANKED_USERS = 16
#: Settings of glibc, which read them when the process starts.
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}
LOSSES = {"full": "ce", "sampled": "sampled"}
CONTENDERS = ("full", "sampled", "full kept", "sampled kept")


def interactions(items: int) -> Interactions:
    """Return rows of users with items of which a few are popular; the catalogue has all items."""
    rng = np.random.default_rng(0)
    lengths = MIN_ITEMS - 1 + rng.geometric(1 / (MEAN_ITEMS - MIN_ITEMS + 1), USERS)
    n = int(lengths.sum())
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(USERS), lengths),
            "item_id": (items * rng.random(n) ** 2).astype(np.int64),
            "timestamp": np.arange(n),
        }
    )
    frame = frame.drop_duplicates(["user_id", "item_id"])
    return Interactions.from_frame(frame, item_ids=np.arange(items))


def needed_mib(loss: str, items: int, negatives: int) -> float:
    """Return the predicted memory of a step, which has no term of tokens times items.

    Weights, two moments and two gradients of the item table. Full softmax also stores the scores
    of one chunk of tokens and their gradients, sampled softmax about six matrices of tokens times
    negatives.
    """
    table, tokens = items * HIDDEN, BATCH * (MEAN_ITEMS - 1)
    if loss == "ce":
        return 4 * max(6 * table, 4 * table + 2 * CHUNK * items) / 2**20
    return 4 * (5 * table + 6 * tokens * negatives) / 2**20


def measure(
    loss: str, items: int, negatives: int, steps: int, skipped: int, threads: int
) -> dict[str, float]:
    """Take steps of ``fit``, of which the first are not counted, then rank for a few users."""
    import torch

    from m6rec_lite.recommenders import SASRec
    from m6rec_lite.training import Callback, Run

    class Clock(Callback):
        """Record the CPU seconds of each step, and stop after enough of them."""

        def __init__(self) -> None:
            self.seconds: list[float] = []

        def start(self, run: Run) -> None:
            self.last = time.process_time()

        def step(self, run: Run) -> None:
            now = time.process_time()
            self.seconds.append(now - self.last)
            self.last = now
            if len(self.seconds) == skipped + steps:
                run.stopping = "enough steps"

    torch.set_num_threads(threads)
    train, clock = interactions(items), Clock()
    shape = {"hidden_size": HIDDEN, "n_layers": 1, "max_length": 50, "batch_size": BATCH}
    model = SASRec(loss=loss, negatives=negatives, epochs=1, device="cpu", **shape)  # type: ignore[arg-type]
    with Meter() as meter:
        model.fit(train, callbacks=[clock], progress=False)
    histories = train.histories()[:RANKED_USERS]
    seen = [set(row) for row in np.split(histories.items, histories.offsets[1:-1])]
    targets = np.array([next(i for i in range(items) if i not in row) for row in seen], np.int32)
    questions = Holdout(histories, targets, np.arange(RANKED_USERS + 1))
    split = Split("speed", "generated", train, questions, questions)
    start = time.process_time()
    evaluate(model, split, bootstrap=0, progress=False)
    return {
        "seconds": statistics.median(clock.seconds[skipped:]) * STEPS_AN_EPOCH,
        "peak MiB": meter.cost.peak_mib,
        "ms a user": 1000 * (time.process_time() - start) / RANKED_USERS,
    }


def in_process(name: str, items: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure one contender in a new process."""
    kind, _, kept = name.partition(" ")
    environment = {key: value for key, value in os.environ.items() if key not in KEEP}
    environment |= {"OMP_NUM_THREADS": str(options.threads)} | (KEEP if kept else {})
    large = kind == "full" and items > 50_000  # seconds a step
    steps, skipped = (max(2, options.steps // 4), 1) if large else (options.steps, 3)
    numbers = [items, options.negatives, steps, skipped, options.threads]
    command = [sys.executable, __file__, "--one", LOSSES[kind], *map(str, numbers)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compared(items: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the medians of all contenders that fit into memory, and the ratios to full softmax."""
    free = free_memory() / 2**20
    need = {
        name: needed_mib(LOSSES[name.partition(" ")[0]], items, options.negatives)
        for name in CONTENDERS
    }
    names = [name for name in CONTENDERS if need[name] < free]
    if missing := [name for name in CONTENDERS if name not in names]:
        print(f"{items:,} items: {missing} need {need[missing[0]]:,.0f} of {free:,.0f} MiB")
    turns = [
        {name: in_process(name, items, options) for name in names} for _ in range(options.rounds)
    ]
    result: dict[str, dict[str, float]] = {}
    for name in names:
        result[name] = {
            key: round(statistics.median(turn[name][key] for turn in turns), 1)
            for key in turns[0][name]
        } | {"predicted MiB": round(need[name])}
        full = name.replace("sampled", "full")
        if name != full in names:
            ratios = [turn[full]["seconds"] / turn[name]["seconds"] for turn in turns]
            result[name]["times faster than full"] = round(statistics.median(ratios), 2)
    return result


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--negatives", type=int, default=2048, help="drawn for each batch")
    parser.add_argument("--steps", type=int, default=12, help="of a process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        loss, *numbers = options.one
        print(json.dumps(measure(loss, *map(int, numbers))))
        return
    results = {}
    for items in options.items:
        results[str(items)] = compared(items, options)
        for name, figures in results[str(items)].items():
            print(f"{items:,} items, {name}: {figures}", flush=True)
    print(
        json.dumps(
            {
                "name": "an epoch of SASRec with sampled against full softmax, "
                f"{USERS:,} users, {options.negatives:,} negatives, {options.threads} threads",
                "unit": "CPU seconds",
                "items": results,
            }
        )
    )


if __name__ == "__main__":
    main()
