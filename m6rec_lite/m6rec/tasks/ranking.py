"""Zero-shot ranking: the item whose words the model finds likeliest after the user's.

    [BOS'] who, the day, the latest events [EVENT] [MASK] [EOS'] [BOS] clicked a product named … [EOS]

No head, no training: the model was pretrained to write such sentences. A sentence's score is the
log-likelihood of its tokens, divided by their number, and, as *lift*, less the log-likelihood of
the sentence with nothing known of the user. Whether either helps depends on the data: chapter 09
measures it. Source: M6-Rec (Cui et al., 2022, section 3), "a user who clicks X also clicks Y"; the
templates lie in ``ranking.json``.
"""  # noqa: E501

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
from m6rec_lite.language.document import Document
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch
from m6rec_lite.nn.likelihood import log_likelihood

#: Behind the events: the next one, left blank.
_BLANK = (("[EVENT]", ""), ("[MASK]", ""))


@cache
def templates() -> dict[str, dict[str, Any]]:
    """``ranking.json``: by name, ``asks`` and ``sentence``."""
    text = resources.files(__package__).joinpath("ranking.json").read_text(encoding="utf-8")
    return {name: one for name, one in json.loads(text).items() if name != "about"}


class Ranking(Task):
    """Puts candidates in order by how likely their sentences are.

    Args:
        template: a name in ``ranking.json``.
        event: what is said to be done with the candidate, one of ``EVENTS``.

    Raises:
        ValueError: if there is no such template or event.
    """

    name: ClassVar[str] = "ranking"

    def __init__(self, template: str = "next event", event: str = "click") -> None:
        super().__init__()
        if template not in templates():
            raise ValueError(f"template must be one of {', '.join(templates())}, got {template!r}")
        if event not in EVENTS:
            raise ValueError(f"event must be one of {', '.join(EVENTS)}, got {event!r}")
        self.template, self.event = template, event

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"template": self.template, "event": self.event}

    def build_examples(
        self,
        histories: Histories,
        candidates: Sequence[Sequence[Id]] | np.ndarray,
        prompts: PromptBuilder,
    ) -> Examples:
        """An example a person and candidate; those of one person share one known region.

        Args:
            histories: ``n`` rows.
            candidates: for each row the ids of at least one item.
            prompts: puts people and items into words.

        Returns:
            As many examples as candidates; ``about`` has ``row`` (of the histories), ``user_id``
            and ``item_id``.

        Raises:
            DataError: if a row has no candidates, or one is no item of the data set.
        """
        if len(candidates) != len(histories):
            raise DataError(
                f"there are {len(histories)} histories and {len(candidates)} lists of candidates: "
                "give one list a history"
            )
        for row, given in enumerate(candidates):
            if not len(given):
                raise DataError(
                    f"row {row} (user {histories.user_ids[row]}) has no candidates to rank: leave "
                    "the row out, or retrieve some first"
                )
        ids = as_ids([item for given in candidates for item in given], "item_id").tolist()
        used = {item: place for place, item in enumerate(dict.fromkeys(ids))}
        sentences = prompts.written(Document(((None, self.sentence(i, prompts)),)) for i in used)
        room = max(map(len, sentences), default=0)
        blank = _BLANK if templates()[self.template]["asks"] else ()
        limit = prompts.max_tokens - room - 2 - len(blank)
        told = prompts.text.documents(histories, tokenizer=prompts.tokenizer, max_tokens=limit)
        known = prompts.known(Document((*one.pieces, *blank), one.truncated) for one in told)
        rows = np.repeat(np.arange(len(histories)), [len(given) for given in candidates])
        about = {"row": rows, "user_id": histories.user_ids[rows], "item_id": np.array(ids)}
        return Examples(
            [known[row] for row in rows],
            [sentences[used[item]] for item in ids],
            np.zeros(len(ids), dtype=np.int64),
            pd.DataFrame(about),
        )

    def sentence(self, item_id: Id, prompts: PromptBuilder) -> str:
        """What is said of a candidate."""
        item = prompts.text.item(item_id)
        event = prompts.text.templates.events[self.event].format(item=item)
        return templates()[self.template]["sentence"].format(item=item, event=event)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Nats a token of the sentences: with right candidates alone, a task to learn from."""
        foretold = batch.target_mask()
        states = batch.states(model)[foretold]
        return token_loss(model, states, batch.ids.roll(-1, dims=1)[foretold])

    def predict(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        tokenizer: Tokenizer | None = None,
        normalise: bool = True,
        lift: bool = False,
        batch_tokens: int = 16_384,
        **options: Any,
    ) -> np.ndarray:
        """How likely each candidate's sentence is, its ``[EOS]`` left out (a time may follow).

        A person is read once; the candidates share what was read.

        Args:
            model: M6-Rec, or a ``TextGenerator``, such as the ``CausalGenerator`` of any model.
            examples: ``n``, from ``build_examples``.
            tokenizer: the examples'; a ``TextGenerator`` has its own.
            normalise: divide by the number of tokens.
            lift: subtract the log-likelihood of the sentence with nothing known of anybody.
            batch_tokens: positions that run at a time.
            options: none.

        Returns:
            ``(n,)`` float64, higher is likelier.

        Raises:
            ValueError: without a tokenizer.
        """
        if tokenizer is None and not isinstance(model, TextGenerator):
            raise ValueError("ranking reads text and needs the model's tokenizer: pass tokenizer=")
        writer = as_generator(model, tokenizer)
        rest = [written[1:] for written in examples.written]
        endings = [writer.ending(one)[:-1] for one in rest]
        found = _likelihoods(writer, examples, endings, batch_tokens)
        if lift:
            nobody = self._nobody(tokenizer or writer.tokenizer)
            alone = Examples([nobody] * len(examples), examples.written, examples.target)
            found = found - _likelihoods(writer, alone, endings, batch_tokens)
        return found / np.array([len(one) for one in endings]) if normalise else found

    def ranked(self, examples: Examples, scores: np.ndarray) -> pd.DataFrame:
        """The candidates of each person, best first; equal scores as they were given.

        Returns:
            Columns ``row user_id item_id score rank``, ranks from 1.
        """
        table = examples.about.assign(score=scores)
        table = table.iloc[np.lexsort((-table["score"].to_numpy(), table["row"].to_numpy()))]
        return table.assign(rank=table.groupby("row").cumcount() + 1).reset_index(drop=True)

    def _nobody(self, tokenizer: Tokenizer) -> np.ndarray:
        blank = [name for name, _ in _BLANK] if templates()[self.template]["asks"] else []
        names = ["[BOS']", "[USER]", *blank, "[EOS']"]
        return np.array([tokenizer.id(name) for name in names], dtype=np.int32)


def _likelihoods(
    writer: TextGenerator, examples: Examples, endings: list[list[int]], batch_tokens: int
) -> np.ndarray:
    """``(n,)`` log-likelihoods; rows of one known region are asked together."""
    groups: dict[bytes, list[int]] = {}
    for place, known in enumerate(examples.known):
        groups.setdefault(known.tobytes(), []).append(place)
    places = list(groups.values())
    prompts = [writer.prompt(examples.known[p[0]], examples.written[p[0]][:1]) for p in places]
    asked = [[endings[place] for place in some] for some in places]
    found = np.zeros(len(endings))
    values = log_likelihood(writer, prompts, asked, batch_tokens=batch_tokens) if prompts else []
    for some, value in zip(places, values, strict=True):
        found[some] = value.numpy()
    return found
