"""Zero-shot ranking: the item whose words the model finds likeliest after the user's.

    [BOS'] the user, the latest events [EVENT] [MASK] [EOS'] [BOS] clicked a product named … [EOS]

No head, no training: the model was pretrained to write such sentences. A sentence's score is the
log-likelihood of its tokens, divided by their number, and, as *lift*, less the log-likelihood of
the sentence when nothing is known of the user. Whether either helps depends on the data: chapter 17
measures it. Source: M6-Rec (Cui et al., 2022, section 3), "a user who clicks X also clicks Y"; the
templates lie in ``ranking.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from torch import Tensor

from m6rec_lite.data import EVENTS, DataError, Histories
from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.full_ranking import popularity, ranking_figures, ranking_report
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch
from m6rec_lite.nn.likelihood import log_likelihood

#: Behind the events: the next one, left blank.
_BLANK = (("[EVENT]", ""), ("[MASK]", ""))
#: How a likelihood becomes a score: (divided by the number of tokens, less that for no user).
SCORINGS = {
    "sum": (False, False),
    "mean": (True, False),
    "sum, lift": (False, True),
    "mean, lift": (True, True),
}


@cache
def templates() -> dict[str, dict[str, Any]]:
    """Return ``ranking.json``: by name, ``asks`` and ``sentence``."""
    text = resources.files(__package__).joinpath("ranking.json").read_text(encoding="utf-8")
    return {name: one for name, one in json.loads(text).items() if name != "about"}


class Ranking(Task):
    """Ranks candidates by the likelihood of their sentences.

    Args:
        template: a name in ``ranking.json``.
        event: what the sentence says is done with the candidate, one of ``EVENTS``.
        scoring: one of ``SCORINGS``; ``choose`` takes the best on validation.

    Raises:
        ValueError: if there is no such template, event or scoring.
    """

    name: ClassVar[str] = "ranking"

    def __init__(
        self, template: str = "next event", event: str = "click", scoring: str = "mean"
    ) -> None:
        super().__init__()
        known = {"template": (template, templates()), "event": (event, EVENTS)}
        known["scoring"] = (scoring, SCORINGS)
        for name, (given, names) in known.items():
            if given not in names:
                raise ValueError(f"{name} must be one of {', '.join(names)}, got {given!r}")
        self.template, self.event, self.scoring = template, event, scoring

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"template": self.template, "event": self.event, "scoring": self.scoring}

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return users with candidates.

        For ``train`` each user's last event alone, after those before it; otherwise ``limit``
        users, each with every item that may be ranked. Candidates of one's own are encoded by
        ``encode``.
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
        return self.encode(histories, candidates, prompts)

    def encode(
        self,
        histories: Histories,
        candidates: Sequence[Sequence[Id]] | np.ndarray,
        prompts: PromptBuilder,
    ) -> Examples:
        """Return an example for each user and candidate; those of a user share a known region.

        Args:
            histories: ``n`` rows.
            candidates: for each row the ids of at least one item.
            prompts: turns users and items into words.

        Returns:
            As many examples as candidates; ``about`` has ``row`` (of the histories), ``user_id``
            and ``item_id``.

        Raises:
            DataError: if a row has no candidates, or one is no item of the dataset.
        """
        if len(candidates) != len(histories):
            raise DataError(
                f"there are {len(histories)} histories and {len(candidates)} lists of candidates: "
                "give one list a history"
            )
        for row, some in enumerate(candidates):
            if not len(some):
                raise DataError(
                    f"row {row} (user {histories.user_ids[row]}) has no candidates to rank: leave "
                    "the row out, or retrieve some first"
                )
        ids = as_ids([item for some in candidates for item in some], "item_id").tolist()
        used = {item: place for place, item in enumerate(dict.fromkeys(ids))}
        sentences = prompts.written(Document(((None, self.sentence(i, prompts)),)) for i in used)
        room = max(map(len, sentences), default=0)
        blank = _BLANK if templates()[self.template]["asks"] else ()
        limit = prompts.max_tokens - room - 2 - len(blank)
        users = prompts.text.documents(histories, tokenizer=prompts.tokenizer, max_tokens=limit)
        known = prompts.known(Document((*one.pieces, *blank), one.truncated) for one in users)
        rows = np.repeat(np.arange(len(histories)), [len(some) for some in candidates])
        about = {"row": rows, "user_id": histories.user_ids[rows], "item_id": np.array(ids)}
        return Examples(
            [known[row] for row in rows],
            [sentences[used[item]] for item in ids],
            np.zeros(len(ids), dtype=np.int64),
            pd.DataFrame(about),
            prompts.tokenizer,
        )

    def sentence(self, item_id: Id, prompts: PromptBuilder) -> str:
        """Return the sentence of a candidate."""
        item = prompts.text.item(item_id)
        event = prompts.text.templates.events[self.event].format(item=item)
        return templates()[self.template]["sentence"].format(item=item, event=event)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean nats a token of the sentences: the examples are all true ones."""
        targets = batch.target_mask()
        states = batch.states(model)[targets]
        return token_loss(model, states, batch.ids.roll(-1, dims=1)[targets])

    def predict(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        scoring: str | None = None,
        batch_tokens: int = 16_384,
    ) -> np.ndarray:
        """Return the score of each candidate, its ``[EOS]`` left out (a time may follow).

        A user is read once; the candidates share what was read.

        Args:
            model: M6-Rec, or a ``TextGenerator``, such as the ``CausalGenerator`` of any model.
            examples: ``n``.
            scoring: one of ``SCORINGS``; None takes the task's own.
            batch_tokens: positions that run at a time.

        Returns:
            ``(n,)`` float64, higher is likelier.
        """
        wanted = self.scoring if scoring is None else scoring
        return self.scores(model, examples, [wanted], batch_tokens=batch_tokens)[wanted]

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
        place: dict[int, int] = {}  # candidates share their sentences
        index = np.array([place.setdefault(id(w), len(place)) for w in examples.written], int)
        first = np.unique(index, return_index=True)[1]
        sentences = [examples.written[i] for i in first]
        endings = [generator.ending(one[1:])[:-1] for one in sentences]
        plain = _likelihoods(generator, examples, [endings[i] for i in index], batch_tokens)
        alone = np.zeros(len(sentences))
        if any(SCORINGS[name][1] for name in scorings):
            no_user = self._no_user(examples.tokenizer or generator.tokenizer)
            bare = Examples([no_user] * len(first), sentences, np.zeros(len(first)))
            alone = _likelihoods(generator, bare, endings, batch_tokens)
        sizes = np.array([len(one) for one in endings])[index]
        found = {}
        for name in scorings:
            normalise, lift = SCORINGS[name]
            score = plain - alone[index] if lift else plain
            found[name] = score / sizes if normalise else score
        return found

    def choose(
        self, model: M6RecModel, data: TaskData, prompts: PromptBuilder, limit: int
    ) -> dict[str, Any]:
        """Choose the scoring of the highest NDCG@10 on validation."""
        examples = self.build_examples(data, prompts, "validation", limit=limit)
        scores = self.scores(model, examples)
        ndcg = {}
        for name, one in scores.items():
            users, matrix = score_matrix(one, examples, data)
            ndcg[name] = ranking_report(matrix, users, data, examples.part)["ndcg@10"]
        self.scoring = max(ndcg, key=lambda name: ndcg[name])
        return {"score": self.scoring}

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


