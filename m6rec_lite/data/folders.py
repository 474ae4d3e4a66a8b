"""Folders of data sets on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from m6rec_lite.data.tables import DataError

#: The environment variable that names the folder of downloaded data sets.
VARIABLE = "M6REC_DATA"


def checkout_folder() -> Path | None:
    """Return the ``datasets`` folder of the checkout, or None if there is none.

    The checkout is the first folder with a ``pyproject.toml`` of this project among the parent of
    the package, the current directory and its parents, so that an installed package also works
    within a checkout.
    """
    package = Path(__file__).resolve().parents[2]
    here = Path.cwd()
    for folder in (package, here, *here.parents):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "m6rec-lite"' in project.read_text(encoding="utf-8"):
            return folder / "datasets"
    return None


def data_folder() -> Path:
    """Return the folder of downloaded data sets: ``M6REC_DATA``, else the checkout's ``datasets``.

    Raises:
        DataError: if neither exists.
    """
    path = os.environ.get(VARIABLE, "").strip()
    if path:
        return Path(path).expanduser().resolve()
    folder = checkout_folder()
    if folder is None:
        raise DataError(
            f"no data folder: {Path.cwd()} lies outside a checkout of the course, and the "
            f"environment variable {VARIABLE} is not set. Set {VARIABLE} to a folder for data "
            "sets (they are downloaded there), or start from within the checkout"
        )
    return folder
