"""Faults that ``experiments.hardening`` causes: kills, full disks, flipped bits, hostile text."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

#: Seconds after which a child process is killed and its try is lost.
PATIENCE = 180.0
#: Modules that the server of child processes imports once.
PRELOADED = ["experiments.hardening", "torch._dynamo", "m6rec_lite.m6rec.train"]

#: Pieces of hostile texts: markup, special tokens, formulas, controls, directions, long words.
PIECES = (
    "<script>alert(1)</script>", "</td></tr></table>", "<img src=x onerror=alert(1)>", "&lt;b&gt;",
    "-->", "]]>", "'\"><b>", "[EOS]", "[BOS]", "[EOS']", "[BOS']", "[EVENT]", "[ITEM]", "[MASK]",
    "[PAD]", "USER:", "SYSTEM:", "“”", "\n", "\r\n", "\t", "\x00", "\x1b[31m", "\u202e", "\u2066",
    "\u200f", "\ufeff", "\u2028", "=cmd()", "|", "```", "$x$", "{{7*7}}", "%s%n", "../../etc",
    "'; DROP TABLE items; --", "Söhne", "靴子", "👩‍👩‍👧", "e\u0301" * 9, "0" * 300, "boots", " ",
)  # fmt: skip


class Bench:
    """A temporary folder, child processes, random numbers and a bar for one trial.

    Args:
        folder: an existing folder for all files of the trial.
        tries: number of tries.
        seed: seed of the moments, bits and texts.
        options: further settings by name, see ``hardening.add_arguments``.
        progress: whether to show a bar.

    Attributes:
        figures: measurements that are recorded beside the outcomes.
    """

    def __init__(
        self, folder: Path, tries: int, seed: int = 0, *, progress: bool = False, **options: Any
    ) -> None:
        self.folder, self.tries, self.seed, self.options = folder, tries, seed, options
        self.random, self.progress = random.Random(seed), progress
        self.figures: dict[str, dict[str, float]] = {}
        self._folders = 0

    def each(self, values: Iterable[Any] | None = None, name: str = "") -> Iterator[Any]:
        """Iterate over the tries, or over values, with a bar."""
        return iter(tqdm(values or range(self.tries), desc=name, disable=not self.progress))

    def number(self) -> int:
        """Return a random seed for a child process."""
        return self.random.randrange(2**31)

    def fresh(self) -> Path:
        """Return a new empty folder."""
        self._folders += 1
        path = self.folder / f"{self._folders:05d}"
        path.mkdir()
        return path

    def start(self, function: Callable[..., Any], *arguments: Any) -> Child:
        """Start a function in a child process."""
        return Child(function, arguments, self.folder / "output.txt")

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns in a child process.

        Raises:
            ChildError: if it raises or dies.
        """
        return self.start(function, *arguments).result()

    def outcome(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns in a child process, or its error as a lost try."""
        try:
            return self.call(function, *arguments)
        except ChildError as error:
            return f"lost: {str(error).replace(str(self.folder), '…')[:90]}"


class ChildError(Exception):
    """A child process raised an exception or died; the text says which."""


class Child:
    """A function in a process of its own, forked from a server that has imported the package."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.log = log
        self.receiver, sender = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(
            target=_report, args=(sender, log, function, arguments)
        )
        self.process.start()
        sender.close()

    def result(self, seconds: float = PATIENCE) -> Any:
        """Wait for the end and return the function's value; raise ``ChildError`` otherwise."""
        kind, value = "lost", "died"
        with suppress(EOFError):
            if self.receiver.poll(seconds):
                kind, value = self.receiver.recv()
            else:
                value = f"did not end within {seconds:.0f} s"
                self.process.kill()
        self.process.join()
        if kind == "lost":
            said = self.log.read_text(errors="replace").strip() if self.log.is_file() else ""
            value = f"{value} with exit code {self.process.exitcode}: {said.rpartition(chr(10))[2]}"
        if kind != "returned":
            raise ChildError(value)
        return value

    def interrupt(self, name: str, after: float) -> bool:
        """Send a signal after some seconds; return whether the process was still running."""
        self.process.join(after)
        running = self.process.is_alive()
        if running and self.process.pid is not None:
            os.kill(self.process.pid, signal.Signals[name])
        self.process.join(PATIENCE)
        return running and self.process.exitcode != 0


def _report(
    sender: Connection, log: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """Send the value of a function, or its exception as text; output goes to a file."""
    torch.set_num_threads(1)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    try:
        sender.send(("returned", function(*arguments)))
    except Exception as error:
        sender.send(("raised", f"{type(error).__name__}: {error}"))


@contextmanager
def room(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: writing more fails with ``EFBIG``."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file below a folder by its relative path, without locks."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not path.name.endswith(".lock")
    }


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Return a content with one random bit flipped."""
    turned = bytearray(content)
    turned[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(turned)


def digest(value: Any) -> str:
    """Return a hash of the values of arrays, tensors, tables, and containers of them."""
    if isinstance(value, dict):
        value = [[key, value[key]] for key in sorted(value)]
    if isinstance(value, list | tuple):
        content = "".join(map(digest, value)).encode()
    elif isinstance(value, torch.Tensor | np.ndarray):
        array = np.ascontiguousarray(value)
        content = f"{array.dtype} {array.shape}".encode() + array.tobytes()
    elif isinstance(value, pd.DataFrame):
        content = value.to_csv().encode(errors="surrogatepass")
    else:
        content = repr(value).encode()
    return hashlib.sha256(content).hexdigest()


def hostile_texts(n: int, seed: int) -> list[str]:
    """Return random texts of one to eight pieces of ``PIECES``; none is blank."""
    chance = random.Random(seed)
    return [
        "".join(chance.choices(PIECES, k=chance.randint(1, 8))) + chance.choice(("x", "7", "é"))
        for _ in range(n)
    ]


def wait_for(path: Path, seconds: float = PATIENCE) -> None:
    """Wait until a path exists.

    Raises:
        TimeoutError: if it does not within the time.
    """
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} was not written within {seconds:.0f} s")
        time.sleep(0.01)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder that is removed at the end, whatever a killed process left."""
    return tempfile.TemporaryDirectory(prefix="hardening-", ignore_cleanup_errors=True)
