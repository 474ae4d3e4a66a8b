"""Measure what the lists miss: the share of items in the shopper's own style, beside NDCG.

    python -m experiments style_share

asks the simple models, SASRec, EASE of 46,000 people, the shipped retriever of 41,400 other people,
the Bayes filter and the oracle the test questions of ``bazaar``. A shopper has a style and a level,
which the rules of the world know and no table of the data set holds; an item's style and level are
words of its text. Recorded are NDCG@10, and the shares of the first ten items that have the
shopper's style, and that have the shopper's level. ``EASE + traits`` adds to EASE's scores the
shares of each style, level and locale in the whole history, with weights fitted on the validation
questions: what EASE cannot express.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from experiments.people import rows_of_people
from experiments.records import Records, RunKey, summary
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import Dataset, Histories, Split, leave_one_out, load_dataset
from m6rec_lite.data.bazaar import BayesFilter
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.evaluation import compare, evaluate
from m6rec_lite.evaluation.lists import top_lists
from m6rec_lite.evaluation.protocol import Ranker
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, ItemKNN, Markov, Popularity, SASRec

#: Traits of shoppers that items have too.
TRAITS = ("style", "level")
#: Weight of the catalogue's shares, in events, when a history's shares are estimated.
PRIOR_EVENTS = 3.0
SHIPPED = "checkpoints/bazaar-retriever"
#: Settings of lesson 11.
SASREC: dict[str, Any] = {
    "hidden_size": 64, "max_length": 50, "lr": 1e-2, "dropout": 0.05, "averaging": 0.99,
    "epochs": 18, "patience": 3,
}  # fmt: skip


class TraitsEASE:
    """EASE, plus how much of the history has the item's style, level and locale.

    The score is a weighted sum of EASE's standardised score and, for each trait, the logarithm of
    the share of the history with the item's value, divided by the share in all training rows.

    Args:
        ease: fitted.
        traits: value of each item for each trait, ``(n_items,)`` each.
        split: its validation questions fit the weights, by maximum likelihood.

    Attributes:
        weights: of EASE and of each trait.
    """

    name, variant, n_params = "EASE + traits", "decay=0.8", 4

    def __init__(self, ease: EASE, traits: dict[str, np.ndarray], split: Split) -> None:
        self.ease, self.item_ids = ease, split.item_ids
        self.one_hot = [
            (values[:, None] == np.unique(values)).astype(np.float32) for values in traits.values()
        ]
        self.prior = [hot[split.train.items].mean(axis=0) for hot in self.one_hot]
        weights = self._fit(split)
        self._weights = weights
        self.weights = dict(zip(("EASE", *traits), weights.tolist(), strict=True))

    def score(self, histories: Histories) -> np.ndarray:
        """Return scores ``(n_histories, n_items)``."""
        return self._features(histories) @ self._weights

    def _features(self, histories: Histories) -> np.ndarray:
        """Return EASE's score and the log-ratio of each trait, ``(n, n_items, 1 + traits)``."""
        score = self.ease.score(histories)
        features = [score / score.std(axis=1, keepdims=True).clip(1e-6)]
        for hot, prior in zip(self.one_hot, self.prior, strict=True):
            counts = np.zeros((len(histories), hot.shape[1]), np.float32)
            np.add.at(counts, histories.rows, hot[histories.items])
            n = counts.sum(axis=1, keepdims=True)
            share = (counts + PRIOR_EVENTS * prior) / (n + PRIOR_EVENTS)
            features.append(np.log(share / prior) @ hot.T)
        return np.stack(features, axis=-1).astype(np.float32)

    def _fit(self, split: Split) -> np.ndarray:
        """Return the weights that make the validation targets most likely."""
        questions = Questions(split, on="validation")
        batch = questions.batch(0, len(questions))
        x = torch.from_numpy(self._features(batch.histories))
        out, targets = torch.from_numpy(batch.out), torch.from_numpy(batch.targets).long()
        weights = torch.zeros(x.shape[-1], requires_grad=True)
        lbfgs = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            lbfgs.zero_grad()
            value = torch.nn.functional.cross_entropy((x @ weights).masked_fill(out, -1e9), targets)
            value.backward()
            return value

        lbfgs.step(loss)
        return weights.detach().numpy()


def shares(
    model: Ranker, split: Split, traits: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return, for each question, the share of the first ten items with the shopper's own value.

    Args:
        model: fitted.
        split: of which the test questions are asked; items of the history are not in a list.
        traits: by name, the value of each shopper ``(n_users,)``, by user id from 1, and of each
            item of the catalogue ``(n_items,)``.

    Returns:
        By trait, ``(n_questions,)``.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in traits}
    for batch in Questions(split).batches():
        scores = np.where(batch.out, -np.inf, model.score(batch.histories))
        lists = top_lists(scores, 10)[10].inclusion
        for name, (shoppers, items) in traits.items():
            own = shoppers[batch.histories.user_ids - 1]
            hits = [lists @ (items == value).astype(float) for value in np.unique(shoppers)]
            row = np.searchsorted(np.unique(shoppers), own)
            parts[name].append(np.stack(hits, 1)[np.arange(len(own)), row] / 10)
    return {name: np.concatenate(values) for name, values in parts.items()}


