"""Simple models beside figures from elsewhere, on a small made-up data set."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import reference_results
from experiments.__main__ import main
from experiments.arguments import read_settings
from experiments.pages import reference_results as page
from experiments.records import RANKS, Records, RunKey
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import Card, Dataset, Split, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.published import PublishedResult
from m6rec_lite.evaluation.rank_files import write_ranks
from m6rec_lite.recommenders import EASE, Bigram, ItemKNN, Popularity, UserKNN

RESULTS = project_root() / "results"


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
    orders = dict(reference_results.tie_orders(dataset.interactions, seed=0))
    assert next(iter(orders)) == "file"
    assert len(orders) == 4 + reference_results.SHUFFLES
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
    chosen = reference_results.tune(models, split, dataset.items, seed=0)
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
    for shared, model in zip(
        reference_results.fit_each(models, split, dataset.items), models, strict=True
    ):
        alone = kind(**model.get_params()).fit(split.train)
        queries = split.test.histories
        np.testing.assert_array_equal(shared.score(queries), alone.score(queries))
        assert shared.decay == model.get_params()["decay"]


def test_train_plus_validation_is_all_that_is_known(dataset: Dataset, split: Split) -> None:
    known = reference_results.with_validation(split)
    assert len(known) == len(split.train) + len(split.validation.targets)
    np.testing.assert_array_equal(known.histories().items, split.test.histories.items)


@pytest.mark.parametrize("name", list(reference_results.entries()))
def test_grids_are_valid_and_unfitted(name: str) -> None:
    models = reference_results.entries()[name]
    assert all(not model.is_fitted for model in models)
    assert len({repr(model) for model in models}) == len(models)
    again = type(models[-1])(**read_settings(models[-1].variant.split()))
    assert repr(again) == repr(models[-1])


def test_the_command_writes_tables_page_and_leaderboard(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {
        "Popularity": [Popularity()],
        "ItemKNN decay": [ItemKNN(k=3, decay=0.9), ItemKNN(k=3, decay=0.2)],
        "Bigram": [Bigram()],
    }
    reference = {
        "ItemKNN decay": PublishedResult("item-KNN", 0.5, 0.25, "nobody", {"k": 2, "decay": 0.5}),
        "Bigram": PublishedResult("bigram", 0.9, 0.8, "nobody"),
    }
    monkeypatch.setattr(reference_results, "entries", lambda: small)
    monkeypatch.setattr(reference_results, "load_dataset", lambda name: dataset)
    monkeypatch.setattr(reference_results, "SIMPLE_MODELS", {"ml-100k": reference})
    words = ["reference_results", "--dataset", "ml-100k", "--root", str(tmp_path), "--quiet"]
    assert main(words) == 0
    results = tmp_path / "results"
    rows = pd.read_csv(results / "reference" / "ml-100k.csv")
    assert rows["entry"].tolist() == list(small)
    assert rows["theirs_hr@10"].notna().tolist() == [False, True, True]
    assert rows["at_their_settings_hr@10"].notna().tolist() == [False, True, False]
    command = "python -m experiments reference_results --dataset ml-100k"
    assert (rows["command"] == command).all()
    ties = pd.read_csv(results / "reference" / "ml-100k-ties.csv")
    assert len(ties) == 2 * (4 + reference_results.SHUFFLES)
    file = ties[ties["order"] == "file"].set_index("entry")
    bigram = rows.set_index("entry").loc["Bigram"]
    assert file.loc["Bigram", "hr@10"] == pytest.approx(bigram["hr@10"])
    board = Leaderboard(results / "leaderboard").frame("ml-100k")
    assert board["model"].tolist() == ["Popularity", "ItemKNN", "Bigram"]
    index = Records(results).frame()
    assert sorted(index["model"]) == sorted(small)
    assert (index["ranks"] == "kept").all()
    text = page.write_page(results).read_text()
    assert f"`{command}`" in text
    assert str(tmp_path) not in text


def test_the_command_skips_what_is_recorded_and_keeps_ranks_of_rows_without(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    grid = [EASE(l2=3.0), EASE(l2=9.0)]
    monkeypatch.setattr(reference_results, "entries", lambda: {"EASE": grid})
    monkeypatch.setattr(reference_results, "load_dataset", lambda name: dataset)
    monkeypatch.setattr(reference_results, "SIMPLE_MODELS", {})
    words = ["reference_results", "--dataset", "ml-100k", "--root", str(tmp_path), "--quiet"]
    real, judged = reference_results.evaluate, []

    def watched(*values: object, **options: object) -> object:
        judged.append(options.get("on", "test"))
        return real(*values, **options)

    monkeypatch.setattr(reference_results, "evaluate", watched)
    assert main(words) == 0
    assert judged == ["validation", "validation", "test"]
    table = (tmp_path / "results" / "reference" / "ml-100k.csv").read_text()
    assert main(words) == 0
    assert len(judged) == 3  # recorded: nothing is measured
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    shutil.rmtree(folder)  # a row from before ranks were kept
    assert main(words) == 0
    assert judged[3:] == ["test"]  # at the settings of the row, without tuning
    assert (folder / "ranks.npz").is_file()
    assert (tmp_path / "results" / "reference" / "ml-100k.csv").read_text() == table
    shutil.rmtree(folder)
    path = tmp_path / "results" / "reference" / "ml-100k.csv"
    pd.read_csv(path).assign(**{"hr@10": 0.5}).to_csv(path, index=False)
    capsys.readouterr()
    assert main(words) == 2
    assert "--again evaluates all entries again" in capsys.readouterr().err
    assert main([*words, "--again"]) == 0


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
    return page.explain(pd.Series(ROW | changes), table)


def test_explanations_claim_only_what_was_measured() -> None:
    assert "equal in all digits" in explained(
        [0.2] * 3, **{"theirs_hr@10": 0.2, "theirs_ndcg@10": 0.1}
    )
    assert "ties may explain the difference" in explained([0.2, 0.26, 0.22])
    short = explained([0.2, 0.23, 0.22])
    assert "the reference HR@10, 0.2500, is 0.0200 outside" in short
    assert "rest is unexplained" in short
    # HR@10 within the span and NDCG@10 outside it is not an explanation
    half = explained([0.2, 0.26, 0.22], ndcg=(0.1, 0.12, 0.11))
    assert "the reference NDCG@10, 0.1250, is 0.0050 outside" in half
    assert "may explain" not in half
    both = {"theirs_hr@10": 0.21, "theirs_ndcg@10": 0.11}
    assert "train and validation together it equals the reference" in explained([0.2] * 3, **both)
    other = both | {"theirs_ndcg@10": 0.12}  # HR agrees by chance, NDCG does not
    assert "together it equals the reference" not in explained([0.2] * 3, **other)
    stated = {"their_settings": "l2=300", "at_their_settings_hr@10": 0.24}
    assert "(l2=300) HR@10 is closer, 0.2400" in explained([0.2] * 3, **stated)
    assert "HR@10 is farther, 0.1900" in explained(
        [0.2] * 3, **stated | {"at_their_settings_hr@10": 0.19}
    )
    same_ties = explained([0.2, 0.3, 0.25], dataset="ml-100k")
    assert "order of ties alone" not in same_ties
    assert "50 of 1,000 users" in same_ties


def test_users_with_exact_timestamps_are_judged_apart(
    dataset: Dataset, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"Bigram": Bigram(), "Popularity": Popularity(half_life_days=1, relative_to="at")}
    monkeypatch.setattr(page, "EXACT_ENTRIES", tuple(models))
    monkeypatch.setattr(
        page, "settings_of", lambda path: {name: model.variant for name, model in models.items()}
    )
    assert not len(page.exact_users(tmp_path))
    reports = {}
    for name, model in models.items():
        reports[name] = evaluate(model.fit(split.train), split, bootstrap=0, progress=False)
        key = RunKey("reference_results", "ml-1m", name, reference_results.TUNED)
        write_ranks(Records(tmp_path).folder(key) / RANKS, reports[name])
    table = page.exact_users(tmp_path, first=30)
    assert table["users"].tolist() == ["all", "below 30", "from 30 on"] * 2
    assert table["n_users"].tolist() == [80, 30, 50] * 2
    assert table["knows"].tolist() == ["nothing"] * 3 + ["query time"] * 3
    per_user = reports["Bigram"].per_user["ndcg@10"]
    wanted = [per_user.mean(), per_user[:30].mean(), per_user[30:].mean()]
    np.testing.assert_allclose(table["ndcg@10"][:3], wanted)
    assert (table["ndcg@10_low"] <= table["ndcg@10"]).all()


def test_the_page_has_the_exact_users_and_says_which_ranks_were_not_kept() -> None:
    text = (RESULTS / page.PAGE).read_text("utf-8")
    rows = page.exact_users(RESULTS)
    assert page.exact_section(rows) in text
    assert "17.8 %" in text
    assert "ranks of single users were not saved" in text
    assert set(rows["n_users"]) == {6040, 2999, 3041}
    # what was measured on MovieLens-1M before ranks were kept
    wanted = {"Popularity": 0.018461, "Bigram": 0.133271, "EASE decay": 0.134026}
    exact = rows[rows["users"] == "below 3000"].set_index("model")["ndcg@10"]
    assert {name: round(exact[name], 6) for name in wanted} == pytest.approx(wanted, abs=2e-6)


def test_the_page_is_what_the_tables_say_now(tmp_path: Path) -> None:
    for name in ("reference", "leaderboard", "runs"):
        (tmp_path / name).symlink_to(RESULTS / name)
    text = page.write_page(tmp_path).read_text("utf-8")
    assert text == (RESULTS / page.PAGE).read_text("utf-8")
