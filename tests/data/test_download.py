"""Downloads against a server on this machine that cuts, lies, stalls and serves garbage."""

import errno
import hashlib
import io
import multiprocessing
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.data import download as module
from m6rec_lite.data.download import DownloadError, ensure_archive, fetch

BODY = np.random.default_rng(0).bytes(300_000)
SHA = hashlib.sha256(BODY).hexdigest()
QUICK = {"timeout": 5.0, "wait": 0.0, "progress": False}


class Server(ThreadingHTTPServer):
    """Answers each request with the next of ``moves`` (the last one repeats)."""

    daemon_threads = True

    def __init__(self, body=BODY):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.moves, self.asked = body, ["whole"], []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, body = self.server, self.server.body
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        move = server.moves.pop(0) if len(server.moves) > 1 else server.moves[0]
        if isinstance(move, int):
            return self.send_error(move)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if move == "ignores range":
            start, wanted = 0, None
        if start >= len(body):
            return self.send_error(416)
        self.send_response(206 if wanted else 200)
        sent = body[start:]
        if wanted:
            first = start + (7 if move == "wrong range" else 0)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        length = {"says more": len(sent) + 999, "says less": len(sent) - 999,
                  "huge": 1 << 50}.get(move, len(sent))  # fmt: skip
        if move == "garbage":
            sent = b"<html>Please log in</html>".ljust(length, b" ")
        if move not in ("endless", "no length"):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            if move == "endless":
                while True:
                    self.wfile.write(bytes(1 << 16))
            if move == "stalls":
                self.wfile.write(sent[:100_000])
                self.wfile.flush()
                threading.Event().wait(2)
            elif move == "cuts":
                self.wfile.write(sent[:100_000])
            else:
                self.wfile.write(sent)
        except OSError:
            pass
        return None


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def left(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_whole_file(server, tmp_path):
    path = fetch(server.url, tmp_path / "new" / "set.zip", sha256=SHA, **QUICK)
    assert path.read_bytes() == BODY
    assert left(path.parent) == ["set.zip"]
    fetch(server.url, path, sha256=SHA, **QUICK)
    assert len(server.asked) == 1  # what is there is not fetched again


def test_cuts_are_resumed_where_they_happened(server, tmp_path):
    server.moves = ["cuts", "cuts", "whole"]
    path = fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK)
    assert path.read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_call_resumes_what_an_earlier_one_left(server, tmp_path):
    server.moves = ["cuts"]
    with pytest.raises(DownloadError, match="cut after 100,000 of 300,000 bytes"):
        fetch(server.url, tmp_path / "set.zip", sha256=SHA, retries=0, **QUICK)
    assert left(tmp_path) == ["set.zip.part"]  # nothing that looks like data
    server.moves = ["whole"]
    assert fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK).read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-"]
    assert left(tmp_path) == ["set.zip"]


@pytest.mark.parametrize("move", ["ignores range", "no length"])
def test_servers_that_cannot_resume_or_do_not_say_the_length(server, tmp_path, move):
    (tmp_path / "set.zip.part").write_bytes(BODY[:1000])
    server.moves = [move]
    assert fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK).read_bytes() == BODY


def test_a_wrong_range_is_not_glued_on(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(BODY[:1000])
    server.moves = ["wrong range", "whole"]
    assert fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK).read_bytes() == BODY


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * 400_000, BODY + b"x"])
def test_a_stale_part_of_another_file_is_thrown_away(server, tmp_path, stale):
    (tmp_path / "set.zip.part").write_bytes(stale)
    assert fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK).read_bytes() == BODY


@pytest.mark.parametrize(
    ("move", "message"),
    [("says more", "cut after 300,000 of 300,999"), ("says less", "checksum is"),
     ("garbage", "checksum is"), ("stalls", "connection broke|cut after"), (503, "answered 503")],
)  # fmt: skip
def test_one_bad_answer_is_retried_and_many_are_refused(server, tmp_path, move, message):
    options = QUICK | {"timeout": 0.3}
    server.moves = [move, "whole"]
    path = fetch(server.url, tmp_path / "set.zip", sha256=SHA, **options)
    assert path.read_bytes() == BODY
    path.unlink()
    server.moves, server.asked = [move], []
    with pytest.raises(DownloadError, match=message):
        fetch(server.url, path, sha256=SHA, retries=2, **options)
    assert 2 <= len(server.asked) <= 3
    assert not path.exists()


