"""Kinds of files that runs and servers write: how to write small ones, and how to read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from experiments.faults.saved_files import DIALS, SAVED, Saved, world
from experiments.records import Records, RunKey
from m6rec_lite.course.build import runner
from m6rec_lite.course.build.notebooks import read_notebook, write_notebook
from m6rec_lite.data import load_dataset
from m6rec_lite.data.bazaar.stream import generate_to_parquet
from m6rec_lite.data.result_files import read_rows
from m6rec_lite.data.run_config import check_run_config
from m6rec_lite.m6rec.stages import Stages
from m6rec_lite.serving import EventStore

_SETTINGS = {"size": "nano", "steps": 12}


def _write_events(folder: Path, seed: int) -> None:
    """Store the events of a small world beside those that are there."""
    store = EventStore(folder / "events.sqlite")
    try:
        store.add_frame(world(seed).interactions.head(300))
    finally:
        store.close()


def _events(folder: Path) -> Any:
    store = EventStore(folder / "events.sqlite")
    try:
        return [len(store), *(vars(store.history(user)) for user in store.users(100))]
    finally:
        store.close()


def _write_stages(folder: Path, seed: int) -> None:
    """Record a stage of ``m6rec.train``, beside those that are done."""
    check_run_config(folder / "run.json", _SETTINGS)
    stages = Stages(folder / "stages.json", _SETTINGS, lambda _: None)
    stages.run(f"evaluation {seed}", lambda: {"ndcg@10": 0.25 + seed, "rows": ["a" * 99]})


def _stages(folder: Path) -> Any:
    check_run_config(folder / "run.json", _SETTINGS, write=False)
    done = Stages(folder / "stages.json", _SETTINGS, lambda _: None).done
    return {name: stage["found"] for name, stage in done.items()}


def _write_lessons(folder: Path, seed: int) -> None:
    """Write an executed lesson and the table of a run, as ``course run`` does."""
    cell = nbformat.v4.new_code_cell("print(1)", id="one")
    cell.outputs = [nbformat.v4.new_output("stream", text=f"{seed}\n" * 200)]
    write_notebook(nbformat.v4.new_notebook(cells=[cell]), folder / "notebooks" / "00_a.ipynb")
    row = {"chapter": "00_a", "status": "finished", "seconds": 1.5 + seed, "peak_mib": 99.0}
    row |= {"bounds_held": 0, "bounds": 0, "broken": "", "error": "", "code": "a" * 40}
    settings = {"dataset": "bazaar", "scale": "smoke", "seed": 0}
    runner._Report(folder, folder, "bazaar", settings, {"00_a": row | settings}).save()


def _lessons(folder: Path) -> Any:
    table = read_rows(folder / "chapters.csv", runner.COLUMNS, text_columns=runner.TEXT_COLUMNS)
    return [read_notebook(folder / "notebooks" / "00_a.ipynb"), table]


def _write_record(folder: Path, seed: int) -> None:
    """Record a run beside those that are there."""
    records, key = Records(folder), RunKey("people", "bazaar", "EASE", "", seed)
    records.start(key, command="python -m experiments people")
    records.finish(key, {"metrics": {"ndcg@10": 0.25 + seed}, "headline": {}, "ids": ["b" * 99]})


def _records(folder: Path) -> Any:
    records = Records(folder)
    return [(config, report) for _, config, report in records.finished()]


def _write_stream(folder: Path, seed: int) -> None:
    options = {name: value for name, value in DIALS.items() if name != "users"}
    generate_to_parquet(folder / "stream", interactions=300, block=20, seed=seed, **options)


RUNS = (
    Saved("store of events", _write_events, _events, checked=False, leaves="old values"),
    Saved("stages of m6rec.train", _write_stages, _stages, checked=False, leaves="whole files"),
    Saved("executed lesson and its table", _write_lessons, _lessons, checked=False,
          leaves="whole files"),
    Saved("records", _write_record, _records, checked=False, leaves="whole files"),
    Saved(
        "interactions in Parquet",
        _write_stream,
        lambda f: load_dataset(f / "stream", progress=False).interactions,
        checked=False, replaces=False, leaves="whole files",
    ),
)  # fmt: skip

#: All kinds of files.
KINDS = (*SAVED, *RUNS)
