"""The tasks of ``adapting``: clicks, conversions, the next item, and likes of films.

Test and validation rows are the same for every method, number of rows and seed, and are encoded
once a process. The seed draws the training rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from m6rec_lite.ctr import MeanRateCTR
from m6rec_lite.ctr.base import labelled
from m6rec_lite.ctr.impressions import known_at, split_by_time
from m6rec_lite.data import Dataset
from m6rec_lite.evaluation import Report, auc, compare_auc
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.adapt.adapted import Adapted
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import Retrieval, Scoring, TaskData
from m6rec_lite.m6rec.tasks.full_ranking import ranking_report
from m6rec_lite.m6rec.tasks.task import Examples

#: Ratings of ``likes``, the latest of the data set; the least rating of a film that is liked; and
#: validation rows at most, since each of them chooses a learning rate and a round.
LATEST, LIKED, VALIDATION = 10_000, 4, 200
#: Rows by which the levels of numeric features are fitted, without labels.
ROWS_OF_LEVELS = 8192


@dataclass(frozen=True)
class Result:
    """The evaluation of a model on the test rows.

    Attributes:
        metrics: by name.
        low: lower end of the 95 % interval of the task's metric, over users.
        high: upper end.
        answers: ``(n,)`` probabilities; None where items are ranked.
        report: with ranks; None where nothing is ranked.
    """

    metrics: dict[str, float]
    low: float
    high: float
    answers: np.ndarray | None = None
    report: Report | None = None


class ScoringQuestion:
    """Clicks (CTR), or purchases of what was clicked (CVR).

    Args:
        dataset: with impressions.
        tokenizer: of the model.
        label: ``clicked`` or ``purchased``.
        max_tokens: of a row.
        n_test: test rows at most, half of them with the label if there are as many. AUC does not
            depend on that share, and few of the shown items are clicked.
        n_validation: validation rows at most, likewise.
    """

    metric: ClassVar[str] = "auc"
    #: Phrases about an item in the short form; no events: rows of clicks then have few tokens.
    features: ClassVar[tuple[str, ...]] = ("brief",)
    events: ClassVar[int] = 0

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Tokenizer,
        label: str,
        *,
        max_tokens: int,
        n_test: int,
        n_validation: int,
    ) -> None:
        self.dataset, self.label = dataset, label
        self.prompts = PromptBuilder(BehaviourText(dataset), tokenizer, max_tokens)
        parts = [labelled(part, label)[0] for part in split_by_time(dataset.impressions)]
        self._train = parts[0]
        sizes = {"validation": (parts[1], n_validation), "test": (parts[2], n_test)}
        self._parts = {name: _draw_both(*of, label) for name, of in sizes.items()}

    @cached_property
    def _levels(self) -> Scoring:
        """A task whose levels of numeric features are fitted."""
        task = Scoring(1, feature_groups=self.features, events=self.events)
        if task.verbalizer.groups:
            rows = _draw(self._train, ROWS_OF_LEVELS)
            task.verbalizer.fit(known_at(rows, self.dataset, groups=task.verbalizer.reads))
        return task

    @cached_property
    def _encoded(self) -> dict[str, Examples]:
        return {name: self._encode(rows) for name, rows in self._parts.items()}

    def _encode(self, rows: pd.DataFrame) -> Examples:
        return self._levels.encode(rows, self.dataset, self.prompts, label=self.label)

    def task(self, model: M6RecModel) -> Scoring:
        """Return a new task for a model."""
        task = Scoring(model.config.hidden_size, feature_groups=self.features, events=self.events)
        task.verbalizer = self._levels.verbalizer
        return task

    def train(self, rows: int | None, seed: int) -> Examples:
        """Return training rows; clicks are half of them, purchases as many as there are."""
        table, draw = self._train, np.random.default_rng(seed)
        if self.label == "clicked":
            clicked = table["clicked"].to_numpy()
            n = min(int(clicked.sum()), len(table) if rows is None else rows // 2)
            picked = [draw.permutation(np.flatnonzero(clicked == c))[:n] for c in (True, False)]
            return self._encode(table.iloc[np.sort(np.concatenate(picked))])
        order = draw.permutation(len(table))
        return self._encode(table.iloc[np.sort(order[:rows])])

    def validate(self, adapted: Adapted) -> float:
        """Return the AUC on the validation rows."""
        examples = self._encoded["validation"]
        return auc(examples.target, _predict(adapted, examples))

    def test(self, adapted: Adapted) -> Result:
        """Evaluate a model on the test rows."""
        examples = self._encoded["test"]
        answers = _predict(adapted, examples)
        users = examples.about["user_id"].to_numpy()
        # the AUC of a constant is one half in every draw of users
        apart = compare_auc(examples.target, answers, np.zeros_like(answers), users)
        metrics = {self.metric: auc(examples.target, answers)}
        return Result(metrics, 0.5 + apart.low, 0.5 + apart.high, answers)

    def difference(self, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
        """Return the difference in AUC of two models' answers, with its interval."""
        examples = self._encoded["test"]
        users = examples.about["user_id"].to_numpy()
        test = compare_auc(examples.target, first, second, users)
        return {"mean": test.mean_difference, "low": test.low, "high": test.high}


