"""Files of target ranks, from which two models can be compared without running them."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from m6rec_lite.data.files import new_file
from m6rec_lite.data.tables import DataError
from m6rec_lite.evaluation.ranking import TargetRanks
from m6rec_lite.evaluation.report import Report


def write_ranks(path: Path, report: Report) -> None:
    """Write the original user id and the rank of every target.

    The file holds ``user_ids``, ``above`` (items scored strictly above the target), ``tied``
    (items of the target's score, itself included) and ``n_items``; the expected rank is
    ``above + (tied + 1) / 2``.

    Args:
        path: path of the ``.npz`` file.
        report: a report that has ``ranks``.

    Raises:
        ValueError: if the report has no ``ranks``.
    """
    ranks = report.ranks
    if ranks is None:
        raise ValueError(f"the report of {report.title} has no ranks: evaluate the model again")
    users = np.asarray(report.user_ids)[ranks.rows]
    with new_file(path) as file:
        np.savez_compressed(
            file,
            user_ids=users.astype(str) if users.dtype == object else users,
            above=ranks.above.astype(np.int32),
            tied=ranks.tied.astype(np.int32),
            n_items=np.int32(ranks.n_items),
        )


def read_ranks(path: Path) -> tuple[np.ndarray, TargetRanks]:
    """Return the users, one per row, and their target ranks, from a file of ``write_ranks``.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it is damaged.
    """
    try:
        with np.load(path) as file:
            users, rows = np.unique(file["user_ids"], return_inverse=True)
            above, tied = (file[name].astype(np.int64) for name in ("above", "tied"))
            return users, TargetRanks(rows, above, tied, len(users), int(file["n_items"]))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or holds no ranks ({error}): restore it from a copy, or evaluate "
            "the model again and write it with write_ranks"
        ) from error
