"""A pretrained M6-Rec as a recommender that can be served: zero-shot ranking of a shortlist."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.language.models.model_folder import ModelError, check_folder, check_sums, quiet
from m6rec_lite.language.models.next_event import as_dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.ranking import Ranking
from m6rec_lite.recommenders.title_likelihood import TitleLikelihood


class M6RecLikelihood:
    """Log-likelihood of an item's sentence after a history under M6-Rec; see ``NextEvent``.

    Args:
        folder: an M6-Rec model; its ``pretraining.json``, if there is one, names the templates.
        items: output of ``next_event.wording``, with the whole catalogue.
        users: likewise, or None.
        item_ids: ``(n_items,)`` ids in the order of the item indices.
        event: type of the next event, one of ``EVENTS``.

    Attributes:
        gpt: the model.
        n_tokens: ``(n_items,)`` int64, tokens of each item's sentence.

    Raises:
        ModelError: if the folder is damaged or of another kind.
    """

    def __init__(
        self,
        folder: str | Path,
        items: Mapping[str, np.ndarray],
        users: Mapping[str, np.ndarray] | None,
        item_ids: np.ndarray,
        event: str,
    ) -> None:
        folder = check_folder(Path(folder))
        check_sums(folder)
        with quiet():
            self.gpt, self.item_ids = M6RecModel.from_pretrained(folder).eval(), item_ids
        tokenizer = Tokenizer.load(folder)
        self.gpt.config.check_tokenizer(tokenizer)
        about = folder / "pretraining.json"
        settings = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
        templates = settings.get("settings", {}).get("templates", "default")
        text = BehaviourText(as_dataset(items, users), templates)
        self.prompts = PromptBuilder(text, tokenizer, self.gpt.config.max_position_embeddings)
        self.task = Ranking(event=event, scoring="sum")
        sentences = [self.task.sentence(item, self.prompts) for item in item_ids.tolist()]
        self.n_tokens = np.array([len(ids) for ids in tokenizer.encode_batch(sentences)])

    def log_likelihood(self, histories: Histories, places: np.ndarray) -> np.ndarray:
        """Compute ``ln P(sentence | history)``; see ``NextEvent.log_likelihood``."""
        scores = np.full(places.shape, np.nan)
        rows = np.flatnonzero((places >= 0).any(axis=1))
        if len(rows) == 0:
            return scores
        candidates = [self.item_ids[row[row >= 0]].tolist() for row in places[rows]]
        examples = self.task.encode(histories[rows], candidates, self.prompts)
        scores[places >= 0] = self.task.predict(self.gpt, examples)
        return scores


class M6RecRanker(TitleLikelihood):
    """Rerank retrieved candidates by the likelihood of their sentence under M6-Rec.

    Everything is as in ``TitleLikelihood``, whose arguments it has, except for the language model:
    a folder of M6-Rec, which reads the history in both directions. Items are compared with each
    other (``similar_items``) by the retriever.
    """

    def _open(self, item_ids: np.ndarray) -> None:
        """Load M6-Rec and put the items into words."""
        tables = self._tables
        self._next = M6RecLikelihood(
            self.model, tables["item"], tables.get("user"), item_ids, str(self.event_)
        )

    def _similarity(self, index: int) -> np.ndarray:
        return self.retriever._similarity(index)


def is_m6rec(path: str | Path) -> bool:
    """Return whether a folder holds an M6-Rec model, not a saved recommender."""
    try:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "m6rec"


def m6rec_recommender(path: str | Path, dataset: Dataset | None) -> M6RecRanker:
    """Return a recommender of an M6-Rec folder and the data set whose items it ranks.

    Only the retriever is fitted, ``Markov`` on all rows; M6-Rec is used as it is.

    Args:
        path: the folder.
        dataset: its titles are ranked; None is an error that says what to give.

    Raises:
        DataError: if there is no data set, or no text in it, or the folder is damaged.
    """
    if dataset is None:
        raise DataError(
            f"{path} is an M6-Rec model, which knows no catalogue: name the data set whose items "
            "it ranks, --data NAME (in Python dataset=load_dataset(NAME))"
        )
    train = Interactions.from_frame(dataset.interactions)
    ranker = M6RecRanker(str(path))
    try:
        return ranker.fit(train, items=dataset.items, users=dataset.users, progress=False)
    except ModelError as error:
        raise DataError(str(error)) from error
