"""A domain never seen: pretrained on the others, adapted by a few examples, asked about strangers.

    elsewhere    everybody's events in the other domains                 what pretraining sees
    an example   somebody's first events elsewhere, then one in the new domain        k of them
    a question   a stranger's events elsewhere; which item of the new domain comes next?

"Open-ended" is M6-Rec's claim: what it has learnt of people it learnt in words, and words go along
into a domain that opens today (Cui et al., 2022, section 1). A model of ids has nothing to take
along, but may catch up as examples come. Among the rates of an adaptation, and the network before
it, the validation questions choose; their labels are not among the k examples.
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

#: Of an adaptation: passes over the examples, and the rates that are tried.
EPOCHS, RATES = 10, (1e-4, 3e-4, 1e-3, 3e-3)


class NewDomain:
    """A ``hidden_domain`` split, seen as a domain that opens.

    Args:
        split: what ``data.hidden_domain`` gives: its ``candidates`` are the new domain's items,
            and its training rows hold what other users did there.
        seed: of the order in which examples are drawn; the first k are among the first k + 1.

    Attributes:
        n_examples: how many examples there are.

    Raises:
        DataError: if the split has no candidates, or nobody met any of them in training.
    """

    def __init__(self, split: Split, seed: int = 0) -> None:
        if split.candidates is None:
            raise DataError(
                f"the split {split.name!r} names no candidates: make it by "
                "hidden_domain(dataset, domain)"
            )
        self.split = split
        self._inside = split.candidates[split.train.items]
        places = np.flatnonzero(self._inside)
        if not len(places):
            raise DataError(
                f"the split {split.name!r} has no training row in the domain: linked users are "
                "needed, hidden_domain(…, linked=True)"
            )
        self._order = np.random.default_rng(seed).permutation(places)
        self.n_examples = len(places)

    def elsewhere(self) -> Interactions:
        """All that is known outside the new domain, of everybody."""
        return self.split.train.select(~self._inside)

    def known(self, k: int) -> Interactions:
        """The rows elsewhere, and k examples."""
        return self.split.train.select(~self._inside | self._drawn(k))

    def examples(self, k: int) -> Interactions:
        """k examples, each with what its user had done elsewhere before it."""
        train, drawn = self.split.train, self._drawn(k)
        place = np.arange(len(train))
        last = np.full(train.n_users, -1)
        np.maximum.at(last, train.users[drawn], place[drawn])
        told = (~self._inside | drawn) & (place <= last[train.users])
        return train.select(told)

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
        """A model after each number of examples.

        A network is pretrained once and adapted from there each time, at each rate; the validation
        questions choose among them and the network as it was. Any other model is fitted anew, which
        costs it nothing and gives it all rows at once.

        Args:
            make: gives a fresh model.
            examples: numbers of examples; 0 for none.
            items: table of items, for models that read them.
            epochs: of an adaptation.
            rates: learning rates of an adaptation.
            progress: show bars.

        Yields:
            The number and the model, to be judged on ``split``.

        Raises:
            ValueError: if there are fewer examples than asked for, or no rate to adapt at.
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
            found = [pretrained]
            for lr in rates if k else ():
                adapted = copy.deepcopy(pretrained)
                adapted.adapt(self.examples(k), epochs=epochs, lr=lr, progress=progress)
                found.append(adapted)
            yield k, max(found, key=self._on_validation) if k else copy.deepcopy(pretrained)

    def _on_validation(self, model: Recommender) -> float:
        return evaluate(model, self.split, on="validation", progress=False)["ndcg@10"]

    def asked(self, k: int) -> Split:
        """The split of which only k examples are known, for ``evaluate``."""
        return replace(self.split, train=self.known(k))

    def _drawn(self, k: int) -> np.ndarray:
        """``(n_rows,)`` bool: the first k examples."""
        if not 0 <= k <= self.n_examples:
            raise ValueError(f"there are {self.n_examples} examples of this domain, not {k}")
        drawn = np.zeros(len(self.split.train), dtype=bool)
        drawn[self._order[:k]] = True
        return drawn


def closed(dataset: Dataset, domain: str) -> Dataset:
    """A data set as it was before a domain opened: its items are announced, nobody has met one.

    Events, impressions, reviews and dialogues that concern items of the domain are left out; the
    items' own texts stay. So a language model can be pretrained that has not seen anybody behave
    there.

    Raises:
        DataError: if no item is of the domain, or all are.
    """
    items = dataset.items
    there = items["domain"].eq(domain) if "domain" in items else pd.Series(dtype=bool)
    if not there.any() or there.all():
        raise DataError(f"{dataset.name}: {int(there.sum())} of {len(items)} items are {domain!r}")
    new = set(items.loc[there, "item_id"])

    def outside(table: pd.DataFrame | None) -> pd.DataFrame | None:
        return None if table is None else table[~table["item_id"].isin(new)].reset_index(drop=True)

    talks = dataset.dialogues
    if talks is not None:
        away = talks.loc[talks["item_id"].isin(new), "dialogue_id"]
        talks = talks[~talks["dialogue_id"].isin(away)].reset_index(drop=True)
    return replace(
        dataset,
        name=f"{dataset.name} without {domain}",
        interactions=outside(dataset.interactions),
        impressions=outside(dataset.impressions),
        reviews=outside(dataset.reviews),
        dialogues=talks,
    )
