"""The experiments of lesson 30 on small worlds."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import augmentation, tuning
from experiments.records import Records
from m6rec_lite.data import Interactions, Split, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.recommenders import add_histories


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(generate(users=120, items=60, seed=2, slates=0, text=False))


def options(module, root: Path, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    parsed = parser.parse_args([*arguments, "--seeds", "1"])
    parsed.root, parsed.again, parsed.quiet, parsed.command = root, False, True, "command"
    return parsed


@pytest.mark.slow
def test_best_of_n_has_a_record_for_each_count_and_is_skipped_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tuning, "COUNTS", (1, 48))
    monkeypatch.setattr(tuning, "EPOCHS", 1)
    monkeypatch.setitem(tuning.PEOPLE, "best-of-n", 100)
    tuning.run(options(tuning, tmp_path, "--part", "best-of-n"))
    frame = Records(tmp_path / "results").frame().set_index("model")["ndcg@10"]
    assert set(frame.index) == {f"{kind} {n}" for kind in ("chosen", "fresh", "typical")
                                for n in (1, 48)}  # fmt: skip
    assert frame["chosen 48"] > frame["typical 48"]
    tuning.run(options(tuning, tmp_path, "--part", "best-of-n"))
    assert "best-of-n, seed 1: recorded" in capsys.readouterr().out


@pytest.mark.slow
def test_stacking_judges_its_rivals_on_the_same_questions(split: Split) -> None:
    rows = {name: report for name, _, report in tuning.stacking(split, 0)}
    assert {"best single", "equal sum", "Stacked linear", "Stacked mlp", "Stacked cnn"} < set(rows)
    assert all(np.array_equal(r.user_ids, rows["EASE"].user_ids) for r in rows.values())
    singles = [rows[name] for name in ("Popularity", "Bigram", "Markov", "ItemKNN", "EASE")]
    assert rows["best single"] in [*singles, rows["SASRec"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", augmentation.KINDS)
def test_every_kind_doubles_the_histories(split: Split, kind: str) -> None:
    more = augmentation.with_more(split.train, kind, seed=0)
    n = split.train.n_users
    assert more.n_users == (n if kind == "none" else 2 * n)
    np.testing.assert_array_equal(more.items[: len(split.train)], split.train.items)


def test_plausible_counts_neighbours_of_one_interest_in_the_added_histories() -> None:
    known = {"user_id": [1, 1, 2, 2, 2], "item_id": [0, 1, 0, 2, 3], "timestamp": range(5)}
    train = Interactions.from_frame(pd.DataFrame(known), item_ids=np.arange(4))
    rows = add_histories(train, [np.array([0, 1, 2]), np.array([3, 0])])
    interest = np.array([0, 0, 1, 1])
    assert augmentation.plausible(rows, 2, interest) == pytest.approx(1 / 3)
    assert augmentation.plausible(rows, 0, interest) == pytest.approx(3 / 6)


@pytest.mark.slow
def test_only_some_kinds_of_histories_are_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "PEOPLE", 100)
    monkeypatch.setattr(augmentation, "SHARES", (1.0,))
    monkeypatch.setattr(augmentation, "GAN_STEPS", 2)
    augmentation.run(options(augmentation, tmp_path, "--only", "GAN", "none"))
    table = pd.read_csv(tmp_path / "results" / "augmentation" / "bazaar.csv").set_index("model")
    assert set(table.index) == {"GAN", "none"}
    assert 0 <= table.loc["GAN", "plausible"] <= 1
    assert np.isnan(table.loc["none", "plausible"])


@pytest.mark.slow
def test_regularization_has_a_row_for_each_way(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tuning.NETWORK, "epochs", 2)
    rows = {name: metrics for name, metrics, _ in tuning.regularization(split, 0)}
    assert list(rows) == list(tuning.WAYS)
    assert tuning.LAST["regularization"] == list(rows)[-1]
    assert rows["batch norm"]["loss"] != rows["none"]["loss"]


@pytest.mark.slow
def test_the_ladder_is_stacked_with_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = generate(users=80, items=60, seed=2, slates=0)
    few = [tuning.Popularity(), *tuning.further_parts(0)[:1]]
    monkeypatch.setattr(tuning, "six_parts", lambda seed: few[:1])
    monkeypatch.setattr(tuning, "further_parts", lambda seed: few[1:])
    rows = [name for name, _, _ in tuning.stacking(leave_one_out(world), 0, world.items)]
    assert rows[:3] == ["Popularity", "ContentBased", "best single"]
    assert rows[-1] == tuning.LAST["stacking-ladder"]


@pytest.mark.slow
def test_active_rules_lie_between_nobody_and_everybody(split: Split) -> None:
    rows = {name: report["ndcg@10"] for name, _, report, _ in augmentation.active(split, 0)}
    assert set(rows) == {"nobody", *augmentation.RULES, "everybody"}
    assert rows["everybody"] > rows["nobody"]
