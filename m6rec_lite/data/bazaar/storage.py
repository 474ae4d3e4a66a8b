"""Files of the bazaar: one Parquet file for each table, the latents, and ``world.json``.

``world.json`` holds the parameters, the SHA-256 of every other file, and as its last entry that of
its own text, computed with 64 zeros as the value of that entry. ``load`` verifies all of them.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.dials import WORLD_VERSION, Dials
from m6rec_lite.data.bazaar.latents import ItemLatents
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.bazaar.simulate import Trail
from m6rec_lite.data.bazaar.world import CITIES, DAYS, Shoppers, Weather, World
from m6rec_lite.data.contracts import validate
from m6rec_lite.data.files import file_hash, new_folder, settle
from m6rec_lite.data.ragged import offsets_of
from m6rec_lite.data.tables import EVENTS, TABLES, Card, DataError, Dataset

HOME = Path(__file__).resolve().parents[3] / "datasets" / "bazaar"
#: Placeholder of the checksum of ``world.json`` in the text that it is computed from.
_NO_SUM = "0" * 64
_LATENTS = ("latent_items", "latent_shoppers", "latent_events")


def card(dials: Dials) -> Card:
    """Return the data card of a bazaar."""
    return Card(
        title="The bazaar, a simulated open-domain platform with a known truth",
        licence="Apache-2.0, as the code that generates it",
        source=f"m6rec_lite.data.bazaar, seed {dials.seed}",
        quirks=(
            "Simulated: a model's rank says how it copes with the effects that the dials name.",
            "Interactions are organic. Slates and their clicks are a log of their own "
            "(impressions) and change no shopper's state.",
            "A shopper meets some items again; the default split keeps the first meeting.",
            "The oracle knows hidden intents, so no model of observed histories reaches it.",
        ),
        version=WORLD_VERSION,
    )


def save(dataset: Dataset, folder: str | Path) -> dict[str, Any]:
    """Write a generated bazaar and its latents.

    The folder is written under a temporary name and renamed, so that a process killed at any moment
    leaves either the previous world or the new one.

    Args:
        dataset: a data set from ``generate``.
        folder: folder to write or replace.

    Returns:
        The contents of ``world.json``.

    Raises:
        DataError: if the data set has no oracle, or the folder holds other files than a world's.
        DiskFullError: if the disk is full.
    """
    folder, oracle = Path(folder), dataset.oracle
    if not isinstance(oracle, Oracle):
        raise DataError("only a generated bazaar can be saved here; this data set has no oracle")
    settle(folder)
    _check_target(folder)
    world = oracle.world
    hidden = {"hidden": oracle.trail.hidden}
    with new_folder(folder) as fresh:
        for name in TABLES:
            table = getattr(dataset, name)
            if table is not None:
                _write(pa.Table.from_pandas(table, preserve_index=False), fresh / f"{name}.parquet")
        for name, columns in zip(
            _LATENTS, (_columns(world.items), _columns(world.shoppers), hidden), strict=True
        ):
            _write(_table(columns), fresh / f"{name}.parquet")
        about = {
            "world_version": WORLD_VERSION,
            "tables_sha256": tables_hash(dataset),
            "dials": world.dials.as_dict(),
        }
        return seal_world(fresh, about)


def seal_world(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write ``world.json`` with the checksums of the folder's files and its own.

    Args:
        folder: folder of the world, with all other files written.
        about: version, hash of the tables, and parameters of the world.

    Returns:
        The contents of ``world.json``.
    """
    files = {path.name: file_hash(path) for path in sorted(folder.glob("*.parquet"))}
    about = about | {"files": files, "sha256": _NO_SUM}
    text = json.dumps(about, indent=2) + "\n"
    about["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    text = text.replace(_NO_SUM, about["sha256"])
    (folder / "world.json").write_bytes(text.encode())
    return about


def load(folder: str | Path | None = None) -> Dataset:
    """Read the bazaar that ships with the course, or one that ``save`` wrote.

    Args:
        folder: its folder; by default ``datasets/bazaar`` beside the package.

    Raises:
        DataError: if files are missing, damaged, or of another world version; the message has the
            command that rebuilds them.
    """
    folder = HOME if folder is None else Path(folder)
    settle(folder)
    about = _about(folder)
    rebuild = f"rebuild the world with: {_rebuild(folder, about['dials'])}"
    needed = ["interactions", "items", "users", "weather", *_LATENTS]
    missing = [f"{name}.parquet" for name in needed if f"{name}.parquet" not in about["files"]]
    missing += [name for name in about["files"] if not (folder / name).is_file()]
    if missing:
        raise DataError(f"incomplete bazaar in {folder}: {', '.join(missing)} missing; {rebuild}")
    for name, digest in about["files"].items():
        if file_hash(folder / name) != digest:
            raise DataError(
                f"{folder / name} is damaged or was changed: its SHA-256 is not that in "
                f"world.json; copy it again, or {rebuild}"
            )
    tables: dict[str, Any] = {
        name: validate(name, _read(folder / f"{name}.parquet"), source=f"{name}.parquet")
        for name in TABLES
        if f"{name}.parquet" in about["files"]
    }
    dials = Dials.of(**about["dials"])
    world = World(
        dials,
        ItemLatents(**_arrays(folder / "latent_items.parquet")),
        Shoppers(**_arrays(folder / "latent_shoppers.parquet")),
        _weather(tables["weather"]),
    )
    hidden = _arrays(folder / "latent_events.parquet")["hidden"]
    oracle = Oracle(world, _trail(tables["interactions"], hidden, len(world.shoppers)))
    return Dataset(name="bazaar", card=card(dials), oracle=oracle, **tables)


def _about(folder: Path) -> dict[str, Any]:
    """Return the contents of ``world.json``.

    Raises:
        DataError: if it is missing, damaged, or of another world version.
    """
    path = folder / "world.json"
    if not path.is_file():
        raise DataError(
            f"no bazaar in {folder}: world.json is missing; rebuild it with: {_rebuild(folder)}"
        )
    raw = path.read_bytes()
    try:
        about = json.loads(raw)
        version, stated = about["world_version"], str(about.get("sha256", "")).encode()
        dials = Dials.of(**about["dials"]).as_dict() if version == WORLD_VERSION else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({error}); copy it again, or rebuild the world with: "
            f"{_rebuild(folder)}"
        ) from error
    if dials is None:
        raise DataError(
            f"{folder} holds world version {version}, this code makes version {WORLD_VERSION}; "
            f"rebuild it with: {_rebuild(folder)}"
        )
    if not stated:
        raise DataError(
            f"{path} holds no checksums: an earlier version wrote it, or it is damaged; rebuild "
            f"the world with: {_rebuild(folder, dials)}"
        )
    if hashlib.sha256(raw.replace(stated, _NO_SUM.encode())).hexdigest().encode() != stated:
        raise DataError(
            f"{path} is damaged or was changed: its text does not match its SHA-256; copy it "
            f"again, or rebuild the world with: {_rebuild(folder)}"
        )
    return about


