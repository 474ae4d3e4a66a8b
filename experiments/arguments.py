"""Command-line options of all experiments."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m6rec_lite.course.paths import project_root


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--root``, ``--again`` and ``--quiet``, which every experiment has."""
    parser.add_argument(
        "--root",
        type=Path,
        default=project_root(),
        help="project folder: reads and writes results/ and runs/ there (default: this checkout)",
    )
    parser.add_argument("--again", action="store_true", help="run again what is already recorded")
    parser.add_argument("--quiet", action="store_true", help="show no progress bars")


def add_settings_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--set NAME=VALUE …``; read it with ``read_settings(options.set)``."""
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="model settings")


def read_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse ``["epochs=5", "loss=bce"]`` into a dict; values are parsed as JSON, else text.

    Raises:
        ValueError: if an entry is not of the form name=value.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise ValueError(f"settings are given as name=value, got {pair!r}")
        try:
            settings[name] = json.loads(text)
        except json.JSONDecodeError:
            settings[name] = text
    return settings
