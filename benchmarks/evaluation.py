"""Evaluation at the size of MovieLens-1M, and comparison with ranx on the same lists.

Two benchmarks: first ``evaluate`` with every metric at k = 5, 10, 20 and bootstrap intervals on a
full matrix of scores, 6,040 users by 3,416 items, with and without ties. Then seven accuracy
metrics at 10 over lists of the 100 best items of each user, ours and ranx, each from its own
prepared input (a matrix or a ``Run``; not included in the time); the results must agree.

If ``M6REC_DATA`` is a folder with ml-1m, the histories and targets are those of MovieLens; else
they are random with its shape and skew. Scores are popularity with noise.

    python benchmarks/evaluation.py [--repeats 7]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data import Holdout, Interactions, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import ACCURACY, FixedScores, Questions, TargetRanks, evaluate

N_USERS, N_ITEMS, DEPTH, K = 6040, 3416, 100, 10
RANX = {
    "hr": "hit_rate",
    "recall": "recall",
    "precision": "precision",
    "f1": "f1",
    "ndcg": "ndcg",
    "mrr": "mrr",
    "map": "map",
}


def drawn_split(seed: int) -> Split:
    """Return a random split: Zipf-like item popularity, log-normal history lengths."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.6, 0.95, N_USERS), 20, 2000).astype(np.int64)
    appeal = -0.8 * np.log(np.arange(1, N_ITEMS + 1)) + rng.gumbel(size=(N_USERS, N_ITEMS))
    ranked = np.argsort(-appeal, axis=1)
    items = np.concatenate([row[:length] for row, length in zip(ranked, lengths, strict=True)])
    users = np.repeat(np.arange(N_USERS), lengths)
    last = np.cumsum(lengths) - 1
    is_train = np.ones(len(items), dtype=bool)
    is_train[last] = False
    rows = Interactions(
        user_ids=np.arange(N_USERS),
        item_ids=np.arange(N_ITEMS),
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        timestamps=np.arange(len(items)),
        events=np.zeros(len(items), dtype=np.int8),
        values=np.ones(len(items), dtype=np.float32),
    )
    train = rows.select(is_train)
    holdout = Holdout(train.histories(), rows.items[last], np.arange(N_USERS + 1))
    return Split("leave-one-out", "drawn", train, holdout, holdout)


def real_split() -> Split | None:
    """Return leave-one-out on MovieLens-1M if the data are in ``M6REC_DATA``, else None."""
    folder = os.environ.get("M6REC_DATA")
    if not folder or not (Path(folder) / "ml-1m").exists():
        return None
    return leave_one_out(load_dataset("ml-1m"))


def alternate(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each, run alternately after one warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            clock = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - clock)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    warnings.filterwarnings("ignore", module="ranx")  # on casts inside numba
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    split = real_split() or drawn_split(options.seed)
    rng = np.random.default_rng(options.seed)
    popularity = np.log1p(np.bincount(split.train.items, minlength=len(split.item_ids)))
    noise = rng.gumbel(size=(len(split.test), len(split.item_ids)))
    scores = popularity + noise
    users = split.test.histories.user_ids
    matrices: dict[str, np.ndarray] = {
        "float64": scores,
        "float32": scores.astype(np.float32),
        "float64, tied (whole numbers)": np.round(scores),
    }
    models = {name: FixedScores(split.item_ids, users, each) for name, each in matrices.items()}
    whole = alternate(
        {name: partial(evaluate, model, split, progress=False) for name, model in models.items()},
        options.repeats,
    )
    print(f"{split.dataset}: {scores.shape[0]:,} users x {scores.shape[1]:,} items")
    for name, seconds in whole.items():
        print(
            f"evaluate, every metric at 5, 10, 20, 1,000 bootstrap draws, {name}: {seconds:.3f} s"
        )

    # The same lists for both: the 100 best unseen items, which may not contain the target.
    questions = Questions(split)
    batch = questions.batch(0, len(questions))
    ranked = np.where(batch.out, -np.inf, scores)
    best = np.argsort(-ranked, axis=1)[:, :DEPTH]
    table = np.take_along_axis(ranked, best, axis=1)
    is_target = best == batch.targets[:, None]
    column = np.where(is_target.any(axis=1), is_target.argmax(axis=1), DEPTH)
    table = np.hstack([table, np.full((len(table), 1), -np.inf)])
    frame = pd.DataFrame(
        {
            "q_id": np.repeat(users, DEPTH).astype(str),
            "doc_id": best.ravel().astype(str),
            "score": table[:, :DEPTH].ravel(),
        }
    )
    truth = pd.DataFrame({"q_id": users.astype(str), "doc_id": batch.targets.astype(str)})
    run = Run.from_df(frame.astype({"q_id": object, "doc_id": object}))
    qrels = Qrels.from_df(truth.astype(object).assign(score=1))
    names = [f"{name}@{K}" for name in RANX.values()]

    def ours() -> dict[str, float]:
        ranks = TargetRanks.from_scores(table, batch.rows, column)
        return {RANX[name]: float(metric(ranks, K).mean()) for name, metric in ACCURACY.items()}

    def peer() -> dict[str, float]:
        values = ranx_evaluate(qrels, run, names, make_comparable=False)
        return {name.split("@")[0]: float(value) for name, value in values.items()}

    expected = peer()
    for name, value in ours().items():
        if abs(value - expected[name]) > 1e-9:
            raise SystemExit(f"{name}@{K} differs: ours {value}, ranx {expected[name]}")
    medians = alternate({"ours": ours, "peer": peer}, options.repeats)
    print(f"seven metrics at {K} over {len(table):,} lists of {DEPTH}: "
          f"ours {medians['ours']:.4f} s, ranx {medians['peer']:.4f} s, results equal")  # fmt: skip
    print(
        json.dumps(
            {
                "name": f"evaluation of {len(table)} lists of {DEPTH}, seven metrics at {K}",
                "ours": round(medians["ours"], 5),
                "peer": round(medians["peer"], 5),
                "ratio": round(medians["ours"] / medians["peer"], 4),
                "unit": "s",
            }
        )
    )


if __name__ == "__main__":
    main()
