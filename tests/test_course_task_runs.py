"""The tasks' runs for the record: right scores, right comparisons, rows where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.course import task_runs, writing_runs
from m6rec_lite.course.task_runs import (
    SCORINGS,
    asked,
    likelihoods,
    ranked,
    some_users,
    with_prior,
)
from m6rec_lite.data import bazaar, leave_one_out
from m6rec_lite.evaluation import FixedScores, evaluate
from m6rec_lite.language.behaviour import BehaviourText
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import Conversation, Explanation, MultiTaskModel, Query, Ranking

DATASET = bazaar.generate(users=120, items=60, seed=6)
SPLIT = leave_one_out(DATASET)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh model, in a project of its own."""
    root = tmp_path_factory.mktemp("project")
    text = BehaviourText(DATASET)
    tokenizer = Tokenizer.train([text.item(int(i)) for i in DATASET.items["item_id"]], 600)
    torch.manual_seed(0)
    config = M6RecConfig.of_size("nano", tokenizer, hidden_size=24, num_hidden_layers=1)
    M6RecModel(config).save_pretrained(root / "checkpoint")
    tokenizer.save(root / "checkpoint")
    return root / "checkpoint"


@pytest.fixture
def project(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = checkpoint.parent
    for module in (task_runs, writing_runs):
        monkeypatch.setattr(module, "project_root", lambda: root)
        monkeypatch.setattr(module, "load_dataset", lambda name: DATASET)
    return root


def test_each_scoring_is_that_of_the_task_itself(checkpoint: Path) -> None:
    model, tokenizer = M6RecModel.from_pretrained(checkpoint), Tokenizer.load(checkpoint)
    prompts = PromptBuilder(BehaviourText(DATASET), tokenizer, 256)
    histories, places = SPLIT.test.histories[:3], np.array([5, 2, 11])
    found = likelihoods(model, histories, prompts, places)
    ranking = Ranking()
    ids = [histories.item_ids[places]] * 3
    examples = ranking.build_examples(histories, ids, prompts)
    for name, (normalise, lift) in SCORINGS.items():
        how = {"normalise": normalise, "lift": lift, "tokenizer": tokenizer}
        wanted = ranking.predict(model, examples, **how).reshape(3, 3)
        np.testing.assert_allclose(found[name][:, places], wanted, rtol=1e-5, atol=1e-5)
        assert np.isneginf(np.delete(found[name], places, axis=1)).all()


def test_the_scoring_is_chosen_on_validation(checkpoint: Path) -> None:
    model, tokenizer = M6RecModel.from_pretrained(checkpoint), Tokenizer.load(checkpoint)
    prompts = PromptBuilder(BehaviourText(DATASET), tokenizer, 256)
    split = some_users(SPLIT, 12, 8, seed=0)
    assert (len(split.validation), len(split.test)) == (12, 8)
    assert some_users(SPLIT, 12, 8, seed=0).hash == split.hash
    scores = asked(model, split, prompts)
    best, report = ranked(scores, "M6-Rec", split)
    histories = split.validation.histories
    figures = {}
    for name, matrix in scores["validation"].items():
        fixed = FixedScores(split.item_ids, histories.user_ids, matrix)
        figures[name] = evaluate(fixed, split, on="validation", progress=False)["ndcg@10"]
    assert figures[best] == max(figures.values())
    assert report.on == "test"
    assert report.n_users == 8
    lift = scores["test"]["sum, lift"]
    both = with_prior(scores, np.arange(len(split.item_ids)))["test"]
    np.testing.assert_allclose(both["w=0.2"], np.log1p(np.arange(lift.shape[1])) + 0.2 * lift)


def test_a_run_writes_rows_with_intervals_beside_popularity(project: Path) -> None:
    given = ["zero-shot", "--model", "checkpoint", "--users", "12", "--max-tokens", "256"]
    assert task_runs.main(given) == 0
    table = pd.read_csv(project / "results" / "tasks" / "bazaar.csv")
    assert set(table["model"]) == {"Popularity", "Bigram", "M6-Rec", task_runs.PRIOR}
    assert table["command"].str.endswith("task_runs " + " ".join(given)).all()
    found = table.set_index(["model", "metric"])
    gap = found.loc[("M6-Rec", "ndcg@10 - Popularity")]
    both = [found.loc[(name, "ndcg@10"), "value"] for name in ("M6-Rec", "Popularity")]
    assert gap["value"] == pytest.approx(both[0] - both[1], abs=1e-5)
    assert gap["low"] <= gap["value"] <= gap["high"]
    n = len(table)
    assert task_runs.main(given) == 0
    assert len(pd.read_csv(project / "results" / "tasks" / "bazaar.csv")) == n


def test_curves_are_written_for_every_number_of_examples(project: Path) -> None:
    given = ["new-domain", "--domains", "music", "--models", "Popularity", "ContentBased"]
    assert task_runs.main(given) == 0
    table = pd.read_csv(project / "results" / "new_domain" / "bazaar.csv")
    assert set(table["model"]) == {"Popularity", "ContentBased"}
    per_model = table.groupby("model")["examples"].apply(list)
    assert per_model["Popularity"] == per_model["ContentBased"]
    assert per_model["Popularity"][0] == 0
    assert table["all examples"].sum() == 2
    words = table[table["model"] == "ContentBased"]["ndcg@10"]
    assert (words == words.iloc[0]).all()  # it learns nothing from rows


def test_a_run_that_cannot_be_made_says_why(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert task_runs.main(["zero-shot", "--model", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert task_runs.main(["new-domain", "--domains", "opera"]) == 2
    assert "opera" in capsys.readouterr().err
    assert writing_runs.main(["--model", "nowhere"]) == 2


def test_tasks_are_tuned_together_saved_and_judged(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_runs, "LIMIT", 60)
    longer = {name: (said, 512) for name, (said, _) in writing_runs.CONTEXTS.items()}
    monkeypatch.setattr(writing_runs, "CONTEXTS", longer)
    given = ["--model", "checkpoint", "--steps", "2", "--tokens", "512"]
    given += ["--tasks", "explanation", "query", "conversation"]
    assert writing_runs.main(given) == 0
    table = pd.read_csv(project / "results" / "tasks" / "bazaar.csv")
    mine = table[table["task"].isin(["explanation", "query", "conversation"])]
    found = mine.set_index(["task", "part", "model", "metric"])["value"]
    for task, part in (("explanation", "writers"), ("query", "people")):
        assert found[(task, part, "M6-Rec", "perplexity")] > 1
    right = found[("explanation", "test", "M6-Rec", "true aspect")]
    most = found[("explanation", "test", "most frequent aspect", "true aspect")]
    ratio = found[("explanation", "test", "M6-Rec", "true aspect / most frequent aspect")]
    assert ratio == pytest.approx(right / most, rel=1e-4)
    assert found[("conversation", "held out", "M6-Rec", "item exists")] == 1
    assert found[("query", "test", "people", "exact")] == 1
    kinds = {"explanation": Explanation, "query": Query, "conversation": Conversation}
    both, _ = MultiTaskModel.load(project / "runs" / "together" / "bazaar-seed0" / "model", kinds)
    assert set(both.tasks) == set(kinds)


def test_a_share_of_right_answers_has_an_interval() -> None:
    value, low, high = writing_runs.counted(np.array([True] * 30 + [False] * 70))
    assert value == 0.3
    assert 0.15 < low < 0.3 < high < 0.45
