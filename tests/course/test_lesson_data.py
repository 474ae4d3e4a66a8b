"""The data of a lesson: options beside one's own file, and small samples that still teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.course.lesson_data import (
    COLUMNS_VARIABLE,
    dense_sample,
    load,
    parse_columns,
    reading_options,
)
from m6rec_lite.data import DataError, Dataset, leave_one_out, load_dataset


def orders(n_users: int = 300, n_items: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Rows of a shop with a long tail: half of them at 60 items that many take."""
    rng = np.random.default_rng(seed)
    rows = n_users * 12
    popular = rng.random(rows) < 0.5
    item = np.where(popular, rng.integers(0, 60, rows), rng.integers(60, n_items, rows))
    frame = pd.DataFrame({"customer": np.repeat(np.arange(n_users), 12), "sku": item})
    days = pd.date_range("2024-01-01", periods=12, freq="D").strftime("%Y-%m-%d")
    return frame.assign(day=np.tile(days, n_users))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    orders().to_csv(path, index=False)
    return path


TOML = """
timestamp_unit = "iso"
[columns]
user_id = "customer"
item_id = "sku"
timestamp = "day"
"""


def test_options_stand_beside_the_data(file: Path) -> None:
    with pytest.raises(DataError, match="user_id"):
        load(file)
    (file.parent / "course.toml").write_text(TOML, encoding="utf-8")
    dataset = load(file)
    assert dataset.name == "orders"
    assert len(dataset.interactions) == 3600
    assert (dataset.has_time, dataset.has_text, dataset.has_users, dataset.has_oracle) == (
        True, False, False, False,
    )  # fmt: skip


def test_columns_come_from_the_command_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "course.toml").write_text('timestamp_unit = "iso"', encoding="utf-8")
    monkeypatch.setenv(COLUMNS_VARIABLE, "user_id=customer,item_id=sku timestamp=day")
    assert len(load(file).interactions) == 3600
    assert reading_options("bazaar") == {}  # a data set known by name needs none


def test_wrong_options_are_named(file: Path) -> None:
    for text, message in (
        ("separator = ';'", "'separator', which is not an argument of load_dataset; there are"),
        ("columns = ", "cannot be read"),
    ):
        (file.parent / "course.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            load(file)
    with pytest.raises(ValueError, match="COLUMNS has 'customer'; write pairs"):
        parse_columns("user_id=u customer")


def read(frame: pd.DataFrame) -> Dataset:
    columns = {"user_id": "customer", "item_id": "sku", "timestamp": "day"}
    return load_dataset(frame, columns=columns, timestamp_unit="iso")


def test_a_small_sample_is_dense() -> None:
    whole = read(orders())
    sample = dense_sample(whole, 60)
    rows = sample.interactions
    assert rows["user_id"].nunique() == 60
    assert rows.groupby("user_id")["item_id"].nunique().min() >= 3
    users_of_an_item = rows.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
    assert users_of_an_item.mean() > 3
    split = leave_one_out(sample)
    assert len(split.test) > 50
    first = whole.interactions[whole.interactions["user_id"].isin(range(60))]
    thin = first.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
    assert users_of_an_item.mean() > 3 * thin.mean()  # what the first users would have shared
    again = dense_sample(whole, 60)
    pd.testing.assert_frame_equal(again.interactions, rows)
    assert not dense_sample(whole, 60, seed=1).interactions["user_id"].isin(rows["user_id"]).all()


def test_a_small_data_set_stays_whole() -> None:
    whole = read(orders(40))
    assert dense_sample(whole, 40) is whole
    with pytest.raises(DataError, match="too little to learn from"):
        dense_sample(read(orders(40).drop_duplicates("customer")), 10)


def test_of_the_bazaar_the_first_users_are_taken() -> None:
    whole = load("bazaar")
    sample = load("bazaar", users=50)
    assert whole.has_oracle
    assert whole.has_text
    assert whole.has_users
    first = np.sort(whole.interactions["user_id"].unique())[:50]
    assert set(sample.interactions["user_id"]) == set(first)
    assert set(sample.impressions["user_id"]) <= set(first)
    assert sample.items.equals(whole.items)
    wanted = whole.interactions[whole.interactions["user_id"].isin(first)]
    pd.testing.assert_frame_equal(sample.interactions, wanted)
