"""The data of a lesson: any data set by name, or the reader's own, at the size of the scale.

How a file of one's own is to be read stands in ``course.toml`` beside it, whose keys are arguments
of ``load_dataset``::

    timestamp_unit = "iso"
    event = "purchase"

    [columns]
    user_id = "customer"
    item_id = "sku"
    timestamp = "day"

or, for column names alone, in ``make course COLUMNS="user_id=customer item_id=sku"``.
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

#: The environment variable by which ``make course COLUMNS=…`` reaches the lessons.
COLUMNS_VARIABLE = "M6REC_COLUMNS"

#: Beside the reader's data: how they are to be read.
OPTIONS_FILE = "course.toml"

#: Of a sample: events that a user needs, and items for each user.
EVENTS_EACH, ITEMS_A_USER = 3, 1


def load(source: str | Path, *, users: int | None = None, seed: int = 0) -> Dataset:
    """Load the data of a lesson.

    Args:
        source: a name (``bazaar``, ``ml-100k``, …), or the path of a file or folder.
        users: number of users to take, chosen so that their items overlap (``dense_sample``);
            None takes all.
        seed: of the choice.

    Returns:
        The data set. ``has_text``, ``has_users``, ``has_time`` and ``has_oracle`` say what it has;
        ``name`` is short, the file's where ``source`` is a path.

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
    """Return a data set of fewer users that still has something to learn from.

    The first users of the bazaar are a fair sample of it: there the first are taken, with all
    items. Of other data a few users at random would share hardly any item, and a model would see
    each item once. There the most popular items are kept, as many as users are wanted, and users
    are drawn from those who met at least three of them. Figures on such a sample are no figures of
    the whole: it is for seeing code run.

    Args:
        dataset: the whole.
        users: number of users; a data set that has no more is returned as it is.
        seed: of the draw.

    Raises:
        DataError: if fewer than two users met enough of the popular items.
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
