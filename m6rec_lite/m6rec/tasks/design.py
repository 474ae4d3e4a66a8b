"""Title and product design: two blanks to fill, for a user.

    known      [USER]A woman … [EVENT]clicked … [ITEM]a product of category [MASK] named “[MASK]”
    written    wooden frame[MASK]Sketch Walks Canvas Frame

It is text infilling as in pretraining: what was taken out, span after span. So a model that has
read a user's history describes what the user would want if it existed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from m6rec_lite.data.ids import no_id
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document, Piece
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData, first_events
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.rows import Row, examples_of, people
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.truth import interests_in

#: What may be left blank, in the order of the templates.
BLANKS = ("category", "title")
#: Stands for a blank while a phrase is put together; no text holds it (``document.clean``).
_BLANK = "\x00"


class Design(GenerationTask):
    """Items designed for users.

    Args:
        blanks: what is left blank, of ``BLANKS``; the category is given where it is not blank.
        phrases: see ``GenerationTask``.
        per_user: training rows drawn for each user.

    Raises:
        ValueError: if nothing is blank, or something else; or ``per_user`` is below 1.
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
        """Return users as they were, and the item that they met next.

        For ``train`` that is any training event, drawn; items that lack what is blank are left
        out.

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
        fields = [prompts.text.items.fields[place] for place in prompts.text.items.places(
            histories.item_ids[target])]  # fmt: skip
        kept = np.flatnonzero([all(blank in one for blank in self.blanks) for one in fields])
        if limit is not None and len(kept) > limit:
            kept = np.sort(draw.choice(kept, limit, replace=False))
        cut = first_events(histories, rows[kept], sizes[kept], when[kept])
        blank_items = [self.with_blanks(prompts.text, fields[i]) for i in kept]
        rests = [self._filled(fields[i]) for i in kept]
        known = people(prompts, cut, blank_items, rests)
        ids = histories.item_ids[target[kept]].tolist()
        nothing = no_id(histories.item_ids)
        last = [histories.item_ids[cut.items[b - 1]].item() if b > a else nothing
                for a, b in zip(cut.offsets[:-1], cut.offsets[1:], strict=True)]  # fmt: skip
        items = data.dataset.items
        domain = dict(zip(items["item_id"], items["domain"], strict=True))
        made = []
        for i, place in enumerate(kept.tolist()):
            about = {
                "user_id": cut.user_ids[i].item(),
                "item_id": ids[i],
                "last_item": last[i],
                "domain": domain[ids[i]],
                "category": fields[place].get("category", ""),
                "text": fields[place].get("title", ""),
            }
            made.append(Row(known[i] + blank_items[i], Document(()), rests[i], about=about))
        return examples_of(prompts, made)

    def with_blanks(self, text: BehaviourText, fields: Mapping[str, str]) -> Document:
        """Return an item with blanks; of its fields (``facts.Items``) only the others are read."""
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
        """Return what was taken out, span after span."""
        first, *others = (fields[blank] for blank in self.blanks)
        return Document(((None, first), *(("[MASK]", other) for other in others)))

    def designs(self, outputs: Sequence[Generation]) -> list[dict[str, str]]:
        """Return what fills each blank; "" where the model wrote too few spans."""
        found = []
        for one in outputs:
            spans = [""]
            for name, text in one.document.pieces:
                if name == "[MASK]":
                    spans.append("")
                spans[-1] += text
            spans += [""] * len(self.blanks)
            found.append({b: s.strip() for b, s in zip(self.blanks, spans, strict=False)})
        return found

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the titles."""
        return [one.get("title", "") for one in self.designs(outputs)]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``exists`` and ``category``; with the truth ``taste`` and ``target``.

        ``exists`` is whether an item has that title already; ``category``, where it was blank,
        whether it is one of the domain in question; ``taste``, whether the title names an interest
        of the user's (``Truth.tastes``); ``target``, one of the item that they met.
        """
        about, designs, items = examples.about, self.designs(outputs), data.dataset.items
        titles = [one.get("title", "") for one in designs]
        there = {data.text.title(item) for item in items["item_id"]} - {""}
        found = {"exists": np.array([title in there for title in titles])}
        if any(one.get("category") for one in designs):
            places = data.text.items.places(items["item_id"].to_numpy())
            kinds = (data.text.items.fields[place].get("category") for place in places)
            of = set(zip(items["domain"], kinds, strict=True))
            pairs = zip(about["domain"], (one["category"] for one in designs), strict=True)
            found["category"] = np.array([pair in of for pair in pairs])
        if data.truth is not None:
            named = [interests_in(title) for title in titles]
            users = zip(named, about["user_id"].tolist(), strict=True)
            met = zip(named, about["item_id"].tolist(), strict=True)
            found["taste"] = np.array([bool(some & data.truth.tastes(u)) for some, u in users])
            found["target"] = np.array([bool(data.truth.interests(i) & some) for some, i in met])
        return {name: values.astype(np.float64) for name, values in found.items()}

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return titles of training rows, each of the domain in question where there is one.

        Returns:
            ``random title`` of the training rows, and ``most met``, the most frequent of them.
            They say no category.
        """
        rng = np.random.default_rng(data.seed)
        every = train.about["text"]
        groups = {domain: rows for domain, rows in every.groupby(train.about["domain"])
                  if len(rows)}  # fmt: skip
        pools = {domain: rows.to_numpy() for domain, rows in groups.items()}
        # Of equally frequent titles mode()[0] is the first in alphabetical order.
        most = {domain: rows.mode()[0] for domain, rows in groups.items()}
        everything, first = every.to_numpy(), str(every.mode()[0])
        domains = examples.about["domain"].tolist()
        found = {
            "random title": [str(rng.choice(pools.get(d, everything))) for d in domains],
            "most met": [str(most.get(d, first)) for d in domains],
        }
        return {name: [self._titled(title) for title in some] for name, some in found.items()}

    def _titled(self, title: str) -> Generation:
        """A design that fills the blank of the title alone."""
        filled = {"title": title}
        first, *others = (filled.get(blank, "") for blank in self.blanks)
        return Generation.of((None, first), *(("[MASK]", other) for other in others))