def _rebuild(folder: Path, dials: dict[str, Any] | None = None) -> str:
    """Return the command that generates a world again, with the parameters that differ."""
    command = f"python -m m6rec_lite.data.bazaar --out {shlex.quote(str(folder))}"
    if dials is None:
        same = folder.resolve() == HOME.resolve()
        return command if same else f"{command} and the options with which it was made"
    defaults = Dials().as_dict()
    changed = {name: value for name, value in dials.items() if value != defaults[name]}
    return " ".join(
        [command, *(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())]
    )


def _check_target(folder: Path) -> None:
    """Raise ``DataError`` if the target is a file, or a folder with files that no world has."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder for the world")
    known = {f"{name}.parquet" for name in (*TABLES, *_LATENTS)} | {"world.json"}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if others:
        raise DataError(
            f"{folder} holds {', '.join(others[:5])}, which no world has, and generating replaces "
            "the whole folder: choose another folder, or move these away"
        )


def tables_hash(dataset: Dataset) -> str:
    """Return the SHA-256 of the tables' values and of the hidden states.

    Floats are rounded to six decimals, because processors differ in the last bits of a logarithm.
    """
    digest = hashlib.sha256()
    for name in TABLES:
        table = getattr(dataset, name)
        if table is None:
            continue
        for column in table.columns:
            digest.update(f"{name}.{column}\n".encode())
            digest.update(_bytes(table[column]))
    if isinstance(dataset.oracle, Oracle):
        digest.update(dataset.oracle.trail.hidden.tobytes())
    return digest.hexdigest()


def _bytes(column: pd.Series) -> bytes:
    """Return the values of a column as bytes that do not depend on its storage type."""
    if pd.api.types.is_float_dtype(column.dtype) and not pd.api.types.is_extension_array_dtype(
        column.dtype
    ):
        return np.round(column.to_numpy(np.float64), 6).astype("<f8").tobytes()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.to_numpy().astype("datetime64[s]").astype("<i8").tobytes()
    if pd.api.types.is_numeric_dtype(column.dtype) and not column.hasnans:
        return column.to_numpy().astype("<i8").tobytes()
    texts = ["\x1e".join(value) if isinstance(value, list | np.ndarray) else str(value)
             for value in column.astype(object).where(column.notna(), "<missing>")]  # fmt: skip
    return "\x1f".join(texts).encode()


def _write(table: pa.Table, path: Path) -> None:
    table = table.replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd", compression_level=19)


def _read(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def _columns(latents: ItemLatents | Shoppers) -> dict[str, np.ndarray]:
    return {field.name: getattr(latents, field.name) for field in fields(latents)}


def _table(columns: dict[str, np.ndarray]) -> pa.Table:
    """Return arrays as columns; a matrix becomes a column of fixed-size lists."""
    return pa.table(
        {
            name: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for name, values in columns.items()
        }
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Read arrays written with ``_table``."""
    arrays: dict[str, np.ndarray] = {}
    table = pq.read_table(path)
    for name, column in zip(table.column_names, table.columns, strict=True):
        chunk = column.combine_chunks()
        if pa.types.is_fixed_size_list(chunk.type):
            flat = chunk.flatten().to_numpy(zero_copy_only=False)
            arrays[name] = flat.reshape(len(chunk), chunk.type.list_size)
        else:
            arrays[name] = chunk.to_numpy(zero_copy_only=False)
    return arrays


