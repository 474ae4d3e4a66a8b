"""Nearest-neighbour search: queries per second of exact search, compared with faiss.

User and item vectors have unit length, 128 dimensions and the same distribution; the n-th dimension
has a standard deviation of ``n ** -decay``, because learned vectors vary mostly in a few directions
(``--decay 0``: equal in all directions, which is hardest for an index). Exact search is
``VectorIndex``: one matrix product and the top 10 of each row. faiss uses an inverted file
(``ivf``, which ``VectorIndex`` supports too), a graph (``hnsw``) or exact search (``flat``). Each
index uses the fastest of several settings with a recall of at least ``--recall``. Queries come
``--people`` at a time, and one at a time.

Exact search needs no index, and finds new items immediately; the number of queries after which
building an index takes less time in total is printed. The result is the case with the lowest ratio.

Needs the extra ``ann`` (faiss). A million items take 2 GB and a minute more: ``--sizes 1000000
--without-hnsw`` (the graph is the slowest to build).

    python benchmarks/nearest.py [--threads 2] [--rounds 5] [--sizes 1000 10000 100000] ...
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

K, DIMENSIONS = 10, 128
PROBES = (1, 2, 4, 8, 16, 32, 64)
EFFORTS = (16, 32, 64, 128, 256)

#: Search function: ``(n, d)`` queries to ``(n, K)`` indices.
Search = Callable[["np.ndarray"], "np.ndarray"]


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--people", type=int, default=256, help="queries at a time")
    parser.add_argument("--recall", type=float, default=0.95, help="required recall of an index")
    parser.add_argument("--decay", type=float, default=0.5, help="decay of the deviations")
    parser.add_argument("--without-hnsw", action="store_true")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # read when numpy is imported

    try:
        import faiss
    except ImportError:
        raise SystemExit(
            "this benchmark needs faiss, which is not installed: "
            'pip install -c constraints.txt -e ".[ann]"'
        ) from None
    faiss.omp_set_num_threads(options.threads)

    results = []
    for size in options.sizes:
        items, people = (
            random_vectors(n, options.decay, seed) for seed, n in enumerate((size, options.people))
        )
        searches, built = candidates(items, people, options.recall, hnsw=not options.without_hnsw)
        for n in (options.people, 1):
            rates = measure_rates(searches, people, n, options.rounds)
            for name, rate in rates.items():
                line = f"{size:,} items, {n} at a time, {name}: {rate:,.0f} queries/s"
                gain = 1 / rates["exact"] - 1 / rate  # seconds per query
                if name in built:
                    queries = f"after {built[name] / gain:,.0f} queries" if gain > 0 else "never"
                    line += f", built in {built[name]:.1f} s, amortised {queries}"
                print(line, flush=True)
            peer = max((name for name in rates if name != "exact"), key=lambda name: rates[name])
            results.append(
                (rates["exact"] / rates[peer], size, n, rates["exact"], rates[peer], peer)
            )
    ratio, size, n, ours, peer_rate, peer = min(results)
    print(
        json.dumps(
            {
                "name": f"exact search among {size:,} items of {DIMENSIONS} dimensions, {n} at a "
                f"time, against faiss' fastest with recall@{K} of {options.recall} or more, "
                f"{peer}: the worst of {len(results)} cases, {options.threads} threads",
                "ours": round(ours),
                "peer": round(peer_rate),
                "ratio": round(ratio, 4),
                "unit": "questions/s",
                **{
                    f"ratio at {size:,}, {n} at a time ({peer})": round(ratio, 3)
                    for ratio, size, n, _, _, peer in results
                },
            }
        )
    )


def random_vectors(n: int, decay: float, seed: int) -> np.ndarray:
    """Return ``(n, 128)`` float32 vectors of unit length."""
    import numpy as np

    vectors = np.random.default_rng(seed).standard_normal((n, DIMENSIONS), dtype=np.float32)
    vectors *= np.arange(1, DIMENSIONS + 1, dtype=np.float32) ** -decay
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def candidates(
    items: np.ndarray, queries: np.ndarray, min_recall: float, *, hnsw: bool
) -> tuple[dict[str, Search], dict[str, float]]:
    """Return search functions by name, and the seconds to build each index.

    Each index uses its fastest setting with enough recall.
    """
    import faiss

    from m6rec_lite.m6rec.tasks.vector_index import VectorIndex

    exact = VectorIndex(items)
    true = exact.search(queries, K)[0]
    flat = faiss.IndexFlatIP(DIMENSIONS)
    flat.add(items)
    searches: dict[str, Search] = {
        "exact": lambda queries: exact.search(queries, K)[0],
        "flat": lambda queries: flat.search(queries, K)[1],
    }
    if recall(searches["flat"](queries), true) < 0.999:
        raise SystemExit("faiss' exact search and ours return different items")

    built: dict[str, float] = {}

    def add(
        name: str, build: Callable[[], Any], settings: tuple[int, ...], set_: Callable[..., None]
    ) -> None:
        clock = time.perf_counter()
        index = build()
        seconds = time.perf_counter() - clock
        for setting in settings:
            set_(index, setting)
            share = recall(index.search(queries, K)[1], true)
            if share >= min_recall:
                label = f"{name} {setting} (recall {share:.3f})"
                searches[label] = lambda queries: index.search(queries, K)[1]
                built[label] = seconds
                return
        print(f"{len(items):,} items: {name} has a recall of {share:.3f} at {setting}; skipped")

    def cells() -> Any:
        n = round(len(items) ** 0.5)
        centres = faiss.IndexFlatIP(DIMENSIONS)
        index = faiss.IndexIVFFlat(centres, DIMENSIONS, n, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # no warning about small catalogues
        index.train(items)
        index.add(items)
        return index

    def graph() -> Any:
        index = faiss.IndexHNSWFlat(DIMENSIONS, 32, faiss.METRIC_INNER_PRODUCT)
        index.add(items)
        return index

    def probe(index: Any, n: int) -> None:
        index.nprobe = n

    def effort(index: Any, n: int) -> None:
        index.hnsw.efSearch = n

    add("ivf", cells, PROBES, probe)
    if hnsw:
        add("hnsw", graph, EFFORTS, effort)
    return searches, built


def recall(retrieved: np.ndarray, true: np.ndarray) -> float:
    """Return the share of the true items that were retrieved."""
    shared = [len(set(a) & set(b)) for a, b in zip(retrieved.tolist(), true.tolist(), strict=True)]
    return sum(shared) / true.size


def measure_rates(
    searches: dict[str, Search], queries: np.ndarray, batch_size: int, rounds: int
) -> dict[str, float]:
    """Return the median queries per second of each, run alternately after a warm-up round."""
    batches = [queries[i : i + batch_size] for i in range(0, len(queries), batch_size)]
    rates: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(rounds + 1):
        for name, search in searches.items():
            clock = time.perf_counter()
            answered = 0
            while answered < len(queries) or time.perf_counter() - clock < 0.1:
                for batch in batches:
                    search(batch)
                answered += len(queries)
            if turn:
                rates[name].append(answered / (time.perf_counter() - clock))
    return {name: statistics.median(values) for name, values in rates.items()}


if __name__ == "__main__":
    main()
