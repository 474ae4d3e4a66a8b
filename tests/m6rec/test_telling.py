"""Statistics in words: which numbers are written, and by what level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from m6rec_lite.ctr.impressions import GROUPS, known_at
from m6rec_lite.data import load_dataset
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer, phrases

DATASET = load_dataset("bazaar")


def test_phrases_speak_only_of_what_is_known_and_of_all_numbers_but_prices_flag() -> None:
    said = {
        name for group in phrases()["groups"] for name in StatisticsVerbalizer((group,)).columns
    }
    table = known_at(DATASET.impressions[:5], DATASET, groups=GROUPS)
    numbers = set(table.select_dtypes("number")) - {"has_price"}
    assert numbers <= said


def test_levels_are_quantiles_of_training_rows_with_the_lowest_value_apart() -> None:
    telling = StatisticsVerbalizer(("context",))
    telling.phrases, telling.columns = ["at {x}"], ["x"]
    telling.edges = torch.full((1, 9), torch.nan, dtype=torch.float64)
    values = np.concatenate([np.zeros(50), np.arange(1.0, 91.0)])
    telling.fit(pd.DataFrame({"x": values}))
    words = telling.tell(pd.DataFrame({"x": [-5.0, 0.0, 1.0, 10.0, 11.0, 90.0, 1e9]}))
    assert words == ["at 0", "at 0", "at 1", "at 1", "at 2", "at 9", "at 9"]
    telling.fit(pd.DataFrame({"x": np.ones(4)}))  # never varies
    assert telling.tell(pd.DataFrame({"x": [1.0, 0.0]})) == ["at 0", "at 0"]


def test_a_phrase_with_something_unknown_is_left_out() -> None:
    telling = StatisticsVerbalizer(("context",))
    table = pd.DataFrame({"position": [0, 3], "weather": ["snow", None]}, dtype=object)
    assert telling.tell(table) == ["place 0, weather snow", "place 3"]
    assert telling.tell(table[["weather"]]) == ["weather snow", ""]
    assert telling.tell(table[:0]) == []


def test_every_level_of_every_phrase_can_be_learnt_by_a_tokenizer() -> None:
    for group in phrases()["groups"]:
        said = StatisticsVerbalizer((group,)).examples()
        assert len(said) == 10 * len(phrases()["groups"][group])
        assert not any("{" in words for words in said)
