"""The interface of every recommender: fit, score, recommend, save, load.

A model is fitted on ``Interactions`` and scores ``Histories``. A history has all that a model uses
about a user, so a new user, or a user with a longer history, needs no refit.

To write a recommender, set the constructor's arguments as attributes of the same names, fit in
``_fit`` (fitted names end in an underscore, as in scikit-learn), and compute scores in ``_score``.
Checks, ranking, saving and loading are inherited.
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
from m6rec_lite.data.ids import Id, Unknown, index_of_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.data.tables import DataError, Dataset, NotFittedError
from m6rec_lite.recommenders.params import Params, check_whole
from m6rec_lite.recommenders.ranking import top_k
from m6rec_lite.recommenders.storage import read_model, write_model

#: Maximum number of scores in memory: a batch of rows times the catalogue (64 MB in float64).
SCORES_IN_MEMORY = 8_000_000


def recency_weights(histories: Histories, decay: float) -> np.ndarray | None:
    """Return the weight of each event: 1 for the latest of a history, ``decay`` for the one before.

    Args:
        histories: ragged rows, oldest event first.
        decay: in (0, 1]; 1 weighs all events alike.

    Returns:
        ``(total,)`` float64 of ``decay ** steps_back``, or None if ``decay`` is 1: then a history
        is a set, and an item that occurs twice counts once.
    """
    return None if decay == 1.0 else decay ** histories.steps_back.astype(np.float64)


class Recommender(Params, ABC):
    """Base of every recommender; subclasses write ``_fit`` and ``_score``.

    Attributes:
        item_ids: ``(n_items,)`` int64 or text: the catalogue of the last fit, the original ids
            ascending, in the order of the scores; None before ``fit``. Saved with the model.
        popularity_: ``(n_items,)`` float64, number of distinct training users of each item; the
            fallback scores (see ``score``).
    """

    item_ids: np.ndarray | None = None
    popularity_: np.ndarray

    #: Whether ``score`` replaces rows of equal scores by the popularity of the items.
    falls_back: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The name of the class, as shown in the leaderboard."""
        return type(self).__name__

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` has completed."""
        return self.item_ids is not None

    @property
    def n_params(self) -> int:
        """Number of fitted parameters that are not zero."""
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
        """Fit the model to ``train``, whose ``item_ids`` become the catalogue.

        Args:
            train: training rows.
            validation: validation set for tuning or early stopping, used by some models.
            items: table of items with ``item_id`` and texts, used by some models.
            users: table of users with ``user_id``, used by some models.
            progress: show a progress bar if fitting takes long.

        Returns:
            The model itself.

        Raises:
            DataError: if ``train`` has no rows or is not ``Interactions``, or a table lacks data.
            ValueError: if the model's seed is not a whole number of at least 0.
        """
        check_interactions(train, "fit(train)")
        if len(train) == 0:
            raise DataError("train has no rows: there is nothing to learn from")
        check_seed(getattr(self, "seed", 0))
        self.item_ids = None  # a fit that fails leaves an unfitted model
        matrix = train.matrix()  # (n_users, n_items), 1 where a user has an interaction
        self.popularity_ = np.bincount(matrix.indices, minlength=train.n_items).astype(float)
        self._fit(train, validation=validation, items=items, users=users, progress=progress)
        self.item_ids = train.item_ids
        return self

    def score(self, histories: Histories) -> np.ndarray:
        """Score every item of the catalogue as the next item of each history.

        A row of equal scores, as for an empty history, contains no ranking. Such rows are replaced
        by the popularity of the items.

        Args:
            histories: ``n`` rows whose ``item_ids`` equal this model's.

        Returns:
            ``(n, n_items)`` floats in the order of ``item_ids``; higher is better, and items
            scored ``-inf`` are never recommended.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the histories belong to another catalogue.
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
        """Return the ``k`` items with the highest scores for each history.

        The histories may come from another file than the training data: items are matched by id.

        Args:
            histories: ``n`` rows.
            k: number of items per history; fewer are returned if fewer can be recommended.
            filter_viewed: exclude the items of the history.
            unknown: how to treat events whose item is not in the catalogue: ``"raise"`` an error,
                or ``"drop"`` and log them.

        Returns:
            Columns ``user_id item_id rank score``, ranks from 1, in the order of the histories.

        Raises:
            DataError: if an event's item is not in the catalogue and ``unknown`` is ``"raise"``.
            ValueError: if ``k`` is less than 1.
        """
        k = check_whole("k", k)
        item_ids = self._fitted_item_ids
        if not np.array_equal(histories.item_ids, item_ids):
            histories = histories.align(item_ids, unknown=unknown)
        size = max(1, SCORES_IN_MEMORY // max(1, len(item_ids)))
        parts = []
        for start in range(0, len(histories), size):
            batch = histories[start : start + size]
            scores = self.score(batch)
            if np.isnan(scores).any():
                raise FloatingPointError(f"{self!r} returned scores that are not numbers (NaN)")
            if filter_viewed:
                scores[batch.rows, batch.items] = -np.inf
            indices = top_k(scores, k)  # (batch, k)
            best = np.take_along_axis(scores, indices, axis=1)
            row, column = np.nonzero(best > -np.inf)  # best first, so the ranks have no gaps
            part = {
                "user_id": batch.user_ids[row],
                "item_id": item_ids[indices[row, column]],
                "rank": column + 1,
                "score": best[row, column].astype(np.float64),
            }
            parts.append(pd.DataFrame(part))
        if not parts:
            ids = {"user_id": histories.user_ids, "item_id": item_ids[:0]}
            return pd.DataFrame(ids | {"rank": np.zeros(0, dtype=np.int64), "score": np.zeros(0)})
        return pd.concat(parts, ignore_index=True)

    def similar_items(self, item_id: Id, k: int = 10) -> pd.DataFrame:
        """Return the ``k`` items most similar to an item, without the item itself.

        The similarity depends on the model: common users, common words, or how often one item
        follows the other.

        Returns:
            Columns ``item_id rank similarity``; only items with a similarity above 0.

        Raises:
            DataError: if the item is not in the catalogue.
            TypeError: if the model has no item similarity.
        """
        k = check_whole("k", k)
        item_ids = self._fitted_item_ids
        index = int(index_of_ids([item_id], item_ids, "item_id")[0])
        similarity = self._similarity(index).astype(np.float64)
        similarity[index] = -np.inf
        indices = top_k(similarity[None], k)[0]
        indices = indices[similarity[indices] > 0]
        table = {"item_id": item_ids[indices], "rank": np.arange(1, len(indices) + 1)}
        return pd.DataFrame(table | {"similarity": similarity[indices]})

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to a folder atomically: ``config.json`` and ``arrays.npz``.

        Raises:
            NotFittedError: before ``fit``.
            FileExistsError: if ``path`` exists and is not a saved recommender.
            TypeError: if an argument cannot be written, such as a tokenizer that is a function.
        """
        self._require_fitted()
        return write_model(Path(path), self.name, self._settings(), self._state())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that ``save`` wrote; ``Recommender.load`` reads a model of any class.

        Raises:
            FileNotFoundError: if there is no folder at ``path``.
            DataError: if the folder is damaged, or contains a model of another class.
        """
        name, settings, state = read_model(Path(path))
        return cls._find_class(name, Path(path))._from_saved(settings, state, Path(path))

    # Methods to implement or override in subclasses.

    @abstractmethod
    def _fit(self, train: Interactions, **extras: Any) -> None:
        """Fit the model; ``extras`` are the other arguments of ``fit``."""

    @abstractmethod
    def _score(self, histories: Histories) -> np.ndarray:
        """Return ``(n, n_items)`` scores in a new array; see ``score`` for rows of equal scores."""

    def _similarity(self, index: int) -> np.ndarray:
        """Return the ``(n_items,)`` similarity of every item to item ``index`` in a new array."""
        raise TypeError(f"{self.name} does not compare items with each other")

    def _count_params(self) -> int:
        """Count the non-zero values of all fitted arrays except ``popularity_``."""
        arrays = [value for key, value in self._state().items() if key not in _BOOKKEEPING]
        return int(sum(v.nnz if hasattr(v, "nnz") else np.count_nonzero(v) for v in arrays))

    def _settings(self) -> dict[str, Any]:
        """Return the content of ``config.json``: the constructor's arguments."""
        return self.get_params(deep=False)

    def _state(self) -> dict[str, Any]:
        """Return the content of ``arrays.npz``: ``item_ids`` and the attributes ending in ``_``."""
        fitted = {key: value for key, value in vars(self).items() if key.endswith("_")}
        return {"item_ids": self.item_ids} | fitted

    @classmethod
    def _find_class(cls, name: str, path: Path) -> type[Self]:
        """Return the class called ``name`` among this class and its subclasses.

        Raises:
            DataError: if there is none; the message names ``path``, the folder of the saved model.
        """
        if name in _OTHER_MODULES:
            import_module(_OTHER_MODULES[name])
        else:
            getattr(import_module(__package__), name, None)  # networks are imported on first use
        pending, classes = [cls], {}
        while pending:
            kind = pending.pop()
            classes[kind.__name__] = kind
            pending += kind.__subclasses__()
        if name not in classes or inspect.isabstract(classes[name]):
            hint = f"{name}.load or Recommender.load" if cls is not Recommender else "its own class"
            raise DataError(f"{path} holds a {name}, not a {cls.__name__}; read it with {hint}")
        return classes[name]

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        """Build a model from the results of ``_settings`` and ``_state``."""
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

    @property
    def _fitted_item_ids(self) -> np.ndarray:
        """``item_ids`` of a fitted model; raises ``NotFittedError`` before ``fit``."""
        self._require_fitted()
        assert self.item_ids is not None  # checked by ``_require_fitted``
        return self.item_ids

    def _require_same_catalogue(self, item_ids: np.ndarray) -> None:
        fitted_on = self._fitted_item_ids
        if item_ids is fitted_on or np.array_equal(item_ids, fitted_on):
            return
        unknown, missing = np.setdiff1d(item_ids, fitted_on), np.setdiff1d(fitted_on, item_ids)
        raise DataError(
            f"the histories have a catalogue of {len(item_ids)} items and {self.name} was fitted "
            f"on {len(fitted_on)}: {len(unknown)} unknown to it {unknown[:5].tolist()}, "
            f"{len(missing)} missing {missing[:5].tolist()}; match them by id with "
            "histories.align(model.item_ids)"
        )


_BOOKKEEPING = {"item_ids", "popularity_"}
#: Modules of recommenders outside this package, for ``Recommender.load``.
_OTHER_MODULES = {
    "FullTextRetriever": "m6rec_lite.m6rec.full_text_retriever",
    "M6RecRetriever": "m6rec_lite.m6rec.retriever",
    "MultimodalRecommender": "m6rec_lite.multimodal.recommender",
}


def check_interactions(train: object, call: str) -> None:
    """Raise a ``DataError`` that says what to pass, unless ``train`` is ``Interactions``."""
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
