"""Locks that allow one run at a time in a folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from m6rec_lite.training.errors import CheckpointError

#: The file that is locked, and the file that names the process.
LOCK, OWNER = ".lock", ".lock-owner"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs.

    The system frees the lock when the process ends, also when it is killed.

    Args:
        folder: created if it is missing.

    Raises:
        CheckpointError: if another run, of this or another process, holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        try:
            holder = owner.read_text(encoding="utf-8").strip()
        except OSError:
            holder = "its process is not known"
        raise CheckpointError(
            f"{folder} is in use by another run ({holder}): wait until it ends, or pass another "
            "folder"
        ) from error
    try:
        owner.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def run_lock_of_all(folder: Path, is_main_process: bool) -> Iterator[None]:
    """Lock a folder for all processes of a run; every process must call this.

    Raises:
        CheckpointError: on every process, if another run holds it.
    """
    with ExitStack() as stack:
        refused = None
        if is_main_process:
            try:
                stack.enter_context(run_lock(folder))
            except CheckpointError as error:
                refused = str(error)
        refused = broadcast_object_list([refused])[0]
        if refused is not None:
            raise CheckpointError(refused)
        yield
