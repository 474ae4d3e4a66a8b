"""Where the course lies on this machine: its notebooks, exercises and solutions."""

from __future__ import annotations

from pathlib import Path

#: A folder that holds all of these is the project's.
MARKS: tuple[str, ...] = ("notebooks", "m6rec_lite")


def project_root() -> Path:
    """The project's folder: here or above the current one, else where the package lies.

    Falls back to the current folder where neither is the project's (the package was installed
    without the course); what is then missing says so itself.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if all((folder / mark).is_dir() for mark in MARKS):
            return folder
    return here


def chapters(folder: Path, numbers: str | None = None) -> list[Path]:
    """Notebooks ``NN_name.ipynb`` of a folder in order, or those of the numbers given.

    Args:
        folder: where they lie.
        numbers: such as ``00,01``; None or "" for all.

    Raises:
        ValueError: if a number has no notebook, naming the numbers there are.
    """
    found = {
        path.name[:2]: path
        for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
        if "checkpoint" not in path.name
    }
    if not numbers:
        return list(found.values())
    wanted = [number.strip().zfill(2) for number in numbers.split(",") if number.strip()]
    unknown = [number for number in wanted if number not in found]
    if unknown:
        raise ValueError(
            f"no chapter {', '.join(unknown)} in {folder.name}/; there are "
            f"{', '.join(found) or 'none yet'}"
        )
    return [found[number] for number in sorted(set(wanted))]
