"""The one interface of every recommender: fit, score, recommend, save, load.

A model is fitted on ``Interactions`` and asked about ``Histories``. What it learns does not include
the users it is asked about: a history carries all that is known of somebody at that moment, so a
new user, or one with a longer history, needs no refit.

To write a recommender: set the constructor's arguments as attributes of the same names, learn in
``_fit`` into attributes whose names end in an underscore (as scikit-learn does), and answer in
``_score``. Checks, ranking, saving and loading are inherited.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.ids import Id, index_of_ids
from m6rec_lite.data.interactions import Histories, Interactions, Unknown
from m6rec_lite.data.tables import DataError, Dataset, NotFittedError
from m6rec_lite.recommenders.params import Params, check_whole
from m6rec_lite.recommenders.ranking import top_k
from m6rec_lite.recommenders.storage import read_model, write_model

#: Scores that ``recommend`` holds at a time: a batch of rows times the catalogue (64 MB).
SCORES_IN_MEMORY = 8_000_000


def recency_weights(histories: Histories, decay: float) -> np.ndarray | None:
    """Weight of each event of each history: 1 for the latest, ``decay`` for the one before, …

    Args:
        histories: ragged rows, oldest event first.
        decay: in (0, 1]; 1 forgets nothing.

    Returns:
        ``(total,)`` float64 of ``decay ** steps_back``, or None when ``decay`` is 1: then a history
        is a set, and an item that occurs twice counts once.
    """
    return None if decay == 1.0 else decay ** histories.steps_back.astype(np.float64)


class Recommender(Params, ABC):
    """Base of every recommender; subclasses write ``_fit`` and ``_score``.

    Attributes:
        item_ids: ``(n_items,)`` int64 or text: the catalogue of the last fit, the original ids
            ascending, in the order of the scores. A saved model carries them.
        popularity_: ``(n_items,)`` float64, distinct users an item had in training. It answers
            where a model has nothing to say (see ``score``).
    """

    item_ids: np.ndarray | None = None
    popularity_: np.ndarray

    #: Whether a row of equal scores means that the model knew nothing and popularity answers.
    falls_back: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The class's name, which the leaderboard uses."""
        return type(self).__name__

    @property
    def is_fitted(self) -> bool:
        """Whether the model can be asked."""
        return self.item_ids is not None

    @property
    def n_params(self) -> int:
        """How many numbers the model has learnt and keeps (those that are zero left out)."""
        self._require_fitted()
        return self._count_params()

    def fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: bool = True,
    ) -> Self:
        """Learn from ``train``; its ``item_ids`` become the catalogue.

        Args:
            train: the rows to learn from.
            validation: questions to tune or stop on, for the models that do.
            items: table of items with ``item_id`` and texts, for the models that read them.
            users: table of users with ``user_id``, for the models that read it.
            progress: show a progress bar where fitting takes long.

        Returns:
            The model itself.

        Raises:
            DataError: if ``train`` has no rows, is not ``Interactions``, or a table lacks what the
                model needs.
        """
        check_interactions(train, "fit(train)")
        if len(train) == 0:
            raise DataError("train has no rows: there is nothing to learn from")
        self.item_ids = None  # a fit that fails leaves a model that cannot be asked
        matrix = train.matrix()  # (n_users, n_items), 1 where a user met an item
        self.popularity_ = np.bincount(matrix.indices, minlength=train.n_items).astype(float)
        self._fit(train, validation=validation, items=items, users=users, progress=progress)
        self.item_ids = train.item_ids
        return self

    def score(self, histories: Histories) -> np.ndarray:
        """How well each item of the catalogue would come next, for each history.

        A row in which every item scores the same ranks nothing: the history is empty, or holds
        nothing the model met in training. Such rows get the items' popularity instead.

        Args:
            histories: ``n`` rows whose ``item_ids`` equal this model's.

        Returns:
            ``(n, n_items)`` floats in the order of ``item_ids``; higher is better, ``-inf`` never.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the histories were made for another catalogue.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        scores = self._score(histories)
        if self.falls_back and len(scores):
            scores[scores.max(axis=1) == scores.min(axis=1)] = self.popularity_
        return scores

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        filter_viewed: bool = True,
        unknown: Unknown = "raise",
    ) -> pd.DataFrame:
        """Return the ``k`` best items for each history, by their original ids.

        The histories may come from another file than the one fitted on: items are matched by id.

        Args:
            histories: ``n`` rows.
            k: how many items a row; fewer come back where fewer can be recommended.
            filter_viewed: leave out the items of the history.
            unknown: what to do with events of items that were not fitted on: ``"raise"``, or
                ``"drop"`` them and log which.

        Returns:
            Columns ``user_id item_id rank score``, ranks from 1, in the order of the histories.
            Items scored ``-inf`` never appear.

        Raises:
            DataError: if an event's item was not fitted on and ``unknown`` is ``"raise"``.
            ValueError: if ``k`` is less than 1.
        """
        k = check_whole("k", k)
        self._require_fitted()
        if not np.array_equal(histories.item_ids, self.item_ids):
            histories = histories.align(self.item_ids, unknown=unknown)
        size = max(1, SCORES_IN_MEMORY // max(1, len(self.item_ids)))
        parts = []
        for start in range(0, len(histories), size):
            batch = histories[start : start + size]
            scores = self.score(batch)
            if np.isnan(scores).any():
                raise FloatingPointError(f"{self!r} gave scores that are not numbers (NaN)")
            if filter_viewed:
                scores[batch.rows, batch.items] = -np.inf
            places = top_k(scores, k)  # (batch, k)
            best = np.take_along_axis(scores, places, axis=1)
            row, column = np.nonzero(best > -np.inf)  # the best come first, so ranks have no gap
            part = {
                "user_id": batch.user_ids[row],
                "item_id": self.item_ids[places[row, column]],
                "rank": column + 1,
                "score": best[row, column].astype(np.float64),
            }
            parts.append(pd.DataFrame(part))
        if not parts:
            ids = {"user_id": histories.user_ids, "item_id": self.item_ids[:0]}
            rest = {"rank": np.zeros(0, dtype=np.int64), "score": np.zeros(0)}
            return pd.DataFrame(ids | rest)
        return pd.concat(parts, ignore_index=True)

    def similar_items(self, item_id: Id, k: int = 10) -> pd.DataFrame:
        """The ``k`` items most similar to one, the item itself left out.

        What "similar" means is the model's: shared users, shared words, or "comes next".

        Returns:
            Columns ``item_id rank similarity``; items without any similarity (0 or less) are left
            out.

        Raises:
            DataError: if the item is not in the catalogue.
            TypeError: if the model does not compare items.
        """
        k = check_whole("k", k)
        self._require_fitted()
        place = int(index_of_ids([item_id], self.item_ids, "item_id")[0])
        similarity = self._similarity(place).astype(np.float64)
        similarity[place] = -np.inf
        places = top_k(similarity[None], k)[0]
        places = places[similarity[places] > 0]
        table = {"item_id": self.item_ids[places], "rank": np.arange(1, len(places) + 1)}
        return pd.DataFrame(table | {"similarity": similarity[places]})

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to a folder, all or nothing: ``config.json`` and ``arrays.npz``.

        Raises:
            NotFittedError: before ``fit``.
            FileExistsError: if ``path`` exists and is not a saved recommender.
            TypeError: if a setting cannot be written, such as a tokenizer that is a function.
        """
        self._require_fitted()
        return write_model(Path(path), self.name, self._settings(), self._state())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that ``save`` wrote. ``Recommender.load`` reads any, a class only its own.

        Raises:
            FileNotFoundError: if there is no folder at ``path``.
            DataError: if the folder is broken, or holds a model of another class.
        """
        name, settings, state = read_model(Path(path))
        return find_kind(cls, name, Path(path))._from_saved(settings, state, Path(path))

    # What subclasses write.

    @abstractmethod
    def _fit(self, train: Interactions, **extras: Any) -> None:
        """Learn from ``train``; ``extras`` are the other arguments of ``fit``."""

    @abstractmethod
    def _score(self, histories: Histories) -> np.ndarray:
        """``(n, n_items)`` floats, a fresh array; a row of equal scores means "nothing to say"."""

    def _similarity(self, place: int) -> np.ndarray:
        """``(n_items,)`` similarity of every item to the one at ``place``, a fresh array."""
        raise TypeError(f"{self.name} does not compare items with each other")

    def _count_params(self) -> int:
        """Numbers learnt; by default every non-zero of every learnt array but ``popularity_``."""
        learnt = [value for key, value in self._state().items() if key not in _BOOKKEEPING]
        return int(sum(v.nnz if hasattr(v, "nnz") else np.count_nonzero(v) for v in learnt))

    def _settings(self) -> dict[str, Any]:
        """What ``config.json`` holds: the constructor's arguments."""
        return self.get_params(deep=False)

    def _state(self) -> dict[str, Any]:
        """What ``arrays.npz`` holds: ``item_ids`` and each attribute that ends in ``_``."""
        learnt = {key: value for key, value in vars(self).items() if key.endswith("_")}
        return {"item_ids": self.item_ids} | learnt

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        """Build the model again from what ``_settings`` and ``_state`` gave."""
        try:
            model = cls(**settings)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{path / 'config.json'} does not fit {cls.__name__}: {error}"
            ) from error
        missing = _BOOKKEEPING - set(state)
        if missing:
            raise DataError(f"{path / 'arrays.npz'} lacks {sorted(missing)}; save the model again")
        for key, value in state.items():
            setattr(model, key, value)
        return model

    def _require_fitted(self) -> None:
        if not self.is_fitted:
            raise NotFittedError(f"{self!r} is not fitted: call fit(train) first")

    def _require_same_catalogue(self, item_ids: np.ndarray) -> None:
        if item_ids is self.item_ids or np.array_equal(item_ids, self.item_ids):
            return
        strange = np.setdiff1d(item_ids, self.item_ids)
        lacking = np.setdiff1d(self.item_ids, item_ids)
        raise DataError(
            f"the histories speak of {len(item_ids)} items and {self.name} was fitted on "
            f"{len(self.item_ids)}: {len(strange)} unknown to it {strange[:5].tolist()}, "
            f"{len(lacking)} missing {lacking[:5].tolist()}; match them by id with "
            "histories.align(model.item_ids)"
        )


