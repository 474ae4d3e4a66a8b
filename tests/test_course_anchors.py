"""The command that puts our figures beside others', on a small made-up data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.course import anchors, anchors_page, exact_times
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.places import project_root
from m6rec_lite.course.published import Figure
from m6rec_lite.data import Card, Dataset, Split, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import EASE, Bigram, ItemKNN, Popularity, UserKNN


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Walks around circles of six items, some steps at the same second."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(80):
        circle = 6 * (user % 4)
        start = int(rng.integers(6))
        for n in range(6):
            rows.append((user, 1 + circle + (start + n) % 6, 1000 + (n // 2) * 50, "click", 1.0))
    columns = ["user_id", "item_id", "timestamp", "event", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    items = pd.DataFrame({"item_id": range(1, 25), "title": [f"thing {i}" for i in range(1, 25)]})
    users = pd.DataFrame({"user_id": range(80)})
    return Dataset("ml-100k", frame, items, users, Card("circles", "none", "here"))


@pytest.fixture(scope="module")
def split(dataset: Dataset) -> Split:
    return leave_one_out(dataset)


def test_tie_orders_move_tied_rows_only(dataset: Dataset) -> None:
    orders = dict(anchors.tie_orders(dataset.interactions, seed=0))
    assert next(iter(orders)) == "file"
    assert len(orders) == 4 + anchors.SHUFFLES
    hashes = set()
    for rows in orders.values():
        whole = dataset.interactions.sort_values(["user_id", "item_id"])
        same = rows.sort_values(["user_id", "item_id"])
        np.testing.assert_array_equal(whole[["user_id", "item_id"]], same[["user_id", "item_id"]])
        cut = leave_one_out(replace(dataset, interactions=rows))
        assert (cut.test.histories.at == 1100).all()  # never an item of another second
        hashes.add(cut.hash)
    assert len(hashes) == len(orders)


def test_tuning_takes_the_best_on_validation(dataset: Dataset, split: Split) -> None:
    models = [EASE(l2=l2, decay=decay) for l2 in (1.0, 1e4) for decay in (1.0, 0.5, 0.05)]
    chosen = anchors.tune(models, split, dataset.items, seed=0)
    assert not chosen.is_fitted

    def judge(model: EASE) -> float:
        model = EASE(**model.get_params()).fit(split.train)
        return evaluate(model, split, k=10, on="validation", bootstrap=0, progress=False)["ndcg@10"]

    values = [judge(model) for model in models]
    assert chosen.get_params() == models[int(np.argmax(values))].get_params()
    assert len(set(values)) > 1


@pytest.mark.parametrize("kind", [EASE, ItemKNN, UserKNN])
def test_sharing_a_fit_changes_no_score(dataset: Dataset, split: Split, kind: type) -> None:
    models = [kind(decay=decay) for decay in (0.9, 0.3)]
    for shared, model in zip(anchors.fit_each(models, split, dataset.items), models, strict=True):
        alone = kind(**model.get_params()).fit(split.train)
        asked = split.test.histories
        np.testing.assert_array_equal(shared.score(asked), alone.score(asked))
        assert shared.decay == model.get_params()["decay"]


def test_train_plus_validation_is_all_that_is_known(dataset: Dataset, split: Split) -> None:
    known = anchors.with_validation(split)
    assert len(known) == len(split.train) + len(split.validation.targets)
    np.testing.assert_array_equal(known.histories().items, split.test.histories.items)


@pytest.mark.parametrize("name", list(anchors.entries()))
def test_grids_are_valid_and_unfitted(name: str) -> None:
    models = anchors.entries()[name]
    assert all(not model.is_fitted for model in models)
    assert len({repr(model) for model in models}) == len(models)
    again = type(models[-1])(**anchors.read_settings(models[-1].variant.split()))
    assert repr(again) == repr(models[-1])


def test_the_command_writes_tables_page_and_leaderboard(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    small = {
        "Popularity": [Popularity()],
        "ItemKNN decay": [ItemKNN(k=3, decay=0.9), ItemKNN(k=3, decay=0.2)],
        "Bigram": [Bigram()],
    }
    theirs = {
        "ItemKNN decay": Figure("item-KNN", 0.5, 0.25, "nobody", {"k": 2, "decay": 0.5}),
        "Bigram": Figure("bigram", 0.9, 0.8, "nobody"),
    }
    monkeypatch.setattr(anchors, "entries", lambda: small)
    monkeypatch.setattr(anchors, "load_dataset", lambda name: dataset)
    monkeypatch.setattr(anchors, "SIMPLE", {"ml-100k": theirs})
    for _ in range(2):  # a second run replaces the first
        code = anchors.main(["--dataset", "ml-100k", "--results", str(tmp_path), "--quiet"])
        assert code == 0
    rows = pd.read_csv(tmp_path / "anchors" / "ml-100k.csv")
    assert rows["entry"].tolist() == list(small)
    assert rows["theirs_hr@10"].notna().tolist() == [False, True, True]
    assert rows["at_their_settings_hr@10"].notna().tolist() == [False, True, False]
    assert (rows["command"] == "python -m m6rec_lite.course.anchors --dataset ml-100k").all()
    ties = pd.read_csv(tmp_path / "anchors" / "ml-100k-ties.csv")
    assert len(ties) == 2 * (4 + anchors.SHUFFLES)
    file = ties[ties["order"] == "file"].set_index("entry")
    bigram = rows.set_index("entry").loc["Bigram"]
    assert file.loc["Bigram", "hr@10"] == pytest.approx(bigram["hr@10"])
    board = Leaderboard(tmp_path / "leaderboard").frame("ml-100k")
    assert board["model"].tolist() == ["Popularity", "ItemKNN", "Bigram"]
    page = (tmp_path / "anchors.md").read_text()
    assert "`python -m m6rec_lite.course.anchors --dataset ml-100k`" in page
    assert str(tmp_path) not in page
    assert "written:" in capsys.readouterr().out


ROW = {
    "dataset": "ml-1m", "entry": "EASE", "n_users": 1000, "hr@10": 0.2, "ndcg@10": 0.1,
    "theirs_hr@10": 0.25, "theirs_ndcg@10": 0.125, "their_settings": "",
    "fitted_with_validation_hr@10": 0.21, "fitted_with_validation_ndcg@10": 0.11,
}  # fmt: skip


def explained(
    ties: list[float], ndcg: tuple[float, ...] = (0.1, 0.13, 0.11), **changes: object
) -> str:
    orders = ["file", "item id", "shuffled 1"]
    table = pd.DataFrame({"order": orders, "entry": "EASE", "hr@10": ties, "ndcg@10": ndcg})
    return anchors_page.explain(pd.Series(ROW | changes), table)


def test_explanations_claim_only_what_was_measured() -> None:
    assert "same to every digit" in explained(
        [0.2] * 3, **{"theirs_hr@10": 0.2, "theirs_ndcg@10": 0.1}
    )
    assert "can account for the gap, though not prove it" in explained([0.2, 0.26, 0.22])
    short = explained([0.2, 0.23, 0.22])
    assert "their HR@10, 0.2500, lies 0.0200 outside" in short
    assert "rest is unexplained" in short
    # HR@10 within the span and NDCG@10 outside it is not an explanation
    half = explained([0.2, 0.26, 0.22], ndcg=(0.1, 0.12, 0.11))
    assert "their NDCG@10, 0.1250, lies 0.0050 outside" in half
    assert "can account" not in half
    both = {"theirs_hr@10": 0.21, "theirs_ndcg@10": 0.11}
    assert "train and validation together it gives theirs" in explained([0.2] * 3, **both)
    other = both | {"theirs_ndcg@10": 0.12}  # HR agrees by chance, NDCG does not
    assert "together it gives theirs" not in explained([0.2] * 3, **other)
    stated = {"their_settings": "l2=300", "at_their_settings_hr@10": 0.24}
    assert "(l2=300) brings it to 0.2400" in explained([0.2] * 3, **stated)
    assert "moves it away, to 0.1900" in explained(
        [0.2] * 3, **stated | {"at_their_settings_hr@10": 0.19}
    )
    same_ties = explained([0.2, 0.3, 0.25], dataset="ml-100k")
    assert "order of ties alone" not in same_ties
    assert "50 of 1,000 users" in same_ties


def test_users_with_exact_timestamps_are_judged_apart(dataset: Dataset, split: Split) -> None:
    models = [Bigram(), Popularity(half_life_days=1, relative_to="at")]
    table = exact_times.measure(dataset, models, first=30)
    assert table["users"].tolist() == ["all", "below 30", "from 30 on"] * 2
    assert table["n_users"].tolist() == [80, 30, 50] * 2
    assert table["knows"].tolist() == ["nothing"] * 3 + ["query time"] * 3
    report = evaluate(Bigram().fit(split.train), split, k=10, bootstrap=0, progress=False)
    per_user = report.per_user["ndcg@10"]
    wanted = [per_user.mean(), per_user[:30].mean(), per_user[30:].mean()]
    np.testing.assert_allclose(table["ndcg@10"][:3], wanted)
    assert (table["ndcg@10_low"] <= table["ndcg@10"]).all()


def test_the_page_has_the_exact_users_and_says_which_ranks_were_not_kept() -> None:
    folder = project_root() / "results"
    rows = pd.read_csv(folder / "anchors" / anchors_page.EXACT_USERS).fillna({"settings": ""})
    section = anchors_page.exact_section(rows)
    assert section in (folder / "anchors.md").read_text("utf-8")
    assert "17.8 %" in section
    assert "ranks of single users were not kept" in section
    assert set(rows["n_users"]) == {6040, 2999, 3041}
    names = [type(model).__name__ for model in exact_times.tuned(folder)]
    assert sorted(set(names)) == sorted(set(rows["model"]))


def test_the_page_is_what_the_tables_say_now(tmp_path: Path) -> None:
    folder = project_root() / "results"
    for name in ("anchors", "leaderboard", "sasrec", "gru4rec", "bert4rec", "m6recretriever"):
        (tmp_path / name).symlink_to(folder / name)
    text = anchors_page.write_page(tmp_path).read_text("utf-8")
    assert text == (folder / "anchors.md").read_text("utf-8")
