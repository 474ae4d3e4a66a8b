"""The examples of M6-Rec's seven tasks on one data set, and the figures of a model on them.

A task has training, validation and test examples, one figure that says how well it is done, and a
loss in nats. The figure is a mean over users or answers, of which every value is kept, so that two
models are compared by a paired test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from experiments.generation import CONTEXTS, interval
from experiments.zero_shot import CANDIDATES, Lists, draw_lists, encode_lists, list_report
from m6rec_lite.data import Dataset
from m6rec_lite.evaluation import PairedTest, Report, auc, compare_auc, paired_test
from m6rec_lite.language import BehaviourText, Tokenizer
from m6rec_lite.m6rec import (
    TASKS,
    Examples,
    M6RecModel,
    PromptBuilder,
    Ranking,
    Retrieval,
    Task,
    TaskBatches,
    TaskData,
)
from m6rec_lite.m6rec.tasks.full_ranking import ranking_report
from m6rec_lite.m6rec.tasks.generation import GenerationTask
from m6rec_lite.nn.decoding import inference_mode

#: The figure of each task; higher is better. ``ndcg@10`` of ranking is on lists of twenty items.
FIGURES = {
    "scoring": "auc",
    "retrieval": "ndcg@10",
    "ranking": "ndcg@10",
    "explanation": "true aspect",
    "design": "target",
    "query": "target",
    "conversation": "item hit",
}
#: Settings of a task.
SETTINGS: dict[str, dict[str, Any]] = {"scoring": {"events": 3}}
#: Description of the user and maximum number of tokens of a row, of the tasks that do not write.
READING: dict[str, tuple[Mapping[str, Any], int]] = {
    "scoring": ({}, 256),
    "retrieval": ({}, 192),
    "ranking": ({}, 192),
}
#: Multiples of the tokens of a batch. The items of a batch are the negatives of retrieval, so a
#: batch needs many users.
BATCHES = {"retrieval": 4}
#: Test examples, as multiples of the limit of the tasks that write.
TEST_FACTORS = {"scoring": 10, "retrieval": 5}


@dataclass(frozen=True)
class Limits:
    """The size of the examples.

    Attributes:
        rows: training examples of a task at most.
        tokens: of a task's batch, times ``BATCHES``.
        validation: validation examples of a task at most.
        test: test examples of a task that writes; of others times ``TEST_FACTORS``.
        max_tokens: of a row at most; None takes the task's own maximum.
    """

    rows: int = 20_000
    tokens: int = 1024
    validation: int = 64
    test: int = 150
    max_tokens: int | None = None


@dataclass(frozen=True)
class Answers:
    """A model's answers to the test examples of a task.

    Attributes:
        values: ``(n,)``: of scoring the probability of a click, else the figure of each example;
            NaN where it does not apply.
        nats: mean loss of the test examples.
    """

    values: np.ndarray
    nats: float


@dataclass(frozen=True, eq=False)
class TaskSet:
    """A task's examples.

    Attributes:
        task: new, with its statistics fitted to the training examples.
        train: training examples.
        validation: examples to choose settings by; none of them is in ``train``.
        test: test examples; those of ranking are lists of twenty items.
        losses: test examples of which the loss is computed.
        batch_tokens: of a batch.
        lists: of ranking: the lists of validation, their examples, and the lists of test.
    """

    task: Task
    train: Examples
    validation: Examples
    test: Examples
    losses: Examples
    batch_tokens: int
    lists: tuple[Lists, Examples, Lists] | None = None

    def batches(self, pad: int) -> TaskBatches:
        """Return the training batches."""
        return TaskBatches(self.train, self.batch_tokens, pad=pad)

    def answer(self, task: Task, model: M6RecModel, data: TaskData) -> Answers:
        """Return the answers of a model with its own trained copy of the task.

        Ranking takes the score that is best on the validation lists.
        """
        nats = mean_loss(task, model, self.losses, self.batch_tokens)
        if self.lists is not None:
            assert isinstance(task, Ranking)
            task.scoring = _best_scoring(task, model, self.lists[0], self.lists[1], data)
        outputs = task.predict(model, self.test)
        if self.lists is not None:
            return Answers(_ndcg(list_report(outputs, self.lists[2], data, "M6-Rec")), nats)
        if isinstance(task, Retrieval):
            users = self.test.about["user_id"].to_numpy()
            return Answers(_ndcg(ranking_report(outputs, users, data, self.test.part)), nats)
        if isinstance(task, GenerationTask):
            values = task.per_example(outputs, self.test, data)
            return Answers(np.asarray(values[FIGURES[task.name]], dtype=np.float64), nats)
        return Answers(np.asarray(outputs, dtype=np.float64), nats)

    def figure(self, answers: Answers) -> dict[str, float]:
        """Return ``value``, and ``low`` and ``high`` where an interval is defined, and ``n``."""
        if self.task.name == "scoring":
            value = auc(self.test.target, answers.values)
            return {"value": value, "n": len(answers.values)}
        known = ~np.isnan(answers.values)
        value = float(answers.values[known].mean()) if known.any() else float("nan")
        return {"value": value, "n": int(known.sum())} | interval(answers.values)

    def compare(self, first: Answers, second: Answers) -> PairedTest:
        """Return the paired difference of the figure, first minus second, with its interval."""
        if self.task.name == "scoring":
            users = self.test.about["user_id"].to_numpy()
            return compare_auc(self.test.target, first.values, second.values, users)
        return paired_test(first.values, second.values, method="bootstrap")


def task_sets(
    dataset: Dataset,
    tokenizer: Tokenizer,
    hidden_size: int,
    limits: Limits,
    *,
    templates: str = "default",
    seed: int = 0,
) -> tuple[TaskData, dict[str, TaskSet]]:
    """Build the examples of every task that the data set permits.

    Args:
        dataset: with text.
        tokenizer: of the model.
        hidden_size: of the model.
        limits: numbers of examples and of tokens.
        templates: of the texts of behaviour; those of the model's pretraining.
        seed: of the draws, and of the new heads.

    Returns:
        The data, and a set for each task, in the order of ``FIGURES``.
    """
    data = TaskData.of(dataset, seed=seed)
    texts: dict[str, BehaviourText] = {}
    sets = {}
    for name in FIGURES:
        if not TASKS[name].supports(data):
            continue
        context, most = (READING | CONTEXTS)[name]
        if str(context) not in texts:
            texts[str(context)] = BehaviourText(dataset, templates, **context)
        prompts = PromptBuilder(texts[str(context)], tokenizer, limits.max_tokens or most)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            task = TASKS[name].create(data, hidden_size, SETTINGS.get(name))
        sets[name] = _task_set(task, data, prompts, limits)
    return data, sets


def mean_loss(task: Task, model: M6RecModel, examples: Examples, tokens: int) -> float:
    """Return the mean loss of examples in nats, in batches of fixed order."""
    batches = TaskBatches(examples, tokens, shuffle=False).epoch(0, 0)
    total = 0.0
    with inference_mode(model):
        for i in range(len(batches)):
            batch = batches[i].to(model.device)
            total += float(task.loss(model, batch)) * len(batch.rows)
    return total / len(examples)


def _task_set(task: Task, data: TaskData, prompts: PromptBuilder, limits: Limits) -> TaskSet:
    """Build the examples of a task."""
    name = task.name
    train = task.build_examples(data, prompts, limit=limits.rows, fit=True)
    most = limits.test * TEST_FACTORS.get(name, 1)
    lists = None
    if isinstance(task, Ranking):
        known, asked = (
            draw_lists(data, part, users)
            for part, users in (("validation", limits.validation), ("test", most))
        )
        ranked, test = (encode_lists(each, data, prompts) for each in (known, asked))
        validation, losses = ranked[::CANDIDATES], test[::CANDIDATES]  # the targets
        lists = (known, ranked, asked)
    else:
        losses = test = task.build_examples(data, prompts, "test", limit=most)
        if "validation" in task.parts:
            validation = task.build_examples(data, prompts, "validation", limit=limits.validation)
        else:
            train, validation = _divide(train, limits.validation)
    tokens = limits.tokens * BATCHES.get(name, 1)
    return TaskSet(task, train, validation, test, losses, tokens, lists)


def _best_scoring(
    task: Ranking, model: M6RecModel, lists: Lists, examples: Examples, data: TaskData
) -> str:
    """Return the score of the highest NDCG@10 on some lists, the first of equal ones."""
    ndcg = {
        name: list_report(scores, lists, data, name)["ndcg@10"]
        for name, scores in task.scores(model, examples).items()
    }
    return max(ndcg, key=lambda name: ndcg[name])


def _divide(train: Examples, most: int) -> tuple[Examples, Examples]:
    """Take the last tenth of the dialogues from the training examples, to validate on them."""
    numbers = train.about["dialogue_id"].to_numpy()
    last = np.unique(numbers)[-max(1, len(np.unique(numbers)) // 10) :]
    held_out = np.isin(numbers, last)
    validation = train[held_out][:most]
    return train[~held_out], replace(validation, part="validation")


def _ndcg(report: Report) -> np.ndarray:
    """Return NDCG@10 of each user of a report."""
    return np.asarray(report.per_user["ndcg@10"], dtype=np.float64)
