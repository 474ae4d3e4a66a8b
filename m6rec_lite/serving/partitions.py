"""Batch scoring: recommendations for all users of a log that is partitioned into Parquet files.

All events of a user are in one file, so that files are scored one by one: memory is bounded by the
largest file, and a job that was stopped continues with the files that have no result yet. A single
process and Ray Data run the same function on each file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from m6rec_lite.data.files import new_file
from m6rec_lite.data.ids import as_ids
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.run_config import check_run_config
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_whole


def partition_log(
    interactions: pd.DataFrame | Iterable[pd.DataFrame], folder: str | Path, n: int
) -> list[Path]:
    """Write a log as ``n`` Parquet files, each with all events of some users; return the files.

    A user's file depends on the id alone, so that later rows of the user go to the same file.

    Args:
        interactions: the log; or its pieces, of which one at a time is in memory, such as
            ``pandas.read_csv("log.csv", chunksize=1_000_000)``.
        folder: made if it is missing. The files in it are replaced once the whole log is read.
        n: number of files. All of them are open at the same time.

    Raises:
        DataError: if there is no piece, or a piece has other columns than the first.
        DiskFullError: if the disk is full; earlier files are unchanged.
    """
    folder, n = Path(folder), check_whole("n", n)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"part-{number:05d}.parquet" for number in range(n)]
    pieces = [interactions] if isinstance(interactions, pd.DataFrame) else interactions
    writers: list[pq.ParquetWriter] = []
    with ExitStack() as stack:
        opened = [stack.enter_context(new_file(path)) for path in files]
        for i, piece in enumerate(pieces):
            table = pa.Table.from_pandas(piece, preserve_index=False)
            if not writers:
                schema = table.schema
                writers = [stack.enter_context(pq.ParquetWriter(f, schema)) for f in opened]
            try:
                table = table.select(schema.names).cast(schema)
            except (KeyError, ValueError, pa.ArrowException) as error:
                raise DataError(
                    f"piece {i} of the log has other columns than the first ({error}); read all "
                    f"pieces with the same types, such as read_csv(dtype={{'user_id': 'str'}})"
                ) from error
            numbers = _file_numbers(piece["user_id"], n)
            for number, writer in enumerate(writers):
                writer.write_table(table.filter(pa.array(numbers == number)))
        if not writers:
            raise DataError("the log has no piece; an iterator can be read once")
    return files


def _file_numbers(user_ids: pd.Series, n: int) -> np.ndarray:
    """Return the number of each row's file, by a hash of the user's id."""
    users, rows = np.unique(as_ids(user_ids, "user_id"), return_inverse=True)
    digests = (hashlib.sha256(str(user).encode()).digest()[:8] for user in users.tolist())
    return np.array([int.from_bytes(digest, "big") % n for digest in digests], dtype=int)[rows]


def score_partition(model: Recommender, source: Path, target: Path, k: int = 10) -> int:
    """Write the recommendations of the users in one file; return the number of users.

    Args:
        model: fitted.
        source: Parquet file with ``user_id item_id timestamp``, and optionally ``event``.
        target: Parquet file, written atomically: ``user_id item_id rank score``.
        k: number of items a user.

    Raises:
        DataError: if the rows are faulty; the message names the file.
    """
    try:
        rows = Interactions.from_frame(pd.read_parquet(source))
        lists = model.recommend(rows.histories(), k, unknown="drop")
    except (DataError, OSError, ValueError) as error:
        raise DataError(f"{source}: {error}") from error
    with new_file(target) as file:
        lists.to_parquet(file, index=False)
    return rows.n_users


def score_partitions(
    model_path: str | Path,
    sources: Sequence[Path],
    folder: str | Path,
    k: int = 10,
    *,
    workers: int = 0,
) -> int:
    """Score files that have no result in a folder yet; return the number of users scored.

    Args:
        model_path: folder of ``Recommender.save``.
        sources: files of ``partition_log``.
        folder: folder of the results, one file of the same name for each source.
        k: number of items a user.
        workers: 0 scores in this process; else the number of workers of a Ray Data job, each with
            its own copy of the model.

    Raises:
        RunConfigError: if the folder holds results of another model or another k.
        ImportError: if workers are asked for and Ray is not installed.
    """
    folder = Path(folder)
    sums = (Path(model_path) / "SHA256SUMS").read_bytes()
    config = {"model": hashlib.sha256(sums).hexdigest(), "k": check_whole("k", k)}
    check_run_config(folder / "scoring.json", config, kind="scores")
    pending = [source for source in sources if not (folder / source.name).is_file()]
    if workers:
        return _score_on_ray(model_path, pending, folder, k, workers)
    model = Recommender.load(model_path)
    return sum(score_partition(model, source, folder / source.name, k) for source in pending)


class _Worker:
    """Scores one file after another with a model that is loaded once, for Ray Data."""

    def __init__(self, model_path: str, folder: str, k: int) -> None:
        self.model, self.folder, self.k = Recommender.load(model_path), Path(folder), k

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        source = Path(row["item"])
        return {"users": score_partition(self.model, source, self.folder / source.name, self.k)}


def _score_on_ray(
    model_path: str | Path, pending: Sequence[Path], folder: Path, k: int, workers: int
) -> int:
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(
            "workers need Ray: pip install 'm6rec-lite[cluster]', or workers=0"
        ) from error
    if not pending:
        return 0
    paths = [str(path.resolve()) for path in pending]
    job = ray.data.from_items(paths, override_num_blocks=len(paths)).map(
        _Worker,
        fn_constructor_args=(str(Path(model_path).resolve()), str(folder.resolve()), k),
        concurrency=workers,
    )
    return sum(int(row["users"]) for row in job.iter_rows())
