"""Full disks and flipped bits for each kind of files, and malformed tables."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.faults.bench import (
    Bench,
    contents,
    digest,
    flipped,
    room,
)
from experiments.faults.saved_files import SAVED, Saved, world
from m6rec_lite.data import DataError, load_dataset
from m6rec_lite.data.files import DiskFullError

#: Characters that no text of a prompt may hold.
CONTROLS = {*map(chr, range(32)), "\x7f", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff"}


def full_disk(bench: Bench) -> Iterator[str]:
    """Write each kind of files without room for them, and again with room."""
    for saved in bench.each(SAVED, "kind"):
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
    before = contents(folder)
    error: Exception | None = None
    try:
        with room(random.Random(seed).randrange(largest)):
            saved.write(folder, 1)
    except Exception as caught:
        error = caught
    if error is None or contents(folder) != before:
        return "lost: no error" if error is None else "lost: old files changed"
    saved.write(folder, 1)
    if digest(saved.read(folder)) != digest(saved.read(scale)):
        return "lost: the next try gave other values"
    told = isinstance(error, DiskFullError) and "free some room" in str(error)
    if not told or str(folder) not in str(error):
        return f"lost: {type(error).__name__} without path or advice, old files whole"
    return "refused"


def flipped_bits(checked: bool, bench: Bench) -> Iterator[str]:
    """Flip a bit in each file of each kind and read it."""
    for saved in bench.each([saved for saved in SAVED if saved.checked is checked], "kind"):
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
            for each, old in whole.items():  # what the reading of a damaged file removed, too
                (folder / each).parent.mkdir(parents=True, exist_ok=True)
                (folder / each).write_bytes(old)
    return outcomes


def _saved(name: str) -> Saved:
    return next(saved for saved in SAVED if saved.name == name)


def malformed(bench: Bench) -> Iterator[str]:
    """Read CSV files that Hypothesis damages in up to three ways."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
    from hypothesis import strategies as st

    rows = world(0).interactions.head(30)[["user_id", "item_id", "timestamp", "event"]]
    plain, path = rows.to_csv(index=False).encode(), bench.fresh() / "own.csv"
    place = st.integers(0, len(plain))
    cells = st.sampled_from(["", "nan", "-1", "9" * 40, "1e400", "x", '"', "\x00", "é", "1.5"])
    ways = st.one_of(
        place.map(lambda i: lambda text: text[:i]),
        st.tuples(place, st.binary(max_size=6)).map(
            lambda c: lambda text: text[: c[0]] + c[1] + text[c[0] :]
        ),
        st.sampled_from([b";", b"\t", b"|", b" ", b",,"]).map(
            lambda sign: lambda text: text.replace(b",", sign)
        ),
        st.sampled_from(["utf-16", "utf-8-sig", "cp500"]).map(
            lambda code: lambda text: text.decode("latin-1").encode(code, "replace")
        ),
        st.sampled_from([b"user_id", b"item_id", b"timestamp", b"event"]).map(
            lambda name: lambda text: text.replace(name, b"item_id")
        ),
        st.integers(1, 30).map(lambda i: lambda text: _with_header_again(text, i)),
        st.tuples(st.integers(1, 30), st.integers(0, 3), cells).map(
            lambda c: lambda text: _with_cell(text, *c)
        ),
        st.sampled_from([b"\r", b"\r\n", b"\n\n", b""]).map(
            lambda end: lambda text: text.replace(b"\n", end)
        ),
    )
    outcomes: list[str] = []

    @seed(bench.seed)
    @settings(
        max_examples=bench.tries,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(st.lists(ways, min_size=1, max_size=3), st.sampled_from(["raise", "drop"]))
    def read(damages: list[Any], on_bad_rows: Any) -> None:
        text = plain
        for damage in damages:
            text = damage(text)
        path.write_bytes(text)
        try:
            load_dataset(path, on_bad_rows=on_bad_rows, progress=False)
            outcomes.append("read")
        except (DataError, ValueError) as error:
            named = path.name in str(error)
            outcomes.append("refused" if named else f"lost: {str(error)[:60]}, without the name")
        except Exception as error:
            outcomes.append(f"lost: {type(error).__name__}: {str(error)[:60]}")

    logging.disable(logging.WARNING)  # of dropped rows
    try:
        read()
    finally:
        logging.disable(logging.NOTSET)
    yield from outcomes


def _with_header_again(text: bytes, row: int) -> bytes:
    lines = text.split(b"\n")
    return b"\n".join([*lines[:row], lines[0], *lines[row:]])


def _with_cell(text: bytes, row: int, column: int, cell: str) -> bytes:
    lines = [line.split(b",") for line in text.split(b"\n")]
    if row < len(lines) and column < len(lines[row]):
        lines[row][column] = cell.encode()
    return b"\n".join(map(b",".join, lines))
