"""Malformed tables and texts of every form that the readers know."""

from __future__ import annotations

import bz2
import gzip
import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from experiments.faults.bench import Bench
from experiments.faults.saved_files import world
from m6rec_lite.data import DataError, load_dataset
from m6rec_lite.language import load_corpus


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def _json_lines(table: pd.DataFrame) -> bytes:
    return table.to_json(orient="records", lines=True).encode()


def _parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


#: How a table is written, and how its bytes are compressed, by the ending of the file.
FORMS: dict[str, tuple[Callable[[pd.DataFrame], bytes], Callable[[bytes], bytes]]] = {
    ".csv": (_csv, bytes),
    ".csv.gz": (_csv, gzip.compress),
    ".csv.bz2": (_csv, bz2.compress),
    ".jsonl": (_json_lines, bytes),
    ".jsonl.gz": (_json_lines, gzip.compress),
    ".parquet": (_parquet, bytes),
}


def malformed(bench: Bench) -> Iterator[str]:
    """Read files of a random form that Hypothesis damages in up to three ways.

    The rows are damaged before they are compressed, and the bytes of the file afterwards.
    """
    from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
    from hypothesis import strategies as st

    rows = world(0).interactions.head(30)[["user_id", "item_id", "timestamp", "event"]]
    titles = world(0).items.head(30)[["item_id", "title"]]
    folder = bench.fresh()
    place = st.floats(0, 1, exclude_max=True)
    cells = st.sampled_from(["", "nan", "-1", "9" * 40, "1e400", "x", '"', "\x00", "é", "1.5"])
    cut = place.map(lambda x: lambda text: text[: int(x * len(text))])
    inserted = st.tuples(place, st.binary(max_size=6)).map(
        lambda c: lambda text: _with_bytes(text, *c)
    )
    ways = st.one_of(
        cut,
        inserted,
        st.sampled_from([b";", b"\t", b"|", b" ", b",,"]).map(
            lambda sign: lambda text: text.replace(b",", sign)
        ),
        st.sampled_from(["utf-16", "utf-8-sig", "cp500"]).map(
            lambda code: lambda text: text.decode("latin-1").encode(code, "replace")
        ),
        st.sampled_from([b"user_id", b"item_id", b"timestamp", b"event", b"title"]).map(
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
    @given(
        st.sampled_from([*FORMS]),
        st.booleans(),
        st.lists(ways, min_size=1, max_size=3),
        st.lists(cut | inserted, max_size=1),
        st.sampled_from(["raise", "drop"]),
    )
    def read(
        form: str, is_corpus: bool, damages: list[Any], outer: list[Any], on_bad_rows: Any
    ) -> None:
        write, compress = FORMS[form]
        content = write(titles if is_corpus else rows)
        for damage in damages:
            content = damage(content)
        content = compress(content)
        for damage in outer:
            content = damage(content)
        path = folder / f"own{form}"
        path.write_bytes(content)
        reader = "load_corpus" if is_corpus else "load_dataset"
        try:
            if is_corpus:
                load_corpus(path, column="title", progress=False)
            else:
                load_dataset(path, on_bad_rows=on_bad_rows, progress=False)
            outcomes.append(f"read ({reader})")
        except (DataError, ValueError) as error:
            named = path.name in str(error)
            fault = f"lost: {str(error)[:60]}, without the name ({reader}, {form})"
            outcomes.append(f"refused ({reader})" if named else fault)
        except Exception as error:
            outcomes.append(f"lost: {type(error).__name__}: {str(error)[:60]} ({reader}, {form})")

    logging.disable(logging.WARNING)  # of dropped rows
    try:
        read()
    finally:
        logging.disable(logging.NOTSET)
    yield from outcomes


def _with_bytes(text: bytes, share: float, more: bytes) -> bytes:
    place = int(share * len(text))
    return text[:place] + more + text[place:]


def _with_header_again(text: bytes, row: int) -> bytes:
    lines = text.split(b"\n")
    return b"\n".join([*lines[:row], lines[0], *lines[row:]])


def _with_cell(text: bytes, row: int, column: int, cell: str) -> bytes:
    lines = [line.split(b",") for line in text.split(b"\n")]
    if row < len(lines) and column < len(lines[row]):
        lines[row][column] = cell.encode()
    return b"\n".join(map(b",".join, lines))
