"""IALS compared with ``implicit`` 0.7.3 on MovieLens-1M: seconds per fit, at the same objective.

Both minimise the same function: observed items have confidence 10 (``alpha=10`` of implicit,
``alpha=9`` of ours, where c = 1 + alpha), all others 1; the same number of factors, regularization,
iterations, conjugate gradient steps (three), threads and initial factors, all in float32. From its
own initial factors, which are all positive, implicit has not converged after 15 iterations (printed
too). Both objectives are computed by the same function and must agree within 0.1 %. Runs alternate
after one warm-up of each; the ratio printed last is the worse of the two sizes.

Without ``M6REC_DATA`` (a folder with ml-1m) rows are random with its shape and skew.

    python benchmarks/als.py [--backend numpy|numba] [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit asks; before numpy is imported

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data import Interactions, leave_one_out, load_dataset
from m6rec_lite.recommenders import IALS
from m6rec_lite.recommenders.ials import ials_objective

ALPHA, REGULARIZATION, ITERATIONS = 10.0, 10.0, 15


def training_rows(seed: int) -> tuple[str, Interactions]:
    """Return MovieLens-1M's training rows if the data are in ``M6REC_DATA``, else random ones."""
    folder = os.environ.get("M6REC_DATA")
    if folder and (Path(folder) / "ml-1m").exists():
        return "ml-1m", leave_one_out(load_dataset("ml-1m")).train
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.6, 0.95, 6040), 20, 2000).astype(np.int64)
    appeal = -0.8 * np.log(np.arange(1, 3417)) + rng.gumbel(size=(6040, 3416))
    ranked = np.argsort(-appeal, axis=1)
    items = np.concatenate([row[:n] for row, n in zip(ranked, lengths, strict=True)])
    users = np.repeat(np.arange(6040), lengths)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(len(users))})
    return "drawn", Interactions.from_frame(frame)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    from implicit.als import AlternatingLeastSquares

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=("numpy", "numba"), default="numba")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    name, train = training_rows(options.seed)
    matrix = sparse.csr_matrix(train.matrix(), dtype=np.float32)
    print(f"{name}: {matrix.shape[0]:,} users, {matrix.shape[1]:,} items, {matrix.nnz:,} entries; "
          f"{options.threads} threads; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    worst = (0.0, 1.0, 0)
    for factors in (64, 128):
        model = IALS(
            factors,
            REGULARIZATION,
            ALPHA - 1,
            ITERATIONS,
            backend=options.backend,
            threads=options.threads,
            seed=options.seed,
        )

        def ours(model: IALS = model) -> tuple[np.ndarray, np.ndarray]:
            model.fit(train, progress=False)
            return model.user_factors_, model.item_factors_

        def peer(model: IALS = model, own_start: bool = False) -> tuple[np.ndarray, np.ndarray]:
            other = AlternatingLeastSquares(
                factors=model.factors,
                regularization=REGULARIZATION,
                alpha=ALPHA,
                iterations=ITERATIONS,
                num_threads=options.threads,
                random_state=options.seed,
            )
            if not own_start:
                other.user_factors, other.item_factors = model.start(*matrix.shape)
            other.fit(matrix, show_progress=False)
            return other.user_factors, other.item_factors

        seconds: dict[str, list[float]] = {"ours": [], "peer": []}
        objective = {}
        for repeat in range(options.repeats + 1):
            for side, run in (("ours", ours), ("peer", peer)):
                clock = time.perf_counter()
                x, y = run()
                if repeat:
                    seconds[side].append(time.perf_counter() - clock)
                objective[side] = ials_objective((ALPHA - 1) * matrix, x, y, REGULARIZATION)
        ours_seconds, peer_seconds = (statistics.median(seconds[side]) for side in ("ours", "peer"))
        print(f"{factors} factors: ours ({options.backend}) {ours_seconds:.3f} s, "
              f"implicit {peer_seconds:.3f} s, ratio {ours_seconds / peer_seconds:.3f}; "
              f"objectives {objective['ours']:.6g} and {objective['peer']:.6g}")  # fmt: skip
        unconverged = ials_objective((ALPHA - 1) * matrix, *peer(own_start=True), REGULARIZATION)
        print(f"from its own start implicit's objective is {unconverged:.6g}")
        if abs(objective["ours"] / objective["peer"] - 1) > 1e-3:
            raise SystemExit("the objectives differ by more than 0.1 %: not the same work")
        if ours_seconds / peer_seconds > worst[0] / worst[1]:
            worst = ours_seconds, peer_seconds, factors
    ours_seconds, peer_seconds, factors = worst
    print(
        json.dumps(
            {
                "name": f"IALS fit on {name}, {factors} factors, {ITERATIONS} iterations, "
                f"{options.backend}, {options.threads} threads",
                "ours": round(ours_seconds, 4),
                "peer": round(peer_seconds, 4),
                "ratio": round(ours_seconds / peer_seconds, 4),
                "unit": "s",
            }
        )
    )


if __name__ == "__main__":
    main()
