"""Two processes on one leaderboard, cache or folder of checkpoints; downloads without room."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from experiments.faults.bench import Bench, ChildError, room
from experiments.faults.kills import train_sasrec, trained
from experiments.faults.saved_files import world
from m6rec_lite.course import Leaderboard
from m6rec_lite.data.bazaar import save
from m6rec_lite.data.download import DownloadError, fetch
from m6rec_lite.data.files import file_hash


class _Files(SimpleHTTPRequestHandler):
    """Serves a folder, and counts the requests."""

    requests: list[str]

    def log_message(self, *arguments: Any) -> None:
        self.requests.append(self.path)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a file of 100 kB on this machine, and the list of requests."""
    (folder / "file.bin").write_bytes(random.Random(0).randbytes(100_000))
    requests: list[str] = []
    handler = type("Files", (_Files,), {"requests": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file.bin", requests
    finally:
        server.shutdown()


def _download(url: str, path: Path, sha256: str, limit: int | None = None) -> str:
    """Download a file, at first without room for it if there is a limit."""
    if limit is not None:
        try:
            with room(limit):
                fetch(url, path, sha256=sha256, wait=0.01, progress=False)
            return "lost: no error"
        except DownloadError as error:
            if str(path.parent) not in str(error) or "Free some room" not in str(error):
                return "lost: an error without path or advice"
        if path.exists():
            return "lost: a part has the final name"
    fetch(url, path, sha256=sha256, wait=0.01, progress=False)
    return file_hash(path)


def full_disk_download(bench: Bench) -> Iterator[str]:
    """Download a file without room for it, and again with room."""
    with _served(bench.fresh()) as (url, _):
        sha256 = bench.call(_download, url, bench.fresh() / "f", None)
        for _ in bench.each(name="download"):
            limit = bench.random.randrange(100_000)
            got = bench.outcome(_download, url, bench.fresh() / "f", sha256, limit)
            yield "refused" if got == sha256 else got


def _both(bench: Bench, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Return what a function returns in two processes at once, or their errors."""
    results: list[Any] = []
    for child in [bench.start(function, *arguments, name) for name in "ab"]:
        try:
            results.append(child.result())
        except ChildError as error:
            results.append(error)
    return results


def two_leaderboards(bench: Bench) -> Iterator[str]:
    """Add rows to one leaderboard."""
    for _ in bench.each(name="leaderboard"):
        folder = bench.fresh()
        _both(bench, _add_rows, folder)
        rows = len(Leaderboard(folder).frame("d"))
        yield "20 of 20 rows" if rows == 20 else f"lost: {rows} of 20 rows"


def _add_rows(folder: Path, name: str) -> None:
    row = {"dataset": "d", "scale": "smoke", "split_hash": "x", "seed": 0, "variant": ""}
    for number in range(10):
        Leaderboard(folder).add(row | {"model": f"{name}{number}", "ndcg@10": 0.1})


def two_downloads(bench: Bench) -> Iterator[str]:
    """Download one file into one cache."""
    with _served(bench.fresh()) as (url, requests):
        sha256 = bench.call(_download, url, bench.fresh() / "f", None)
        for _ in bench.each(name="cache"):
            requests.clear()
            results = _both(bench, _download_as, url, bench.fresh() / "f", sha256)
            whole = results == [sha256, sha256]
            one = f"lost: {len(requests)} requests"
            yield "lost: damaged" if not whole else "one download" if len(requests) == 1 else one


def _download_as(url: str, path: Path, sha256: str, name: str) -> str:
    return _download(url, path, sha256)


def two_fits(bench: Bench) -> Iterator[str]:
    """Train twice in one folder of checkpoints."""
    data = bench.folder / "world"
    save(world(3), data)
    whole = bench.call(trained, train_sasrec, data, bench.fresh())
    for _ in bench.each(name="fits"):
        results = _both(bench, _fit_as, data, bench.fresh())
        errors = [str(result) for result in results if isinstance(result, ChildError)]
        right = [result for result in results if result == whole]
        if len(errors) + len(right) < 2 or not right:
            yield "lost: other weights"
        elif any("CheckpointError" not in error for error in errors):
            yield f"lost: {errors[0][:60]}"
        else:
            yield "one refused, one whole" if errors else "two whole, one after the other"


def _fit_as(data: Path, folder: Path, name: str) -> dict[str, str]:
    return trained(train_sasrec, data, folder)
