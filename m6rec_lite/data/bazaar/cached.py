"""Larger worlds that are generated on first use: ``bazaar-large`` and ``bazaar-wide``."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.generation import generate
from m6rec_lite.data.bazaar.storage import load, save
from m6rec_lite.data.files import locked
from m6rec_lite.data.folders import checkout_folder, data_folder
from m6rec_lite.data.tables import DataError, Dataset

log = logging.getLogger(__name__)

#: Parameters of each world. The first 4,600 people of ``bazaar-large`` are those of ``bazaar``.
WORLDS: dict[str, Dials] = {
    "bazaar-large": Dials(blocks=10),
    "bazaar-wide": Dials(users=4500, items=6000),
}


def load_world(name: str, *, folder: str | Path | None = None, progress: bool = True) -> Dataset:
    """Load a world, which is generated on first use and kept on disk.

    ``bazaar-large`` takes about half a minute and 600 MiB of memory to generate. Processes that ask
    for the same world at the same time wait for the one that generates it.

    Args:
        name: name of a world, see ``WORLDS``.
        folder: folder of its files; by default ``datasets/NAME`` of the checkout, else of
            ``data_folder()``.
        progress: whether to show a progress bar.

    Raises:
        DataError: if the files are damaged, or hold another world.
    """
    path = (checkout_folder() or data_folder()) / name if folder is None else Path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not (path / "world.json").is_file():
            log.warning("%s: generating it in %s, once ...", name, path)
            dials: dict[str, Any] = WORLDS[name].as_dict()
            save(generate(progress=progress, **dials), path)
    dataset = load(path)
    if dataset.oracle.world.dials != WORLDS[name]:
        raise DataError(
            f"{path} holds a world with other parameters than {name}: move it away, and it is "
            "generated again"
        )
    return replace(dataset, name=name)
