"""Atomic writing of files and folders, and detection of damage by checksums.

``new_file`` and ``new_folder`` write under a temporary name beside the target, flush to disk and
rename, so that a process killed at any moment leaves either the old contents or the new ones. The
temporary name identifies the machine and the process, so that the next save removes the temporary
files of a killed one. ``seal`` writes SHA-256 checksums in the format of the command ``sha256sum``;
``damage`` verifies them.
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
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

#: The file of checksums in a folder.
SUMS = "SHA256SUMS"
_SUM = re.compile(r"([0-9a-f]{64})  ([^\s/][^/]*)")

#: Errors of a full disk, an exhausted quota, and a file above the size limit.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Matches the error number in a message of safetensors, which raises no ``OSError``.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
#: Matches the ``OSError`` without a number that numpy raises when only a part fits.
_SHORT_WRITE = re.compile(r"^\d+ requested and \d+ written$")

#: A temporary file of another machine is removed once it is older than this.
SECONDS_TO_KEEP = 24 * 3600


class DiskFullError(OSError):
    """A file does not fit on the disk."""


@contextmanager
def disk_advice(path: Path, advice: str = "What was there before is unchanged") -> Iterator[None]:
    """Replace errors of a full disk by ``DiskFullError``, with the path and advice.

    Args:
        path: the file or folder that is being written.
        advice: which data are safe, and what to do besides freeing space.

    Raises:
        DiskFullError: if the disk is full.
    """
    try:
        yield
    except Exception as error:
        number = _no_room(error)
        if number is None:
            raise
        message = f"{os.strerror(number)}: {path} could not be written, and no part of it is left"
        raise DiskFullError(number, f"{message}. {advice}: free some room there") from error


def _no_room(error: BaseException) -> int | None:
    """Return the error number of a full disk that an error or one of its causes has, or None."""
    cause: BaseException | None = error
    while cause is not None:  # torch raises a RuntimeError with an OSError as its cause
        number = getattr(cause, "errno", None)
        if number is None and (match := _OS_ERROR.search(str(cause))):
            number = int(match[1])
        if number is None and _SHORT_WRITE.match(str(cause)):
            number = errno.ENOSPC
        if number in NO_ROOM:
            return number
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name ``path`` once the block ends without an error.

    Raises:
        DiskFullError: if the disk is full; an existing file is unchanged.
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
    """Write a UTF-8 file atomically; see ``new_file``."""
    with new_file(path) as file:
        file.write(text.encode())


def png_bytes(figure: Any) -> bytes:
    """Return a Matplotlib figure as a PNG of 100 dots per inch; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that takes the name ``path`` once the block ends without an error.

    An existing folder is replaced as a whole, by two renames. If the process is killed between
    them, ``settle`` restores the old folder; call it before reading such a folder.

    Raises:
        DiskFullError: if the disk is full; an existing folder is unchanged.
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
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for a path that excludes other processes, which wait for it."""
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes it on release
                lock.unlink()


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it is removed at the end, or by the next save."""
    with _temporary(path) as fresh:
        fresh.mkdir()
        yield fresh


def settle(path: str | Path) -> None:
    """Remove the temporary files of saves to ``path`` whose process was killed.

    If the save had renamed the old folder but not yet the new one, the old folder gets its name
    back. Temporary files of running processes are not touched.
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
        else:
            _remove(entry)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield an unused path beside ``path``; what exists there is removed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settle(path)
    fresh = _temporary_path(path, "new")
    try:
        yield fresh
    finally:
        _remove(fresh)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; a missing one is no error."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _temporary_path(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}")


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_dead(path: Path, host: str, pid: int) -> bool:
    """Return whether the process that created a temporary file has ended."""
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
    """Flush renames in a folder to disk, on systems that can (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of some files of a folder to its ``SHA256SUMS``.

    Checksums of other files are kept, unless the file is missing.

    Args:
        folder: the folder.
        names: names of files in it.
    """
    write_text(folder / SUMS, _sums(folder, {name: folder / name for name in names}))


@contextmanager
def sealed_files(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder for files that replace those of ``folder`` if no error occurs.

    ``SHA256SUMS`` gets their checksums. Other files of ``folder`` are kept.

    Args:
        folder: created if it does not exist.

    Raises:
        DiskFullError: if the disk is full; existing files are unchanged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with disk_advice(folder), scratch_folder(folder / "files") as fresh:
        yield fresh
        names = sorted(path.name for path in fresh.iterdir() if path.name != SUMS)
        names.sort(key="config.json".__eq__)  # last: it marks a complete model
        write_text(fresh / SUMS, _sums(folder, {name: fresh / name for name in names}))
        for name in [*names, SUMS] if names else []:
            os.replace(fresh / name, folder / name)


def damage(folder: Path, names: Collection[str] | None = None) -> str | None:
    """Verify the files of a folder against its ``SHA256SUMS``.

    Args:
        folder: the folder.
        names: files to verify; by default all that have a checksum.

    Returns:
        A sentence that names the first file that differs, or None if none does or the folder has
        no checksums.
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


def _sums(folder: Path, files: Mapping[str, Path]) -> str:
    """Return the text of ``SHA256SUMS`` of a folder after some files were written, by name."""
    sums = _read_sums(folder) or {}
    sums = {name: digest for name, digest in sums.items() if (folder / name).is_file()}
    sums |= {name: file_hash(path) for name, path in files.items()}
    head = f"# {len(sums)} files\n"  # reveals a truncated file; sha256sum skips it
    return head + "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def _read_sums(folder: Path) -> dict[str, str] | None:
    """Return checksums by file name: empty if there is no ``SHA256SUMS``, None if damaged."""
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
