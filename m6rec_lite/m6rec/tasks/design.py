"""Title and product design: two blanks to fill, for somebody.

    known      [USER]A woman … [EVENT]clicked … [ITEM]a product of category [MASK] named “[MASK]”
    written    wooden frame[MASK]Sketch Walks Canvas Frame

It is text infilling as in pretraining: what was taken out, span after span. A model that has read
somebody's history can so be asked what they would want if it existed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from m6rec_lite.data import Dataset, Split
from m6rec_lite.data.ids import no_id
from m6rec_lite.language.behaviour import BehaviourText
from m6rec_lite.language.document import Document, Piece
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask, text_figures
from m6rec_lite.m6rec.tasks.rows import Row, examples_of, first_events, people
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.truth import Truth, interests_in

#: What may be left blank, in the order of the templates.
BLANKS = ("category", "title")
#: Stands for a blank while a phrase is put together; no text holds it (``document.clean``).
_BLANK = "\x00"


class Design(GenerationTask):
    """Items designed for somebody.

    Args:
        blanks: what is left blank, of ``BLANKS``; the category is told where it is not blank.
        phrases: see ``GenerationTask``.

    Raises:
        ValueError: if nothing is blank, or something else.
    """

    name: ClassVar[str] = "design"

    def __init__(
        self, blanks: Sequence[str] = BLANKS, phrases: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(phrases)
        if not blanks or not set(blanks) <= set(BLANKS):
            raise ValueError(f"blanks must be some of {', '.join(BLANKS)}, got {tuple(blanks)!r}")
        self.blanks = tuple(blank for blank in BLANKS if blank in blanks)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"blanks": list(self.blanks)} | super().settings()

    def build_examples(
        self,
        dataset: Dataset,
        split: Split,
        prompts: PromptBuilder,
        part: str = "train",
        *,
        per_user: int = 2,
        limit: int | None = None,
        seed: int = 0,
    ) -> Examples:
        """Rows of a user as they were, and the item that they met next.

        Args:
            dataset: its items' categories and titles; items that lack what is blank are left out.
            split: whose rows.
            prompts: of words and tokens; the oldest events are left out where they do not fit.
            part: ``"train"``: rows of the training data, drawn; ``"validation"`` or ``"test"``:
                the targets.
            per_user: rows drawn for each user, for ``"train"``.
            limit: rows at most, drawn; None takes all.
            seed: of the draws.

        Returns:
            ``about`` says ``user_id``, ``item_id``, ``last_item`` (-1: none), ``domain``,
            ``category`` and ``text`` (the title).

        Raises:
            ValueError: on another part, a number out of range, or a row that does not fit.
        """
        if part not in ("train", "validation", "test"):
            raise ValueError(f"part must be 'train', 'validation' or 'test', got {part!r}")
        if per_user < 1 or (limit is not None and limit < 1):
            raise ValueError(f"per_user and limit must be at least 1, got {per_user!r}, {limit!r}")
        draw = np.random.default_rng([seed, 7])
        if part == "train":
            histories = split.train.histories()
            lengths = np.repeat(histories.lengths, per_user)
            rows = np.repeat(np.arange(len(histories)), per_user)
            rows, lengths = rows[lengths > 0], lengths[lengths > 0]
            sizes = (draw.random(len(rows)) * lengths).astype(np.int64)  # events before the item
            at = histories.offsets[rows] + sizes
            target, when = histories.items[at], histories.timestamps[at]
        else:
            holdout = getattr(split, part)
            histories, rows, target = holdout.histories, holdout.target_rows, holdout.targets
            sizes, when = histories.lengths[rows], histories.at[rows]
        fields = [prompts.text.items.fields[place] for place in prompts.text.items.places(
            histories.item_ids[target])]  # fmt: skip
        kept = np.flatnonzero([all(blank in one for blank in self.blanks) for one in fields])
        if limit is not None and len(kept) > limit:
            kept = np.sort(draw.choice(kept, limit, replace=False))
        cut = first_events(histories, rows[kept], sizes[kept], when[kept])
        asked = [self.asked(prompts.text, fields[i]) for i in kept]
        rests = [self._filled(fields[i]) for i in kept]
        known = people(prompts, cut, asked, rests)
        ids = histories.item_ids[target[kept]].tolist()
        nothing = no_id(histories.item_ids)
        last = [histories.item_ids[cut.items[b - 1]].item() if b > a else nothing
                for a, b in zip(cut.offsets[:-1], cut.offsets[1:], strict=True)]  # fmt: skip
        domain = dict(zip(dataset.items["item_id"], dataset.items["domain"], strict=True))
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
            made.append(Row(known[i] + asked[i], Document(()), rests[i], about=about))
        return examples_of(prompts, made)

    def asked(self, text: BehaviourText, fields: Mapping[str, str]) -> Document:
        """An item with blanks: of its fields (``facts.Items``) only what is not blank is read."""
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
        """What was taken out, span after span."""
        first, *others = (fields[blank] for blank in self.blanks)
        return Document(((None, first), *(("[MASK]", other) for other in others)))

    def designs(self, written: Sequence[Generation]) -> list[dict[str, str]]:
        """What fills each blank; "" where the model wrote too few spans."""
        found = []
        for one in written:
            spans = [""]
            for name, text in one.document.pieces:
                if name == "[MASK]":
                    spans.append("")
                spans[-1] += text
            spans += [""] * len(self.blanks)
            found.append({b: s.strip() for b, s in zip(self.blanks, spans, strict=False)})
        return found


def judge(
    designs: Sequence[Mapping[str, str]],
    examples: Examples,
    dataset: Dataset,
    text: BehaviourText,
    truth: Truth | None = None,
) -> dict[str, float]:
    """How good designs are.

    Args:
        designs: ``n`` of them, by what was blank: a ``title``, and perhaps a ``category``.
        examples: their rows.
        dataset: what exists.
        text: as in the examples; titles are compared as it says them.
        truth: what is true; only the bazaar has that.

    Returns:
        ``exists``, the share of titles that an item has already; ``category``, the share whose
        category is one of the domain asked for; those of ``text_figures``, of the titles against
        the target's; and with ``truth``: ``taste``, the share of titles that name an interest of
        the user's (``Truth.tastes``), and ``target``, that name an interest of the item that they
        met.

    Raises:
        ValueError: on no designs, or unequal numbers.
    """
    about = examples.about
    if len(designs) != len(examples) or not len(designs):
        raise ValueError(f"wanted a design for each of {len(examples)} rows, got {len(designs)}")
    titles = [one.get("title", "") for one in designs]
    there = {text.title(item) for item in dataset.items["item_id"]} - {""}
    found = {"exists": float(np.mean([title in there for title in titles]))}
    if all("category" in one for one in designs):
        places = text.items.places(dataset.items["item_id"].to_numpy())
        kinds = (text.items.fields[place].get("category") for place in places)
        of = set(zip(dataset.items["domain"], kinds, strict=True))
        asked = zip(about["domain"], (one["category"] for one in designs), strict=True)
        found["category"] = float(np.mean([pair in of for pair in asked]))
    if truth is not None:
        named = [interests_in(title) for title in titles]
        users = zip(named, about["user_id"].tolist(), strict=True)
        found["taste"] = float(np.mean([bool(some & truth.tastes(user)) for some, user in users]))
        items = zip(named, about["item_id"].tolist(), strict=True)
        found["target"] = float(np.mean([bool(truth.interests(i) & some) for some, i in items]))
    return found | text_figures(titles, about["text"].tolist())


def baselines(
    train: Examples, examples: Examples, seed: int = 0
) -> dict[str, list[dict[str, str]]]:
    """Titles that nobody designed, each of the domain asked for where there is one.

    Returns:
        ``random title`` of those to learn from, and ``most met``, the most frequent among them.

    Raises:
        ValueError: if there is nothing to learn from.
    """
    if not len(train):
        raise ValueError("there is no title to learn from")
    rng = np.random.default_rng(seed)
    every = train.about["text"]
    groups = {domain: rows for domain, rows in every.groupby(train.about["domain"]) if len(rows)}
    pools = {domain: rows.to_numpy() for domain, rows in groups.items()}
    # Of equally frequent titles mode()[0] is the first in alphabetical order.
    most = {domain: rows.mode()[0] for domain, rows in groups.items()}
    everything, first = every.to_numpy(), str(every.mode()[0])
    asked = examples.about["domain"].tolist()
    return {
        "random title": [{"title": str(rng.choice(pools.get(d, everything)))} for d in asked],
        "most met": [{"title": str(most.get(d, first))} for d in asked],
    }
