"""Pinned versions: read ``constraints.txt`` and write ``environment.yml`` from it."""

from __future__ import annotations

import re
from pathlib import Path

from m6rec_lite.data.files import write_text

#: ``name==version``, without URL, path or build tag.
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\d[A-Za-z0-9.]*)")

PYTHON = "3.11"


def read_pins(text: str) -> dict[str, str]:
    """Parse a constraints file into versions by package name, in the order of the file.

    Raises:
        ValueError: if a line is not ``name==version``, or a name occurs twice.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = PIN.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number}: wanted name==version and nothing else, got {line!r}")
        name, version = match.groups()
        if name.lower() in map(str.lower, pins):
            raise ValueError(f"line {number}: {name} is pinned twice")
        pins[name] = version
    return pins


def environment_text(pins: dict[str, str]) -> str:
    """Return the text of ``environment.yml``: the pins and the course, installed by pip."""
    lines = [
        "# Written from constraints.txt by: python -m m6rec_lite.course environment",
        "# Use: conda env create -f environment.yml && conda activate m6rec-lite",
        "name: m6rec-lite",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
        *(f"      - {name}=={version}" for name, version in pins.items()),
        "      - --editable .",
    ]
    return "\n".join(lines) + "\n"


def write_environment(root: Path) -> Path:
    """Write ``environment.yml`` from ``constraints.txt``; return its path."""
    pins = read_pins((root / "constraints.txt").read_text(encoding="utf-8"))
    path = root / "environment.yml"
    write_text(path, environment_text(pins))
    return path