def test_not_found_is_not_tried_again(server, tmp_path):
    server.moves = [404]
    with pytest.raises(DownloadError, match="answered 404"):
        fetch(server.url, tmp_path / "set.zip", **QUICK)
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_too_much_is_refused(server, tmp_path):
    server.moves = ["endless"]
    with pytest.raises(DownloadError, match="more than 1,000,000 bytes came"):
        fetch(server.url, tmp_path / "set.zip", max_bytes=1_000_000, **QUICK)
    server.moves = ["huge"]
    with pytest.raises(DownloadError, match="announces"):
        fetch(server.url, tmp_path / "set.zip", **QUICK)
    assert left(tmp_path) == []


def test_offline(tmp_path):
    made = Server()
    url = made.url
    made.shutdown()
    made.server_close()
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(url, tmp_path / "set.zip", **QUICK)
    assert left(tmp_path) == []
    with pytest.raises(DownloadError) as caught:
        ensure_archive("set", url, tmp_path, files=["a.csv", "b.csv"], **QUICK)
    assert f"put the files a.csv, b.csv into {tmp_path / 'set'}" in str(caught.value)
    assert "M6REC_DATA" in str(caught.value)


def test_only_the_web_is_asked(tmp_path):
    with pytest.raises(ValueError, match="http or https"):
        fetch("file:///etc/hosts", tmp_path / "set.zip")


