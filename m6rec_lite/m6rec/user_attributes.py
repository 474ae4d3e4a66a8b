"""The attributes in a table of users as codes, for the retriever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from m6rec_lite.data.ids import as_ids, find_ids
from m6rec_lite.data.tables import DataError

#: Smallest number of training users with a value for which an embedding is learned.
MIN_USERS = 2


@dataclass(frozen=True, eq=False)
class UserAttributes:
    """Codes of the attributes of users, such as age band, gender and city.

    Attributes:
        values: the values of each column; the code of ``values[column][i]`` is ``i + 1``. Code 0
            stands for a missing or another value.
        user_ids: ``(n_users,)`` ids, ascending.
        codes: ``(n_users, n_columns)`` int64.
    """

    values: dict[str, list[str]]
    user_ids: np.ndarray
    codes: np.ndarray

    @classmethod
    def fit(cls, name: str, user_ids: np.ndarray, users: pd.DataFrame | None) -> Self:
        """Collect the values that at least ``MIN_USERS`` of some users have.

        Every column of the table that does not hold numbers or times is an attribute.

        Args:
            name: of the model, for messages.
            user_ids: of the training users.
            users: table with ``user_id`` and attributes; other users may be in it too.

        Raises:
            DataError: if the table is missing, or says nothing about the training users.
        """
        if users is None:
            raise DataError(
                f"{name}(use_attributes=True) reads users: call fit(train, users=dataset.users)"
            )
        ids = _ids(users)
        _, in_table = find_ids(user_ids, np.unique(ids), "user_id")
        if not in_table.any():
            raise DataError(
                f"none of the {len(user_ids)} users of train is in the users table, whose ids are "
                f"such as {ids[:5].tolist()}: give the table of the data set that train comes from"
            )
        values = {}
        of_train = users[np.isin(ids, user_ids)]
        for column in users.columns.drop("user_id"):
            if is_attribute(users[column]):
                counts = of_train[column].dropna().astype(str).value_counts()
                values[str(column)] = sorted(counts.index[counts >= MIN_USERS])
        values = {column: known for column, known in values.items() if known}
        if not values:
            raise DataError(
                f"the users table has no attribute with a value that {MIN_USERS} users of train "
                f"share; its columns are {list(users.columns)}. Pass use_attributes=False"
            )
        return cls(values, ids[:0], np.zeros((0, len(values)), dtype=np.int64)).of(users)

    def of(self, users: pd.DataFrame) -> Self:
        """Return the codes of another table of users for the same values.

        A column that the table lacks is missing for all its users.

        Raises:
            DataError: if it has no column ``user_id``.
        """
        users = users[~users["user_id"].duplicated()] if "user_id" in users else users
        ids = _ids(users)
        order = np.argsort(ids)
        codes = np.zeros((len(ids), len(self.values)), dtype=np.int64)
        for i, (column, known) in enumerate(self.values.items()):
            if column in users:
                present = users[column].notna().to_numpy()
                texts = users[column][present].astype(str)
                codes[present, i] = 1 + pd.Index(known).get_indexer(pd.Index(texts))
        return type(self)(self.values, ids[order], codes[order])

    @property
    def sizes(self) -> list[int]:
        """Number of values of each column."""
        return [len(known) for known in self.values.values()]

    def profiles(self, user_ids: np.ndarray) -> np.ndarray:
        """Return the codes of users by id, ``(n, n_columns)``; 0 for users without a row."""
        profiles = np.zeros((len(user_ids), len(self.values)), dtype=np.int64)
        if (user_ids.dtype.kind == "U") == (self.user_ids.dtype.kind == "U"):
            index, is_known = find_ids(user_ids, self.user_ids, "user_id")
            profiles[is_known] = self.codes[index[is_known]]
        return profiles

    def state(self) -> dict[str, np.ndarray]:
        """Return arrays for ``from_state``."""
        return {
            "attribute_values": np.array(json.dumps(self.values)),
            "attribute_users": self.user_ids,
            "attribute_codes": self.codes,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return what ``state`` returned."""
        values = json.loads(str(state["attribute_values"]))
        return cls(values, state["attribute_users"], state["attribute_codes"])


def is_attribute(column: pd.Series) -> bool:
    """Return whether a column holds categories: texts, labels or flags, not numbers or times."""
    if pd.api.types.is_bool_dtype(column):
        return True
    is_number = pd.api.types.is_numeric_dtype(column)
    return not (is_number or pd.api.types.is_datetime64_any_dtype(column))


def _ids(users: pd.DataFrame) -> np.ndarray:
    if "user_id" not in users:
        raise DataError(
            f"the users table has no column 'user_id'; its columns are {list(users.columns)}"
        )
    return as_ids(users["user_id"], "user_id")
