"""The contract of every task: the same methods, of the same signature, on a small bazaar."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from m6rec_lite.data import bazaar
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.task_results import evaluate_task
from m6rec_lite.m6rec.tasks import TASKS, Examples, MultiTaskModel, Task, collate
from m6rec_lite.m6rec.tuning import TuningData

DATASET = bazaar.generate(users=120, items=60, seed=6)
TOKENIZER = Tokenizer.train([*DATASET.items["title"], *DATASET.reviews["text"]], 600)
ONE = TuningData.of(DATASET, TOKENIZER, 512)
DATA, PROMPTS = ONE
SHAPE = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
LIMIT = 12
#: The task, its examples to learn from and to be tested on.
Built = tuple[Task, Examples, Examples]


@pytest.fixture(scope="module")
def model() -> M6RecModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **SHAPE)).eval()


def fresh(name: str) -> Task:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TASKS[name].create(DATA, SHAPE["hidden_size"])


@pytest.fixture(scope="module", params=sorted(TASKS))
def built(request: pytest.FixtureRequest) -> Built:
    task = fresh(request.param)
    train = task.build_examples(DATA, PROMPTS, limit=LIMIT, fit=True)
    return task, train, task.build_examples(DATA, PROMPTS, "test", limit=3)


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    result = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in result]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_the_methods_of_the_contract_in_one_signature(name: str) -> None:
    kind = TASKS[name]
    for method in ("build_examples", "evaluate", "baselines"):
        assert getattr(kind, method) is getattr(Task, method), method
    for method in ("loss", "choose", "settings"):
        assert parameters(getattr(kind, method)) == parameters(getattr(Task, method)), method
    first, second, third, *options = inspect.signature(kind.predict).parameters.values()
    assert [first.name, second.name, third.name] == ["self", "model", "examples"]
    for one in options:
        assert one.kind is one.KEYWORD_ONLY, one
        assert one.default is not one.empty, one
    assert {"train", "test"} <= set(kind.parts)


def test_examples_are_of_their_part_and_drawn_by_the_seed(built: Built) -> None:
    task, train, _ = built
    assert task.supports(DATA)
    assert 0 < len(train) <= LIMIT
    assert train.lengths.max() <= PROMPTS.max_tokens or task.name == "retrieval"  # two rows there
    again = task.build_examples(DATA, PROMPTS, limit=LIMIT)
    assert [row.tolist() for row in again.known] == [row.tolist() for row in train.known]
    assert [row.tolist() for row in again.written] == [row.tolist() for row in train.written]
    other = task.build_examples(replace(DATA, seed=1), PROMPTS, limit=LIMIT)
    assert [row.tolist() for row in other.known] != [row.tolist() for row in train.known]
    with pytest.raises(ValueError, match="part must be one of train, "):
        task.build_examples(DATA, PROMPTS, "tomorrow")
    with pytest.raises(ValueError, match="limit must be at least 1"):
        task.build_examples(DATA, PROMPTS, limit=0)


def test_the_loss_reaches_the_model_and_the_task(built: Built, model: M6RecModel) -> None:
    task, train, _ = built
    model.zero_grad()
    task.zero_grad()
    loss = task.loss(model, collate(train, np.arange(len(train))))
    assert loss.ndim == 0
    loss.backward()
    for weight in [model.embedding.weight, *task.parameters()]:
        assert torch.isfinite(weight.grad).all()
        assert weight.grad.abs().max() > 0


def test_answers_are_repeatable_and_measured(built: Built, model: M6RecModel) -> None:
    task, _, test = built
    model.train()
    outputs = task.predict(model, test)
    assert model.training
    model.eval()
    assert len(outputs) == len(test)
    figures = task.evaluate(outputs, test, DATA)
    assert figures
    assert all(isinstance(value, (int, float)) for value in figures.values())
    assert task.evaluate(task.predict(model, test), test, DATA) == pytest.approx(
        figures, nan_ok=True
    )
    with pytest.raises(ValueError, match="wanted"):
        task.evaluate(outputs[:-1], test, DATA)


def test_baselines_are_measured_as_the_model_is(built: Built, model: M6RecModel) -> None:
    task, train, test = built
    figures = task.evaluate(task.predict(model, test), test, DATA)
    baselines = task.baselines(train, test, DATA)
    assert baselines
    for name, outputs in baselines.items():
        result = task.evaluate(outputs, test, DATA)
        assert result, name
        assert result.keys() <= figures.keys(), name
    with pytest.raises(ValueError, match="to learn from"):
        task.baselines(train[:0], test, DATA)


def test_settings_are_json_and_make_the_task_again(built: Built) -> None:
    task, _, _ = built
    settings = json.loads(json.dumps(task.settings()))
    assert type(task)(**settings).settings() == task.settings()


@pytest.mark.parametrize("name", sorted(TASKS))
def test_one_driver_measures_every_task(name: str, model: M6RecModel) -> None:
    task = fresh(name)
    task.build_examples(DATA, PROMPTS, limit=LIMIT, fit=True)
    result = evaluate_task(task, model, ONE, limit=2, rows=LIMIT)
    assert 0 < result["rows"] <= 2 * max(task.test_factor, len(DATA.split.item_ids))
    assert result["beside"]


def test_a_task_says_which_table_it_lacks() -> None:
    tables = {"scoring": "impressions", "explanation": "reviews", "query": "queries"}
    for name, table in (tables | {"conversation": "dialogues"}).items():
        data = replace(DATA, dataset=replace(DATASET, **{table: None}))
        task = fresh(name)
        assert not task.supports(data)
        with pytest.raises(ValueError, match=f"has no {table}"):
            task.build_examples(data, PROMPTS)


def test_all_tasks_are_saved_with_one_model(model: M6RecModel, tmp_path) -> None:
    tasks = {name: fresh(name) for name in TASKS}
    for task in tasks.values():
        task.build_examples(DATA, PROMPTS, limit=LIMIT, fit=True)
    both = MultiTaskModel(model, tasks)
    both.save(tmp_path / "model", TOKENIZER)
    again, _ = MultiTaskModel.load(tmp_path / "model", TASKS)
    for name, task in tasks.items():
        test = task.build_examples(DATA, PROMPTS, "test", limit=2)
        before, after = (
            one.tasks[name].evaluate(one.tasks[name].predict(one.model, test), test, DATA)
            for one in (both, again)
        )
        assert before == pytest.approx(after, nan_ok=True), name