class LikeQuestion(ScoringQuestion):
    """Whether a user likes a film, from the text of the film and of the user's earlier ratings.

    The latest ``LATEST`` ratings, 80 % of which train in the order of time, and a film is liked
    from ``LIKED`` stars on: the form of Bao et al., *TALLRec*, 2023, except that the rows of a user
    hold as many of the ten latest ratings as fit.

    Args:
        dataset: of ratings with times, such as MovieLens.
        tokenizer: of the model.
        sizes: as of ``ScoringQuestion``.
    """

    features = ()
    events = 10

    def __init__(self, dataset: Dataset, tokenizer: Tokenizer, **sizes: int) -> None:
        rows = dataset.interactions.sort_values("timestamp", kind="stable").tail(LATEST)
        rows = rows.assign(liked=rows["value"] >= LIKED)
        shown = rows[["user_id", "item_id", "timestamp", "liked"]].reset_index(drop=True)
        sizes["n_validation"] = min(VALIDATION, sizes["n_validation"])
        super().__init__(replace(dataset, impressions=shown), tokenizer, "liked", **sizes)

    def test(self, adapted: Adapted) -> Result:
        """Evaluate a model on the test rows, beside the film's share of likes until then.

        That control reads every earlier label, and not a few of them.
        """
        result, rows = super().test(adapted), self._parts["test"]
        control = MeanRateCTR(label=self.label).fit(self._train, self.dataset, progress=False)
        figure = auc(rows[self.label].to_numpy(), control.predict(rows, self.dataset))
        return replace(result, metrics=result.metrics | {"auc of earlier likes": figure})


class NextItemQuestion:
    """The next item of a history, ranked among all items by two towers.

    Args:
        dataset: any.
        tokenizer: of the model.
        max_tokens: of each tower's row.
        n_test: test users at most, drawn at random.
        n_validation: validation users at most.
    """

    metric: ClassVar[str] = "ndcg@10"

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        n_test: int,
        n_validation: int,
    ) -> None:
        self.data = TaskData.of(dataset)
        self.prompts = PromptBuilder(BehaviourText(dataset), tokenizer, max_tokens)
        self._sizes = {"validation": n_validation, "test": n_test}

    def task(self, model: M6RecModel) -> Retrieval:
        """Return a new task for a model."""
        return Retrieval(model.config.hidden_size, len(self.data.split.item_ids))

    @cached_property
    def _encoded(self) -> dict[str, Examples]:
        task = Retrieval(1, len(self.data.split.item_ids))
        return {
            part: task.build_examples(self.data, self.prompts, part, limit=limit)
            for part, limit in self._sizes.items()
        }

    def train(self, rows: int | None, seed: int) -> Examples:
        """Return training rows: each user's last training event, after the events before it."""
        data = replace(self.data, seed=seed)
        task = Retrieval(1, len(data.split.item_ids))
        return task.build_examples(data, self.prompts, limit=rows)

    def _report(self, adapted: Adapted, part: str) -> Report:
        examples = self._encoded[part]
        users = examples.about["user_id"].to_numpy()
        return ranking_report(_predict(adapted, examples), users, self.data, part)

    def validate(self, adapted: Adapted) -> float:
        """Return the NDCG@10 on the validation users."""
        return self._report(adapted, "validation")[self.metric]

    def test(self, adapted: Adapted) -> Result:
        """Evaluate a model on the test users."""
        report = self._report(adapted, "test")
        metrics = {name: report[name] for name in ("hr@10", "ndcg@10")}
        return Result(metrics, *report.intervals[self.metric], report=report)


Question = ScoringQuestion | NextItemQuestion

#: Labels of the tasks with classes; ``next`` has none.
LABELS = {"ctr": "clicked", "cvr": "purchased", "likes": "liked"}
#: The data set of each task.
DATASETS = {"ctr": "bazaar", "cvr": "bazaar", "next": "bazaar", "likes": "ml-100k"}
TASKS = tuple(DATASETS)


def make_question(name: str, dataset: Dataset, tokenizer: Tokenizer, **sizes: Any) -> Question:
    """Return a task by its name, of ``TASKS``."""
    if name == "likes":
        return LikeQuestion(dataset, tokenizer, **sizes)
    if name in LABELS:
        return ScoringQuestion(dataset, tokenizer, LABELS[name], **sizes)
    return NextItemQuestion(dataset, tokenizer, **sizes)


def _predict(adapted: Adapted, examples: Examples) -> np.ndarray:
    """Return the answers of an adapted model's task."""
    assert adapted.task is not None
    return adapted.task.predict(adapted.model, examples)


def _draw_both(rows: pd.DataFrame, limit: int, label: str) -> pd.DataFrame:
    """Return at most ``limit`` rows, up to half of them with the label, drawn with seed 0."""
    draw, labels = np.random.default_rng(0), rows[label].to_numpy()
    with_label = draw.permutation(np.flatnonzero(labels))[: limit // 2]
    without = draw.permutation(np.flatnonzero(~labels))[: limit - len(with_label)]
    return rows.iloc[np.sort(np.concatenate([with_label, without]))]


def _draw(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return at most ``limit`` rows, drawn with seed 0."""
    order = np.random.default_rng(0).permutation(len(rows))
    return rows.iloc[np.sort(order[:limit])]
