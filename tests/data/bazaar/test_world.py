"""The bazaar's world: contracts, and each effect present by default and absent when turned off."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from m6rec_lite.data import bazaar, load_dataset
from m6rec_lite.data.bazaar import storage, words
from m6rec_lite.data.bazaar.__main__ import main
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.data.bazaar.stream import generate_to_parquet
from m6rec_lite.data.bazaar.world import DAY, DAYS, END, N_INTERESTS, START
from m6rec_lite.data.splits import leave_one_out
from m6rec_lite.data.tables import DataError, Dataset
from tests.worlds import shipped


@cache
def world(**dials: float) -> Dataset:
    settings = {"users": 1500, "items": 600, "seed": 3, "slates": 0.0} | dials
    return bazaar.generate(text=False, progress=False, **settings)


# --- what ships


def test_shipped_size_and_share():
    data = shipped()
    counts = data.interactions.groupby("user_id").size()
    assert 800 <= len(data.items) <= 1000
    assert 150_000 <= len(data.interactions) <= 200_000
    assert len(data.interactions) / len(data.items) > 150
    assert counts.max() <= 80
    assert (counts >= 8).mean() > 0.9
    assert (counts < 8).sum() > 100  # new shoppers
    assert len(leave_one_out(data).test) >= 3000
    size = sum(path.stat().st_size for path in storage.HOME.iterdir() if path.is_file())
    assert size <= 8 * 2**20
    assert set(data.items.domain) == set(DOMAINS)
    assert len(np.unique(data.oracle.latents.interest)) == N_INTERESTS == 24
    assert 0.08 < (data.users.locale == "zh").mean() < 0.16
    has_price = data.items.price.notna()
    assert has_price.eq(data.items.domain.isin(["shop", "courses"])).all()
    late = data.items.released > data.interactions.timestamp.min()
    assert 0.1 < late.mean() < 0.3
    for table in ("impressions", "queries", "weather", "reviews", "dialogues"):
        assert len(getattr(data, table)) > 500


def test_shipped_tables_have_the_recorded_hash():
    about = json.loads((storage.HOME / "world.json").read_text(encoding="utf-8"))
    assert bazaar.tables_hash(shipped()) == about["tables_sha256"]
    assert about["world_version"] == bazaar.WORLD_VERSION == shipped().card.version


@pytest.mark.slow
def test_rebuilding_gives_the_shipped_tables():
    """The same dials and seed, the same decoded tables (under the pinned versions)."""
    about = json.loads((storage.HOME / "world.json").read_text(encoding="utf-8"))
    again = bazaar.generate(progress=False, **about["dials"])
    assert bazaar.Dials(**about["dials"]) == bazaar.Dials()
    assert bazaar.tables_hash(again) == about["tables_sha256"]


def test_hash_sees_any_change():
    data = world()
    rows = data.interactions.copy()
    rows.loc[rows.index[100], "item_id"] += 1
    changed = Dataset(data.name, rows, data.items, data.users, data.card, weather=data.weather,
                      oracle=data.oracle)  # fmt: skip
    assert bazaar.tables_hash(changed) != bazaar.tables_hash(data)
    assert bazaar.tables_hash(world(seed=4)) != bazaar.tables_hash(data)


def test_times_rise_within_a_shopper_and_items_are_out():
    rows = shipped().interactions
    same = rows.user_id.diff().eq(0)
    assert (rows.timestamp.diff()[same] > 0).all()
    assert rows.timestamp.between(START, END).all()
    released = shipped().items.set_index("item_id").released.reindex(rows.item_id).to_numpy()
    assert (released <= rows.timestamp.to_numpy()).all()


def test_items_that_open_late_are_met_after_release_only_and_some_by_few():
    data = shipped()
    late = data.items[data.items.released > END - 150 * DAY].item_id
    met = data.interactions.item_id.value_counts().reindex(late, fill_value=0)
    usual = data.interactions.item_id.value_counts().median()
    assert len(late) >= 20
    assert met.median() < 0.5 * usual


# --- effects: each is there, and gone when its dial is off


def _tagged(data: Dataset) -> pd.DataFrame:
    """The organic events that served an intent, with item latents and the intent's last item."""
    trail, items = data.oracle.trail, data.oracle.latents
    rows = pd.DataFrame(
        {"user": trail.shopper, "item": trail.item, "at": trail.at, "intent": trail.intent,
         "cell": trail.cell, "new": ~pd.Series(trail.shopper * 10_000 + trail.item).duplicated()}
    )  # fmt: skip
    rows = rows[rows.cell >= 0]
    by = rows.groupby(["user", "intent"])
    rows["last"], rows["last_cell"] = by["item"].shift(), by["cell"].shift()
    rows["gap"] = rows["at"] - by["at"].shift()
    rows["interest"], rows["domain"] = rows.cell % N_INTERESTS, rows.cell // N_INTERESTS
    assert len(items.domain) == len(data.items)
    return rows


