"""Terse texts, pictures and friendships: what they show, and what they must not."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import bazaar, validate
from m6rec_lite.data.bazaar import Dials, words
from m6rec_lite.data.bazaar.world import Shoppers, World, draw_shoppers, draw_world
from tests.worlds import shipped

MANNERS = {
    locale: [
        word[locale]
        for table in (*words.STYLE_WORDS, *words.LEVEL_WORDS, *words.LEVEL_PEOPLE)
        for word in table
    ]
    for locale in (0, 1)
}


def here() -> World:
    return shipped().oracle.world


# --- terse texts


@cache
def terse() -> pd.DataFrame:
    return bazaar.terse_items(here())


def says_manner(text: str, locale: int) -> bool:
    """Whether a text names a style or a level."""
    if locale == 1:
        return any(word in text for word in MANNERS[1])
    return bool(re.search(rf"\b(?:{'|'.join(MANNERS[0])})\b", text.lower()))


def test_six_items_in_ten_have_a_text_without_style_and_level():
    table, items = terse(), here().items
    assert 0.55 < table.terse.mean() < 0.65
    rows = table.assign(locale=items.locale)[table.terse]
    for row in rows.itertuples():
        assert not says_manner(f"{row.title}. {row.description}", row.locale), row
        assert not set(row.tags) & set(MANNERS[row.locale])
        assert len(row.tags) >= 4
    full = shipped().items.assign(locale=items.locale)[table.terse.to_numpy()]
    said = [says_manner(f"{row.title}. {row.description}", row.locale) for row in full.itertuples()]
    assert np.mean(said) > 0.95


def test_terse_texts_still_name_the_interest():
    table, items = terse(), here().items
    for item in np.flatnonzero(table.terse):
        entry, locale = words.INTERESTS[items.interest[item]], int(items.locale[item])
        own = entry.own[items.domain[item]]
        known = [word[locale].lower() for word in (*entry.shared, *own, entry.label)]
        text = f"{table.title[item]} {table.description[item]}".lower().replace(" ", "")
        assert sum(word.replace(" ", "") in text for word in known) >= 2


def test_everything_else_of_the_items_stays():
    table, full = terse(), shipped().items
    changed = ["title", "description", "tags"]
    pd.testing.assert_frame_equal(
        table.drop(columns=[*changed, "terse"]), full.drop(columns=changed)
    )
    kept = ~table.terse.to_numpy()
    pd.testing.assert_frame_equal(
        table.loc[kept, ["title", "description"]], full.loc[kept, ["title", "description"]]
    )
    assert [list(tags) for tags in table.tags[kept]] == [list(tags) for tags in full.tags[kept]]
    assert table.title.is_unique
    serial = here().items.series >= 0
    assert (table.title == full.title)[serial].all()


def test_terse_texts_are_a_valid_items_table_and_the_same_each_time():
    validate("items", terse(), source="terse")
    pd.testing.assert_frame_equal(bazaar.terse_items(here()), terse())
    texts = "".join(terse().title + terse().description)
    assert not re.search(r"[{}]|\s\s", texts)
    other = bazaar.terse_items(draw_world(Dials(users=2, seed=1)))
    assert (other.terse != terse().terse).any()


# --- pictures


@cache
def drawn() -> np.ndarray:
    return bazaar.pictures(here())


def coarse(pictures: np.ndarray) -> np.ndarray:
    """Pictures of 8 by 8 cells, standardized: ``(n, 192)``."""
    cells = pictures.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(pictures), -1)
    return (cells - cells.mean(axis=0)) / cells.std(axis=0)


def probe(target: np.ndarray) -> np.ndarray:
    """Predictions of a linear least-squares probe for a third of the items, held out.

    Args:
        target: ``(n,)`` numbers, or ``(n, n_classes)`` zeros and ones.
    """
    x, away = coarse(drawn()), np.arange(len(target)) % 3 == 0
    inner = x[~away].T @ x[~away] + 100.0 * np.eye(x.shape[1])
    mean = target[~away].mean(axis=0)
    weights = np.linalg.solve(inner, x[~away].T @ (target[~away] - mean))
    return mean + x[away] @ weights


def probe_accuracy(codes: np.ndarray) -> float:
    chosen = probe(np.eye(codes.max() + 1)[codes]).argmax(axis=1)
    return float((chosen == codes[np.arange(len(codes)) % 3 == 0]).mean())


def test_pictures_are_one_array_of_bytes_and_the_same_each_time():
    pictures = drawn()
    assert pictures.shape == (len(shipped().items), 32, 32, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(bazaar.pictures(here()), pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    alike = replace(here(), items=replace(here().items, style=here().items.style[::-1]))
    assert not np.array_equal(bazaar.pictures(alike), pictures)


def test_a_linear_probe_reads_style_and_level():
    assert probe_accuracy(here().items.style) > 0.9  # chance: 0.2
    assert probe_accuracy(here().items.level) > 0.9  # chance: 0.4


def test_the_nearest_mean_picture_tells_style_and_level():
    x, away = coarse(drawn()), np.arange(len(drawn())) % 3 == 0
    for codes, least in ((here().items.style, 0.85), (here().items.level, 0.6)):
        means = np.stack([x[~away & (codes == code)].mean(axis=0) for code in np.unique(codes)])
        nearest = ((x[away][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        assert (nearest == codes[away]).mean() > least


def test_interest_shows_faintly():
    interest = here().items.interest
    most = np.bincount(interest).max() / len(interest)
    assert most + 0.03 < probe_accuracy(interest) < 0.5


def test_nothing_of_popularity_quality_or_price_is_in_a_picture():
    items = here().items
    blank = replace(
        items,
        popularity=np.ones_like(items.popularity),
        quality=np.zeros_like(items.quality),
        price=np.zeros_like(items.price),
        released=np.zeros_like(items.released),
    )
    assert np.array_equal(bazaar.pictures(replace(here(), items=blank, shoppers=None)), drawn())
    away = np.arange(len(items.domain)) % 3 == 0
    for hidden in (np.log(items.popularity), items.quality.mean(axis=1)):
        correlation = np.corrcoef(probe(hidden), hidden[away])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(away.sum())


# --- friendships


@cache
def friends() -> pd.DataFrame:
    return bazaar.friendships(here())


def likeness(pairs: pd.DataFrame, shoppers: Shoppers) -> tuple[float, float, float]:
    """Mean cosine of tastes, share of one city and share of one age band of some pairs."""
    one, other = pairs.user_id.to_numpy() - 1, pairs.friend_id.to_numpy() - 1
    taste = shoppers.early + shoppers.late
    taste = taste / np.linalg.norm(taste, axis=1, keepdims=True)
    return (
        float((taste[one] * taste[other]).sum(axis=1).mean()),
        float((shoppers.city[one] == shoppers.city[other]).mean()),
        float((shoppers.age[one] == shoppers.age[other]).mean()),
    )


def test_friendships_are_undirected_pairs_of_known_people():
    table = friends()
    assert table.columns.tolist() == ["user_id", "friend_id"]
    assert (table.user_id < table.friend_id).all()
    assert not table.duplicated().any()
    assert set(np.unique(table)) <= set(shipped().users.user_id)
    ordered = table.sort_values(["user_id", "friend_id"], ignore_index=True)
    pd.testing.assert_frame_equal(table, ordered)
    pd.testing.assert_frame_equal(table, bazaar.friendships(here()))


def test_people_have_about_eight_friends():
    degree = np.bincount(friends().to_numpy().ravel(), minlength=len(here().shoppers) + 1)[1:]
    assert 7.5 < degree.mean() < 8.5
    assert (degree > 0).mean() > 0.95


def test_friends_share_taste_city_and_age_more_than_strangers():
    draw = np.random.default_rng(0)
    strangers = friends().assign(friend_id=draw.permutation(friends().friend_id))
    taste, city, age = likeness(friends(), here().shoppers)
    other_taste, other_city, other_age = likeness(strangers, here().shoppers)
    assert taste > other_taste + 0.05
    assert city > other_city + 0.1
    assert age > other_age + 0.1


def test_friends_of_the_first_block_do_not_depend_on_further_blocks():
    world = draw_world(Dials(users=400, items=60))
    further = draw_shoppers(world.dials, np.random.default_rng(5))
    more = replace(world, shoppers=Shoppers.concatenate([world.shoppers, further]))
    table = bazaar.friendships(more)
    first = table[table.user_id <= 400].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, bazaar.friendships(world))
    assert table.friend_id.max() > 790
    assert len(table) > 1.8 * len(first)


def test_no_log_enters_a_friendship():
    silent = replace(here().shoppers, events=np.zeros_like(here().shoppers.events))
    table = bazaar.friendships(replace(here(), items=None, weather=None, shoppers=silent))
    pd.testing.assert_frame_equal(table, friends())


@pytest.mark.parametrize(("users", "most"), [(1, 0), (2, 1), (5, 10)])
def test_few_people_have_few_friends(users, most):
    table = bazaar.friendships(draw_world(Dials(users=users, items=60)))
    assert len(table) <= most
    assert table.dtypes.tolist() == [np.int64, np.int64]
