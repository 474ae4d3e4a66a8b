"""A language model as a recommender: the next item is the one whose words it would write next.

The history is told as text, and a pretrained GPT says how likely each candidate's sentence is to
come next. Asking about every item would cost the catalogue's words for every user, so another
recommender retrieves candidates first and the language model puts them in order, alone or together
with what the retriever thinks of them.

Source: likelihood of a verbalised item as its score is M6-Rec's zero-shot ranking (Cui et al.,
2022, section 3); retrieve-then-rerank is as old as search.
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
from m6rec_lite.language.models.next_event import NextEvent, wording
from m6rec_lite.recommenders.base import Recommender, find_kind
from m6rec_lite.recommenders.markov import Markov
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import top_k

#: Mixing weights that validation chooses among.
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class TitleLikelihood(Recommender):
    """Ranks retrieved candidates by the likelihood of their words after the history's text.

    With h the history's text and ``w_1 … w_m`` the tokens of the sentence that says that item j was
    met, the language model's score is ``sum of ln P(w_t | h, w_1 … w_{t-1})``, or its mean over
    the m tokens. Likely sentences are likely for everybody; the *lift* takes that out, subtracting
    ``ln P(sentence)`` with no history before it (chapter 04's Markov does so by counts). Over a
    row's candidates this score and the retriever's are each brought to mean 0
    and deviation 1 and mixed: ``weight`` times the first plus ``1 - weight`` times the second. All
    other items stand below the candidates, in the retriever's order.

    How the text is written is read from the model's folder, so that it is the text the model
    learnt. An empty history is answered by the retriever alone.

    Args:
        model: a GPT made by ``language.pretraining``: a folder, or a name in ``checkpoints/``.
        retriever: finds the candidates; fitted with this one unless it is already. ``Markov()`` by
            default.
        candidates: how many items a row the language model is asked about. Items of the history
            are none.
        length_normalised: take the mean over the tokens rather than their sum, which favours short
            sentences.
        lift: subtract what the sentence is likely by without a history.
        weight: of the language model beside the retriever, from 0 to 1. None: chosen among
            ``WEIGHTS`` by NDCG@10 on the validation questions, the smallest that is within a
            standard error of the best (the rule of Breiman et al., *Classification and regression
            trees*, 1984: chance alone does not speak for the costlier part); and 1 where there are
            no validation questions.
        tuning_questions: validation questions asked for that, at most.
        event: what is foretold to be done with the item, one of ``EVENTS``; None is what was done
            most often in training.
        max_tokens: of the history's text; older events fall out. None is what the model's context
            leaves beside the longest candidate.
        batch_tokens: positions that run at a time; bounds the memory.
        device: ``cpu``, ``cuda``, …; None takes the best there is.

    Attributes:
        weight_: the weight in use.
        tuning_: NDCG@10 of each weight that was tried; empty if none was.

    Raises:
        ModelError: if there is no such model, or it was not made by ``language.pretraining``.
    """

    falls_back: ClassVar[bool] = False  # the retriever falls back itself

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
        self._given = self.retriever.is_fitted

    @property
    def variant(self) -> str:
        """Model, retriever and candidates; then the weight in use."""
        part = self.retriever
        retriever = f"{part.name}({part.variant})" if part.variant else part.name
        words = [Path(self.model).name, f"of {self.candidates} by {retriever}"]
        words += ["lift"] * self.lift + ["mean a token"] * self.length_normalised
        weight = self.weight_ if self.is_fitted else self.weight
        return " ".join([*words, f"weight={weight:g}"] if weight is not None else words)

    def _fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: bool = True,
    ) -> None:
        if items is None:
            raise DataError("TitleLikelihood reads titles: fit(train, items=dataset.items)")
        lacking = np.setdiff1d(train.item_ids, items["item_id"])
        if len(lacking):
            raise DataError(
                f"the items table lacks {len(lacking)} of the items of train, such as "
                f"{lacking[:5].tolist()}: give the table of the data set that train comes from"
            )
        if not self._given:
            self.retriever.fit(
                train, validation=validation, items=items, users=users, progress=progress
            )
        elif not np.array_equal(self.retriever.item_ids, train.item_ids):
            raise DataError(
                f"the retriever {self.retriever!r} was fitted on another catalogue; hand it over "
                "unfitted, or fit it on this train"
            )
        usual = EVENTS[int(np.bincount(train.events, minlength=len(EVENTS)).argmax())]
        self.event_ = np.array(self.event or usual)
        self._tables = {"item": wording(items[items["item_id"].isin(train.item_ids)], "item")}
        if users is not None:
            self._tables["user"] = wording(users, "user")
        self._open(train.item_ids)
        self.alone_ = np.zeros(train.n_items)
        if self.lift:
            nobody = Histories.from_lists([[]], train.item_ids, user_ids=[-1])
            places = np.arange(train.n_items)[None]
            self.alone_ = self._next.log_likelihood(nobody, places)[0]
        self.tuning_ = np.zeros(0)
        self.weight_ = 1.0 if self.weight is None else self.weight
        if self.weight is None and validation is not None:
            self.weight_ = self._choose(train, validation, progress)

    def _open(self, item_ids: np.ndarray) -> None:
        """Open the model, and put each item into the sentence that is asked about."""
        self._next = NextEvent(
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
        """The smallest weight that is hardly worse than the best, on some validation questions."""
        asked = Questions(Split("validation", "", train, validation, validation), "validation")
        places = np.linspace(0, len(asked) - 1, min(len(asked), self.tuning_questions))
        asked.holdout = asked.holdout[np.unique(places.astype(np.int64))]
        batch = asked.batch(0, len(asked))
        parts = self._parts(batch.histories, progress=progress)
        found = []
        for weight in WEIGHTS:
            scores = self._mixed(*parts, weight)
            scores[batch.out] = -np.inf
            found.append(ndcg(TargetRanks.from_scores(scores, batch.rows, batch.targets), 10))
        gains = np.stack(found)  # (weights, questions)
        self.tuning_ = gains.mean(axis=1)
        behind = gains[self.tuning_.argmax()] - gains
        error = behind.std(axis=1, ddof=1) / np.sqrt(len(asked)) if len(asked) > 1 else 0.0
        return WEIGHTS[int(np.argmax(behind.mean(axis=1) <= error))]

    def _score(self, histories: Histories) -> np.ndarray:
        return self._mixed(*self._parts(histories), self.weight_)

    def _parts(
        self, histories: Histories, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is mixed: the retriever's scores, the candidates, the likelihoods of their words.

        Returns:
            ``(n, n_items)`` float64; ``(n, k)`` places in the catalogue, -1 for none (fewer items
            left than k, or an empty history); ``(n, k)`` float64, NaN for none.
        """
        base = self.retriever.score(histories).astype(np.float64)
        unseen = base.copy()
        unseen[histories.rows, histories.items] = -np.inf
        places = top_k(unseen, self.candidates) if len(unseen) else np.zeros((0, 1), dtype=np.int64)
        told = np.take_along_axis(unseen, places, axis=1) > -np.inf
        places = np.where(told & (histories.lengths > 0)[:, None], places, -1)
        likelihood = np.full(places.shape, np.nan)
        with tqdm(total=len(base), desc="reading histories", unit="user", delay=2, leave=False,
                  disable=not progress) as bar:  # fmt: skip
            for start in range(0, len(base), 256):
                rows = slice(start, start + 256)
                likelihood[rows] = self._next.log_likelihood(histories[rows], places[rows])
                bar.update(len(base[rows]))
        likelihood -= self.alone_[places]
        if self.length_normalised:
            likelihood /= self._next.n_tokens[places]
        return base, places, likelihood

    def _mixed(
        self, base: np.ndarray, places: np.ndarray, likelihood: np.ndarray, weight: float
    ) -> np.ndarray:
        """``(n, n_items)``: candidates by the mixture, from 0 up; the others below, as in base."""
        told = places >= 0
        theirs = np.where(told, np.take_along_axis(base, places, axis=1), np.nan)
        mixture = weight * _standard(likelihood) + (1 - weight) * _standard(theirs)
        scores = base - base.max(axis=1, keepdims=True, initial=-np.inf) - 1.0
        row, column = np.nonzero(told)
        lowest = np.min(mixture, axis=1, keepdims=True, where=told, initial=np.inf)
        scores[row, places[row, column]] = (mixture - lowest)[row, column]
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
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        kind = find_kind(Recommender, part["class"], path)
        retriever = kind._from_saved(part["settings"], own, path)
        rest = {key: value for key, value in state.items() if "/" not in key}
        model = super()._from_saved(settings | {"retriever": retriever}, rest, path)
        model.weight_, model._tables = float(model.weight_), {}
        for key, values in state.items():
            if key.startswith("words/"):
                _, which, column = key.split("/")
                model._tables.setdefault(which, {})[column] = values
        model._open(model.item_ids)
        return model


def _standard(values: np.ndarray) -> np.ndarray:
    """Each row brought to mean 0 and deviation 1, NaN left out; a row of equals becomes 0."""
    known = np.ma.masked_invalid(values)
    spread = np.ma.maximum(known.std(axis=1, keepdims=True), 1e-12)
    return ((known - known.mean(axis=1, keepdims=True)) / spread).filled(np.nan)