def test_disk_full_in_the_middle(server, tmp_path, monkeypatch):
    """The system call itself fails after 150,000 bytes."""
    real_open = Path.open

    class Full:
        def __init__(self, file):
            self.file, self.room = file, 150_000

        def write(self, block):
            self.room -= len(block)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(block)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    def open_full(self, mode="r", *args, **options):
        file = real_open(self, mode, *args, **options)
        return Full(file) if self.name.endswith(".part") and "r" not in mode else file

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(DownloadError, match=r"disk of .* is full.*Free some room, or set M6REC"):
        fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK)
    assert left(tmp_path) == []
    assert len(server.asked) == 1  # another try would not help
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")
    assert fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK).read_bytes() == BODY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full_as_the_kernel_says_it(server, tmp_path):
    (tmp_path / "set.zip.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="is full"):
        fetch(server.url, tmp_path / "set.zip", sha256=SHA, **QUICK)
    assert left(tmp_path) == []


def test_too_little_room_is_seen_before_it_is_filled(server, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match=r"300,000 bytes are missing and .* room for 1,000"):
        fetch(server.url, tmp_path / "set.zip", **QUICK)


def test_unwritable_folder(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch(server.url, tmp_path / "file" / "set.zip", **QUICK)
    locked = tmp_path / "locked"
    locked.mkdir()
    real_open = os.open

    def refuse(path, *args, **options):
        if Path(path).parent == locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real_open(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DownloadError, match=r"cannot write to .*locked.*make it writable, or set"):
        fetch(server.url, locked / "set.zip", **QUICK)
    assert server.asked == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_unwritable_folder_as_the_kernel_says_it(server, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DownloadError, match="cannot write to"):
            fetch(server.url, tmp_path / "set.zip", **QUICK)
    finally:
        tmp_path.chmod(0o700)


def packed(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def archive_from(server, tmp_path, body, files=("a.csv",)):
    server.body = body
    return ensure_archive("set", server.url, tmp_path, files=list(files), retries=0, **QUICK)


def test_archive_is_unpacked_and_nothing_else_stays(server, tmp_path):
    body = packed({"set/a.csv": "1,2", "set/sub/b.csv": "3"})
    folder = archive_from(server, tmp_path, body, ("a.csv", "sub/b.csv"))
    assert (folder / "a.csv").read_text() == "1,2"
    assert left(tmp_path) == ["set"]
    archive_from(server, tmp_path, body)
    assert len(server.asked) == 1


def test_an_empty_folder_is_filled_and_a_partial_one_is_left_alone(server, tmp_path):
    (tmp_path / "set").mkdir()
    folder = archive_from(server, tmp_path, packed({"set/a.csv": "1"}))
    assert left(folder) == ["a.csv"]
    with pytest.raises(DownloadError, match=r"exists but lacks b.csv.*or remove the folder"):
        archive_from(server, tmp_path, b"", ("a.csv", "b.csv"))
    assert left(folder) == ["a.csv"]


BAD = {
    "not a zip": (b"hello" * 100, "not a valid zip"),
    "cut zip": (packed({"set/a.csv": "1" * 5000})[:-40], "not a valid zip"),
    "flipped bytes": (None, "not a valid zip"),
    "climbs out": (packed({"set/a.csv": "1", "set/../../evil": "x"}), "does not belong"),
    "absolute": (packed({"set/a.csv": "1", "/tmp/evil": "x"}), "does not belong"),
    "another folder": (packed({"set/a.csv": "1", "other/b": "x"}), "does not belong"),
    "backslashes": (packed({"set/a.csv": "1", "..\\evil": "x"}), "does not belong"),
    "lacks a file": (packed({"set/b.csv": "1"}), "lacks a.csv"),
    "empty": (packed({}), "lacks a.csv"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_archives_leave_nothing_behind(server, tmp_path, kind):
    body, message = BAD[kind]
    root = tmp_path / "data"
    if kind == "flipped bytes":
        text = np.random.default_rng(1).bytes(5000).hex()
        body = bytearray(packed({"set/a.csv": text}))
        body[1000:1010] = bytes(10)
        body = bytes(body)
    with pytest.raises(DownloadError, match=message) as caught:
        archive_from(server, root, body)
    assert "By hand" in str(caught.value)
    assert left(root) == []  # so that the next call starts afresh
    assert left(tmp_path) == ["data"]


def test_links_and_bombs_are_refused(server, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("set/a.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hosts")
    with pytest.raises(DownloadError, match="does not belong"):
        archive_from(server, tmp_path, buffer.getvalue())
    monkeypatch.setattr(module, "_MAX_UNPACKED", 1000)
    with pytest.raises(DownloadError, match="would unpack to 100,000 bytes"):
        archive_from(server, tmp_path, packed({"set/a.csv": "0" * 100_000}))
    assert left(tmp_path) == []


def test_an_archive_put_there_by_hand_is_used_if_it_is_the_right_one(server, tmp_path):
    body = packed({"set/a.csv": "1"})
    (tmp_path / "set.zip").write_bytes(body)
    wrong = {"files": ["a.csv"], "sha256": SHA, **QUICK}
    with pytest.raises(DownloadError, match="exists but its checksum is not that of"):
        ensure_archive("set", server.url, tmp_path, **wrong)
    right = wrong | {"sha256": hashlib.sha256(body).hexdigest()}
    ensure_archive("set", server.url, tmp_path, **right)
    assert left(tmp_path) == ["set", "set.zip"]  # not ours to remove
    assert server.asked == []


def test_garbage_is_not_cached(server, tmp_path):
    with pytest.raises(DataError):
        archive_from(server, tmp_path, b"<html>no</html>")
    folder = archive_from(server, tmp_path, packed({"set/a.csv": "1"}))
    assert left(folder) == ["a.csv"]


def _ensure(url, root, barrier, queue):
    barrier.wait()
    queue.put(str(ensure_archive("set", url, Path(root), files=["a.csv"], **QUICK)))


@pytest.mark.skipif(os.name == "nt", reason="no fork")
def test_two_processes_download_once(server, tmp_path):
    server.body = packed({"set/a.csv": BODY.hex()})
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_ensure, args=(server.url, tmp_path, barrier, queue))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    result = {queue.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(timeout=30)
    assert result == {str(tmp_path / "set")}
    assert len(server.asked) == 1
    assert left(tmp_path) == ["set"]
