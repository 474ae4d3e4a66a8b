"""Export of a data set as the kind of CSV file that shops send: one table, many faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data.files import new_file
from m6rec_lite.data.tables import Dataset

#: Encoding of the file; it is not UTF-8, and the file does not name it.
MESSY_ENCODING = "gb18030"
#: Formats of dates, besides unix seconds.
MESSY_DATES = ("%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


def write_messy_csv(
    dataset: Dataset,
    path: str | Path,
    *,
    seed: int = 0,
    repeated: float = 0.02,
    missing: float = 0.01,
) -> dict[str, int]:
    """Write the interactions of a data set to one CSV file with faults drawn from a seed.

    The columns are ``customer sku when what title category price``. The faults:

    - *encoding*: GB 18030, which no mark in the file tells;
    - *dates*: each row has one of four formats (``MESSY_DATES`` in UTC, or unix seconds);
    - *repeated rows*: copies at the end of the file, most with another format of their date;
    - *missing ids*: the customer or the sku is empty;
    - *prices as text*: ``12.50``, ``$12.50`` or ``12,50 EUR``.

    A reader who repairs all of them gets the rows of the data set, but for those without an id.

    Args:
        dataset: a data set; columns of the items table that it lacks are left out.
        path: the file to write.
        seed: seed of the faults.
        repeated: share of rows that are written twice.
        missing: share of rows that lose an id.

    Returns:
        Numbers of rows: ``rows`` (written), ``repeated``, ``missing``, and ``clean``, what is left
        of a perfect repair.

    Raises:
        ValueError: if a share is outside [0, 1), or both together are above 1.
    """
    for name, share in (("repeated", repeated), ("missing", missing)):
        if not 0 <= share < 1 or repeated + missing > 1:
            raise ValueError(f"{name} is a share of the rows, at least 0 and below 1; got {share}")
    rng = np.random.default_rng(seed)
    log = dataset.interactions.reset_index(drop=True)
    order, n = rng.permutation(len(log)), len(log)
    lost, copied = np.split(order, [int(missing * n), int(missing * n) + int(repeated * n)])[:2]
    taken = np.concatenate([np.arange(n), copied])
    items = dataset.items.set_index("item_id")
    ids = {"customer": log["user_id"].astype("str"), "sku": log["item_id"].astype("str")}
    table = pd.DataFrame(ids)
    is_user = rng.random(len(lost)) < 0.5
    table.loc[lost[is_user], "customer"] = ""
    table.loc[lost[~is_user], "sku"] = ""
    table = table.iloc[taken].reset_index(drop=True)
    table["when"] = _dates(log["timestamp"].to_numpy()[taken], rng)
    table["what"] = log["event"].astype("str").to_numpy()[taken]
    for column in ("title", "category", "price"):
        if column in items and items[column].notna().any():
            values = items[column].reindex(log["item_id"]).iloc[taken].reset_index(drop=True)
            table[column] = _prices(values, rng) if column == "price" else values
    with new_file(path) as file:
        file.write(table.to_csv(index=False).encode(MESSY_ENCODING))
    return {
        "rows": len(table),
        "repeated": len(copied),
        "missing": len(lost),
        "clean": n - len(lost),
    }


def _dates(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return times as text, each in one of the formats."""
    form = rng.integers(len(MESSY_DATES) + 1, size=len(seconds))
    text = seconds.astype(str).astype(object)
    moments = pd.to_datetime(seconds, unit="s")
    for number, pattern in enumerate(MESSY_DATES):
        chosen = form == number
        text[chosen] = moments[chosen].strftime(pattern)
    return text


def _prices(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Return prices as text, each in one of three forms; empty where there is none."""
    plain = values.map("{:.2f}".format, na_action="ignore")
    forms = [plain, "$" + plain, plain.str.replace(".", ",") + " EUR"]
    return pd.Series(np.choose(rng.integers(3, size=len(values)), forms), values.index)
