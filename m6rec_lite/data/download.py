"""Download files and archives; nothing incomplete is ever left under the final name.

``fetch`` gets one file: it resumes what an earlier try began, retries what a network breaks,
checks the checksum, and only then gives the file its name. ``ensure_archive`` unpacks a zip file
beside its destination and renames the finished folder into place.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import shutil
import ssl
import stat
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from filelock import FileLock
from tqdm.auto import tqdm

from m6rec_lite.data.files import NO_ROOM, file_hash, scratch_folder
from m6rec_lite.data.folders import VARIABLE
from m6rec_lite.data.tables import DataError

log = logging.getLogger(__name__)

_BLOCK = 1 << 16
_MAX_UNPACKED = 1 << 31


class DownloadError(DataError):
    """A file could not be downloaded; the message says what to do by hand."""


class _Broken(Exception):
    """One try failed, and another may succeed."""


def fetch(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    timeout: float = 30.0,
    retries: int = 3,
    wait: float = 0.5,
    max_bytes: int = 1 << 30,
    progress: bool = True,
) -> Path:
    """Download a file, whole and checked, or raise.

    The bytes go to ``<destination>.part``, which a later call resumes (HTTP ``Range``), and which
    is renamed once its checksum is right.

    Args:
        url: http or https.
        destination: where the file shall lie; if it is there already, it is only checked.
        sha256: the checksum, in hex; without one only the length is checked.
        timeout: seconds that the server may stay silent.
        retries: further tries after the first.
        wait: seconds before the first retry, doubled for each further one.
        max_bytes: more than this is refused.
        progress: whether to show a progress bar.

    Returns:
        ``destination``.

    Raises:
        DownloadError: if the file cannot be had, or what came is not the file.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url must be http or https, not {url!r}")
    destination = Path(destination)
    part = destination.with_name(destination.name + ".part")
    with _writing(destination), _alone(part):
        if destination.exists():
            if sha256 is not None and file_hash(destination) != sha256:
                raise DownloadError(
                    f"{destination} exists but its checksum is not that of {url}; remove it"
                )
            return destination
        last: Exception | None = None
        restarted = False
        for attempt in range(retries + 1):
            if last is not None:
                log.warning("download of %s: %s; trying again", url, last)
                time.sleep(wait * 2 ** (attempt - 1))
            try:
                _try(url, part, timeout, max_bytes, progress)
            except _Broken as error:
                last = error
                continue
            digest = file_hash(part)
            if sha256 is None or digest == sha256:
                os.replace(part, destination)
                return destination
            part.unlink()
            last = _Broken(f"checksum is {digest[:12]}…, wanted {sha256[:12]}…")
            if restarted:  # twice whole and twice wrong: another try would bring the same
                break
            restarted = True
        if part.exists() and part.stat().st_size == 0:
            part.unlink()
        raise DownloadError(f"could not download {url}: {last}")


def ensure_archive(
    name: str,
    url: str,
    root: Path,
    *,
    files: Sequence[str],
    sha256: str | None = None,
    **options: float | bool,
) -> Path:
    """Return the folder ``root/name``; download and unpack it if it lacks ``files``.

    Args:
        name: of the folder, at the top of the archive and below ``root``.
        url: of the zip file.
        root: the data folder.
        files: names that a complete folder has.
        sha256: checksum of the zip file.
        **options: of ``fetch``.

    Raises:
        DownloadError: saying what to put where by hand.
    """
    folder, archive = root / name, root / f"{name}.zip"
    lacking = [file for file in files if not (folder / file).is_file()]
    if not lacking:
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DownloadError(
            f"{folder} exists but lacks {', '.join(lacking)}. Put them there (they are in {url}), "
            "or remove the folder, and it will be downloaded anew"
        )
    try:
        with _writing(folder), _alone(folder):
            if all((folder / file).is_file() for file in files):  # another process was faster
                return folder
            ours = not archive.exists()  # or it was put there by hand
            fetch(url, archive, sha256=sha256, **options)  # type: ignore[arg-type]
            try:
                _unpack(archive, folder, files)
            finally:
                if ours:
                    archive.unlink()
    except DownloadError as error:
        raise DownloadError(
            f"{name}: {error}\nBy hand: get {url} on a machine that can, unpack it, and put the "
            f"files {', '.join(files)} into {folder}; or set the environment variable {VARIABLE} "
            f"to a folder that holds {name}/"
        ) from error
    return folder


