"""A new domain: pretrain on the other domains, adapt with k examples, evaluate on other users.

    pretraining  all events in the other domains
    an example   a user's events in the other domains, then one in the new domain; k of them
    a query      another user's events in the other domains; the target is in the new domain

M6-Rec claims to be open-ended: what it learns about users is in text, and so transfers to a new
domain (Cui et al., 2022, section 1). A model of item ids cannot transfer, but may catch up with
more examples. The learning rate of an adaptation, or no adaptation, is selected on the validation
queries, whose labels are not among the k examples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset, Interactions, Split
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender

#: Epochs of an adaptation, and the learning rates that are tried.
EPOCHS, RATES = 10, (1e-4, 3e-4, 1e-3, 3e-3)


class NewDomain:
    """A ``hidden_domain`` split, used as an experiment with a new domain.

    Args:
        split: from ``data.hidden_domain``: its ``candidates`` are the new domain's items, and its
            training rows include other users' events there.
        seed: of the order of the examples; the first k are among the first k + 1.

    Attributes:
        n_examples: number of examples.

    Raises:
        DataError: if the split has no candidates, or no training row has one.
    """

    def __init__(self, split: Split, seed: int = 0) -> None:
        if split.candidates is None:
            raise DataError(
                f"the split {split.name!r} names no candidates: make it by "
                "hidden_domain(dataset, domain)"
            )
        self.split = split
        self._inside = split.candidates[split.train.items]
        rows = np.flatnonzero(self._inside)
        if not len(rows):
            raise DataError(
                f"the split {split.name!r} has no training row in the domain: linked users are "
                "needed, hidden_domain(…, linked=True)"
            )
        self._order = np.random.default_rng(seed).permutation(rows)
        self.n_examples = len(rows)

    def elsewhere(self) -> Interactions:
        """Return all training rows outside the new domain."""
        return self.split.train.select(~self._inside)

    def known(self, k: int) -> Interactions:
        """Return the training rows outside the new domain, and k examples."""
        return self.split.train.select(~self._inside | self._drawn(k))

    def examples(self, k: int) -> Interactions:
        """Return k examples, each with the user's earlier rows outside the new domain."""
        train, drawn = self.split.train, self._drawn(k)
        index = np.arange(len(train))
        last = np.full(train.n_users, -1)
        np.maximum.at(last, train.users[drawn], index[drawn])
        return train.select((~self._inside | drawn) & (index <= last[train.users]))

    def curve(
        self,
        make: Callable[[], Recommender],
        examples: Sequence[int],
        *,
        items: pd.DataFrame | None = None,
        epochs: int = EPOCHS,
        rates: Sequence[float] = RATES,
        progress: bool = True,
    ) -> Iterator[tuple[int, Recommender]]:
        """Yield a model fitted with each number of examples.

        A network is pretrained once, and adapted to each number of examples at each rate; the best
        of these and the pretrained network on the validation queries is yielded. Other models are
        fitted again on all rows.

        Args:
            make: returns a new model.
            examples: numbers of examples; 0 for none.
            items: table of items, for models that use it.
            epochs: of an adaptation.
            rates: learning rates of an adaptation.
            progress: show progress bars.

        Yields:
            The number and the model, to be evaluated on ``split``.

        Raises:
            ValueError: if a number exceeds ``n_examples``, or ``rates`` is empty.
        """
        if not rates:
            raise ValueError("no rate to adapt at: give one at least, such as 3e-4")
        for k in examples:
            self._drawn(k)  # refuses before anything is fitted
        pretrained: SequenceRecommender | None = None
        for k in examples:
            model = make()
            if not isinstance(model, SequenceRecommender):
                yield k, model.fit(self.known(k), items=items, progress=progress)
                continue
            if pretrained is None:
                pretrained = model.fit(self.elsewhere(), items=items, progress=progress)
            models = [pretrained]
            for lr in rates if k else ():
                adapted = copy.deepcopy(pretrained)
                adapted.adapt(self.examples(k), epochs=epochs, lr=lr, progress=progress)
                models.append(adapted)
            yield k, max(models, key=self._on_validation) if k else copy.deepcopy(pretrained)

    def _on_validation(self, model: Recommender) -> float:
        return evaluate(model, self.split, on="validation", progress=False)["ndcg@10"]

    def few_shot_split(self, k: int) -> Split:
        """Return the split with only k examples in its training rows, for ``evaluate``."""
        return replace(self.split, train=self.known(k))

    def _drawn(self, k: int) -> np.ndarray:
        """Return the mask of the first k examples, ``(n_rows,)`` bool."""
        if not 0 <= k <= self.n_examples:
            raise ValueError(f"there are {self.n_examples} examples of this domain, not {k}")
        drawn = np.zeros(len(self.split.train), dtype=bool)
        drawn[self._order[:k]] = True
        return drawn


def closed(dataset: Dataset, domain: str) -> Dataset:
    """Return a data set without the behaviour in a domain, as before the domain opened.

    Events, impressions, reviews and dialogues about items of the domain are left out; the items and
    their texts remain. A language model can be pretrained on it that has seen no behaviour there.

    Raises:
        DataError: if no item is of the domain, or all are.
    """
    items = dataset.items
    inside = items["domain"].eq(domain) if "domain" in items else pd.Series(dtype=bool)
    if not inside.any() or inside.all():
        raise DataError(f"{dataset.name}: {int(inside.sum())} of {len(items)} items are {domain!r}")
    new = set(items.loc[inside, "item_id"])

    def outside(table: pd.DataFrame | None) -> pd.DataFrame | None:
        return None if table is None else table[~table["item_id"].isin(new)].reset_index(drop=True)

    dialogues = dataset.dialogues
    if dialogues is not None:
        removed = dialogues.loc[dialogues["item_id"].isin(new), "dialogue_id"]
        dialogues = dialogues[~dialogues["dialogue_id"].isin(removed)].reset_index(drop=True)
    return replace(
        dataset,
        name=f"{dataset.name} without {domain}",
        interactions=outside(dataset.interactions),
        impressions=outside(dataset.impressions),
        reviews=outside(dataset.reviews),
        dialogues=dialogues,
    )
