"""Every lesson on files that the course has never seen: it finishes, or names what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.course.build.runner import FINISHED, LEFT_OUT, run
from m6rec_lite.course.paths import chapters, project_root

TOML = """timestamp_unit = "iso"
[columns]
user_id = "customer"
item_id = "sku"
timestamp = "day"
"""


def orders(seed: int = 0) -> pd.DataFrame:
    """Orders of 900 customers with text ids: some products are popular, most are rare."""
    rng = np.random.default_rng(seed)
    rows = 900 * 12
    popular = rng.random(rows) < 0.6
    product = np.where(popular, rng.zipf(1.4, rows) % 80, rng.integers(80, 3000, rows))
    days = pd.date_range("2024-01-01", periods=rows, freq="37min").strftime("%Y-%m-%d %H:%M")
    return pd.DataFrame(
        {
            "customer": np.repeat([f"c{i:04d}" for i in range(900)], 12),
            "sku": [f"SKU-{i}" for i in product],
            "day": days,
            "title": [f"Thing number {i}" for i in product],
            "category": [f"kind {i % 7}" for i in product],
            "tags": [f"red|size {i % 5}" for i in product],
            "stars": rng.integers(1, 6, rows),
        }
    )


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.parametrize(
    ("columns", "options", "left_out"),
    [
        (["title", "category", "tags", "stars"], TOML + 'value = "stars"\n', {"20"}),
        ([], TOML, {"00", "01", "06", "10", "12", "14", *map(str, range(16, 25)), "27"}),
    ],
    ids=["everything", "nothing but rows"],
)
def test_lessons_run_on_orders(
    columns: list[str], options: str, left_out: set[str], tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    orders()[["customer", "sku", "day", *columns]].to_csv(file, index=False)
    (tmp_path / "course.toml").write_text(options, encoding="utf-8")
    code = run(scale="smoke", dataset=str(file), out=tmp_path / "run", progress=False)
    table = pd.read_csv(tmp_path / "run" / "chapters.csv").set_index("chapter")
    print(table[["status", "error"]].to_string())
    names = [path.stem for path in chapters(project_root() / "notebooks")]
    assert table.index.tolist() == names
    wanted = [LEFT_OUT if name[:2] in left_out else FINISHED for name in names]
    assert table["status"].tolist() == wanted
    reasons = table.loc[table["status"] == LEFT_OUT, "error"]
    assert all("orders lacks" in str(reason) for reason in reasons)
    assert code == 0