def _try(url: str, part: Path, timeout: float, max_bytes: int, progress: bool) -> None:
    """Add to ``part`` until it is complete; raise ``_Broken`` if another try may succeed."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "m6rec-lite"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            have, total = _plan(response, have)
            if total is not None:
                _check_room(part, total, total - have, max_bytes)
            _receive(response, part, have, total, max_bytes, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the file: it is of another one
            part.unlink(missing_ok=True)
            raise _Broken("the server has less than was downloaded before") from None
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Broken(f"the server answered {error.code} {error.reason}") from None
        raise DownloadError(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"the certificate of {url} is not valid ({error.reason.verify_message})"
            ) from None
        raise _Broken(f"the server cannot be reached ({error.reason})") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke ({type(error).__name__}: {error})") from None


def _plan(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return the byte at which the answer starts, and the size of the whole file (or None)."""
    length = response.headers.get("Content-Length", "")
    if response.status == 206:
        # "bytes 100-999/1000"
        span, _, total = (
            response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        if span.partition("-")[0] == str(have):
            return have, int(total) if total.isdigit() else None
        raise _Broken(f"asked for bytes from {have}, got {span!r}")
    return 0, int(length) if length.isdigit() else None


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    max_bytes: int,
    progress: bool,
) -> None:
    name = part.name.removesuffix(".part")
    bar = tqdm(
        total=total, initial=have, unit="B", unit_scale=True, desc=name, disable=not progress
    )
    with bar, part.open("ab" if have else "wb") as file:
        while block := response.read(_BLOCK):
            have += len(block)
            if have > max_bytes:
                file.close()
                part.unlink(missing_ok=True)
                raise DownloadError(f"more than {max_bytes:,} bytes came; this is not the file")
            file.write(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have != total:
        raise _Broken(f"cut after {have:,} of {total:,} bytes")


def _check_room(part: Path, total: int, missing: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise DownloadError(f"the server announces {total:,} bytes, more than {max_bytes:,}")
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise DownloadError(
            f"{missing:,} bytes are missing and {part.parent} has room for {free:,}; free some, or "
            f"set {VARIABLE} to a folder on another disk"
        )


@contextlib.contextmanager
def _writing(destination: Path) -> Iterator[None]:
    """Make the folder; turn errors of the disk into ones that say what to do."""
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        yield
    except DataError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            if part.is_file() or part.is_symlink():
                part.unlink()
            raise DownloadError(
                f"the disk of {destination.parent} is full ({error.strerror}); what had come was "
                f"removed. Free some room, or set {VARIABLE} to a folder on another disk"
            ) from error
        raise DownloadError(
            f"cannot write to {destination.parent} ({error.strerror or error}); make it writable, "
            f"or set {VARIABLE} to a folder that is"
        ) from error


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process works at the same path."""
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes it on release
                lock.unlink()


def _unpack(archive: Path, folder: Path, files: Sequence[str]) -> None:
    """Unpack the archive's one folder beside ``folder``, then rename it into place."""
    try:
        with scratch_folder(folder) as fresh, zipfile.ZipFile(archive) as source:
            _check_members(source, folder.name)
            for member in source.infolist():  # reading checks each member's CRC
                source.extract(member, fresh)
            lacking = [file for file in files if not (fresh / folder.name / file).is_file()]
            if lacking:
                raise DownloadError(f"{archive.name} lacks {', '.join(lacking)}")
            if folder.is_dir():
                folder.rmdir()  # empty: ensure_archive saw to that
            os.replace(fresh / folder.name, folder)
    except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"{archive.name} is not a sound zip file ({error})") from None


def _check_members(source: zipfile.ZipFile, name: str) -> None:
    """Refuse what leads out of the folder, what is a link, and what swells beyond reason."""
    for member in source.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        mode = member.external_attr >> 16
        if not parts or parts[0] != name or ".." in parts or stat.S_ISLNK(mode):
            raise DownloadError(
                f"{source.filename} holds {member.filename!r}, which does not belong in {name}/"
            )
    size = sum(member.file_size for member in source.infolist())
    if size > _MAX_UNPACKED:
        raise DownloadError(f"{source.filename} would unpack to {size:,} bytes")
