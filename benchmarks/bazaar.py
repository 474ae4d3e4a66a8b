"""Simulation of the bazaar's organic events: rows per second and peak memory.

Ours simulates all shoppers of a block in one vectorised step; the peer is the same simulator with a
loop over shoppers (same catalogue, same random numbers per step; measured on a hundred shoppers).
Runs alternate after a warm-up of each. Then two runs that stream to Parquet, one several times as
long as the other, measure rows per second and peak memory, which must not grow with the length.
All times are processor times, so that other processes matter little.

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
    """Return rows per second of the vectorised simulation."""
    world = draw_world(Dials(users=round(rows / 42), seed=seed))
    start = time.process_time()
    trail = simulate(Choice(world), np.random.default_rng(seed), progress=False)
    return len(trail) / (time.process_time() - start)


def one_by_one(shoppers: int, seed: int) -> float:
    """Return rows per second of a loop over shoppers."""
    world = draw_world(Dials(users=1, seed=seed))
    drawn = draw_shoppers(world.dials, np.random.default_rng(seed), shoppers)
    world = replace(world, shoppers=drawn)
    choice, rng = Choice(world), np.random.default_rng(seed)
    start = time.process_time()
    state, times = Simulation(choice, rng), draw_times(world, rng)
    for shopper in range(shoppers):
        index = np.array([shopper])
        for t in range(world.shoppers.events[shopper]):
            state.step(index, times[index, t])
    return int(world.shoppers.events.sum()) / (time.process_time() - start)


def streamed(rows: int) -> tuple[float, float]:
    """Return rows per second to Parquet and peak memory in MiB, in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CHILD, folder, str(rows)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows_written, seconds, memory = done.stdout.split()
    return int(rows_written) / float(seconds), float(memory)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--long", type=int, default=10_000_000)
    parser.add_argument("--shoppers", type=int, default=100, help="shoppers of the peer")
    options = parser.parse_args()
    together(50_000, 99), one_by_one(5, 99)
    ours, peer = [], []
    for seed in tqdm(range(options.repeats), desc="in memory", leave=False):
        ours.append(together(options.rows, seed))
        peer.append(one_by_one(options.shoppers, seed))
    short_rate, short_memory = streamed(options.rows)
    long_rate, long_memory = streamed(options.long)
    rate, slow = statistics.median(ours), statistics.median(peer)
    print(
        json.dumps(
            {
                "name": f"bazaar: organic events, {options.rows} rows in memory",
                "ours": round(rate),
                "peer": round(slow),
                "ratio": round(rate / slow, 1),
                "unit": "rows/s",
                "peer_name": "the same simulator, one shopper after another",
                "seconds_in_memory": round(options.rows / rate, 2),
                "stream_rows": [options.rows, options.long],
                "stream_rows_per_s": [round(short_rate), round(long_rate)],
                "stream_peak_mib": [round(short_memory), round(long_memory)],
            }
        )
    )


if __name__ == "__main__":
    main()
