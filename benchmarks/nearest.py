"""Nearest items: questions a second and recall@10, exact search against faiss.

Vectors of unit length and 128 dimensions, people and items drawn alike; the n-th dimension spreads
by ``n ** -decay``, since what is learnt lies mostly in some directions (``--decay 0``: in all
alike, which is the hardest for an index). Exact search is ``VectorIndex``: one matrix product and
the best 10 of each row. faiss answers by an inverted file (``ivf``, which ``VectorIndex`` uses
too), by a graph (``hnsw``), and exactly (``flat``). Of each index the fastest of several settings
counts that finds at least ``--recall`` of the true 10. Questions come ``--people`` at a time, and
one at a time.

Exact search has nothing to build and finds an item that came a second ago; an index pays back what
its building took after so many questions, which is printed. The headline is the case in which ours
does worst.

Needs the extra ``ann`` (faiss). A million items take 2 GB and a minute more: ``--sizes 1000000
--without-hnsw`` (building the graph takes the most).

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

#: Places found for people: ``(n, d)`` to ``(n, K)``.
Search = Callable[["np.ndarray"], "np.ndarray"]


def main() -> None:
    """Time in turns, print, and end in one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--people", type=int, default=256, help="questions at a time")
    parser.add_argument("--recall", type=float, default=0.95, help="that an index must reach")
    parser.add_argument("--decay", type=float, default=0.5, help="of the spread; 0: none")
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

    found = []
    for size in options.sizes:
        items, people = (
            drawn(n, options.decay, seed) for seed, n in enumerate((size, options.people))
        )
        searches, built = candidates(items, people, options.recall, hnsw=not options.without_hnsw)
        for n in (options.people, 1):
            rates = race(searches, people, n, options.rounds)
            for name, rate in rates.items():
                said = f"{size:,} items, {n} at a time, {name}: {rate:,.0f} questions/s"
                gain = 1 / rates["exact"] - 1 / rate  # seconds a question
                if name in built:
                    pays = f"after {built[name] / gain:,.0f} questions" if gain > 0 else "never"
                    said += f", built in {built[name]:.1f} s, which pays {pays}"
                print(said, flush=True)
            peer = max((name for name in rates if name != "exact"), key=rates.get)
            found.append((rates["exact"] / rates[peer], size, n, rates["exact"], rates[peer], peer))
    ratio, size, n, ours, theirs, peer = min(found)
    print(
        json.dumps(
            {
                "name": f"exact search among {size:,} items of {DIMENSIONS} dimensions, {n} at a "
                f"time, against faiss' fastest with recall@{K} of {options.recall} or more, "
                f"{peer}: the worst of {len(found)} cases, {options.threads} threads",
                "ours": round(ours),
                "peer": round(theirs),
                "ratio": round(ratio, 4),
                "unit": "questions/s",
                **{
                    f"ratio at {size:,}, {n} at a time ({peer})": round(ratio, 3)
                    for ratio, size, n, _, _, peer in found
                },
            }
        )
    )


def drawn(n: int, decay: float, seed: int) -> np.ndarray:
    """``(n, 128)`` float32 of unit length."""
    import numpy as np

    vectors = np.random.default_rng(seed).standard_normal((n, DIMENSIONS), dtype=np.float32)
    vectors *= np.arange(1, DIMENSIONS + 1, dtype=np.float32) ** -decay
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def candidates(
    items: np.ndarray, people: np.ndarray, wanted: float, *, hnsw: bool
) -> tuple[dict[str, Search], dict[str, float]]:
    """Ways to search, by name, and the seconds in which each index was built.

    Of each index the fastest setting that finds enough is taken.
    """
    import faiss

    from m6rec_lite.m6rec.tasks.vector_index import VectorIndex

    exact = VectorIndex(items)
    true = exact.search(people, K)[0]
    flat = faiss.IndexFlatIP(DIMENSIONS)
    flat.add(items)
    searches: dict[str, Search] = {
        "exact": lambda asked: exact.search(asked, K)[0],
        "flat": lambda asked: flat.search(asked, K)[1],
    }
    if recall(searches["flat"](people), true) < 0.999:
        raise SystemExit("faiss' exact search and ours do not find the same")

    built: dict[str, float] = {}

    def add(
        name: str, make: Callable[[], Any], settings: tuple[int, ...], put: Callable[..., None]
    ) -> None:
        clock = time.perf_counter()
        index = make()
        seconds = time.perf_counter() - clock
        for setting in settings:
            put(index, setting)
            share = recall(index.search(people, K)[1], true)
            if share >= wanted:
                label = f"{name} {setting} (recall {share:.3f})"
                searches[label] = lambda asked: index.search(asked, K)[1]
                built[label] = seconds
                return
        print(f"{len(items):,} items: {name} finds {share:.3f} at {setting}, and is left out")

    def cells() -> Any:
        n = round(len(items) ** 0.5)
        centres = faiss.IndexFlatIP(DIMENSIONS)
        index = faiss.IndexIVFFlat(centres, DIMENSIONS, n, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # it would warn of small catalogues
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


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """Share of the true places that were found."""
    shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), true.tolist(), strict=True)]
    return sum(shared) / true.size


def race(
    searches: dict[str, Search], people: np.ndarray, at_a_time: int, rounds: int
) -> dict[str, float]:
    """Median questions a second of each, taking turns; a round of warm-up is not counted."""
    asked = [people[i : i + at_a_time] for i in range(0, len(people), at_a_time)]
    rates: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(rounds + 1):
        for name, search in searches.items():
            clock = time.perf_counter()
            answered = 0
            while answered < len(people) or time.perf_counter() - clock < 0.1:
                for some in asked:
                    search(some)
                answered += len(people)
            if turn:
                rates[name].append(answered / (time.perf_counter() - clock))
    return {name: statistics.median(each) for name, each in rates.items()}


if __name__ == "__main__":
    main()
