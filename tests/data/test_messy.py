"""The messy export: every fault is there, and a careful reader gets the data back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from m6rec_lite.data import MESSY_DATES, MESSY_ENCODING, Dataset, load_dataset, write_messy_csv

ROWS = pd.DataFrame(
    {
        "user_id": [user for user in range(1, 41) for _ in range(5)],
        "item_id": [10 + (user * 7 + k) % 13 for user in range(1, 41) for k in range(5)],
        "timestamp": [
            1_680_000_000 + 86_400 * user + 977 * k for user in range(1, 41) for k in range(5)
        ],
    }
)
ITEMS = pd.DataFrame({"item_id": range(10, 23), "title": [f"书 {i}, «é»" for i in range(13)]})
ITEMS["price"] = [None, *(1.25 * i for i in range(1, 13))]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(ROWS, items=ITEMS)


def repaired(path: Path) -> pd.DataFrame:
    """The rows as a careful reader gets them."""
    rows = pd.read_csv(path, encoding=MESSY_ENCODING, dtype=str, keep_default_na=False)
    when = pd.to_datetime(pd.to_numeric(rows["when"], errors="coerce"), unit="s", utc=True)
    for form in MESSY_DATES:
        when = when.fillna(pd.to_datetime(rows["when"], format=form, errors="coerce", utc=True))
    rows["when"] = when.astype("datetime64[s, UTC]").astype("int64")
    rows = rows[(rows["customer"] != "") & (rows["sku"] != "")]
    rows["price"] = rows["price"].str.replace(",", ".").str.strip("$ EUR").replace("", None)
    return rows.drop_duplicates(["customer", "sku", "when", "what"])


def test_a_careful_reader_gets_the_rows_back(dataset: Dataset, tmp_path: Path) -> None:
    counts = write_messy_csv(dataset, tmp_path / "a.csv", seed=1, repeated=0.2, missing=0.1)
    assert counts == {"rows": 240, "repeated": 40, "missing": 20, "clean": 180}
    rows = repaired(tmp_path / "a.csv")
    assert len(rows) == counts["clean"]
    keys = set(ROWS.astype(str).itertuples(index=False, name=None))
    own = rows[["customer", "sku", "when"]].astype(str)
    assert set(own.itertuples(index=False, name=None)) <= keys
    prices = rows["sku"].astype(int).map(ITEMS.set_index("item_id")["price"])
    pd.testing.assert_series_equal(rows["price"].astype(float), prices, check_names=False)


def test_the_faults_are_there_and_come_from_the_seed(dataset: Dataset, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_messy_csv(dataset, tmp_path / name, seed=seed)
    text = (tmp_path / "a").read_bytes()
    assert text == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        text.decode("utf-8")
    rows = pd.read_csv(tmp_path / "a", encoding=MESSY_ENCODING, dtype=str)
    assert all(rows["when"].str.contains(mark).any() for mark in ("T", r"\.", "/", r"^\d+$"))
    assert all(rows["price"].str.contains(mark).any() for mark in (r"\$", "EUR", r"^[\d.]+$"))
    assert rows[["customer", "sku"]].isna().to_numpy().any()


def test_data_without_titles_and_impossible_shares(dataset: Dataset, tmp_path: Path) -> None:
    write_messy_csv(load_dataset(ROWS), tmp_path / "ids.csv")
    assert list(pd.read_csv(tmp_path / "ids.csv")) == ["customer", "sku", "when", "what"]
    with pytest.raises(ValueError, match="share of the rows"):
        write_messy_csv(dataset, tmp_path / "no.csv", repeated=0.6, missing=0.5)
    assert not (tmp_path / "no.csv").exists()
