"""Download of files and archives; an incomplete file never has the final name.

``fetch`` downloads one file: it resumes a partial download, retries after network errors, verifies
the checksum, and then renames the file. ``ensure_archive`` extracts a zip file to a temporary
folder and renames that.
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
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from m6rec_lite.data.files import NO_ROOM, file_hash, locked, scratch_folder
from m6rec_lite.data.folders import VARIABLE
from m6rec_lite.data.tables import DataError

log = logging.getLogger(__name__)

_BLOCK = 1 << 16
_MAX_UNPACKED = 1 << 31


class DownloadError(DataError):
    """A file could not be downloaded; the message says how to get it by hand."""


class _RetryableError(Exception):
    """An attempt failed, and another may succeed."""


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
    """Download a file and verify it.

    The data are written to ``<destination>.part``, which a later call resumes (HTTP ``Range``) and
    which is renamed after its checksum is verified.

    Args:
        url: http or https.
        destination: path of the file; an existing file is only verified.
        sha256: checksum in hexadecimal digits; without one only the length is verified.
        timeout: seconds to wait for data from the server.
        retries: most attempts after the first.
        wait: seconds before the first retry, doubled for each further one.
        max_bytes: largest size of the file.
        progress: whether to show a progress bar.

    Returns:
        ``destination``.

    Raises:
        DownloadError: if the download fails or the checksum differs.
        ValueError: if the url is not http or https.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url must be http or https, not {url!r}")
    destination = Path(destination)
    part = destination.with_name(destination.name + ".part")
    with _writing(destination), locked(part):
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
                _attempt(url, part, timeout, max_bytes, progress)
            except _RetryableError as error:
                last = error
                continue
            digest = file_hash(part)
            if sha256 is None or digest == sha256:
                os.replace(part, destination)
                return destination
            part.unlink()
            last = _RetryableError(f"checksum is {digest[:12]}…, wanted {sha256[:12]}…")
            if restarted:  # complete but wrong twice: another attempt would be, too
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
    """Return the folder ``root/name``; download and extract it if it lacks ``files``.

    Args:
        name: name of the folder, both in the archive and below ``root``.
        url: address of the zip file.
        root: the data folder.
        files: names of files in a complete folder.
        sha256: checksum of the zip file.
        **options: options of ``fetch``.

    Raises:
        DownloadError: if the files cannot be downloaded; the message says how to get them by hand.
    """
    folder, archive = root / name, root / f"{name}.zip"
    missing = [file for file in files if not (folder / file).is_file()]
    if not missing:
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DownloadError(
            f"{folder} exists but lacks {', '.join(missing)}. Put them there (they are in {url}), "
            "or remove the folder, and it will be downloaded anew"
        )
    try:
        with _writing(folder), locked(folder):
            if all((folder / file).is_file() for file in files):  # another process downloaded it
                return folder
            downloaded = not archive.exists()  # otherwise the user put it there
            fetch(url, archive, sha256=sha256, **options)  # type: ignore[arg-type]
            try:
                _unpack(archive, folder, files)
            finally:
                if downloaded:
                    archive.unlink()
    except DownloadError as error:
        raise DownloadError(
            f"{name}: {error}\nBy hand: get {url} on a machine that can, unpack it, and put the "
            f"files {', '.join(files)} into {folder}; or set the environment variable {VARIABLE} "
            f"to a folder that holds {name}/"
        ) from error
    return folder


def _attempt(url: str, part: Path, timeout: float, max_bytes: int, progress: bool) -> None:
    """Append to ``part`` until it is complete; raise ``_RetryableError`` if a retry may help."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "m6rec-lite"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            have, total = _byte_range(response, have)
            if total is not None:
                _check_space(part, total, total - have, max_bytes)
            _receive(response, part, have, total, max_bytes, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file is longer than the file: it belongs to another one
            part.unlink(missing_ok=True)
            raise _RetryableError("the server has less than was downloaded before") from None
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _RetryableError(f"the server answered {error.code} {error.reason}") from None
        raise DownloadError(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"the certificate of {url} is not valid ({error.reason.verify_message})"
            ) from None
        raise _RetryableError(f"the server cannot be reached ({error.reason})") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _RetryableError(f"the connection broke ({type(error).__name__}: {error})") from None


def _byte_range(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return the offset of the response's first byte, and the size of the file (or None)."""
    length = response.headers.get("Content-Length", "")
    if response.status == 206:
        # "bytes 100-999/1000"
        span, _, total = (
            response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        if span.partition("-")[0] == str(have):
            return have, int(total) if total.isdigit() else None
        raise _RetryableError(f"requested bytes from {have}, got {span!r}")
    return 0, int(length) if length.isdigit() else None


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    max_bytes: int,
    progress: bool,
) -> None:
    """Write the response to ``part``, from byte ``have`` on."""
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
        raise _RetryableError(f"cut after {have:,} of {total:,} bytes")


def _check_space(part: Path, total: int, missing: int, max_bytes: int) -> None:
    """Raise ``DownloadError`` if the file is too large, or larger than the free space."""
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
    """Create the folder of ``destination``; replace errors of the disk by ``DownloadError``."""
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
                f"the disk of {destination.parent} is full ({error.strerror}); the partial file "
                f"was removed. Free some room, or set {VARIABLE} to a folder on another disk"
            ) from error
        raise DownloadError(
            f"cannot write to {destination.parent} ({error.strerror or error}); make it writable, "
            f"or set {VARIABLE} to a folder that is"
        ) from error


def _unpack(archive: Path, folder: Path, files: Sequence[str]) -> None:
    """Extract the archive's folder beside ``folder``, then rename it."""
    try:
        with scratch_folder(folder) as fresh, zipfile.ZipFile(archive) as source:
            _check_members(source, folder.name)
            for member in source.infolist():  # reading checks each member's CRC
                source.extract(member, fresh)
            missing = [file for file in files if not (fresh / folder.name / file).is_file()]
            if missing:
                raise DownloadError(f"{archive.name} lacks {', '.join(missing)}")
            if folder.is_dir():
                folder.rmdir()  # ensure_archive has checked that it is empty
            os.replace(fresh / folder.name, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"{archive.name} is not a valid zip file ({error})") from None


def _check_members(source: zipfile.ZipFile, name: str) -> None:
    """Raise ``DownloadError`` for links, paths outside the folder, and too large contents."""
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
