"""Generating bazaar-large: CPU seconds and peak memory, beside generating bazaar ten times.

A world of ten blocks of people is generated in one process; the peer generates ten worlds of one
block, one after another, in another. Runs alternate. Writing the files is not included.

    python benchmarks/generate_bazaar_large.py [--rounds 3] [--users 4600] [--blocks 10]

``--rounds 1 --users 100 --blocks 2`` is a quick check.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

CHILD = """
import sys, time
from m6rec_lite.data import bazaar
from m6rec_lite.evaluation.costs import peak_mib
users, blocks, worlds = map(int, sys.argv[1:])
start, rows = time.process_time(), 0
for seed in range(worlds):
    world = bazaar.generate(users=users, blocks=blocks, seed=seed, progress=False)
    rows += len(world.interactions)
print(time.process_time() - start, peak_mib(), rows)
"""


def generated(users: int, blocks: int, worlds: int) -> tuple[float, float, int]:
    """Return CPU seconds, peak memory in MiB and rows, of a separate process."""
    command = [sys.executable, "-c", CHILD, *map(str, (users, blocks, worlds))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory, rows = done.stdout.split()
    return float(seconds), float(memory), int(rows)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=4600, help="people of a block")
    parser.add_argument("--blocks", type=int, default=10)
    options = parser.parse_args()
    runs: dict[str, list[tuple[float, float, int]]] = {"ours": [], "peer": []}
    for turn in range(options.rounds):
        runs["ours"].append(generated(options.users, options.blocks, 1))
        runs["peer"].append(generated(options.users, 1, options.blocks))
        shown = ", ".join(f"{name} {values[-1][0]:.1f} s" for name, values in runs.items())
        print(f"round {turn + 1}: {shown}", flush=True)
    ours, peer = (statistics.median(run[0] for run in runs[name]) for name in runs)
    print(
        json.dumps(
            {
                "name": f"generating {options.blocks} blocks of {options.users} people at once, "
                "against as many worlds of one block",
                "ours": round(ours, 2),
                "peer": round(peer, 2),
                "ratio": round(ours / peer, 4),
                "unit": "CPU seconds",
                "rows": runs["ours"][0][2],
                "peak_mib": round(statistics.median(run[1] for run in runs["ours"])),
                "peak_mib of the peer": round(statistics.median(run[1] for run in runs["peer"])),
            }
        )
    )


if __name__ == "__main__":
    main()
