"""Rows in a CSV file: a row that is measured again replaces the old one; the others stay."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.data.result_files import upsert_rows

KEY = ["model", "variant", "seed"]


def row(model: str, value: float, variant: str = "", seed: int = 0) -> dict[str, object]:
    return {"model": model, "variant": variant, "seed": seed, "value": value}


def test_a_new_row_stays_beside_the_others_and_replaces_its_own(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rows.csv"
    upsert_rows(path, [row("A", 1.0), row("B", 2.0), row("A", 3.0, seed=1)], KEY)
    table = upsert_rows(path, [row("A", 4.0), row("C", 5.0)], KEY)
    again = pd.read_csv(path, keep_default_na=False)
    for found in (table, again):
        got = list(zip(found["model"], found["seed"], found["value"], strict=True))
        assert got == [("B", 0, 2.0), ("A", 1, 3.0), ("A", 0, 4.0), ("C", 0, 5.0)]


def test_an_empty_variant_is_the_same_variant(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (1.0, 2.0):
            upsert_rows(path, [row("A", value)], KEY)
        table = upsert_rows(path, [row("A", 3.0, variant="k=2")], KEY)
    assert table["value"].tolist() == [2.0, 3.0]


def test_other_columns_may_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    upsert_rows(path, [row("A", 1.0) | {"low": 0.5}], KEY)
    table = upsert_rows(path, [row("B", 2.0)], KEY)
    assert table["low"].isna().tolist() == [False, True]


@pytest.mark.parametrize("rows", [[], [{"model": "A", "seed": 0}]])
def test_rows_without_their_key_are_refused(tmp_path: Path, rows: list) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(ValueError, match="wanted rows with model, variant, seed"):
        upsert_rows(path, rows, KEY)
    assert not path.exists()


def test_a_number_is_the_same_however_the_file_writes_it(tmp_path) -> None:
    path, key = tmp_path / "table.csv", ["size", "tokens", "lr"]
    row = {"size": "1x32", "tokens": 4e6, "lr": 0.009, "loss": 2.0}
    upsert_rows(path, [row, row | {"tokens": 8e6}], key)
    table = upsert_rows(path, [row | {"tokens": 4_000_000, "loss": 1.0}], key)
    assert table[["tokens", "loss"]].values.tolist() == [[8e6, 2.0], [4e6, 1.0]]


def test_two_writers_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: upsert_rows(path, [row(f"m{i}", float(i))], KEY), range(24)))
    assert set(pd.read_csv(path)["model"]) == {f"m{i}" for i in range(24)}


@pytest.mark.parametrize("damaged", ["", "model,var", "model,variant,seed,value\nA,,0,1.0\nB,,"])
def test_a_damaged_file_is_refused_and_stays(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(damaged)
    with pytest.raises(DataError, match=r"rows\.csv is damaged"):
        upsert_rows(path, [row("C", 1.0)], KEY)
    assert path.read_text() == damaged
