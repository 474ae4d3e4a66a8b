"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from m6rec_lite.data.tables import DataError

#: The environment variable that names the folder of downloaded data sets.
VARIABLE = "M6REC_DATA"


def checkout_folder() -> Path | None:
    """The ``datasets`` folder of the checkout, or None where there is none.

    It is looked for beside the package, then at the current directory and its parents (so that an
    installed package finds it from within a checkout): a ``datasets`` folder beside a
    ``pyproject.toml`` that names this project.
    """
    package = Path(__file__).resolve().parents[2]
    here = Path.cwd()
    for folder in (package, here, *here.parents):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "m6rec-lite"' in project.read_text(encoding="utf-8"):
            return folder / "datasets"
    return None


def data_folder() -> Path:
    """The folder that holds downloaded data sets: ``M6REC_DATA``, else the checkout's ``datasets``.

    Raises:
        DataError: if neither exists.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if named:
        return Path(named).expanduser().resolve()
    found = checkout_folder()
    if found is None:
        raise DataError(
            f"no data folder: {Path.cwd()} lies outside a checkout of the course, and the "
            f"environment variable {VARIABLE} is not set. Set {VARIABLE} to a folder for data "
            "sets (they are downloaded there), or start from within the checkout"
        )
    return found
