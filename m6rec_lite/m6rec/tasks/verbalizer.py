"""Statistics of a shown item in words, in place of the numeric features of click models.

M6-Rec verbalizes statistics (Cui et al., 2022, section 3), since a language model takes only text.
The phrases are in ``scoring.json``; a number is given by its quantile level among the training
rows, which is one token and has the same meaning in every column.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from m6rec_lite.data.tables import DataError


@cache
def phrases() -> dict[str, Any]:
    """Return ``scoring.json``: ``levels``, ``groups`` of phrases, and the columns they read."""
    text = resources.files(__package__).joinpath("scoring.json").read_text(encoding="utf-8")
    return json.loads(text)


class StatisticsVerbalizer(nn.Module):
    """Describes rows of ``recommenders.impressions.known_at`` in phrases.

    It is a module so that the bounds of its levels are saved with a model's weights.

    Args:
        groups: of phrases, in the order in which they appear.

    Attributes:
        columns: used in the phrases.
        reads: the groups of ``known_at`` that hold these columns.
        edges: ``(n_columns, n_levels - 1)`` float64: a number's level is the number of edges that
            it reaches. NaN until ``fit``.

    Raises:
        ValueError: on an unknown group.
    """

    edges: torch.Tensor

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        known = phrases()["groups"]
        if unknown := [group for group in groups if group not in known]:
            raise ValueError(f"groups must be some of {', '.join(known)}; got {unknown[0]!r}")
        self.groups = tuple(groups)
        reads = [name for group in groups for name in phrases()["reads"].get(group, [group])]
        self.reads = tuple(dict.fromkeys(reads))
        self.levels: list[str] = phrases()["levels"]
        self.phrases: list[str] = [phrase for group in groups for phrase in known[group]]
        self.columns = [name for phrase in self.phrases for name in _names(phrase)]
        shape = len(self.columns), len(self.levels) - 1
        self.register_buffer("edges", torch.full(shape, torch.nan, dtype=torch.float64))

    def fit(self, table: pd.DataFrame) -> None:
        """Fit the edges of the levels: the first is a column's minimum, others are quantiles."""
        edges = np.full(tuple(self.edges.shape), np.nan)
        for row, name in enumerate(self.columns):
            if name in table and table[name].dtype.kind in "fiub":
                values = table[name].to_numpy(np.float64)
                above = values[values > values.min()]
                shares = np.arange(edges.shape[1]) / edges.shape[1]
                edges[row] = np.quantile(above, shares) if len(above) else np.inf
        self.edges.copy_(torch.from_numpy(edges))

    def examples(self) -> list[str]:
        """Return each phrase with each level in all of its fields, to train a tokenizer on."""
        return [
            phrase.format(**dict.fromkeys(_names(phrase), level))
            for phrase in self.phrases
            for level in self.levels
        ]

    def tell(self, table: pd.DataFrame) -> list[str]:
        """Return each row's phrases, joined by commas; "" if there are none.

        Args:
            table: ``n`` rows of ``known_at``, with the same numeric columns as in ``fit``.

        Raises:
            DataError: if a column is numeric here and was not in ``fit``, or the reverse.
        """
        edges, values = self.edges.cpu().numpy(), {}
        words = np.array(self.levels, dtype=object)
        for column, name in enumerate(self.columns):
            fitted, number = not np.isnan(edges[column, 0]), False
            if name in table:
                number = table[name].dtype.kind in "fiub"
            if fitted != number:
                raise DataError(
                    f"the feature {name!r} is {'' if number else 'not '}a number here, and was "
                    f"{'' if fitted else 'not '}one when levels were learned: build training "
                    "examples first (fit=True), from the same tables of the data set"
                )
            if number:
                level = np.searchsorted(edges[column], table[name].to_numpy(np.float64), "right")
                values[name] = words[level]
            elif name in table:
                values[name] = table[name].astype(object).to_numpy()
        rows: list[list[str]] = [[] for _ in range(len(table))]
        for phrase in self.phrases:
            names = _names(phrase)
            if all(name in values for name in names):
                for row, cells in zip(rows, zip(*(values[n] for n in names), strict=True),
                                       strict=True):  # fmt: skip
                    if not any(cell is None or cell != cell for cell in cells):
                        row.append(phrase.format(**dict(zip(names, cells, strict=True))))
        return [", ".join(row) for row in rows]


@cache
def _names(phrase: str) -> tuple[str, ...]:
    """Return the columns of a phrase."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(phrase) if name)
