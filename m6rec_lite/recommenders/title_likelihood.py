"""Rank items by the likelihood of their text under a language model, given the history as text.

A pretrained GPT computes the likelihood of each candidate's sentence after the history. Since
scoring the whole catalogue would be slow, another recommender retrieves the candidates, and the
language model reranks them, alone or combined with the scores of the retriever.

Source: the likelihood of a verbalised item as its score is the zero-shot ranking of M6-Rec (Cui et
al., 2022, section 3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import EVENTS, DataError
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.evaluation.ranking import TargetRanks, ndcg
from m6rec_lite.language.models.next_event import EventLikelihood, NextEvent, wording
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.markov import Markov
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import top_k

#: Candidates for the weight of the language model.
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class TitleLikelihood(Recommender):
    """Rerank retrieved candidates by the likelihood of their text after the history's text.

    With h the text of the history and ``w_1 … w_m`` the tokens of the candidate's sentence, the
    score of the language model is ``sum of ln P(w_t | h, w_1 … w_{t-1})``, or its mean over the m
    tokens. With ``lift``, ``ln P(sentence)`` without a history is subtracted, which removes the
    effect of popular titles. In each row, this score and the score of the retriever are
    standardised over the candidates to mean 0 and standard deviation 1 and combined: ``weight``
    times the first plus ``1 - weight`` times the second. All other items rank below the candidates,
    in the order of the retriever.

    The format of the text is read from the folder of the model. An empty history gets the ranking
    of the retriever.

    Args:
        model: a GPT from ``language.pretraining``: a folder, or a name in ``checkpoints/``.
        retriever: recommender that retrieves the candidates; ``fit`` fits it if it is not fitted
            yet. ``Markov()`` by default.
        candidates: number of candidates per row; items of the history are excluded.
        length_normalised: use the mean over the tokens instead of the sum, which favours short
            sentences.
        lift: subtract the log likelihood of the sentence without a history.
        weight: weight of the language model, from 0 to 1. None: the smallest weight of ``WEIGHTS``
            whose validation NDCG@10 is within one standard error of the best (the one-standard-
            error rule of Breiman et al., *Classification and regression trees*, 1984); 1 without
            validation data.
        tuning_questions: maximum number of validation queries to choose the weight.
        event: event of the candidate's sentence, one of ``EVENTS``; None is the most frequent event
            of the training rows.
        max_tokens: maximum number of tokens of the history's text, which keeps the latest events.
            None is the context size of the model minus the longest candidate.
        batch_tokens: maximum number of tokens per batch; bounds the memory.
        device: ``cpu``, ``cuda``, …; None selects the best available device.

    Attributes:
        weight_: the weight in use.
        tuning_: validation NDCG@10 of each weight of ``WEIGHTS``; empty if no weight was chosen.

    Raises:
        ModelError: if there is no such model, or it is not from ``language.pretraining``.
    """

    falls_back: ClassVar[bool] = False  # the retriever has its own fallback

    def __init__(
        self,
        model: str = "bazaar-gpt",
        retriever: Recommender | None = None,
        candidates: int = 30,
        length_normalised: bool = False,
        lift: bool = False,
        weight: float | None = None,
        tuning_questions: int = 1000,
        event: str | None = None,
        max_tokens: int | None = None,
        batch_tokens: int = 8192,
        device: str | None = None,
    ) -> None:
        if weight is not None:
            check_in_range("weight", weight, 0, 1)
        if retriever is not None and not isinstance(retriever, Recommender):
            raise ValueError(f"retriever must be a recommender, got {retriever!r}")
        if event is not None and event not in EVENTS:
            raise ValueError(f"event must be one of {', '.join(EVENTS)}, got {event!r}")
        self.model = str(model)
        self.retriever = Markov() if retriever is None else retriever
        self.candidates = check_whole("candidates", candidates)
        self.length_normalised = length_normalised
        self.lift = lift
        self.weight = weight
        self.tuning_questions = check_whole("tuning_questions", tuning_questions)
        self.event = event
        self.max_tokens = None if max_tokens is None else check_whole("max_tokens", max_tokens)
        self.batch_tokens = check_whole("batch_tokens", batch_tokens)
        self.device = device
        self._was_fitted = self.retriever.is_fitted

    @property
    def variant(self) -> str:
        """Model, retriever, number of candidates, options and weight."""
        part = self.retriever
        retriever = f"{part.name}({part.variant})" if part.variant else part.name
        parts = [Path(self.model).name, f"of {self.candidates} by {retriever}"]
        parts += ["lift"] * self.lift + ["mean a token"] * self.length_normalised
        weight = self.weight_ if self.is_fitted else self.weight
        return " ".join([*parts, f"weight={weight:g}"] if weight is not None else parts)

    def _fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        if items is None:
            raise DataError("TitleLikelihood reads titles: fit(train, items=dataset.items)")
        missing = np.setdiff1d(train.item_ids, items["item_id"])
        if len(missing):
            raise DataError(
                f"the items table lacks {len(missing)} of the items of train, such as "
                f"{missing[:5].tolist()}: give the table of the data set that train comes from"
            )
        if not self._was_fitted:
            self.retriever.fit(
                train, validation=validation, items=items, users=users, progress=progress
            )
        elif not np.array_equal(self.retriever._fitted_item_ids, train.item_ids):
            raise DataError(
                f"the retriever {self.retriever!r} was fitted on another catalogue; pass it "
                "unfitted, or fit it on this train"
            )
        most_frequent = EVENTS[int(np.bincount(train.events, minlength=len(EVENTS)).argmax())]
        self.event_ = np.array(self.event or most_frequent)
        self._tables = {"item": wording(items[items["item_id"].isin(train.item_ids)], "item")}
        if users is not None:
            self._tables["user"] = wording(users, "user")
        self._open(train.item_ids)
        self.alone_ = np.zeros(train.n_items)
        if self.lift:
            empty = Histories.from_lists([[]], train.item_ids, user_ids=[-1])
            items_of_row = np.arange(train.n_items)[None]
            self.alone_ = self._next.log_likelihood(empty, items_of_row)[0]
        self.tuning_ = np.zeros(0)
        self.weight_ = 1.0 if self.weight is None else self.weight
        if self.weight is None and validation is not None:
            self.weight_ = self._choose(train, validation, progress)

    def _open(self, item_ids: np.ndarray) -> None:
        """Load the language model and tokenize the sentence of each item."""
        self._next: EventLikelihood = NextEvent(
            self.model,
            self._tables["item"],
            self._tables.get("user"),
            item_ids,
            event=str(self.event_),
            max_tokens=self.max_tokens,
            batch_tokens=self.batch_tokens,
            device=self.device,
        )

    def _choose(self, train: Interactions, validation: Holdout, progress: bool) -> float:
        """Choose the weight on the validation data by the one-standard-error rule."""
        queries = Questions(Split("validation", "", train, validation, validation), "validation")
        rows = np.linspace(0, len(queries) - 1, min(len(queries), self.tuning_questions))
        queries.holdout = queries.holdout[np.unique(rows.astype(np.int64))]
        values: list[np.ndarray] = []
        for batch in queries.batches():
            parts = self._parts(batch.histories, progress=progress)
            of_batch = []
            for weight in WEIGHTS:
                scores = self._mixed(*parts, weight)
                scores[batch.out] = -np.inf
                ranks = TargetRanks.from_scores(scores, batch.rows, batch.targets)
                of_batch.append(ndcg(ranks, 10))
            values.append(np.stack(of_batch))
        ndcgs = np.concatenate(values, axis=1)  # (weights, queries)
        self.tuning_ = ndcgs.mean(axis=1)
        loss = ndcgs[self.tuning_.argmax()] - ndcgs
        n = len(queries)
        error = loss.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(WEIGHTS))
        return WEIGHTS[int(np.argmax(loss.mean(axis=1) <= error))]

    def _score(self, histories: Histories) -> np.ndarray:
        return self._mixed(*self._parts(histories), self.weight_)

    def _parts(
        self, histories: Histories, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the scores of the retriever, the candidates, and their log likelihoods.

        Returns:
            ``(n, n_items)`` float64 scores; ``(n, k)`` item indices, -1 for none (fewer than k
            items left, or an empty history); ``(n, k)`` float64 log likelihoods, NaN for none.
        """
        base = self.retriever.score(histories).astype(np.float64)
        unseen = base.copy()
        unseen[histories.rows, histories.items] = -np.inf
        items = top_k(unseen, self.candidates) if len(unseen) else np.zeros((0, 1), dtype=np.int64)
        valid = np.take_along_axis(unseen, items, axis=1) > -np.inf
        items = np.where(valid & (histories.lengths > 0)[:, None], items, -1)
        likelihood = np.full(items.shape, np.nan)
        with tqdm(total=len(base), desc="reading histories", unit="user", delay=2, leave=False,
                  disable=not progress) as bar:  # fmt: skip
            for start in range(0, len(base), 256):
                rows = slice(start, start + 256)
                likelihood[rows] = self._next.log_likelihood(histories[rows], items[rows])
                bar.update(len(base[rows]))
        likelihood -= self.alone_[items]
        if self.length_normalised:
            likelihood /= self._next.n_tokens[items]
        return base, items, likelihood

    def _mixed(
        self, base: np.ndarray, items: np.ndarray, likelihood: np.ndarray, weight: float
    ) -> np.ndarray:
        """Compute ``(n, n_items)`` scores: at least 0 for candidates, below 0 for other items."""
        valid = items >= 0
        retrieved = np.where(valid, np.take_along_axis(base, items, axis=1), np.nan)
        mixture = weight * _standard(likelihood) + (1 - weight) * _standard(retrieved)
        scores = base - base.max(axis=1, keepdims=True, initial=-np.inf) - 1.0
        row, column = np.nonzero(valid)
        lowest = np.min(mixture, axis=1, keepdims=True, where=valid, initial=np.inf)
        scores[row, items[row, column]] = (mixture - lowest)[row, column]
        return scores

    def _count_params(self) -> int:
        network = sum(weight.numel() for weight in self._next.gpt.parameters())
        return network + self.retriever.n_params

    def _settings(self) -> dict[str, Any]:
        part = self.retriever
        return self.get_params(deep=False) | {
            "retriever": {"class": part.name, "settings": part._settings()}
        }

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        state |= {f"retriever/{key}": value for key, value in self.retriever._state().items()}
        for kind, table in self._tables.items():
            state |= {f"words/{kind}/{key}": values for key, values in table.items()}
        return state

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        part, prefix = settings["retriever"], "retriever/"
        arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        kind = Recommender._find_class(part["class"], path)
        retriever = kind._from_saved(part["settings"], arrays, path)
        arrays = {key: value for key, value in state.items() if "/" not in key}
        model = super()._from_saved(settings | {"retriever": retriever}, arrays, path)
        model.weight_, model._tables = float(model.weight_), {}
        for key, values in state.items():
            if key.startswith("words/"):
                _, table, column = key.split("/")
                model._tables.setdefault(table, {})[column] = values
        model._open(state["item_ids"])
        return model


def _standard(values: np.ndarray) -> np.ndarray:
    """Standardise each row, ignoring NaN; a row of equal values becomes 0."""
    known = np.ma.masked_invalid(values)
    spread = np.ma.maximum(known.std(axis=1, keepdims=True), 1e-12)
    return ((known - known.mean(axis=1, keepdims=True)) / spread).filled(np.nan)