def models(dataset: Dataset, split: Split) -> Iterator[Any]:
    """Yield the fitted models, one at a time."""
    assert dataset.oracle is not None
    items = dataset.oracle.world.items
    place = split.item_ids - FIRST_ITEM
    ease = EASE(decay=0.8).fit(split.train, progress=False)
    yield ease
    locale = {"locale": items.locale[place]}
    yield TraitsEASE(ease, {t: getattr(items, t)[place] for t in TRAITS} | locale, split)
    everybody = rows_of_people(load_dataset("bazaar-large"), split, 46_000)
    yield EASE(decay=0.8).fit(everybody, progress=False)
    for model in (Popularity(), Markov(), ItemKNN(decay=0.8), SASRec(**SASREC)):
        yield model.fit(split.train, validation=split.validation, progress=False)
    retriever = M6RecRetriever.load(project_root() / SHIPPED)
    yield retriever.for_catalogue(split.item_ids, items=dataset.items)
    yield BayesFilter(dataset.oracle, split.item_ids)
    yield dataset.oracle.recommender(split.item_ids)


def record_answers(
    records: Records,
    split: Split,
    traits: dict[str, tuple[np.ndarray, np.ndarray]],
    command: str,
) -> None:
    """Record the shares of the test targets themselves, and of all pairs of shopper and item."""
    holdout = Questions(split).holdout
    users, targets = holdout.histories.user_ids[holdout.target_rows] - 1, holdout.targets
    asked = holdout.histories.user_ids - 1
    for name in ("the answers", "all items"):
        key = RunKey("style_share", split.dataset, name)
        metrics = {}
        for trait, (shoppers, items) in traits.items():
            if name == "all items":
                chance = np.bincount(items)[shoppers[asked]] / len(items)
                metrics[f"own {trait}"] = round(float(chance.mean()), 6)
            else:
                same = shoppers[users] == items[targets]
                metrics[f"own {trait}"] = round(float(same.mean()), 6)
        records.start(key, command=command, split_hash=split.hash)
        records.finish(key, {"metrics": metrics, "headline": {"own style": metrics["own style"]}})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment: there are none of its own."""


def run(options: argparse.Namespace) -> None:
    """Ask every model, and record its figures; write ``results/style_share/bazaar.csv``."""
    records = Records(options.root / "results")
    dataset = load_dataset("bazaar")
    split = leave_one_out(dataset)
    assert dataset.oracle is not None
    world, place = dataset.oracle.world, split.item_ids - FIRST_ITEM
    traits = {t: (getattr(world.shoppers, t), getattr(world.items, t)[place]) for t in TRAITS}
    record_answers(records, split, traits, options.command)
    rng, base = np.random.default_rng(0), None
    for model in tqdm(models(dataset, split), disable=options.quiet, leave=False):
        name, variant = model.name, getattr(model, "variant", "")
        if isinstance(model, M6RecRetriever):
            variant = "bazaar-retriever, not trained here"
        if isinstance(model, EASE) and base is not None:
            variant += ", 46,000 people"
        key = RunKey("style_share", dataset.name, name, variant)
        report = evaluate(model, split, progress=False)
        base = base or report
        figures = summary(report) | {"metrics": {"ndcg@10": round(report["ndcg@10"], 6)}}
        figures["intervals"] = {"ndcg@10": figures["intervals"]["ndcg@10"]}
        for trait, values in shares(model, split, traits).items():
            draws = values[rng.integers(0, len(values), (1000, len(values)))].mean(axis=1)
            column = f"own {trait}"
            figures["metrics"][column] = round(float(values.mean()), 6)
            figures["intervals"][column] = np.percentile(draws, [2.5, 97.5]).round(6).tolist()
        test = compare(report, base)
        figures["more than EASE, paired"] = {
            end: round(float(value), 6)
            for end, value in zip(
                ("mean", "low", "high"), (test.mean_difference, test.low, test.high), strict=True
            )
        }
        if isinstance(model, TraitsEASE):
            figures["weights"] = {name: round(w, 4) for name, w in model.weights.items()}
        figures["headline"] = {"own style": figures["metrics"]["own style"]}
        records.start(key, command=options.command, split_hash=split.hash)
        records.finish(key, figures, ranks=report)
        print(f"{name} {variant}: {figures['metrics']}", flush=True)
    records.write_metrics("style_share", dataset.name)
