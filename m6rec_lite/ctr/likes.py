"""Few-shot prediction of likes: ratings as binary labels, and metrics by number of examples.

The task of TALLRec (Bao et al., 2023): an example has the earlier ratings of a user, a candidate,
and the label whether the candidate is liked (rated above 3). Models are trained on 16, 64, 256 or
all examples and tested on later ones. Examples are tables like ``impressions`` with a column
``liked``, so that every click model can use them: ``LogisticCTR(label="liked")``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from m6rec_lite.ctr.base import ClickModel
from m6rec_lite.ctr.event_log import histories_before
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.ctr import auc, log_loss
from m6rec_lite.recommenders.params import check_whole


@dataclass(frozen=True, eq=False)
class LikeExamples:
    """Examples split by time; each table has ``user_id item_id timestamp liked``.

    Attributes:
        dataset: the data set of the ratings, from which models read the histories.
        train: the earliest examples, from which shots are drawn.
        validation: the examples after ``train``.
        test: the latest examples.
    """

    dataset: Dataset
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    def shots(self, n: int | None, seed: int = 0) -> pd.DataFrame:
        """Draw ``n`` random training examples, half of them liked; None returns all.

        With the same seed, a smaller sample is a subset of a larger one.

        Raises:
            ValueError: if ``n`` is odd or below 2.
            DataError: if a label has fewer than ``n / 2`` examples.
        """
        if n is None:
            return self.train
        if check_whole("n", n) % 2:
            raise ValueError(f"n must be even, one half liked and one not; got {n}")
        order = np.random.default_rng(seed).permutation(len(self.train))
        shuffled = self.train.iloc[order]
        halves = [shuffled[shuffled["liked"] == label].iloc[: n // 2] for label in (True, False)]
        if min(map(len, halves)) < n // 2:
            liked = int(self.train["liked"].sum())
            raise DataError(
                f"{n} shots need {n // 2} liked and {n // 2} other examples; there are {liked} and "
                f"{len(self.train) - liked}"
            )
        return pd.concat(halves).sort_values("timestamp", kind="stable")

    def histories(
        self, examples: pd.DataFrame, *, latest: int = 10
    ) -> tuple[Histories, np.ndarray]:
        """Return the history of each example's user, and the ratings of its events."""
        ids = np.sort(self.dataset.items["item_id"].to_numpy())
        log = Interactions.from_frame(self.dataset.interactions, item_ids=ids)
        users, at = examples["user_id"].to_numpy(), examples["timestamp"].to_numpy()
        return histories_before(log, users, at, latest=latest)


def like_examples(
    dataset: Dataset,
    *,
    above: float = 3.0,
    rows: int | None = None,
    min_history: int = 10,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> LikeExamples:
    """Create examples of likes from ratings, split by time.

    Validation and test are subsampled to equal numbers of both labels, so that a random prediction
    has an accuracy of 0.5 and a log loss of 0.693.

    Args:
        dataset: data set with ratings (events ``rate``).
        above: a rating above this value is a like.
        rows: number of latest examples to use (10,000 in TALLRec); None for all.
        min_history: minimum number of earlier ratings of the user, not counting ratings of the same
            second.
        validation: share of validation examples, before subsampling.
        test: share of test examples, before subsampling.
        seed: seed of the subsampling.

    Raises:
        DataError: if there are no ratings, or a split lacks one of the labels.
    """
    ratings = dataset.interactions[dataset.interactions["event"] == "rate"]
    if not len(ratings):
        raise DataError(f"{dataset.name} has no ratings (events 'rate') to make examples of")
    log = Interactions.from_frame(ratings)
    users, at = ratings["user_id"].to_numpy(), ratings["timestamp"].to_numpy()
    earlier = histories_before(log, users, at)[0].lengths
    columns = ["user_id", "item_id", "timestamp"]
    table = ratings[columns].assign(liked=(ratings["value"] > above).to_numpy(bool))
    table = table[earlier >= min_history].sort_values("timestamp", kind="stable")
    if rows is not None:
        table = table.iloc[-check_whole("rows", rows) :]
    rng = np.random.default_rng(seed)
    parts = []
    splits = split_by_time(table, validation=validation, test=test)
    for name, part in zip(("train", "validation", "test"), splits, strict=True):
        liked = part["liked"].to_numpy()
        n = int(min(liked.sum(), (~liked).sum()))
        if not n:
            raise DataError(f"all {len(part)} {name} examples are of one kind; take larger shares")
        if name != "train":
            sample = [
                rng.permutation(np.flatnonzero(liked == label))[:n] for label in (True, False)
            ]
            part = part.iloc[np.sort(np.concatenate(sample))]
        parts.append(part)
    return LikeExamples(dataset, *parts)


def labelled_rows(
    dataset: Dataset, *, min_history: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, str]:
    """Split the labelled rows of a data set into train, validation and test by time.

    Rows are impressions with the label ``clicked``; in a data set without impressions, ratings with
    the label ``liked`` (see ``like_examples``).

    Args:
        dataset: data set with impressions or ratings.
        min_history: minimum number of earlier ratings of the user, for ratings.

    Returns:
        Three tables, and the name of the label's column.

    Raises:
        DataError: if there is neither, or a split of the ratings lacks one of the labels.
    """
    if dataset.impressions is not None:
        return *split_by_time(dataset.impressions), "clicked"
    likes = like_examples(dataset, min_history=min_history)
    return likes.train, likes.validation, likes.test, "liked"


def few_shot_curve(
    make_model: Callable[[int], ClickModel],
    examples: LikeExamples,
    *,
    shots: Sequence[int | None] = (16, 64, 256, None),
    seeds: Sequence[int] = (0, 1, 2),
    validate: bool = False,
) -> pd.DataFrame:
    """Compute AUC and log loss on the test examples by number of shots and seed.

    Args:
        make_model: function from a seed to an unfitted model with ``label="liked"``.
        examples: see ``like_examples``.
        shots: numbers of training examples; None for all.
        seeds: seeds of the samples and the models.
        validate: pass the validation examples to ``fit``, for early stopping.

    Returns:
        One row per number of shots and seed, with ``shots`` (the number of training examples) and
        ``seed auc log_loss``.
    """
    truth = examples.test["liked"].to_numpy()
    rows = []
    for n in shots:
        for seed in seeds:
            drawn = examples.shots(n, seed)
            validation = examples.validation if validate else None
            model = make_model(seed)
            model.fit(drawn, examples.dataset, validation=validation, progress=False)
            probability = model.predict(examples.test, examples.dataset)
            rows.append((len(drawn), seed, auc(truth, probability), log_loss(truth, probability)))
    return pd.DataFrame(rows, columns=["shots", "seed", "auc", "log_loss"])
