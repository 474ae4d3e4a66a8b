"""Scoring everybody: people per second of M6RecRetriever, beside EASE and SASRec.

The test histories of a data set are scored against its whole catalogue, in batches as ``evaluate``
does: by the pretrained retriever of ``checkpoints/``, by EASE, and by SASRec with as many blocks,
heads, dimensions and events, after one step of training (its weights do not change its speed). The
three alternate in one process; each turn of a model scores everybody once.

    python benchmarks/score_46k.py [--dataset bazaar-large] [--people 46000] [--rounds 3]

``--dataset bazaar --people 256 --rounds 1`` is a quick check.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m6rec_lite.data import Histories
    from m6rec_lite.recommenders import Recommender

BATCH = 1024


def rate(model: Recommender, histories: Histories) -> float:
    """Return histories scored per CPU second."""
    clock = time.process_time()
    for start in range(0, len(histories), BATCH):
        model.score(histories[start : start + BATCH])
    return len(histories) / (time.process_time() - clock)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="bazaar-large")
    parser.add_argument("--people", type=int, default=46_000, help="at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    import torch

    from m6rec_lite.data import leave_one_out, load_dataset
    from m6rec_lite.language import checkpoints
    from m6rec_lite.m6rec import SIZES, M6RecRetriever
    from m6rec_lite.recommenders import EASE, SASRec
    from m6rec_lite.training import Callback, Run

    class Stop(Callback):
        def step(self, run: Run) -> None:
            run.stopping = "one step"

    torch.set_num_threads(options.threads)
    dataset, shape = load_dataset(options.dataset), SIZES["nano"]
    split = leave_one_out(dataset)
    histories = split.test.histories[: options.people]
    pretrained = M6RecRetriever.load(checkpoints()["bazaar-retriever"])
    sasrec = SASRec(
        shape["hidden_size"],
        n_layers=shape["num_hidden_layers"],
        n_heads=shape["num_attention_heads"],
        ffn_size=4 * shape["hidden_size"],
        max_length=pretrained.max_length,
        device="cpu",
    )
    models: dict[str, Recommender] = {
        "M6RecRetriever": pretrained.for_catalogue(split.item_ids, items=dataset.items),
        "EASE": EASE(decay=0.8).fit(split.train, progress=False),
        "SASRec": sasrec.fit(split.train, callbacks=[Stop()], progress=False),
    }
    rates: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.score(histories[:BATCH])  # a warm-up
    for turn in range(options.rounds):
        for name, model in models.items():
            rates[name].append(rate(model, histories))
        shown = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in rates.items())
        print(f"round {turn + 1}, people a second: {shown}", flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = medians["M6RecRetriever"]
    print(
        json.dumps(
            {
                "name": f"scoring {len(histories)} people of {options.dataset} against "
                f"{histories.n_items} items: M6RecRetriever against SASRec of the same shape, "
                f"{options.threads} threads",
                "ours": round(ours),
                "peer": round(medians["SASRec"]),
                "ratio": round(ours / medians["SASRec"], 3),
                "unit": "people/s",
                "ratio to EASE": round(ours / medians["EASE"], 3),
                "seconds": round(len(histories) / ours, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
