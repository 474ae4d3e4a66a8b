"""Rows a second at which the bazaar's organic events are made, and the memory that takes.

Ours steps all shoppers of a block together; the peer is the same simulator stepping one shopper
after another, as a loop over users would (same catalogue, same draws a step; its rate is measured
on a hundred shoppers). Runs alternate, and a warm-up of each is left out. Then two streams to
Parquet run in processes of their own, one several times as long as the other: rows a second, and
peak memory, which must not grow with the length. Seconds are of processor time throughout, so that
a busy machine does not matter.

    python benchmarks/bazaar.py [--repeats 3] [--rows 1000000] [--long 10000000]

A hundred million rows are ``--long 100000000``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.simulate import Simulation, draw_times, simulate
from m6rec_lite.data.bazaar.world import draw_shoppers, draw_world

CHILD = """
import sys, time
from m6rec_lite.data.bazaar.stream import generate_to_parquet
from m6rec_lite.evaluation.costs import peak_mib
start = time.process_time()
rows = generate_to_parquet(sys.argv[1], interactions=int(sys.argv[2]), progress=False).interactions
seconds = time.process_time() - start
print(rows, seconds, peak_mib())
"""


def together(rows: int, seed: int) -> float:
    """Rows a second, all shoppers side by side."""
    world = draw_world(Dials(users=round(rows / 42), seed=seed))
    start = time.process_time()
    trail = simulate(Choice(world), np.random.default_rng(seed), progress=False)
    return len(trail) / (time.process_time() - start)


def one_by_one(shoppers: int, seed: int) -> float:
    """Rows a second, one shopper after another."""
    world = draw_world(Dials(users=1, seed=seed))
    some = draw_shoppers(world.dials, np.random.default_rng(seed), shoppers)
    world = replace(world, shoppers=some)
    choice, rng = Choice(world), np.random.default_rng(seed)
    start = time.process_time()
    state, times = Simulation(choice, rng), draw_times(world, rng)
    for shopper in range(shoppers):
        who = np.array([shopper])
        for t in range(world.shoppers.events[shopper]):
            state.step(who, times[who, t])
    return int(world.shoppers.events.sum()) / (time.process_time() - start)


def streamed(rows: int) -> tuple[float, float]:
    """Rows a second to Parquet, and peak memory in MiB, of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CHILD, folder, str(rows)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(said[0]) / float(said[1]), float(said[2])


def main() -> None:
    """Measure and print one JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--long", type=int, default=10_000_000)
    parser.add_argument("--shoppers", type=int, default=100, help="of the peer")
    given = parser.parse_args()
    together(50_000, 99), one_by_one(5, 99)
    ours, peer = [], []
    for seed in tqdm(range(given.repeats), desc="in memory", leave=False):
        ours.append(together(given.rows, seed))
        peer.append(one_by_one(given.shoppers, seed))
    short_rate, short_memory = streamed(given.rows)
    long_rate, long_memory = streamed(given.long)
    rate, slow = statistics.median(ours), statistics.median(peer)
    print(
        json.dumps(
            {
                "name": f"bazaar: organic events, {given.rows} rows in memory",
                "ours": round(rate),
                "peer": round(slow),
                "ratio": round(rate / slow, 1),
                "unit": "rows/s",
                "peer_name": "the same simulator, one shopper after another",
                "seconds_in_memory": round(given.rows / rate, 2),
                "stream_rows": [given.rows, given.long],
                "stream_rows_per_s": [round(short_rate), round(long_rate)],
                "stream_peak_mib": [round(short_memory), round(long_memory)],
            }
        )
    )


if __name__ == "__main__":
    main()
