"""A loaded model, what it is asked and answers, and its release to a share of the users."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m6rec_lite.data.ids import Id, index_of_ids
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.serving.monitoring import Canary
from m6rec_lite.serving.search import SearchMethod, rank_all


@dataclass(frozen=True)
class Query:
    """A request for recommendations.

    Attributes:
        user: id of a user; the stored events are read, an unknown user has none.
        items: item ids that follow the stored events, oldest first.
        k: number of items.
    """

    user: Id | None = None
    items: tuple[Id, ...] = ()
    k: int = 10


@dataclass(frozen=True)
class Answer:
    """Recommended items, best first, their scores, and the version of the model."""

    item_ids: list[Id]
    scores: list[float]
    model: str


@dataclass(frozen=True)
class Reason:
    """Events of a history that raise an item's score, and by how much (see ``trust.deletion``)."""

    item_id: Id
    because: list[Id]
    effects: list[float]


class ServedModel:
    """A loaded recommender with its version; never changed, only replaced.

    Args:
        path: folder of ``Recommender.save``, or of M6-Rec (see ``m6rec_ranker``).
        dataset: the data set whose items M6-Rec ranks; not used by a saved recommender.
        expect: the version that must be there; None accepts any.
        search: ``exact`` scores all items; see ``build_index`` for the others.

    Raises:
        FileNotFoundError: if there is no folder.
        DataError: if the model is damaged, has no checksums, or is of another version; or if it is
            M6-Rec, and there is no data set.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        dataset: Dataset | None = None,
        expect: str | None = None,
        search: SearchMethod = "exact",
    ) -> None:
        sums = Path(path) / "SHA256SUMS"
        if Path(path).is_dir() and not sums.is_file():
            raise DataError(f"{path} has no SHA256SUMS: save the model with Recommender.save")
        self.version = hashlib.sha256(sums.read_bytes()).hexdigest()[:16] if sums.is_file() else ""
        if expect is not None and self.version != expect:
            raise DataError(
                f"{path} is version {self.version or 'none'}, expected {expect}: it was replaced "
                "by another model; check where it comes from"
            )
        self.model = _loaded(path, dataset)
        self.item_ids = self.model._fitted_item_ids
        self.index: dict[Id, int] = {item: i for i, item in enumerate(self.item_ids.tolist())}
        self.rank: Callable[[Histories, int], tuple[np.ndarray, np.ndarray]]
        if search == "exact":
            self.rank = lambda histories, k: rank_all(self.model, histories, k)
        else:
            from m6rec_lite.serving.indexed_ranker import IndexedRanker  # needs torch

            self.rank = IndexedRanker(self.model, search).rank

    def check(self, items: Iterable[Id]) -> None:
        """Raise a ``DataError`` that names the items which are not in the catalogue."""
        if unknown := [item for item in items if item not in self.index]:
            index_of_ids(unknown, self.item_ids, "item_id")


def _loaded(path: str | Path, dataset: Dataset | None) -> Recommender:
    """Return the recommender of a folder; its checksums are verified."""
    config = Path(path) / "config.json"
    if config.is_file() and b'"m6rec"' in config.read_bytes():
        from m6rec_lite.serving.m6rec_ranker import is_m6rec, m6rec_recommender  # needs torch

        if is_m6rec(path):
            return m6rec_recommender(path, dataset)
    return Recommender.load(path)


class CanaryRelease:
    """A new model that answers for a share of the users, and what these do with its lists.

    Args:
        current: the model that answers for the others.
        candidate: the new model.
        share: share of the users, in (0, 1).
        most: number of users whose last list is remembered.
    """

    def __init__(
        self, current: ServedModel, candidate: ServedModel, share: float, *, most: int = 10_000
    ) -> None:
        self.current, self.candidate, self.most = current, candidate, most
        self.test = Canary(candidate.version, share)
        self._lists: OrderedDict[Id, frozenset[Id]] = OrderedDict()

    def model_of(self, query: Query) -> ServedModel:
        """Return the model that answers; a query without a user goes to the current one."""
        is_treated = query.user is not None and self.test.is_treated(query.user)
        return self.candidate if is_treated else self.current

    def shown(self, query: Query, answer: Answer | DataError) -> None:
        """Remember the list that a user gets."""
        if query.user is not None and isinstance(answer, Answer):
            self._lists[query.user] = frozenset(answer.item_ids)
            if len(self._lists) > self.most:
                self._lists.popitem(last=False)

    def record(self, user: Id, item: Id) -> None:
        """Count whether the item that a user took was in the user's list."""
        if (items := self._lists.get(user)) is not None:
            self.test.record(user, item in items)
