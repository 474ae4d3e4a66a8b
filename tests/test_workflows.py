"""The workflows are valid and safe, as linters say that need no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NEEDS = "needs the extra book"
PROGRAM = shutil.which("zizmor", path=Path(sys.executable).parent) or shutil.which("zizmor")

pytestmark = pytest.mark.extra

#: A title of anybody becomes a part of the command, and all permissions are those of the default.
UNSAFE = """on: pull_request_target
jobs:
  greet:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


def follows_the_schema(*paths: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("check_jsonschema", reason=NEEDS)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def is_safe(*paths: Path) -> subprocess.CompletedProcess[str]:
    if PROGRAM is None:
        pytest.skip(NEEDS)
    command = [PROGRAM, "--offline", "--no-progress", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_workflow_follows_the_schema():
    assert len(WORKFLOWS) >= 3
    done = follows_the_schema(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_workflow_has_a_finding():
    done = is_safe(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_would_be_found(tmp_path):
    path = tmp_path / "unsafe.yml"
    path.write_text(UNSAFE)
    done = is_safe(path)
    assert done.returncode != 0
    assert "template-injection" in done.stdout
    path.write_text(UNSAFE.replace("runs-on", "runs-in"))
    assert follows_the_schema(path).returncode != 0


def test_every_action_has_a_version():
    """An action of a branch would change without notice."""
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                assert "@v" in line, f"{path.name}: {line.strip()}"
