"""Load the data of a lesson: a data set by name or by path, sampled to the size of the scale.

A file ``course.toml`` in the folder of the data sets arguments of ``load_dataset``::

    timestamp_unit = "iso"
    event = "purchase"

    [columns]
    user_id = "customer"
    item_id = "sku"
    timestamp = "day"

Column names can also be passed as ``make course COLUMNS="user_id=customer item_id=sku"``.
"""

from __future__ import annotations

import inspect
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.data import DataError, Dataset, load_dataset

#: Environment variable that passes ``make course COLUMNS=…`` to the lessons.
COLUMNS_VARIABLE = "M6REC_COLUMNS"

#: Name of the file with arguments of ``load_dataset``.
OPTIONS_FILE = "course.toml"

#: Minimum number of events of a sampled user, and number of items per user.
EVENTS_EACH, ITEMS_A_USER = 3, 1


def load(source: str | Path, *, users: int | None = None, seed: int = 0) -> Dataset:
    """Load the data of a lesson.

    Args:
        source: a name (``bazaar``, ``ml-100k``, …), or the path of a file or folder.
        users: number of users to sample (``dense_sample``); all if None.
        seed: seed of the sample.

    Returns:
        The data set. ``has_text``, ``has_users``, ``has_time`` and ``has_oracle`` say what it
        contains. If ``source`` is a path, ``name`` is the name of the file.

    Raises:
        DataError: if the data cannot be read, or too few users are left.
        ValueError: if ``course.toml`` or the columns name something that does not exist.
    """
    dataset = load_dataset(source, **reading_options(source))
    return dataset if users is None else dense_sample(dataset, users, seed)


def reading_options(source: str | Path) -> dict[str, Any]:
    """Return arguments of ``load_dataset`` from ``course.toml`` and ``M6REC_COLUMNS``.

    Raises:
        ValueError: if the file is not TOML, or has keys that are no arguments.
    """
    path = Path(source).expanduser()
    if not path.exists():
        return {}
    file = (path if path.is_dir() else path.parent) / OPTIONS_FILE
    options: dict[str, Any] = {}
    if file.is_file():
        try:
            options = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} cannot be read: {error}") from error
        known = set(inspect.signature(load_dataset).parameters) - {"source", "items", "users"}
        if strange := sorted(set(options) - known):
            raise ValueError(
                f"{file} has {strange[0]!r}, which is not an argument of load_dataset; there are "
                f"{', '.join(sorted(known))}"
            )
    columns = parse_columns(os.environ.get(COLUMNS_VARIABLE, ""))
    if columns:
        options["columns"] = options.get("columns", {}) | columns
    return options


def parse_columns(text: str) -> dict[str, str]:
    """Return ``{"user_id": "customer"}`` from ``"user_id=customer item_id=sku"``.

    Pairs are separated by spaces or commas; a name with a space in it needs ``course.toml``.

    Raises:
        ValueError: if a part is not a pair.
    """
    columns = {}
    for pair in text.replace(",", " ").split():
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise ValueError(
                f"COLUMNS has {pair!r}; write pairs of our name and yours, such as "
                f'COLUMNS="user_id=customer item_id=sku timestamp=day", or a {OPTIONS_FILE}'
            )
        columns[ours] = theirs
    return columns


def dense_sample(dataset: Dataset, users: int, seed: int = 0) -> Dataset:
    """Sample users whose items overlap.

    The first users of the bazaar are a fair sample of it, so they are taken, with all items. In
    other data a few random users would share hardly any item. There the most popular items are
    kept, one for each user of the sample, and users are drawn from those with at least three of
    them. Such a sample only shows that code runs; its metrics are not those of the data set.

    Args:
        dataset: the data set to sample.
        users: number of users; a data set with no more users is returned unchanged.
        seed: seed of the sample.

    Raises:
        DataError: if fewer than two users have enough of the popular items.
    """
    rows = dataset.interactions
    everybody = np.sort(rows["user_id"].unique())
    if len(everybody) <= users:
        return dataset
    if dataset.has_oracle:
        kept = rows[rows["user_id"].isin(everybody[:users])]
    else:
        popularity = rows.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
        popular = popularity.index[: max(EVENTS_EACH, ITEMS_A_USER * users)]
        kept = rows[rows["item_id"].isin(popular)]
        met = kept.groupby("user_id")["item_id"].nunique()
        able = np.sort(met.index[met >= EVENTS_EACH])
        if len(able) < 2:
            raise DataError(
                f"{dataset.name}: only {len(able)} users have {EVENTS_EACH} events among its "
                f"{len(popular)} most popular items: too little to learn from at this scale"
            )
        chosen = np.random.default_rng(seed).permutation(able)[:users]
        kept = kept[kept["user_id"].isin(chosen)]
    rest = {
        name: table[table["user_id"].isin(kept["user_id"])]
        for name, table in dataset.tables.items()
        if "user_id" in table and name not in ("interactions", "users")
    }
    return replace(dataset, interactions=kept, **rest)
