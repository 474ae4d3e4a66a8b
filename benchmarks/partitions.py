"""Memory and time of batch scoring, with the number of partitions, all of one size.

Each number runs in a process of its own. The files are written one by one, so that no process
holds the whole log.

    python benchmarks/partitions.py [--partitions 4 40] [--users 1000] [--items 1000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data import Interactions
from m6rec_lite.evaluation import Meter
from m6rec_lite.recommenders import EASE
from m6rec_lite.serving import score_partitions


def rows(first_user: int, users: int, items: int) -> pd.DataFrame:
    """Return twenty events of each user, with popular items."""
    rng = np.random.default_rng(first_user)
    item = (items * rng.random(users * 20) ** 2).astype(np.int64)
    user = first_user + np.repeat(np.arange(users), 20)
    frame = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": np.arange(len(item))})
    return frame.drop_duplicates(["user_id", "item_id"])


def measure(partitions: int, users: int, items: int) -> dict[str, Any]:
    """Score files of ``users`` users each; return seconds and the growth of memory in MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = Interactions.from_frame(rows(0, users, items))
        EASE().fit(train, progress=False).save(folder / "model")
        files = []
        for number in range(partitions):
            files.append(folder / f"part-{number:05d}.parquet")
            frame = rows(number * users, users, items)
            frame[frame["item_id"].isin(train.item_ids)].to_parquet(files[-1], index=False)
        with Meter() as meter:
            scored = score_partitions(folder / "model", files, folder / "scores")
    return {
        "partitions": partitions,
        "users scored": scored,
        "seconds": round(meter.cost.seconds, 2),
        "peak MiB": round(meter.cost.peak_mib, 1),
    }


def main() -> None:
    """Run the benchmark; it prints a JSON object for each number of partitions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=[4, 40])
    parser.add_argument("--users", type=int, default=1000, help="of each partition")
    parser.add_argument("--items", type=int, default=1000)
    options = parser.parse_args()
    if len(options.partitions) == 1:
        print(json.dumps(measure(options.partitions[0], options.users, options.items)))
        return
    for partitions in options.partitions:
        words = ["--partitions", partitions, "--users", options.users, "--items", options.items]
        command = [sys.executable, __file__, *map(str, words)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