def _stays(rows: pd.DataFrame) -> pd.DataFrame:
    """Events of the same intent as its event before."""
    rows = rows[rows["last"].notna() & (rows.cell == rows.last_cell)]
    return rows.astype({"last": int})


def season(data: Dataset) -> float:
    rows = _tagged(data)
    month = rows["at"].to_numpy().astype("datetime64[s]").astype("datetime64[M]").astype(int) % 12
    return float(np.log(words.SEASON[rows.interest, month]).mean() - _shuffled(
        np.log(words.SEASON), rows.interest.to_numpy(), month))  # fmt: skip


def weather(data: Dataset) -> float:
    rows = _tagged(data)
    sky = data.oracle.world.weather.condition
    city = data.oracle.world.shoppers.city[rows.user]
    now = sky[city, np.clip((rows["at"].to_numpy() - START) // DAY, 0, DAYS - 1)]
    odds = np.log(np.maximum(words.WEATHER, 0.05))
    return float(odds[rows.interest, now].mean() - _shuffled(odds, rows.interest.to_numpy(), now))


def _shuffled(table: np.ndarray, row: np.ndarray, column: np.ndarray) -> float:
    """The mean of ``table[row, column]`` were the two independent."""
    p = np.bincount(row, minlength=table.shape[0]) / len(row)
    q = np.bincount(column, minlength=table.shape[1]) / len(column)
    return float(p @ table @ q)


def weekday(data: Dataset) -> float:
    rows = _tagged(data)
    day = rows["at"].to_numpy().astype("datetime64[s]").astype("datetime64[D]")
    weekend = ~np.is_busday(day)
    return float((rows.domain[weekend] == 0).mean() - (rows.domain[~weekend] == 0).mean())


def drift(data: Dataset) -> float:
    shoppers = data.oracle.world.shoppers
    return float(np.abs(shoppers.early - shoppers.late).sum(axis=1).mean())


def switch(data: Dataset) -> float:
    return float(np.abs(np.diff(data.oracle.trail.intent)).mean())


def persistence(data: Dataset) -> float:
    rows = _tagged(data).dropna()
    return float((rows.cell == rows.last_cell).mean())


def pauses(data: Dataset) -> float:
    """How much more an intent stays within a session than over a pause."""
    rows = _tagged(data).dropna()
    same, long = rows.cell == rows.last_cell, rows.gap > 6 * 3600
    return float(same[~long].mean() - same[long].mean())


def complements(data: Dataset) -> float:
    rows, kind = _stays(_tagged(data)), data.oracle.latents.kind
    step = (kind[rows.item] - kind[rows["last"]]) % 5
    return float((step == 1).mean() - (step == 4).mean())


def series(data: Dataset) -> float:
    rows = _stays(_tagged(data))
    after = data.oracle.choice.next_part
    has_last = after[rows["last"]] >= 0
    return float((after[rows["last"]] == rows.item)[has_last].mean())


def repeats(data: Dataset) -> float:
    rows = data.interactions
    return float(rows[rows.event == "purchase"].duplicated(["user_id", "item_id"]).mean())


def revisits(data: Dataset) -> float:
    return float(_tagged(data).new.mean())


def style(data: Dataset) -> float:
    rows, items = _tagged(data), data.oracle.latents
    return float((items.style[rows.item] == data.oracle.world.shoppers.style[rows.user]).mean())


def level(data: Dataset) -> float:
    rows, items = _tagged(data), data.oracle.latents
    return float((items.level[rows.item] == data.oracle.world.shoppers.level[rows.user]).mean())


def price(data: Dataset) -> float:
    rows = _tagged(data)
    dear = data.oracle.choice.price_score[rows.item]
    careful = data.oracle.world.shoppers.price_sensitivity[rows.user]
    sold = np.isin(data.oracle.latents.domain[rows.item], (0, 4))
    return -float(np.corrcoef(dear[sold], careful[sold])[0, 1])


def loyalty(data: Dataset) -> float:
    rows, maker = _stays(_tagged(data)), data.oracle.latents.creator
    same = maker[rows.item] == maker[rows["last"]]
    return float(np.corrcoef(same, data.oracle.world.shoppers.loyalty[rows.user])[0, 1])


def curiosity(data: Dataset) -> float:
    shoppers, rows = data.oracle.world.shoppers, _tagged(data)
    liked = shoppers.early[rows.user, rows.interest] + shoppers.late[rows.user, rows.interest]
    return float((liked == 0).mean())


def noise(data: Dataset) -> float:
    stray = data.oracle.trail.cell < 0
    again = pd.DataFrame({"u": data.oracle.trail.shopper, "i": data.oracle.trail.item}).duplicated()
    return float((stray & ~again).mean())


def zipf(data: Dataset) -> float:
    """How unevenly the items of the first day are met, within their cell."""
    early = (data.items.released < START).to_numpy()
    met = np.bincount(data.oracle.trail.item, minlength=len(data.items))
    cells = pd.Series(met[early]).groupby(data.oracle.world.cells[early])
    return float((cells.transform("std") / cells.transform("mean")).mean())


def freshness(data: Dataset) -> float:
    rows = _tagged(data)
    age = rows["at"].to_numpy() - data.oracle.latents.released[rows.item]
    late = data.oracle.latents.released[rows.item] > START
    return float((age[late] < 45 * DAY).mean())


def chinese(data: Dataset) -> float:
    return float((data.users.locale == "zh").mean() + (data.oracle.latents.locale == 1).mean())


def late(data: Dataset) -> float:
    return float((data.items.released > START).mean())


def new_users(data: Dataset) -> float:
    return float((data.interactions.groupby("user_id").size() < 8).mean())


@pytest.mark.parametrize(
    ("effect", "off", "least"),
    [
        (season, {"season": 0.0}, 0.03),
        (weather, {"weather": 0.0}, 0.01),
        (weekday, {"weekday": 0.0}, 0.03),
        (drift, {"drift": 0.0}, 0.3),
        (switch, {"switch": 0.0}, 0.2),
        (persistence, {"persistence": 0.0}, 0.2),
        (pauses, {"memory": 1.0}, 0.1),
        (complements, {"complements": 0.0}, 0.05),
        (series, {"series": 0.0}, 0.03),
        (repeats, {"repeats": 0.0}, 0.1),
        (revisits, {"revisits": 1.0}, 0.1),
        (style, {"style": 1.0}, 0.15),
        (level, {"level": 1.0}, 0.1),
        (price, {"price": 0.0}, 0.05),
        (loyalty, {"loyalty": 0.0}, 0.03),
        (curiosity, {"curiosity": 0.0}, 0.02),
        (noise, {"noise": 0.0}, 0.02),
        (zipf, {"zipf": 0.0}, 0.2),
        (freshness, {"freshness": 1.0}, 0.02),
        (chinese, {"chinese": 0.0}, 0.15),
        (late, {"late": 0.0}, 0.1),
        (new_users, {"new_users": 0.0}, 0.02),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_dial_turned_off_removes_its_effect(effect, off, least):
    """The effect by default exceeds the effect without by a margin wider than chance."""
    assert effect(world()) - effect(world(**off)) > least


def test_dials_refuse_what_they_cannot_be():
    with pytest.raises(ValueError, match="no such dial: colour; the dials are users"):
        bazaar.generate(colour=1)
    wrongs = [{"noise": 1.5}, {"switch": -0.1}, {"style": 0}, {"items": 3}, {"users": 0}]
    wrongs += [{"zipf": float("nan")}, {"noise": 0.9, "repeats": 0.9}, {"users": 2.5}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"must|sum"):
            bazaar.generate(**wrong)


# --- files


def test_saved_and_loaded_is_the_same(tmp_path):
    data = bazaar.generate(users=60, items=120, seed=8, progress=False)
    bazaar.save(data, tmp_path)
    again = bazaar.load(tmp_path)
    assert bazaar.tables_hash(again) == bazaar.tables_hash(data)
    pd.testing.assert_frame_equal(again.items, data.items)
    pd.testing.assert_frame_equal(again.impressions, data.impressions)
    assert again.oracle.world.dials == data.oracle.world.dials


def test_a_bazaar_of_one_s_own_is_loaded_by_its_folder_and_called_so(tmp_path):
    data = world()
    bazaar.save(data, tmp_path / "bazaar-x10")
    again = load_dataset(tmp_path / "bazaar-x10")
    assert again.name == "bazaar-x10"
    assert bazaar.tables_hash(again) == bazaar.tables_hash(data)
    split = leave_one_out(again)
    assert split.dataset == "bazaar-x10"
    chances = again.oracle.recommender(split.item_ids).score(split.test.histories[:3])
    assert chances.shape == (3, len(split.item_ids))
    with pytest.raises(ValueError, match="on_bad_rows"):
        load_dataset(tmp_path / "bazaar-x10", on_bad_rows="keep")


def test_load_says_how_to_rebuild(tmp_path):
    with pytest.raises(DataError, match=r"python -m m6rec_lite\.data\.bazaar"):
        bazaar.load(tmp_path / "nowhere")
    bazaar.save(world(), tmp_path)
    about = json.loads((tmp_path / "world.json").read_text(encoding="utf-8"))
    (tmp_path / "world.json").write_text(json.dumps(about | {"world_version": "0"}))
    with pytest.raises(DataError, match="world version 0"):
        bazaar.load(tmp_path)


def test_one_command_rebuilds(tmp_path, capsys):
    options = ["--users", "40", "--items", "80", "--seed", "2", "--drift", "0"]
    assert main(["--out", str(tmp_path), *options]) == 0
    said = capsys.readouterr().out
    assert "40 shoppers" in said
    again = bazaar.generate(users=40, items=80, seed=2, drift=0.0, progress=False)
    assert bazaar.tables_hash(bazaar.load(tmp_path)) == bazaar.tables_hash(again)
    assert main(["--out", str(tmp_path), "--items", "2"]) == 1
    assert "items must be" in capsys.readouterr().err


def test_stream_stopped_and_resumed_equals_one_run(tmp_path):
    settings = {"block": 50, "progress": False, "items": 120, "seed": 4}
    whole = generate_to_parquet(tmp_path / "a", interactions=6000, **settings)
    generate_to_parquet(tmp_path / "b", interactions=2500, **settings)
    (tmp_path / "b" / "part-00001.part").write_bytes(b"half a file")
    resumed = generate_to_parquet(tmp_path / "b", interactions=6000, **settings)
    assert whole.interactions == resumed.interactions >= 6000
    assert resumed.reused >= 1
    assert whole.reused == 0
    for one, other in zip(whole.files, resumed.files, strict=True):
        assert pq.read_table(one).equals(pq.read_table(other))
    rows = pd.concat([pd.read_parquet(path) for path in whole.files])
    assert len(rows) == whole.interactions
    assert rows.user_id.is_monotonic_increasing
    assert rows.user_id.max() <= whole.shoppers
    first, second = (pd.read_parquet(path) for path in whole.files[:2])
    assert second.user_id.min() > first.user_id.max()
    assert not np.array_equal(first.item_id[:100], second.item_id[:100])


def test_stream_refuses_another_worlds_folder(tmp_path: Path):
    generate_to_parquet(tmp_path, interactions=10, block=5, items=80, progress=False)
    with pytest.raises(ValueError, match="a stream of other settings"):
        generate_to_parquet(tmp_path, interactions=10, block=5, items=80, drift=0.0, progress=False)
    with pytest.raises(ValueError, match="users does not apply"):
        generate_to_parquet(tmp_path, interactions=10, users=5)
