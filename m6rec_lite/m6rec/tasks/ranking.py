"""Zero-shot ranking by the likelihood of each item's sentence after the user's history.

    [BOS'] the user, the latest events [EVENT] [MASK] [EOS'] [BOS] clicked a product named … [EOS]

There is no head and no training: the model was pretrained to write such sentences. A sentence's
score is the log-likelihood of its tokens; optionally their mean (*mean*), minus that of the
sentence without a user (*lift*), and plus the logarithm of the item's popularity times a weight.
Which of these helps depends on the data: ``choose`` takes the best on validation.
Source: M6-Rec (Cui et al., 2022, section 3), "a user who clicks X also clicks Y"; the templates are
in ``ranking.json``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from torch import Tensor

from m6rec_lite.data import EVENTS, DataError, Histories
from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.language.text.document import Document, shorten
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.full_ranking import popularity, ranking_figures, ranking_report
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch
from m6rec_lite.nn.likelihood import log_likelihood

log = logging.getLogger(__name__)

#: Pieces after the events: the next event, masked.
_BLANK = (("[EVENT]", ""), ("[MASK]", ""))
#: Scores by name: (whether to divide by the number of tokens, whether to subtract the score
#: without a user).
SCORINGS = {
    "sum": (False, False),
    "mean": (True, False),
    "sum, lift": (False, True),
    "mean, lift": (True, True),
}
#: Weights of ``ln(1 + popularity)`` that ``choose`` tries.
POPULARITY_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)


@cache
def templates() -> dict[str, dict[str, Any]]:
    """Return ``ranking.json``: by name, ``asks`` and ``sentence``."""
    text = resources.files(__package__).joinpath("ranking.json").read_text(encoding="utf-8")
    return {name: value for name, value in json.loads(text).items() if name != "about"}


class Ranking(Task):
    """Ranking of candidates by the likelihood of their sentences.

    Args:
        template: a name in ``ranking.json``.
        event: type of event that the sentence describes, one of ``EVENTS``.
        scoring: one of ``SCORINGS``; ``choose`` takes the best on validation.
        popularity_weight: w, at least 0: ``predict`` adds ``w ln(1 + n)`` to the score of an item
            that ``n`` users have in training; also chosen by ``choose``.

    Attributes:
        n_truncated: number of candidates whose sentence was shortened by the last ``encode``.

    Raises:
        ValueError: if there is no such template, event or scoring, or the weight is negative.
    """

    name: ClassVar[str] = "ranking"

    def __init__(
        self,
        template: str = "next event",
        event: str = "click",
        scoring: str = "mean",
        popularity_weight: float = 0.0,
    ) -> None:
        super().__init__()
        options = {"template": (template, templates()), "event": (event, EVENTS)}
        options["scoring"] = (scoring, SCORINGS)
        for name, (value, names) in options.items():
            if value not in names:
                raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")
        if not popularity_weight >= 0:
            raise ValueError(f"popularity_weight must be at least 0, got {popularity_weight!r}")
        self.template, self.event, self.scoring = template, event, scoring
        self.popularity_weight = popularity_weight
        self.n_truncated = 0

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("template", "event", "scoring", "popularity_weight")
        return {name: getattr(self, name) for name in names}

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return users with candidates.

        In ``train`` the only candidate is the item of each user's last event, after the earlier
        ones; otherwise ``limit`` users, each with every item that may be ranked. To encode other
        candidates, use ``encode``.
        """
        if part == "train":
            histories, targets = data.last_events(limit)
            candidates = histories.item_ids[targets][:, None]
        else:
            histories = data.questions(part, limit).histories
            items = histories.item_ids
            if data.split.candidates is not None:
                items = items[data.split.candidates]
            candidates = [items] * len(histories)
        examples = self.encode(histories, candidates, prompts)
        ids = examples.about["item_id"].to_numpy()
        counts = popularity(data)[np.searchsorted(data.split.item_ids, ids)]
        return replace(examples, about=examples.about.assign(popularity=counts))

    def encode(
        self,
        histories: Histories,
        candidates: Sequence[Sequence[Id]] | np.ndarray,
        prompts: PromptBuilder,
    ) -> Examples:
        """Return an example for each user and candidate; those of a user share a known region.

        Args:
            histories: ``n`` rows.
            candidates: item ids of each row, at least one.
            prompts: turns users and items into text.

        Returns:
            One example for each candidate; ``about`` has ``row`` (index into the histories),
            ``user_id`` and ``item_id``.

        Raises:
            DataError: if a row has no candidates, or a candidate is not in the dataset.
        """
        if len(candidates) != len(histories):
            raise DataError(
                f"there are {len(histories)} histories and {len(candidates)} lists of candidates: "
                "give one list a history"
            )
        for row, row_candidates in enumerate(candidates):
            if not len(row_candidates):
                raise DataError(
                    f"row {row} (user {histories.user_ids[row]}) has no candidates to rank: leave "
                    "the row out, or retrieve some first"
                )
        ids = as_ids([item for row in candidates for item in row], "item_id").tolist()
        index = {item: i for i, item in enumerate(dict.fromkeys(ids))}
        whole = [self.sentence(i, prompts) for i in index]
        half = prompts.max_tokens // 2  # the other half is for the user
        short = [shorten(sentence, prompts.tokenizer, half) for sentence in whole]
        self.n_truncated = sum(a != b for a, b in zip(short, whole, strict=True))
        if self.n_truncated:
            log.warning(
                "%d of %d candidates have a text of more than %d tokens, which was shortened",
                self.n_truncated, len(whole), half,
            )  # fmt: skip
        sentences = prompts.written(Document(((None, sentence),)) for sentence in short)
        longest = max(map(len, sentences), default=0)
        blank = _BLANK if templates()[self.template]["asks"] else ()
        limit = prompts.max_tokens - longest - 2 - len(blank)
        users = prompts.text.documents(histories, tokenizer=prompts.tokenizer, max_tokens=limit)
        known = prompts.known(Document((*user.pieces, *blank), user.truncated) for user in users)
        rows = np.repeat(np.arange(len(histories)), [len(row) for row in candidates])
        about = {"row": rows, "user_id": histories.user_ids[rows], "item_id": np.array(ids)}
        return Examples(
            [known[row] for row in rows],
            [sentences[index[item]] for item in ids],
            np.zeros(len(ids), dtype=np.int64),
            pd.DataFrame(about),
            prompts.tokenizer,
        )

    def sentence(self, item_id: Id, prompts: PromptBuilder) -> str:
        """Return the sentence of a candidate."""
        text = prompts.text
        words = {"item": text.item(item_id), "event": text.event(item_id, self.event)}
        return templates()[self.template]["sentence"].format(**words)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean cross-entropy of the sentences, in nats a token."""
        targets = batch.target_mask()
        states = batch.states(model)[targets]
        return token_loss(model, states, batch.ids.roll(-1, dims=1)[targets])

    def predict(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        scoring: str | None = None,
        popularity_weight: float | None = None,
        batch_tokens: int = 16_384,
    ) -> np.ndarray:
        """Return the score of each candidate, without its ``[EOS]`` (a time may follow).

        A user's known region is encoded once for all of the user's candidates.

        Args:
            model: M6-Rec, or a ``TextGenerator``, such as the ``CausalGenerator`` of any model.
            examples: ``n``.
            scoring: one of ``SCORINGS``; None takes the task's own.
            popularity_weight: None takes the task's own.
            batch_tokens: of a forward pass, at most.

        Returns:
            ``(n,)`` float64 scores.

        Raises:
            ValueError: if popularity is weighted and the examples do not have it.
        """
        name = self.scoring if scoring is None else scoring
        weight = self.popularity_weight if popularity_weight is None else popularity_weight
        scores = self.scores(model, examples, [name], batch_tokens=batch_tokens)[name]
        return with_popularity(scores, examples, weight)

    def scores(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        scorings: Sequence[str] = tuple(SCORINGS),
        *,
        batch_tokens: int = 16_384,
    ) -> dict[str, np.ndarray]:
        """Return the ``(n,)`` scores of each of ``SCORINGS``, from one pass over the examples."""
        generator = as_generator(model, examples.tokenizer)
        numbers: dict[int, int] = {}  # examples of the same candidate share an array
        index = np.array([numbers.setdefault(id(w), len(numbers)) for w in examples.written], int)
        first = np.unique(index, return_index=True)[1]
        sentences = [examples.written[i] for i in first]
        endings = [generator.ending(sentence[1:])[:-1] for sentence in sentences]
        totals = _likelihoods(generator, examples, [endings[i] for i in index], batch_tokens)
        without_user = np.zeros(len(sentences))
        if any(SCORINGS[name][1] for name in scorings):
            no_user = self._no_user(examples.tokenizer or generator.tokenizer)
            rows = Examples([no_user] * len(first), sentences, np.zeros(len(first)))
            without_user = _likelihoods(generator, rows, endings, batch_tokens)
        sizes = np.array([len(ending) for ending in endings])[index]
        scores = {}
        for name in scorings:
            normalise, lift = SCORINGS[name]
            score = totals - without_user[index] if lift else totals
            scores[name] = score / sizes if normalise else score
        return scores

    def choose(
        self, model: M6RecModel, data: TaskData, prompts: PromptBuilder, limit: int
    ) -> dict[str, Any]:
        """Choose the scoring and the weight of popularity of the highest NDCG@10 on validation.

        Of equal ones the first is chosen, in the order of ``SCORINGS``, then of the weights.
        """
        examples = self.build_examples(data, prompts, "validation", limit=limit)
        scores = self.scores(model, examples)
        ndcg = {}
        for name, weight in product(scores, POPULARITY_WEIGHTS):
            values = with_popularity(scores[name], examples, weight)
            users, matrix = score_matrix(values, examples, data)
            ndcg[name, weight] = ranking_report(matrix, users, data, examples.part)["ndcg@10"]
        self.scoring, self.popularity_weight = max(ndcg, key=lambda pair: ndcg[pair])
        return {"score": self.scoring, "popularity weight": self.popularity_weight}

    def _figures(self, outputs: np.ndarray, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return HR and NDCG of the full ranking; see ``ranking_figures``."""
        users, scores = score_matrix(outputs, examples, data)
        return ranking_figures(ranking_report(scores, users, data, examples.part, oracle=True))

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return the popularity of each candidate."""
        items = np.searchsorted(data.split.item_ids, examples.about["item_id"].to_numpy())
        return {"popularity": popularity(data)[items]}

    def _no_user(self, tokenizer: Tokenizer) -> np.ndarray:
        blank = [name for name, _ in _BLANK] if templates()[self.template]["asks"] else []
        names = ["[BOS']", "[USER]", *blank, "[EOS']"]
        return np.array([tokenizer.id(name) for name in names], dtype=np.int32)


def with_popularity(scores: np.ndarray, examples: Examples, weight: float) -> np.ndarray:
    """Return ``scores + weight ln(1 + popularity)`` of each candidate.

    Args:
        scores: ``(n,)``.
        examples: with the training users of each item in ``about["popularity"]``, as
            ``Ranking.build_examples`` writes it.
        weight: 0 returns the scores.

    Raises:
        ValueError: if the examples have no popularity, and ``weight`` is not 0.
    """
    if weight == 0:
        return scores
    if "popularity" not in examples.about:
        raise ValueError(
            "these examples have no popularity to weigh: make them by build_examples, or add the "
            "number of training users of each candidate as about['popularity']"
        )
    return scores + weight * np.log1p(examples.about["popularity"].to_numpy(np.float64))


def score_matrix(
    outputs: np.ndarray, examples: Examples, data: TaskData
) -> tuple[np.ndarray, np.ndarray]:
    """Arrange the scores of candidates as a matrix with a row for each user.

    Returns:
        ``(n,)`` user ids, and ``(n, n_items)`` scores; -inf for items that are not candidates.
    """
    about = examples.about
    _, first, rows = np.unique(about["row"], return_index=True, return_inverse=True)
    scores = np.full((len(first), len(data.split.item_ids)), -np.inf)
    scores[rows, np.searchsorted(data.split.item_ids, about["item_id"].to_numpy())] = outputs
    return about["user_id"].to_numpy()[first], scores


def _likelihoods(
    generator: TextGenerator, examples: Examples, endings: list[list[int]], batch_tokens: int
) -> np.ndarray:
    """Return ``(n,)`` log-likelihoods; rows with the same known region share its encoding."""
    groups: dict[bytes, list[int]] = {}
    for row, known in enumerate(examples.known):
        groups.setdefault(known.tobytes(), []).append(row)
    rows = list(groups.values())
    prompts = [generator.prompt(examples.known[r[0]], examples.written[r[0]][:1]) for r in rows]
    grouped = [[endings[row] for row in group] for group in rows]
    totals = np.zeros(len(endings))
    values = (
        log_likelihood(generator.model, prompts, grouped, batch_tokens=batch_tokens)
        if prompts
        else []
    )
    for group, value in zip(rows, values, strict=True):
        totals[group] = value.numpy()
    return totals
