"""The tasks' runs for the record: right scores, right comparisons, rows where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import generation, tasks
from experiments.__main__ import main
from experiments.tasks import best_scoring, likelihoods, sample_holdout, with_prior
from m6rec_lite.data import bazaar, leave_one_out
from m6rec_lite.evaluation import FixedScores, evaluate
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import TASKS, MultiTaskModel, Ranking, TaskData

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
    for module in (tasks, generation):
        monkeypatch.setattr(module, "load_dataset", lambda name: DATASET)
    return checkpoint.parent


def run(project: Path, *words: str) -> int:
    return main([*words, "--root", str(project), "--quiet"])


def test_the_scoring_is_chosen_on_validation(checkpoint: Path) -> None:
    model, tokenizer = M6RecModel.from_pretrained(checkpoint), Tokenizer.load(checkpoint)
    prompts = PromptBuilder(BehaviourText(DATASET), tokenizer, 256)
    split = sample_holdout(SPLIT, 12, 8, seed=0)
    assert (len(split.validation), len(split.test)) == (12, 8)
    assert sample_holdout(SPLIT, 12, 8, seed=0).hash == split.hash
    data = TaskData(DATASET, split)
    scores = likelihoods(model, data, prompts)
    best, report = best_scoring(scores, "M6-Rec", data)
    users, matrices = scores["validation"]
    figures = {}
    for name, matrix in matrices.items():
        fixed = FixedScores(split.item_ids, users, matrix)
        figures[name] = evaluate(fixed, split, on="validation", progress=False)["ndcg@10"]
    assert figures[best] == max(figures.values())
    assert report.on == "test"
    assert report.n_users == 8
    examples = Ranking().build_examples(data, prompts, "test")
    one = Ranking(scoring=best).predict(model, examples).reshape(8, -1)
    np.testing.assert_allclose(scores["test"][1][best], one, rtol=1e-5, atol=1e-5)
    lift = scores["test"][1]["sum, lift"]
    both = with_prior(scores, np.arange(len(split.item_ids)))["test"][1]
    np.testing.assert_allclose(both["w=0.2"], np.log1p(np.arange(lift.shape[1])) + 0.2 * lift)


def test_a_run_writes_rows_with_intervals_beside_popularity(project: Path) -> None:
    options = ["tasks", "zero-shot", "--model", "checkpoint", "--users", "12"]
    options += ["--max-tokens", "256"]
    assert run(project, *options) == 0
    table = pd.read_csv(project / "results" / "tasks" / "bazaar.csv")
    assert set(table["model"]) == {"Popularity", "Bigram", "M6-Rec", tasks.PRIOR}
    assert set(table["command"]) == {"python -m experiments " + " ".join(options)}
    result = table.set_index(["model", "metric"])
    gap = result.loc[("M6-Rec", "ndcg@10 - Popularity")]
    both = [result.loc[(name, "ndcg@10"), "value"] for name in ("M6-Rec", "Popularity")]
    assert gap["value"] == pytest.approx(both[0] - both[1], abs=1e-5)
    assert gap["low"] <= gap["value"] <= gap["high"]
    n = len(table)
    assert run(project, *options) == 0
    assert len(pd.read_csv(project / "results" / "tasks" / "bazaar.csv")) == n


def test_curves_are_written_for_every_number_of_examples(project: Path) -> None:
    options = [
        "tasks",
        "new-domain",
        "--domains",
        "music",
        "--models",
        "Popularity",
        "ContentBased",
    ]
    assert run(project, *options) == 0
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
    assert run(project, "tasks", "zero-shot", "--model", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    assert run(project, "tasks", "new-domain", "--domains", "opera") == 2
    assert "opera" in capsys.readouterr().err
    assert run(project, "generation", "--model", "nowhere") == 2


def test_tasks_are_tuned_together_saved_and_judged(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "LIMIT", 60)
    longer = {name: (said, 512) for name, (said, _) in generation.CONTEXTS.items()}
    monkeypatch.setattr(generation, "CONTEXTS", longer)
    options = ["--model", "checkpoint", "--steps", "2", "--tokens", "512"]
    options += ["--tasks", "explanation", "query", "conversation"]
    assert run(project, "generation", *options) == 0
    table = pd.read_csv(project / "results" / "tasks" / "bazaar.csv")
    own = table[table["task"].isin(["explanation", "query", "conversation"])]
    result = own.set_index(["task", "part", "model", "metric"])["value"]
    for task, part in (("explanation", "writers"), ("query", "people")):
        assert result[(task, part, "M6-Rec", "perplexity")] > 1
    right = result[("explanation", "test", "M6-Rec", "true aspect")]
    most = result[("explanation", "test", "most frequent aspect", "true aspect")]
    ratio = result[("explanation", "test", "M6-Rec", "true aspect / most frequent aspect")]
    assert ratio == pytest.approx(right / most, rel=1e-4)
    assert result[("conversation", "held out", "M6-Rec", "item exists")] == 1
    assert result[("query", "test", "people", "exact")] == 1
    kinds = {name: TASKS[name] for name in ("explanation", "query", "conversation")}
    both, _ = MultiTaskModel.load(project / "runs" / "together" / "bazaar-seed0" / "model", kinds)
    assert set(both.tasks) == set(kinds)


def test_a_share_of_right_answers_has_an_interval() -> None:
    right = np.array([1.0] * 30 + [0.0] * 70 + [np.nan] * 20)
    ends = generation.interval(right)
    assert 0.15 < ends["low"] < 0.3 < ends["high"] < 0.45
    assert generation.interval(right[-3:]) == {}
