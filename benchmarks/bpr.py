"""BPR compared with ``implicit`` 0.7.3 on MovieLens-1M: training time to the same NDCG@10.

The target is the best validation NDCG@10 of implicit with its default settings (learning rate 0.01,
regularization 0.01), evaluated every ten epochs; our model is evaluated every epoch until it
reaches the target. Full ranking without seen items, with the factors of the training users. Then
fits of these numbers of epochs are timed alternately, without evaluation. Because NDCG varies
between epochs, this is repeated for several seeds; the last line has the medians over the seeds.

Needs ``M6REC_DATA``, a folder with ml-1m.

    python benchmarks/bpr.py [--factors 64] [--epochs 80] [--threads 2] [--seeds 3]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit asks; before numpy is imported

import argparse
import json
import statistics
import time

import numpy as np
from scipy import sparse

from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.evaluation import FixedScores, evaluate
from m6rec_lite.recommenders import BPR


def main() -> None:
    """Time, print, and end in one JSON object."""
    from implicit.bpr import BayesianPersonalizedRanking

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    split = leave_one_out(load_dataset("ml-1m"))
    matrix = sparse.csr_matrix(split.train.matrix(), dtype=np.float32)

    def ours(epochs: int, seed: int) -> BPR:
        model = BPR(options.factors, epochs=epochs, seed=seed)
        return model.fit(split.train, progress=False)

    def peer(epochs: int, seed: int) -> BayesianPersonalizedRanking:
        model = BayesianPersonalizedRanking(
            factors=options.factors,
            iterations=epochs,
            num_threads=options.threads,
            random_state=seed,
        )
        model.fit(matrix, show_progress=False)
        return model

    def ndcg(model: BPR | BayesianPersonalizedRanking) -> float:
        if isinstance(model, BPR):
            scores = model.user_factors_ @ model.item_factors_.T + model.item_biases_
        else:
            scores = model.user_factors @ model.item_factors.T
        fixed = FixedScores(split.item_ids, split.train.user_ids, scores)
        report = evaluate(fixed, split, k=10, on="validation", bootstrap=0, progress=False)
        return report.metrics["ndcg@10"]

    runs = {"ours": ours, "peer": peer}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for seed in range(options.seeds):
        curve = {epochs: ndcg(peer(epochs, seed)) for epochs in range(10, options.epochs + 1, 10)}
        best = max(curve, key=curve.__getitem__)
        for epochs in range(1, options.epochs + 1):
            reached = ndcg(ours(epochs, seed))
            if reached >= curve[best]:
                break
        else:
            raise SystemExit(f"ours ends at {reached:.4f}, below the target of {curve[best]:.4f}")
        needed = {"ours": epochs, "peer": best}
        for name, run in runs.items():
            clock = time.perf_counter()
            run(needed[name], seed)
            seconds[name].append(time.perf_counter() - clock)
        print(f"seed {seed}: implicit {curve[best]:.4f} after {best} epochs, "
              f"{seconds['peer'][-1]:.2f} s; ours {reached:.4f} after {epochs}, "
              f"{seconds['ours'][-1]:.2f} s")  # fmt: skip
    ours_seconds, peer_seconds = (statistics.median(seconds[name]) for name in runs)
    print(
        json.dumps(
            {
                "name": f"BPR on ml-1m, {options.factors} factors, to implicit's best validation "
                f"NDCG@10, {options.threads} threads, {options.seeds} seeds",
                "ours": round(ours_seconds, 3),
                "peer": round(peer_seconds, 3),
                "ratio": round(ours_seconds / peer_seconds, 4),
                "unit": "s",
            }
        )
    )


if __name__ == "__main__":
    main()
