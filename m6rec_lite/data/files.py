"""Files and folders that are written whole or not at all, and whose damage is noticed on reading.

``new_file`` and ``new_folder`` write under a temporary name beside the target, flush to disk and
rename: a kill or a full disk at any moment leaves the old contents or the new ones. The temporary
name holds the machine and the process, so that the next save removes what a killed one left.
``seal`` writes SHA-256 sums beside files, in the format of the command ``sha256sum``; ``damage``
compares them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

#: The file of checksums in a folder.
SUMS = "SHA256SUMS"
_SUM = re.compile(r"([0-9a-f]{64})  ([^\s/][^/]*)")

#: Errors of a system without room: on the disk, in the user's quota, in a file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: A temporary file of another machine is removed once it is older than this.
SECONDS_TO_KEEP = 24 * 3600


class DiskFullError(OSError):
    """A file does not fit on the disk."""


@contextmanager
def disk_advice(path: Path, advice: str = "What was there before is unchanged") -> Iterator[None]:
    """Replace errors of a full disk by one that names the path and what to do.

    Args:
        path: what is being written.
        advice: what is safe, and what to do beyond freeing some room.

    Raises:
        DiskFullError: in their place.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises its own, with the disk's as its cause
        full: BaseException | None = error
        while full is not None and getattr(full, "errno", None) not in NO_ROOM:
            full = full.__cause__ or full.__context__
        if full is None:
            raise
        message = (
            f"{os.strerror(full.errno)}: {path} could not be written, and nothing half is left"
        )
        raise DiskFullError(full.errno, f"{message}. {advice}: free some room there") from error


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name ``path`` once the block ends without an error.

    Raises:
        DiskFullError: if there is no room; a file of that name stays as it was.
    """
    path = Path(os.path.realpath(path))
    with disk_advice(path), _temporary(path) as fresh:
        with open(fresh, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        flush_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; see ``new_file``."""
    with new_file(path) as file:
        file.write(text.encode())


def png_bytes(figure: Any) -> bytes:
    """Return a Matplotlib figure as a PNG of 100 dots per inch; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder that takes the name ``path`` once the block ends without an error.

    A folder of that name is replaced as a whole. Where a kill falls between its going and the new
    one's coming, ``settle`` puts the old one back; whoever reads such folders calls it.

    Raises:
        DiskFullError: if there is no room; a folder of that name stays as it was.
    """
    path = Path(os.path.realpath(path))
    with disk_advice(path), scratch_folder(path) as fresh:
        yield fresh
        for file in sorted(fresh.rglob("*")):
            if file.is_file():
                with open(file, "rb+") as handle:
                    os.fsync(handle.fileno())
        flush_folder(fresh)
        if path.exists():
            old = _temporary_path(path, "old")
            path.rename(old)
            try:
                fresh.rename(path)
            except OSError:
                old.rename(path)
                raise
            flush_folder(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.rename(path)
            flush_folder(path.parent)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; it is removed at the end, or by the next save."""
    with _temporary(path) as fresh:
        fresh.mkdir()
        yield fresh


def settle(path: str | Path) -> None:
    """Clean up after saves to ``path`` that were killed.

    Their temporary files are removed. Where the save was about to replace a folder and the name is
    free, the old folder takes its name back. Saves of living processes are left alone.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        return
    pattern = re.compile(
        rf"\.{re.escape(path.name)}\.(?P<kind>new|old)-(?P<host>[0-9a-f]{{8}})-(?P<pid>\d+)-\w{{8}}"
    )
    for entry in sorted(path.parent.iterdir()):
        match = pattern.fullmatch(entry.name)
        if match is None or not _is_dead(entry, match["host"], int(match["pid"])):
            continue
        if match["kind"] == "old" and not path.exists():
            entry.rename(path)
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Give a free name beside ``path``; what is made there is removed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settle(path)
    fresh = _temporary_path(path, "new")
    try:
        yield fresh
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
        else:
            fresh.unlink(missing_ok=True)


def _temporary_path(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}")


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_dead(path: Path, host: str, pid: int) -> bool:
    """Whether the process that made a temporary file has ended."""
    if host == _host() and os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False
    try:
        return time.time() - path.stat().st_mtime > SECONDS_TO_KEEP
    except OSError:
        return False


def flush_folder(path: Path) -> None:
    """Make renames in a folder last, where the system can flush a folder (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write the sums of some files of a folder to its ``SHA256SUMS``.

    Sums of other files stay, unless the file is gone.

    Args:
        folder: the folder.
        names: of files in it.
    """
    kept = _read_sums(folder) or {}
    kept = {name: digest for name, digest in kept.items() if (folder / name).is_file()}
    kept |= {name: file_hash(folder / name) for name in names}
    head = f"# {len(kept)} files\n"  # shows a cut; sha256sum skips it
    write_text(folder / SUMS, head + "".join(f"{kept[name]}  {name}\n" for name in sorted(kept)))


def damage(folder: Path, names: Collection[str] | None = None) -> str | None:
    """Compare the files of a folder with its ``SHA256SUMS``.

    Args:
        folder: the folder.
        names: compare only these; every file that has a sum when left out.

    Returns:
        A sentence that names the file that differs, or None: all is as it was written, or the
        folder has no sums (other programs write none).
    """
    sums = _read_sums(folder)
    if sums is None:
        return f"{folder / SUMS} is damaged: it is cut, or has lines that are not 'SHA-256  name'"
    for name, digest in sums.items():
        if names is not None and name not in names:
            continue
        if not (folder / name).is_file():
            return f"{folder / name} is missing, though {SUMS} lists it"
        if file_hash(folder / name) != digest:
            return f"{folder / name} is damaged or was changed: its SHA-256 is not that in {SUMS}"
    return None


def _read_sums(folder: Path) -> dict[str, str] | None:
    """Digest by name; empty without a file, None for one that is damaged."""
    try:
        lines = (folder / SUMS).read_bytes().decode("ascii").split("\n")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        return None
    matches = [_SUM.fullmatch(line) for line in lines[1:-1]]
    if lines[-1] or lines[0] != f"# {len(matches)} files" or not all(matches):
        return None
    return {match[2]: match[1] for match in matches if match}
