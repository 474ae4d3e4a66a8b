"""Every lesson on files that the course has never seen: it finishes, or names what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.course.build.needs import NEEDS, lacking
from m6rec_lite.course.build.runner import FINISHED, LEFT_OUT, run
from m6rec_lite.course.paths import chapters, project_root

TOML = """timestamp_unit = "iso"
[columns]
user_id = "customer"
item_id = "sku"
timestamp = "day"
"""


@dataclass(frozen=True)
class Foreign:
    """A generated set.

    Attributes:
        columns: columns beside customer, sku and time.
        options: content of ``course.toml``.
        left_out: numbers of the lessons that need more.
        customers: number of customers.
        daily: whether times are days, so that most last events are tied.
    """

    columns: tuple[str, ...]
    options: str
    left_out: frozenset[str]
    customers: int
    daily: bool = False


#: Lessons that need more of the items than titles.
MORE = frozenset(
    number
    for number, needs in NEEDS.items()
    if {"category", "tags", "ratings", "impressions", "labels"} & set(needs)
)
SETS = {
    "ids and times only": Foreign((), TOML, frozenset(NEEDS), 500),
    "titles without users": Foreign(("title",), TOML, MORE, 500),
    "ratings with ties": Foreign(
        ("title", "category", "tags", "stars"),
        TOML + 'value = "stars"\n',
        frozenset({"20"}),
        900,
        daily=True,
    ),
}


def orders(customers: int, *, daily: bool = False, seed: int = 0) -> pd.DataFrame:
    """Twelve orders of each customer, with text ids: some products are popular, most are rare."""
    rng = np.random.default_rng(seed)
    rows = customers * 12
    popular = rng.random(rows) < 0.6
    product = np.where(popular, rng.zipf(1.4, rows) % 80, rng.integers(80, 3000, rows))
    days = pd.date_range("2024-01-01", periods=rows, freq="37min")
    return pd.DataFrame(
        {
            "customer": np.repeat([f"c{i:04d}" for i in range(customers)], 12),
            "sku": [f"SKU-{i}" for i in product],
            "day": days.strftime("%Y-%m-%d" if daily else "%Y-%m-%d %H:%M"),
            "title": [f"Thing number {i}" for i in product],
            "category": [f"kind {i % 7}" for i in product],
            "tags": [f"red|size {i % 5}" for i in product],
            "stars": rng.integers(1, 6, rows),
        }
    )


def written(name: str, folder: Path) -> Path:
    """Write the file of a set and its ``course.toml``."""
    foreign, file = SETS[name], folder / "orders.csv"
    rows = orders(foreign.customers, daily=foreign.daily)
    rows = rows.drop_duplicates(["customer", "sku", "day"])
    rows[["customer", "sku", "day", *foreign.columns]].to_csv(file, index=False)
    (folder / "course.toml").write_text(foreign.options, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", SETS)
def test_the_sets_lack_what_their_names_say(name: str, tmp_path: Path) -> None:
    numbers = [path.name[:2] for path in chapters(project_root() / "notebooks")]
    assert set(lacking(str(written(name, tmp_path)), numbers)) == SETS[name].left_out


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(f"orders {name}")) for name in SETS]
)
def test_lessons_run_on_orders(name: str, tmp_path: Path) -> None:
    file = written(name, tmp_path)
    code = run(scale="smoke", dataset=str(file), out=tmp_path / "run", progress=False)
    table = pd.read_csv(tmp_path / "run" / "chapters.csv").set_index("chapter")
    print(table[["status", "seconds", "error"]].to_string())
    names = [path.stem for path in chapters(project_root() / "notebooks")]
    assert table.index.tolist() == names
    wanted = [LEFT_OUT if lesson[:2] in SETS[name].left_out else FINISHED for lesson in names]
    assert table["status"].tolist() == wanted
    reasons = table.loc[table["status"] == LEFT_OUT, "error"]
    assert all("orders lacks" in str(reason) for reason in reasons)
    assert code == 0
