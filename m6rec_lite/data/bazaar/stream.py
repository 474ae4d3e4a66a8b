"""A hundred million interactions on disk, in bounded memory.

The catalogue and the weather are drawn once; shoppers come in blocks, each from a seed of its own,
and each block becomes one Parquet file. A block does not depend on the others, so a run that was
stopped goes on where it stopped, and ends in the same files as one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.dials import WORLD_VERSION, Dials
from m6rec_lite.data.bazaar.simulate import simulate
from m6rec_lite.data.bazaar.tables import interactions_table
from m6rec_lite.data.bazaar.world import World, draw_shoppers, draw_world
from m6rec_lite.data.files import new_file
from m6rec_lite.data.run_config import check_run_config


@dataclass(frozen=True)
class Streamed:
    """What ``generate_to_parquet`` left in its folder.

    Attributes:
        files: the Parquet files, in the order of their shoppers.
        interactions: rows in all of them.
        shoppers: shoppers in all of them.
        reused: files that an earlier run had finished.
    """

    files: tuple[Path, ...]
    interactions: int
    shoppers: int
    reused: int


def generate_to_parquet(
    folder: str | Path,
    *,
    interactions: int,
    block: int = 20_000,
    progress: bool = True,
    **dials: Any,
) -> Streamed:
    """Write at least ``interactions`` organic events as ``part-00000.parquet`` and so on.

    The files hold the columns of the ``interactions`` table; shoppers are numbered through.
    Memory depends on ``block`` and ``items`` alone. Run again with the same arguments to go on
    after a stop, or with more ``interactions`` to add to what is there.

    Args:
        folder: where to write; made if missing.
        interactions: how many rows are wanted; the last block is kept whole.
        block: shoppers a file.
        progress: whether to show a progress bar.
        **dials: as for ``generate``; ``users`` does not apply.

    Returns:
        the files and their counts.

    Raises:
        RunConfigError: if the folder holds a stream of other dials.
        ValueError: on an unknown dial.
    """
    if interactions < 1 or block < 1:
        raise ValueError(
            f"interactions and block must be at least 1, not {interactions} and {block}"
        )
    if "users" in dials:
        raise ValueError("users does not apply to a stream: interactions says how much is wanted")
    turned = Dials.of(**dials, users=block)
    folder = Path(folder)
    check_run_config(
        folder / "stream.json",
        {"world_version": WORLD_VERSION, "dials": turned.as_dict()},
        kind="a stream",
        advice="go on with those (users is the size of a block), or name another folder",
    )

    world = draw_world(replace(turned, users=1))
    world = replace(world, dials=turned)
    files, rows, reused = [], 0, 0
    with tqdm(
        total=interactions, unit=" rows", unit_scale=True, desc="bazaar", disable=not progress
    ) as bar:
        while rows < interactions:
            path = folder / f"part-{len(files):05d}.parquet"
            if path.is_file():
                reused += 1
            else:
                _write_block(world, len(files), path)
            count = pq.read_metadata(path).num_rows
            files.append(path)
            rows += count
            bar.update(count)
    return Streamed(tuple(files), rows, len(files) * block, reused)


def _write_block(world: World, number: int, path: Path) -> None:
    """Draw one block of shoppers and write their events under a name that appears only whole."""
    seed = world.dials.seed
    shoppers = draw_shoppers(world.dials, np.random.default_rng([seed, 100, number]))
    choice = Choice(replace(world, shoppers=shoppers))
    trail = simulate(choice, np.random.default_rng([seed, 101, number]), progress=False)
    table = interactions_table(trail, first_user=number * len(shoppers) + 1)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with new_file(path) as file:
        pq.write_table(arrow, file, compression="zstd", compression_level=3)
