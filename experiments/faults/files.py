"""Full disks and flipped bits for each kind of files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from experiments.faults.bench import (
    Bench,
    contents,
    digest,
    flipped,
    room,
)
from experiments.faults.saved_files import Saved
from experiments.faults.saved_runs import KINDS
from m6rec_lite.data.files import DiskFullError


def full_disk(bench: Bench) -> Iterator[str]:
    """Write each kind of files without room for them, and again with room."""
    for saved in bench.each(KINDS, "kind"):
        for _ in range(bench.tries):
            outcome = bench.outcome(_write_without_room, saved.name, bench.fresh(), bench.number())
            yield outcome if outcome == "refused" else f"{outcome} ({saved.name})"


def _write_without_room(name: str, folder: Path, seed: int) -> str:
    saved = _saved(name)
    scale = folder.with_name(f"{folder.name}-size")
    scale.mkdir()
    for place in (folder, scale) if saved.replaces else ():
        saved.write(place, 0)
    saved.write(scale, 1)
    largest = max(map(len, contents(scale).values()))
    before, whole = contents(folder), contents(scale)
    values = digest(saved.read(folder)) if before else ""
    error: Exception | None = None
    try:
        with room(random.Random(seed).randrange(largest)):
            saved.write(folder, 1)
    except Exception as caught:
        error = caught
    if error is None:
        return "lost: no error"
    if not before or saved.leaves != "old values":
        after = contents(folder)
        new = {name: content for name, content in after.items() if name not in before}
        kept = all(after.get(name) == content for name, content in before.items())
        kept &= not new or (saved.leaves == "whole files" and new.items() <= whole.items())
    else:
        kept = digest(saved.read(folder)) == values
    if not kept:
        return "lost: old files changed"
    saved.write(folder, 1)
    if digest(saved.read(folder)) != digest(saved.read(scale)):
        return "lost: the next try gave other values"
    told = isinstance(error, DiskFullError) and "free some room" in str(error)
    if not told or str(folder) not in str(error):
        return f"lost: {type(error).__name__} without path or advice, old files whole"
    return "refused"


def flipped_bits(checked: bool, bench: Bench) -> Iterator[str]:
    """Flip a bit in each file of each kind and read it."""
    for saved in bench.each([saved for saved in KINDS if saved.checked is checked], "kind"):
        outcomes = bench.outcome(
            _read_flipped, saved.name, bench.fresh(), bench.tries, bench.number()
        )
        yield from [outcomes] if isinstance(outcomes, str) else outcomes


def _read_flipped(name: str, folder: Path, tries: int, seed: int) -> list[str]:
    saved, chance = _saved(name), random.Random(seed)
    saved.write(folder, 0)
    whole, values = contents(folder), digest(saved.read(folder))
    outcomes = []
    for file, content in whole.items():
        for _ in range(tries):
            (folder / file).write_bytes(flipped(content, chance))
            try:
                outcome = "same values" if digest(saved.read(folder)) == values else "lost: silent"
            except Exception as error:
                own = isinstance(error, OSError | ValueError) or "m6rec_lite" in str(type(error))
                named = str(folder) in str(error) or Path(file).name in str(error)
                kind = type(error).__name__
                outcome = "refused" if own and named else f"lost: {kind} without the file's name"
            lost = outcome.startswith("lost")
            outcomes.append(f"{outcome} ({name}, {Path(file).name})" if lost else outcome)
            for each in contents(folder).keys() - whole.keys():
                (folder / each).unlink()
            for each, old in whole.items():  # what the reading of a damaged file removed, too
                (folder / each).parent.mkdir(parents=True, exist_ok=True)
                (folder / each).write_bytes(old)
    return outcomes


def _saved(name: str) -> Saved:
    return next(saved for saved in KINDS if saved.name == name)
