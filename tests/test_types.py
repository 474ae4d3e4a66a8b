"""Type errors that mypy finds may only become fewer; a new file has none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Errors by file that are allowed still. Files that are not listed have none.
ALLOWED = Path(__file__).with_name("type_errors.json")


def count_errors() -> Counter[str]:
    """Count mypy's errors by file, with the settings of ``pyproject.toml``."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = (re.match(r"(.+?\.pyi?):\d+: error: ", line) for line in done.stdout.splitlines())
    return Counter(Path(match[1]).as_posix() for match in lines if match)


def test_type_errors_become_fewer() -> None:
    allowed, errors = json.loads(ALLOWED.read_text(encoding="utf-8")), count_errors()
    more = {name: n for name, n in errors.items() if n > allowed.get(name, 0)}
    assert not more, f"new type errors, by file: {more}; see them with python -m mypy"
    fewer = {name: errors[name] for name, n in allowed.items() if errors[name] < n}
    assert not fewer, f"fewer type errors than {ALLOWED.name} allows: lower it to {fewer}"
