"""Paths of the project folder and of its notebooks."""

from __future__ import annotations

from pathlib import Path

#: The project folder contains all of these.
SUBFOLDERS: tuple[str, ...] = ("notebooks", "m6rec_lite")


def project_root() -> Path:
    """Return the project folder: the current folder or a parent, else the package's own.

    Returns the current folder if the package was installed without the course.
    """
    current = Path.cwd()
    for folder in (current, *current.parents, Path(__file__).resolve().parents[2]):
        if all((folder / name).is_dir() for name in SUBFOLDERS):
            return folder
    return current


def chapters(folder: Path, numbers: str | None = None) -> list[Path]:
    """Return the notebooks ``NN_name.ipynb`` of a folder in order.

    Args:
        folder: folder of the notebooks.
        numbers: numbers to select, such as ``00,01``; None or "" for all.

    Raises:
        ValueError: if a number has no notebook.
    """
    notebooks = {
        path.name[:2]: path
        for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
        if "checkpoint" not in path.name
    }
    if not numbers:
        return list(notebooks.values())
    selected = [number.strip().zfill(2) for number in numbers.split(",") if number.strip()]
    unknown = [number for number in selected if number not in notebooks]
    if unknown:
        raise ValueError(
            f"no chapter {', '.join(unknown)} in {folder.name}/; there are "
            f"{', '.join(notebooks) or 'none yet'}"
        )
    return [notebooks[number] for number in sorted(set(selected))]
