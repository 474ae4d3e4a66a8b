"""Seconds to fit ItemKNN and EASE at the size of MovieLens-1M, compared with other implementations.

ItemKNN is compared with scikit-learn's brute-force cosine neighbours on the same sparse matrix,
which returns the same neighbours if shrinkage is 0 (checked first). EASE is compared with the
closed form in dense numpy, ``inv(X'X + l2 I)``, in the same float64 (weights checked). All start
from the same ``Interactions``; runs alternate after a warm-up of each.

Run no other processes, or use ``--threads 1``: with two threads on busy cores the threads of
OpenBLAS wait for each other, and a factorisation of 1 second takes up to 15. Such ratios are not
meaningful.

If ``M6REC_DATA`` is a folder with ml-1m, the rows are MovieLens's training rows; else they are
random with its shape and skew.

    python benchmarks/baselines.py [--repeats 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from m6rec_lite.data import Interactions, leave_one_out, load_dataset
from m6rec_lite.recommenders import EASE, ItemKNN

N_USERS, N_ITEMS, N_ROWS = 6040, 3416, 987_531
K, L2 = 200, 300.0
#: Tolerance of similarities: on ml-1m scikit-learn's float32 cosines differ by up to 1.9e-5 from
#: float64, ours by 9e-8.
TOLERANCE = 1e-4


def training_rows() -> tuple[str, Interactions]:
    """Return MovieLens-1M's training rows if they are available, else random rows."""
    folder = os.environ.get("M6REC_DATA")
    if folder and (Path(folder) / "ml-1m").exists():
        return "ml-1m", leave_one_out(load_dataset("ml-1m")).train
    rng = np.random.default_rng(0)
    appeal = (1.0 + np.arange(N_ITEMS)) ** -0.8
    users = rng.choice(N_USERS, 2 * N_ROWS, p=rng.dirichlet(np.full(N_USERS, 0.9)))
    items = rng.choice(N_ITEMS, 2 * N_ROWS, p=appeal / appeal.sum())
    pairs = np.unique(users * N_ITEMS + items)
    pairs = np.sort(rng.permutation(pairs)[:N_ROWS])
    rows = Interactions(
        user_ids=np.arange(N_USERS),
        item_ids=np.arange(N_ITEMS),
        users=(pairs // N_ITEMS).astype(np.int32),
        items=(pairs % N_ITEMS).astype(np.int32),
        timestamps=np.arange(len(pairs)),
        events=np.zeros(len(pairs), dtype=np.int8),
        values=np.ones(len(pairs), dtype=np.float32),
    )
    return "drawn", rows


def our_neighbours(train: Interactions) -> ItemKNN:
    """Fit ItemKNN without shrinkage."""
    return ItemKNN(k=K, shrink=0.0).fit(train, progress=False)


def sklearn_neighbours(train: Interactions) -> np.ndarray:
    """Return the ``(n_items, K)`` similarities of each item's neighbours, by scikit-learn."""
    by_item = train.matrix().astype(np.float32).T.tocsr()
    search = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute").fit(by_item)
    distances, _ = search.kneighbors(by_item)
    return 1.0 - distances[:, 1:]  # the nearest is the item itself


def our_ease(train: Interactions) -> np.ndarray:
    """Return EASE's weights."""
    return EASE(l2=L2).fit(train, progress=False).weights_


def numpy_ease(train: Interactions) -> np.ndarray:
    """Return EASE's weights by the paper's closed form in dense numpy."""
    x = train.matrix().toarray()
    p = np.linalg.inv(x.T @ x + L2 * np.eye(x.shape[1]))
    b = p / -np.diag(p)
    np.fill_diagonal(b, 0.0)
    return b


def same_neighbours(train: Interactions) -> bool:
    """Return whether both searches return the same sorted similarities for every item."""
    ours = our_neighbours(train).similarity_.T.toarray()
    ours = -np.sort(-ours, axis=1)[:, :K]
    has_rows = np.bincount(train.items, minlength=train.n_items) > 0
    peer = sklearn_neighbours(train)
    return float(np.abs(ours[has_rows] - peer[has_rows]).max()) < TOLERANCE


def alternate(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each, run alternately after one warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with threadpool_limits(options.threads):
        data, train = training_rows()
        print(f"{data}: {train}; {options.threads} threads, medians of {options.repeats} runs")
        if not same_neighbours(train):
            raise SystemExit("ItemKNN and scikit-learn disagree: their times cannot be compared")
        gap = np.abs(our_ease(train) - numpy_ease(train)).max()
        if gap > 1e-8:
            raise SystemExit(f"EASE and the textbook differ by {gap:.1e}: do not compare times")
        results = []
        for name, ours, peer in (
            (
                "ItemKNN fit against scikit-learn NearestNeighbors",
                our_neighbours,
                sklearn_neighbours,
            ),
            ("EASE fit against dense numpy", our_ease, numpy_ease),
        ):
            seconds = alternate(
                {"ours": partial(ours, train), "peer": partial(peer, train)}, options.repeats
            )
            ratio = seconds["ours"] / seconds["peer"]
            results.append({"name": name} | seconds | {"ratio": ratio, "unit": "s"})
            print(
                f"{name}: ours {seconds['ours']:.2f} s, peer {seconds['peer']:.2f} s, {ratio:.2f}"
            )
    rounded = [
        {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
        for row in results
    ]
    print(json.dumps(rounded[0] | {"data": data, "also": rounded[1:]}))


if __name__ == "__main__":
    main()