_BOOKKEEPING = {"item_ids", "popularity_"}

#: Recommenders that live above this package, for ``Recommender.load``.
_ELSEWHERE = {"M6RecRetriever": "m6rec_lite.m6rec.retriever"}


def check_interactions(train: object, call: str) -> None:
    """Raise ``DataError`` unless it is ``Interactions``, saying what to pass instead."""
    if isinstance(train, Interactions):
        return
    hints = {
        Split: "pass split.train",
        Dataset: "cut it first, split = leave_one_out(dataset), and pass split.train",
        pd.DataFrame: "make Interactions.from_frame(frame), or load_dataset(frame) and a split",
    }
    hint = next((text for kind, text in hints.items() if isinstance(train, kind)), "")
    raise DataError(
        f"{call} wants Interactions, got {type(train).__name__}{': ' if hint else ''}{hint}"
    )


def find_kind(wanted: type[Recommender], name: str, path: Path) -> type[Recommender]:
    """The class called ``name`` among ``wanted`` and its subclasses, for the model at ``path``.

    Raises:
        DataError: if there is none: the folder holds a model of another class.
    """
    if name in _ELSEWHERE:
        import_module(_ELSEWHERE[name])
    else:
        getattr(import_module(__package__), name, None)  # networks are imported on first use
    pending, kinds = [wanted], {}
    while pending:
        kind = pending.pop()
        kinds[kind.__name__] = kind
        pending += kind.__subclasses__()
    if name not in kinds or inspect.isabstract(kinds[name]):
        hint = f"{name}.load or Recommender.load" if wanted is not Recommender else "its own class"
        raise DataError(f"{path} holds a {name}, not a {wanted.__name__}; read it with {hint}")
    return kinds[name]
