"""Generation of a hundred million interactions on disk, in bounded memory.

The catalogue and the weather are drawn once. Shoppers are drawn in blocks, each with its own seed,
and each block becomes one Parquet file. Blocks are independent, so a run that was stopped can be
resumed and ends in the same files as an uninterrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.dials import WORLD_VERSION, Dials
from m6rec_lite.data.bazaar.simulate import draw_block
from m6rec_lite.data.bazaar.tables import interactions_table
from m6rec_lite.data.bazaar.world import World, draw_world
from m6rec_lite.data.files import new_file
from m6rec_lite.data.run_config import check_run_config


@dataclass(frozen=True)
class Streamed:
    """Result of ``generate_to_parquet``.

    Attributes:
        files: the Parquet files, in the order of their shoppers.
        interactions: number of rows in all files.
        shoppers: number of shoppers in all files.
        reused: number of files that an earlier run had written.
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

    The files hold the columns of the ``interactions`` table; user ids are consecutive across files.
    Memory depends only on ``block`` and ``items``. Call again with the same arguments to resume, or
    with more ``interactions`` to add files.

    Args:
        folder: folder to write; created if missing.
        interactions: least number of rows; the last block is complete.
        block: shoppers per file.
        progress: whether to show a progress bar.
        **dials: parameters as for ``generate``, without ``users``.

    Returns:
        The files and their counts.

    Raises:
        RunConfigError: if the folder holds files generated with other parameters.
        ValueError: if a parameter is unknown or out of range.
    """
    if interactions < 1 or block < 1:
        raise ValueError(
            f"interactions and block must be at least 1, not {interactions} and {block}"
        )
    if "users" in dials:
        raise ValueError("users does not apply to a stream: interactions says how much is wanted")
    parameters = Dials.of(**dials, users=block)
    folder = Path(folder)
    check_run_config(
        folder / "stream.json",
        {"world_version": WORLD_VERSION, "dials": parameters.as_dict()},
        kind="a stream",
        advice="go on with those (users is the size of a block), or name another folder",
    )

    world = replace(draw_world(replace(parameters, users=1)), dials=parameters)
    files: list[Path] = []
    rows = reused = 0
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
    """Draw one block of shoppers and write their events to a file."""
    shoppers, trail = draw_block(world, number)
    table = interactions_table(trail, first_user=number * len(shoppers) + 1)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with new_file(path) as file:
        pq.write_table(arrow, file, compression="zstd", compression_level=3)