def score_matrix(
    outputs: np.ndarray, examples: Examples, data: TaskData
) -> tuple[np.ndarray, np.ndarray]:
    """Lay scores of candidates into a row for each user.

    Returns:
        ``(n,)`` user ids, and ``(n, n_items)`` scores; -inf for items that are no candidates.
    """
    about = examples.about
    _, first, rows = np.unique(about["row"], return_index=True, return_inverse=True)
    scores = np.full((len(first), len(data.split.item_ids)), -np.inf)
    scores[rows, np.searchsorted(data.split.item_ids, about["item_id"].to_numpy())] = outputs
    return about["user_id"].to_numpy()[first], scores


def _likelihoods(
    generator: TextGenerator, examples: Examples, endings: list[list[int]], batch_tokens: int
) -> np.ndarray:
    """Return ``(n,)`` log-likelihoods; rows of one known region are read together."""
    groups: dict[bytes, list[int]] = {}
    for place, known in enumerate(examples.known):
        groups.setdefault(known.tobytes(), []).append(place)
    places = list(groups.values())
    prompts = [generator.prompt(examples.known[p[0]], examples.written[p[0]][:1]) for p in places]
    grouped = [[endings[place] for place in some] for some in places]
    found = np.zeros(len(endings))
    values = (
        log_likelihood(generator, prompts, grouped, batch_tokens=batch_tokens) if prompts else []
    )
    for some, value in zip(places, values, strict=True):
        found[some] = value.numpy()
    return found
