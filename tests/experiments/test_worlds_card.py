"""The card of what lies around the bazaar: figures that follow from a small world."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from experiments.pages import worlds_card
from experiments.pages.regions import region
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import bazaar, friendships, leave_one_out, library, terse_items

DIALS: dict[str, Any] = {"users": 60, "items": 60, "slates": 0, "seed": 2, "progress": False}
SMALL = bazaar.generate(**DIALS)
LARGE = replace(bazaar.generate(blocks=2, **DIALS), name="bazaar-large")


def test_the_first_people_of_a_larger_world_are_checked() -> None:
    worlds_card.check_prefix(SMALL, LARGE)
    other = LARGE.interactions.assign(timestamp=LARGE.interactions["timestamp"] + 1)
    with pytest.raises(ValueError, match="first rows of bazaar-large's interactions"):
        worlds_card.check_prefix(SMALL, replace(LARGE, interactions=other))
    with pytest.raises(ValueError, match="bazaar-large's users"):
        worlds_card.check_prefix(SMALL, replace(LARGE, users=LARGE.users.iloc[1:]))


def test_a_world_has_its_size_its_parameters_and_the_hash_of_its_split() -> None:
    table = worlds_card.world_table({"bazaar": SMALL, "bazaar-large": LARGE}).set_index("name")
    assert table["people"].tolist() == ["60", "120"]
    assert "blocks=2" in table.loc["bazaar-large", "parameters"]
    assert leave_one_out(LARGE).hash in table.loc["bazaar-large", "hash of the test pairs"]
    events = [f"{len(world.interactions):,}" for world in (SMALL, LARGE)]
    assert table["events"].tolist() == events


def test_the_kinds_of_the_library_add_up_to_its_texts() -> None:
    table = worlds_card.library_table(SMALL)
    assert table["texts"].sum() == len(library(SMALL.oracle.world))
    assert (table["the first English text"] != "").any()


def test_friends_have_more_in_common_than_random_pairs() -> None:
    table = worlds_card.friend_table(SMALL, friendships(SMALL.oracle.world)).set_index("pairs")
    for column in ("same city", "mean cosine of the tastes"):
        values = pd.to_numeric(table[column].str.rstrip("%"))
        assert values["friends"] > values["random pairs"], column


def test_the_card_describes_every_part() -> None:
    text = worlds_card.card(SMALL, {"bazaar-large": LARGE})
    for word in ("bazaar-large", "answer key", "shuffled=True", "Pictures", "Friendships", "Bayes"):
        assert word in text
    terse = worlds_card.terse_table(SMALL, terse_items(SMALL.oracle.world))
    assert terse["text"].tolist() == ["shipped", "terse"]
    assert terse["description"].nunique() == 2


def test_the_committed_card_is_of_this_version() -> None:
    page = project_root() / "datasets" / "README.md"
    assert worlds_card.FACT in region(page, worlds_card.REGION)
