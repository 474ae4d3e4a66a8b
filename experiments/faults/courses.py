"""Runs of lessons that are killed, without a network, or two at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from experiments.faults.bench import PATIENCE, Bench, wait_for
from m6rec_lite.course.paths import chapters, project_root

LESSON = """from m6rec_lite import course
board = course.Leaderboard()
row = dict(dataset="bazaar", scale="smoke", split_hash="x", variant="", seed=0, model="{name}")
board.add({{**row, "ndcg@10": 0.1}})
import pathlib, time, os
pathlib.Path("{name}.pid").write_text(str(os.getpid()))
time.sleep({seconds})"""


def _lessons(root: Path, *names: str, seconds: float = 0.3) -> Path:
    """Write a project with lessons of one cell."""
    import nbformat

    for folder in ("notebooks", "solutions", "exercises", "m6rec_lite"):
        (root / folder).mkdir()
    for name in names:
        cells = [nbformat.v4.new_markdown_cell(f"# {name}")]
        parameters = nbformat.v4.new_code_cell('SCALE = "smoke"\nDATASET = "bazaar"\nSEED = 0')
        parameters.metadata["tags"] = ["parameters"]
        cells += [parameters, nbformat.v4.new_code_cell(LESSON.format(name=name, seconds=seconds))]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / f"{name}.ipynb")
    return root


def _course(root: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``course run`` at smoke scale in a project."""
    command = [sys.executable, "-m", "m6rec_lite.course", "run", "--scale", "smoke", *words]
    known = {**os.environ, "PYTHONPATH": str(project_root()), "OMP_NUM_THREADS": "1"}
    log = open(root / "output.txt", "a")  # noqa: SIM115 (the child writes to it)
    return subprocess.Popen(
        command, cwd=root, env=known | environment, stdout=log, stderr=log, text=True
    )


def _finished(root: Path) -> list[str]:
    path = root / "runs" / "bazaar-smoke" / "chapters.csv"
    rows = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["chapter", "status"])
    return sorted(rows.loc[rows["status"] == "finished", "chapter"])


def killed_course(bench: Bench) -> Iterator[str]:
    """Kill a run of two lessons once a lesson has begun, and resume it."""
    import psutil

    for _ in bench.each(name="course"):
        root = _lessons(bench.fresh(), "00_a", "01_b")
        process = _course(root, "--resume", "--chapters", "00,01")
        wait_for(root / "notebooks" / bench.random.choice(["00_a.pid", "01_b.pid"]))
        time.sleep(bench.random.uniform(0, 0.5))
        process.kill()
        process.wait()
        kernels = [int(path.read_text() or 0) for path in root.rglob("*.pid")]
        until = time.monotonic() + 20
        while any(map(psutil.pid_exists, kernels)) and time.monotonic() < until:
            time.sleep(0.1)
        code = _course(root, "--resume", "--chapters", "00,01").wait(PATIENCE)
        board = pd.read_csv(root / "runs" / "bazaar-smoke" / "leaderboard" / "bazaar.csv")
        if any(map(psutil.pid_exists, kernels)):
            yield "lost: a kernel goes on"
        elif code or _finished(root) != ["00_a", "01_b"] or len(board) != 2:
            yield f"lost: exit code {code}, {len(board)} rows"
        else:
            yield "resumed"


#: Imported by each Python before its program: refuses connections to other machines.
OFFLINE = """import os, socket
def guarded(connect):
    def only_here(self, address):
        here = self.family == socket.AF_UNIX or str(address[0]).startswith(("127.", "::1", "local"))
        if not here:
            with open(os.environ["HARDENING_REFUSED"], "a") as file:
                file.write(f"{address}\\n")
            raise OSError(101, "Network is unreachable")
        return connect(self, address)
    return only_here
socket.socket.connect = guarded(socket.socket.connect)
socket.socket.connect_ex = guarded(socket.socket.connect_ex)
"""


def offline(bench: Bench) -> Iterator[str]:
    """Run lessons where only this machine can be reached, and no data are downloaded yet."""
    root, out, data = project_root(), bench.fresh(), bench.fresh()
    (bench.folder / "sitecustomize.py").write_text(OFFLINE)
    refused = bench.folder / "refused.txt"
    paths = {"PYTHONPATH": f"{bench.folder}{os.pathsep}{root}", "M6REC_DATA": str(data)}
    paths |= {"HARDENING_REFUSED": str(refused), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0"}
    asks = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    subprocess.run(
        [sys.executable, "-c", asks], env=os.environ | paths, check=False, capture_output=True
    )
    if not refused.is_file():
        yield "lost: connections are not refused, so nothing was tried"
        return
    numbers = bench.options.get("lessons", "all")
    for path in bench.each(chapters(root / "notebooks", None if numbers == "all" else numbers)):
        refused.unlink(missing_ok=True)
        code = subprocess.run(
            [sys.executable, "-m", "m6rec_lite.course", "run", "--scale", "smoke",
             "--chapters", path.stem[:2], "--out", str(out)],
            cwd=root, env=os.environ | paths, check=False, capture_output=True,
        ).returncode  # fmt: skip
        asked = len(refused.read_text().splitlines()) if refused.is_file() else 0
        yield (
            f"lost: {path.stem}: exit code {code}"
            if code
            else (
                f"lost: {path.stem} tried to connect"
                if asked
                else "finished, 0 connections refused"
            )
        )


def two_courses(bench: Bench) -> Iterator[str]:
    """Run two lessons from two commands into one folder."""
    for _ in bench.each(name="courses"):
        root = _lessons(bench.fresh(), "00_a", "01_b")
        processes = [_course(root, "--chapters", number) for number in ("00", "01")]
        codes = [process.wait(PATIENCE) for process in processes]
        both = _finished(root) == ["00_a", "01_b"] and codes == [0, 0]
        yield "both rows" if both else f"lost: {_finished(root)}, exit codes {codes}"