def _weather(table: pd.DataFrame) -> Weather:
    """Return the weather table as two arrays of shape ``(n_cities, n_days)``."""
    shape = (len(CITIES), DAYS)
    table = table.assign(index=table["city"].astype(object).map(list(CITIES).index))
    table = table.sort_values(["index", "date"], kind="stable")
    codes = pd.Categorical(table["condition"], categories=list(words.CONDITIONS)).codes
    return Weather(
        codes.astype(np.int8).reshape(shape),
        table["temperature"].to_numpy(np.float32).reshape(shape),
    )


def _trail(interactions: pd.DataFrame, hidden: np.ndarray, n_shoppers: int) -> Trail:
    """Return the events of an interactions table with their hidden states."""
    if len(hidden) != len(interactions):
        raise DataError(
            f"interactions.parquet has {len(interactions)} rows but latent_events.parquet "
            f"{len(hidden)}: they are of two worlds; generate the world again"
        )
    shopper = interactions["user_id"].to_numpy(np.int64) - 1
    counts = np.bincount(shopper, minlength=n_shoppers)
    codes = pd.Categorical(interactions["event"], categories=list(EVENTS)).codes
    return Trail(
        offsets_of(counts),
        (interactions["item_id"].to_numpy(np.int64) - FIRST_ITEM).astype(np.int32),
        interactions["timestamp"].to_numpy(np.int64),
        codes.astype(np.int8),
        hidden.astype(np.uint8),
    )
