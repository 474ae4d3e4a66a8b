"""Chapters and solutions run at smoke scale, and their worked examples come out as stored.

Each runs under nbval in a process of its own: cells tagged ``nbval-check-output`` must give exactly
what is stored, every other cell must run, and recorded bounds must hold.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from m6rec_lite.course.build.execution import KERNEL_ENVIRONMENT
from m6rec_lite.course.build.notebooks import stored_notebooks

ROOT = Path(__file__).resolve().parents[2]
STORED = [
    pytest.param(path, id=f"{path.parent.name}/{path.stem}",
                 marks=pytest.mark.xdist_group(f"run-{path.parent.name}-{path.stem}"))
    for path in stored_notebooks(ROOT)
]  # fmt: skip


def nbval(path: Path, run: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly", "-n", "0", str(path)]
    environment = {
        **os.environ,
        **KERNEL_ENVIRONMENT,
        "M6REC_SCALE": "smoke",
        "M6REC_RUN": str(run),
        "M6REC_STRICT": "1",
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=path.parent, check=False
    )


@pytest.mark.notebook
@pytest.mark.parametrize("path", STORED)
def test_it_runs_at_smoke_scale(path, tmp_path):
    done = nbval(path, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("source", "stored", "passes"),
    [
        ("print(1 + 1)", "2\n", True),
        ("print(1 + 1)", "3\n", False),
        ("1 / 0", "", False),
        (
            "from m6rec_lite import course\ncourse.record('x', 0, at_least=1)\nprint(2)",
            "2\n",
            False,
        ),
    ],
    ids=["same", "another output", "error", "broken bound"],
)
def test_a_notebook_that_is_wrong_does_not_pass(source, stored, passes, tmp_path):
    output = [nbformat.v4.new_output("stream", name="stdout", text=stored)] if stored else []
    cell = nbformat.v4.new_code_cell(
        source, outputs=output, metadata={"tags": ["nbval-check-output"]}, execution_count=1
    )
    path = tmp_path / "00_small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    done = nbval(path, tmp_path)
    assert (done.returncode == 0) is passes, done.stdout
