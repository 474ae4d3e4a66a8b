"""The code of docs/own-data.md runs, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text(encoding="utf-8")


#: Twenty users with four of twelve items each, in an order that is not that of the ids.
SEQUENCES = "".join(
    f"{user} {' '.join(str(1 + 5 * (user + 3 * t) % 12) for t in range(4))}\n"
    for user in range(1, 21)
)


def orders() -> pd.DataFrame:
    """Sixty customers, of whom each half buys from a half of the products."""
    rng = np.random.default_rng(0)
    rows = []
    for customer in range(60):
        half = np.arange(12) + 12 * (customer % 2)
        for item in rng.permutation(half)[:8]:
            rows.append((f"C{customer}", f"S{item}", rng.choice([2, 4, 5], p=[0.1, 0.4, 0.5])))
    frame = pd.DataFrame(rows, columns=["customer", "sku", "stars"])
    times = pd.Timestamp("2010-12-01 08:26") + pd.to_timedelta(np.arange(len(frame)), "h")
    frame["bought"] = [f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02}" for t in times]
    frame["name"] = "Thing " + frame["sku"]
    return frame


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The variables after all blocks, each executed in order."""
    folder = tmp_path_factory.mktemp("own")
    orders().to_csv(folder / "orders.csv", index=False)
    texts = [f"we sell {n} boots" for n in range(60)]
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    (folder / "Beauty.txt").write_text(SEQUENCES, encoding="utf-8")
    variables: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), 1):
            exec(compile(block, f"own-data.md, block {number}", "exec"), variables)
    return variables


def test_every_row_is_read_and_few_stars_are_left_out(names: dict[str, Any]) -> None:
    frame = orders()
    assert len(names["dataset"].interactions) == len(frame)
    assert len(names["liked"].interactions) == (frame["stars"] >= 3).sum()
    assert names["dataset"].interactions["timestamp"][0] == 1_291_191_960


def test_customer_c17_and_the_new_one_get_new_items_of_their_half(names: dict[str, Any]) -> None:
    model, c17 = names["model"], names["c17"]
    best = model.recommend(c17, k=3)
    assert (best["user_id"] == "C17").all()
    had = set(c17.item_ids[c17.items])
    assert not had & set(best["item_id"])
    assert all(int(item[1:]) >= 12 for item in best["item_id"])
    new = model.recommend(names["new"], k=3)["item_id"]
    assert all(int(item[1:]) < 12 for item in new)
    assert not {"S1", "S2", "S3"} & set(new)


def test_the_explanation_has_a_row_for_each_event(names: dict[str, Any]) -> None:
    assert len(names["reasons"]) == len(names["c17"].items)
    assert names["reasons"]["falls by"].max() > 0


def test_one_line_a_user_is_read_in_the_order_of_the_line(names: dict[str, Any]) -> None:
    rows = names["beauty"].interactions
    read = rows.sort_values("timestamp").groupby("user_id")["item_id"].agg(list)
    expected = {
        int(line.split()[0]): [*map(int, line.split()[1:])] for line in SEQUENCES.splitlines()
    }
    assert read.to_dict() == expected
    assert not names["beauty"].has_time


def test_the_table_names_arguments_that_exist(names: dict[str, Any]) -> None:
    parameters = names["load_dataset"].__kwdefaults__
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    used = set(re.findall(r"`(\w+)=", table))
    assert used >= {"sep", "encoding", "timestamp_unit", "text_ids"}
    assert used <= set(parameters)


def test_every_test_that_the_page_names_exists() -> None:
    section = PAGE.partition("## What is tested\n")[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", section)
    assert len(named) == section.count("`tests/") > 20
    root = Path(__file__).parents[1]
    for file, test in named:
        assert re.search(rf"^def {test}\(", (root / file).read_text("utf-8"), re.MULTILINE), test
