"""Like or dislike from a few examples: ratings as questions of yes and no, and curves over shots.

The task of TALLRec (Bao et al., 2023): an example is what a user rated before, a candidate, and
whether it was liked (rated above 3). Models see 16, 64 or 256 examples, or all there are, and are
asked about later ones. Examples are tables like ``impressions`` with a column ``liked``, so every
click model takes them: ``LogisticCTR(label="liked")``.
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
    """Examples cut by time; each table has ``user_id item_id timestamp liked``.

    Attributes:
        dataset: the ratings they come from, which models read histories out of.
        train: the earliest examples, to draw shots from.
        validation: the next ones, to choose settings by.
        test: the last ones.
    """

    dataset: Dataset
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    def shots(self, n: int | None, seed: int = 0) -> pd.DataFrame:
        """``n`` training examples drawn at random, half of them liked; all of them for None.

        A smaller draw of the same seed is part of a larger one, so a curve over shots adds
        examples and swaps none.

        Raises:
            ValueError: if ``n`` is odd or below 2.
            DataError: if there are fewer of a kind than half of ``n``.
        """
        if n is None:
            return self.train
        if check_whole("n", n) % 2:
            raise ValueError(f"n must be even, one half liked and one not; got {n}")
        order = np.random.default_rng(seed).permutation(len(self.train))
        shuffled = self.train.iloc[order]
        kinds = [shuffled[shuffled["liked"] == kind].iloc[: n // 2] for kind in (True, False)]
        if min(map(len, kinds)) < n // 2:
            liked = int(self.train["liked"].sum())
            raise DataError(
                f"{n} shots need {n // 2} liked and {n // 2} other examples; there are {liked} and "
                f"{len(self.train) - liked}"
            )
        return pd.concat(kinds).sort_values("timestamp", kind="stable")

    def histories(
        self, examples: pd.DataFrame, *, latest: int = 10
    ) -> tuple[Histories, np.ndarray]:
        """What each example's user had rated before it, and how: for models that read text."""
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
    """Ratings as examples of liking: by time, validation and test with as many liked as not.

    Validation and test are thinned at random until both labels are equally many. AUC is blind to
    their shares, but accuracy and log loss then have a meaning of their own: a coin reaches .5 and
    .693.

    Args:
        dataset: with ratings (events ``rate``).
        above: a rating above this is a like.
        rows: use the latest so many examples alone (TALLRec: 10,000); None for all.
        min_history: leave out examples of users with fewer earlier ratings; ratings given in the
            candidate's own second do not count as earlier.
        validation: share of the examples, before thinning.
        test: likewise.
        seed: of the thinning.

    Raises:
        DataError: if there are no ratings, or a part has no example of some kind.
    """
    found = dataset.interactions[dataset.interactions["event"] == "rate"]
    if not len(found):
        raise DataError(f"{dataset.name} has no ratings (events 'rate') to make examples of")
    log = Interactions.from_frame(found)
    who, at = found["user_id"].to_numpy(), found["timestamp"].to_numpy()
    earlier = histories_before(log, who, at)[0].lengths
    columns = ["user_id", "item_id", "timestamp"]
    table = found[columns].assign(liked=(found["value"] > above).to_numpy(bool))
    table = table[earlier >= min_history].sort_values("timestamp", kind="stable")
    if rows is not None:
        table = table.iloc[-check_whole("rows", rows) :]
    rng = np.random.default_rng(seed)
    parts = []
    for place, part in enumerate(split_by_time(table, validation=validation, test=test)):
        liked = part["liked"].to_numpy()
        least = int(min(liked.sum(), (~liked).sum()))
        if not least:
            name = ("train", "validation", "test")[place]
            raise DataError(f"all {len(part)} {name} examples are of one kind; take larger shares")
        if place:
            kept = [
                rng.permutation(np.flatnonzero(liked == kind))[:least] for kind in (True, False)
            ]
            part = part.iloc[np.sort(np.concatenate(kept))]
        parts.append(part)
    return LikeExamples(dataset, *parts)


def few_shot_curve(
    make_model: Callable[[int], ClickModel],
    examples: LikeExamples,
    *,
    shots: Sequence[int | None] = (16, 64, 256, None),
    seeds: Sequence[int] = (0, 1, 2),
    validate: bool = False,
) -> pd.DataFrame:
    """AUC and log loss on the test examples, by number of shots and by the seed of their draw.

    Args:
        make_model: a fresh model of a seed, with ``label="liked"``.
        examples: see ``like_examples``.
        shots: how many training examples; None for all.
        seeds: of draws and models.
        validate: give models the validation examples to stop on.

    Returns:
        one row a shot and seed: ``shots`` (the number fitted on), ``seed auc log_loss``.
    """
    truth = examples.test["liked"].to_numpy()
    found = []
    for n in shots:
        for seed in seeds:
            drawn = examples.shots(n, seed)
            asked = examples.validation if validate else None
            model = make_model(seed)
            model.fit(drawn, examples.dataset, validation=asked, progress=False)
            chance = model.predict(examples.test, examples.dataset)
            found.append((len(drawn), seed, auc(truth, chance), log_loss(truth, chance)))
    return pd.DataFrame(found, columns=["shots", "seed", "auc", "log_loss"])
