"""Training on more and more people, and the Bayes filter's rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import bayes_filter, people
from experiments.__main__ import main
from experiments.compare import user_metric
from experiments.records import Records
from m6rec_lite.data import bazaar, leave_one_out

DIALS = {"users": 60, "items": 60, "slates": 0, "seed": 2, "progress": False}
LARGE = replace(bazaar.generate(blocks=3, **DIALS), name="bazaar-large")
SHOP = bazaar.generate(**DIALS)
SPLIT = leave_one_out(SHOP)
TINY = ["epochs=1", "size=1x32", "vocab_size=300"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run an experiment on the small worlds; return its records."""
    for module in (bayes_filter, people):
        worlds = {"bazaar": SHOP, "bazaar-large": LARGE}
        monkeypatch.setattr(module, "load_dataset", lambda name, worlds=worlds: worlds[name])

    def run(*words: str):
        assert main([*words, "--root", str(tmp_path), "--quiet"]) == 0
        return Records(tmp_path / "results").frame()

    return run


def test_rows_are_nested_and_lack_what_the_shop_is_asked() -> None:
    own, more, everybody = (people.rows_of_people(LARGE, SPLIT, n) for n in (60, 120, 180))
    assert own.matrix().nnz == SPLIT.train.matrix().nnz == len(own)
    np.testing.assert_array_equal(own.item_ids, SPLIT.item_ids)
    assert len(own) < len(more) < len(everybody)
    assert more.user_ids.max() == 120
    pairs = {
        (int(everybody.user_ids[user]), int(everybody.item_ids[item]))
        for user, item in zip(everybody.users, everybody.items, strict=True)
    }
    for holdout in (SPLIT.validation, SPLIT.test):
        users = holdout.histories.user_ids[holdout.target_rows]
        targets = zip(users.tolist(), SPLIT.item_ids[holdout.targets].tolist(), strict=True)
        assert not pairs & set(targets)


def test_each_number_of_people_is_a_run_with_ranks(command, capsys) -> None:
    command("people", "EASE", "--people", "60")
    command("people", "EASE", "--people", "180")
    frame = command("people", "M6RecRetriever", "--people", "120", "--set", *TINY)
    assert frame["variant"].tolist() == ["180 people", "60 people", f"120 people {' '.join(TINY)}"]
    assert (frame["ranks"] == "kept").all()
    command("people", "EASE", "--people", "60")
    assert "recorded before" in capsys.readouterr().out


def test_the_filter_has_a_row_for_each_knowledge_and_part(command) -> None:
    frame = command("bayes_filter", "--states", "4")
    assert len(frame) == 4 + 4 + 1
    assert frame["ndcg@10"].between(0.05, 1).all()


def test_the_filter_answers_a_sample_of_the_questions(command, tmp_path) -> None:
    frame = command("bayes_filter", "--states", "2", "--parts", "--questions", "20")
    assert len(frame) == 4
    assert frame["variant"].str.endswith("20 questions").all()
    folder = Records(tmp_path / "results").runs / frame["id"][0]
    users = user_metric(folder).index
    assert len(users) == 20
    assert set(users) < set(SPLIT.test.histories.user_ids)
    assert json.loads((folder / "config.json").read_text())["split_hash"] == SPLIT.hash
