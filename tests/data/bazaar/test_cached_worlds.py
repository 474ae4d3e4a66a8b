"""Worlds of several blocks of people, and worlds that are generated on first use."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Dataset, bazaar, load_dataset
from m6rec_lite.data.bazaar import WORLDS, Dials, cached, storage
from m6rec_lite.data.tables import DataError
from tests.worlds import shipped

SMALL = Dials(users=60, items=60, blocks=3, slates=1.0)
TABLES = ("interactions", "users", "items", "weather", "impressions", "reviews", "queries",
          "dialogues")  # fmt: skip


@pytest.fixture(scope="module")
def blocks() -> Dataset:
    return bazaar.generate(progress=False, **SMALL.as_dict())


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORLDS, "bazaar-large", SMALL)


def test_the_first_block_is_the_world_of_one_block(blocks: Dataset) -> None:
    one = bazaar.generate(progress=False, **replace(SMALL, blocks=1).as_dict())
    for name in TABLES:
        table = getattr(one, name)
        pd.testing.assert_frame_equal(getattr(blocks, name).iloc[: len(table)], table)
    n = one.oracle.trail.offsets[-1]
    np.testing.assert_array_equal(blocks.oracle.trail.hidden[:n], one.oracle.trail.hidden)


def test_further_blocks_are_other_people_of_the_same_world(blocks: Dataset) -> None:
    assert len(blocks.users) == 180
    assert blocks.users.user_id.tolist() == list(range(1, 181))
    people = blocks.oracle.world.shoppers
    for block in (1, 2):
        assert not np.array_equal(people.late[:60], people.late[60 * block : 60 * (block + 1)])
    counts = np.bincount(blocks.interactions.user_id, minlength=181)[1:]
    np.testing.assert_array_equal(counts, people.events)
    assert set(blocks.reviews.user_id // 61) == {0, 1, 2}
    dialogues = blocks.dialogues.drop_duplicates("dialogue_id").dialogue_id
    assert dialogues.tolist() == list(range(1, len(dialogues) + 1))
    assert blocks.impressions.user_id.max() <= 60


def test_the_oracle_answers_for_everybody_by_the_same_rules(blocks: Dataset) -> None:
    """A person of the third block has the probabilities that they would have alone."""
    trail, world = blocks.oracle.trail, blocks.oracle.world
    first = trail.offsets[120]
    alone = bazaar.Oracle(
        replace(world, shoppers=world.shoppers[120:]),
        type(trail)(
            trail.offsets[120:] - first,
            *(getattr(trail, name)[first:] for name in ("item", "at", "event", "hidden")),
        ),
    )
    items, at = blocks.oracle.item_ids, world.shoppers.joined[130] + 10**7
    np.testing.assert_array_equal(
        blocks.oracle.scores(np.array([131]), items, at), alone.scores(np.array([11]), items, at)
    )


def test_large_begins_with_the_shipped_world() -> None:
    assert replace(WORLDS["bazaar-large"], blocks=1) == shipped().oracle.world.dials == Dials()
    assert WORLDS["bazaar-wide"].items == 6000


@pytest.mark.slow
def test_the_rows_of_the_shipped_people_are_those_of_the_larger_world(tmp_path: Path) -> None:
    large = load_dataset("bazaar-large", folder=tmp_path / "bazaar-large", progress=False)
    assert len(large.users) == 10 * len(shipped().users)
    for name in ("users", "interactions", "impressions"):
        own, all_rows = getattr(shipped(), name), getattr(large, name)
        first = all_rows[all_rows["user_id"] <= own["user_id"].max()]
        pd.testing.assert_frame_equal(
            first.reset_index(drop=True), own.reset_index(drop=True), check_dtype=False
        )
    pd.testing.assert_frame_equal(large.items, shipped().items)


def test_a_world_is_generated_once(
    small_world: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep" / "bazaar-large"
    first = load_dataset("bazaar-large", folder=folder, progress=False)
    monkeypatch.setattr(cached, "generate", None)
    second = load_dataset("bazaar-large", folder=folder, progress=False)
    assert first.name == second.name == "bazaar-large"
    assert bazaar.tables_hash(first) == bazaar.tables_hash(second)


def test_without_a_folder_it_lies_beside_the_shipped_world(
    small_world: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "checkout_folder", lambda: tmp_path)
    cached.load_world("bazaar-large", progress=False)
    assert (tmp_path / "bazaar-large" / "world.json").is_file()


def test_a_cut_off_or_foreign_cache_says_what_to_do(small_world: None, tmp_path: Path) -> None:
    folder = tmp_path / "bazaar-large"
    load_dataset("bazaar-large", folder=folder, progress=False)
    table = folder / "interactions.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"damaged.*rebuild.*--blocks 3"):
        load_dataset("bazaar-large", folder=folder, progress=False)
    bazaar.save(bazaar.generate(users=60, items=60, seed=4, progress=False), folder)
    with pytest.raises(DataError, match=r"other parameters than bazaar-large: move it away"):
        load_dataset("bazaar-large", folder=folder, progress=False)
    about = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    storage.seal_world(folder, about | {"world_version": "0"})
    with pytest.raises(DataError, match="world version 0"):
        load_dataset("bazaar-large", folder=folder, progress=False)


def _load(folder: Path, name: str, queue: multiprocessing.Queue) -> None:
    WORLDS["bazaar-large"] = SMALL
    queue.put(bazaar.tables_hash(load_dataset(name, folder=folder, progress=False)))


def test_two_processes_share_one_generation(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (tmp_path / "bazaar-large", "bazaar-large", queue)
    processes = [context.Process(target=_load, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = queue.get(timeout=300), queue.get(timeout=300)
    for process in processes:
        process.join()
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == ["bazaar-large"]


@pytest.mark.parametrize("dials", [{"users": 0}, {"blocks": 0}, {"blocks": 1.5}, {"season": -1}])
def test_a_world_of_nobody_or_of_negative_effects_is_refused(dials: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(dials))):
        bazaar.generate(**dials)
