"""Title and product design: fill in the title and category of an item for a user.

    known      [USER]A woman … [EVENT]clicked … [ITEM]a product of category [MASK] named “[MASK]”
    written    wooden frame[MASK]Sketch Walks Canvas Frame

It is text infilling as in pretraining: the written region holds the masked spans in order. After a
user's history, the model describes an item that the user would want if it existed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from m6rec_lite.data.ids import no_id
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document, Piece
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.rows import Row, examples_of, people
from m6rec_lite.m6rec.tasks.task import Examples

#: Fields that may be blank, in the order of the templates.
BLANKS = ("category", "title")
#: Placeholder of a blank while a phrase is formatted; no text holds it (``document.clean``).
_BLANK = "\x00"


class Design(GenerationTask):
    """Design of items for users.

    Args:
        blanks: fields to fill in, of ``BLANKS``; the category is given if it is not blank.
        phrases: see ``GenerationTask``.
        per_user: number of training rows drawn for each user.

    Raises:
        ValueError: if ``blanks`` is empty or has other fields, or ``per_user`` is below 1.
    """

    name: ClassVar[str] = "design"
    table: ClassVar[str] = "items"
    max_new_tokens: ClassVar[int] = 48

    def __init__(
        self,
        blanks: Sequence[str] = BLANKS,
        phrases: Mapping[str, str] | None = None,
        per_user: int = 2,
    ) -> None:
        super().__init__(phrases)
        if per_user < 1:
            raise ValueError(f"per_user must be at least 1, got {per_user!r}")
        if not blanks or not set(blanks) <= set(BLANKS):
            raise ValueError(f"blanks must be some of {', '.join(BLANKS)}, got {tuple(blanks)!r}")
        self.blanks = tuple(blank for blank in BLANKS if blank in blanks)
        self.per_user = per_user

    @classmethod
    def supports(cls, data: TaskData) -> bool:
        """Return whether items have titles and categories."""
        return set(BLANKS) <= set(data.dataset.items.dropna(axis=1, how="all"))

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"blanks": list(self.blanks), "per_user": self.per_user} | super().settings()

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return users' histories up to an event, and the item of that event.

        In ``train`` the events are drawn from the training events; items that lack a blank field
        are left out.

        Returns:
            ``about`` has ``user_id``, ``item_id``, ``last_item`` (-1: none), ``domain``,
            ``category`` and ``text`` (the title).
        """
        draw = np.random.default_rng([data.seed, 7])
        if part == "train":
            histories = data.split.train.histories()
            lengths = np.repeat(histories.lengths, self.per_user)
            rows = np.repeat(np.arange(len(histories)), self.per_user)
            rows, lengths = rows[lengths > 0], lengths[lengths > 0]
            sizes = (draw.random(len(rows)) * lengths).astype(np.int64)  # events before the item
            at = histories.offsets[rows] + sizes
            target, when = histories.items[at], histories.timestamps[at]
        else:
            holdout = getattr(data.split, part)
            histories, rows, target = holdout.histories, holdout.target_rows, holdout.targets
            sizes, when = histories.lengths[rows], histories.at[rows]
        fields = [prompts.text.items.fields[index] for index in prompts.text.items.indices(
            histories.item_ids[target])]  # fmt: skip
        selected = np.flatnonzero([all(blank in item for blank in self.blanks) for item in fields])
        if limit is not None and len(selected) > limit:
            selected = np.sort(draw.choice(selected, limit, replace=False))
        cut = histories.first_events(rows[selected], sizes[selected], when[selected])
        blank_items = [self.with_blanks(prompts.text, fields[i]) for i in selected]
        rests = [self._filled(fields[i]) for i in selected]
        known = people(prompts, cut, blank_items, rests)
        ids = histories.item_ids[target[selected]].tolist()
        no_item = no_id(histories.item_ids)
        last = [histories.item_ids[cut.items[b - 1]].item() if b > a else no_item
                for a, b in zip(cut.offsets[:-1], cut.offsets[1:], strict=True)]  # fmt: skip
        items = data.dataset.items
        domain = dict(zip(items["item_id"], items["domain"], strict=True))
        examples = []
        for i, row in enumerate(selected.tolist()):
            about = {
                "user_id": cut.user_ids[i].item(),
                "item_id": ids[i],
                "last_item": last[i],
                "domain": domain[ids[i]],
                "category": fields[row].get("category", ""),
                "text": fields[row].get("title", ""),
            }
            examples.append(Row(known[i] + blank_items[i], Document(()), rests[i], about=about))
        return examples_of(prompts, examples)

    def with_blanks(self, text: BehaviourText, fields: Mapping[str, str]) -> Document:
        """Return an item with blanks; its blank fields (of ``facts.Items``) are not read."""
        values = dict(fields) | dict.fromkeys(self.blanks, _BLANK)
        phrases = [
            text.templates.item[part].format(**values)
            for part in text.templates.item
            if part == "domain" or (part in BLANKS and part in values)
        ]
        first, *others = " ".join(phrases).split(_BLANK)
        pieces: list[Piece] = [("[ITEM]", first), *(("[MASK]", other) for other in others)]
        return Document(tuple(pieces))

    def _filled(self, fields: Mapping[str, str]) -> Document:
        """Return the masked spans, in order."""
        first, *others = (fields[blank] for blank in self.blanks)
        return Document(((None, first), *(("[MASK]", other) for other in others)))

    def designs(self, outputs: Sequence[Generation]) -> list[dict[str, str]]:
        """Return the text of each blank field; "" where the model wrote too few spans."""
        designs = []
        for output in outputs:
            spans = [""]
            for name, text in output.document.pieces:
                if name == "[MASK]":
                    spans.append("")
                spans[-1] += text
            spans += [""] * len(self.blanks)
            designs.append({b: s.strip() for b, s in zip(self.blanks, spans, strict=False)})
        return designs

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the titles."""
        return [design.get("title", "") for design in self.designs(outputs)]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``exists`` and ``category``; with the truth ``taste`` and ``target``.

        ``exists`` is whether an item of the catalogue has the title; ``category``, where it was
        blank, whether the domain has that category; ``taste``, whether the title names an interest
        of the user (``Truth.tastes``); ``target``, whether it names one of the target item.
        """
        about, designs, items = examples.about, self.designs(outputs), data.dataset.items
        titles = [design.get("title", "") for design in designs]
        existing = {data.text.title(item) for item in items["item_id"]} - {""}
        metrics = {"exists": np.array([title in existing for title in titles])}
        if any(design.get("category") for design in designs):
            indices = data.text.items.indices(items["item_id"].to_numpy())
            categories = (data.text.items.fields[index].get("category") for index in indices)
            known = set(zip(items["domain"], categories, strict=True))
            pairs = zip(about["domain"], (d["category"] for d in designs), strict=True)
            metrics["category"] = np.array([pair in known for pair in pairs])
        if data.truth is not None:
            metrics["taste"], metrics["target"] = data.truth.agreement(titles, about)
        return {name: values.astype(np.float64) for name, values in metrics.items()}

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return titles of training rows, from the target's domain where it has some.

        Returns:
            ``random title`` of the training rows, and ``most met``, the most frequent of them,
            both without a category.
        """
        rng = np.random.default_rng(data.seed)
        all_titles = train.about["text"]
        groups = {domain: rows for domain, rows in all_titles.groupby(train.about["domain"])
                  if len(rows)}  # fmt: skip
        pools = {domain: rows.to_numpy() for domain, rows in groups.items()}
        # Of equally frequent titles mode()[0] is the first in alphabetical order.
        most_frequent = {domain: rows.mode()[0] for domain, rows in groups.items()}
        every, first = all_titles.to_numpy(), str(all_titles.mode()[0])
        domains = examples.about["domain"].tolist()
        answers = {
            "random title": [str(rng.choice(pools.get(d, every))) for d in domains],
            "most met": [str(most_frequent.get(d, first)) for d in domains],
        }
        empty = dict.fromkeys(self.blanks, "")
        return {
            key: [Generation.of(*self._filled(empty | {"title": t}).pieces) for t in titles]
            for key, titles in answers.items()
        }
