"""Conversation: the system's next turn, which at last names an item that exists.

    known      [SEP]USER: I am looking for something to read. Hiking, if possible. [SEP]SYSTEM: …
    written    SYSTEM:| Then try “[ITEM]The Trail Letters, Part 2: Permits[SEP]” by Iris Vale.

Every turn is a piece of its own, whatever is written in it. A title stands between two special
tokens: up to the first the system may say anything, then ``trie.Naming`` lets it write a title of
the catalogue and nothing else.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError
from m6rec_lite.data.ids import Id, as_ids, is_id, no_id
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.document import Document, Piece, clean
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.generators import CausalGenerator, TextGenerator
from m6rec_lite.m6rec.tasks.rows import Row, examples_of
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.trie import Naming, TitleTrie
from m6rec_lite.nn.decoding import Allowed

#: A title in a text without special tokens.
_QUOTED = re.compile("“([^“”]+)”|《([^《》]+)》")
#: Who says what.
SPEAKERS = ("USER", "SYSTEM")


class Conversation(GenerationTask):
    """Turns of the system in dialogues; see ``GenerationTask`` for the arguments."""

    name: ClassVar[str] = "conversation"
    parts: ClassVar[tuple[str, ...]] = ("train", "test", "held out")
    table: ClassVar[str] = "dialogues"
    max_new_tokens: ClassVar[int] = 96

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return a row for each turn of the system that follows another turn.

        Dialogues say nothing of users, so a share of them is held out, whatever the split: ``held
        out`` has all their turns, ``test`` those that name an item. The oldest turns are left out
        where a row would be too long. The catalogue is the trie of all titles.

        Returns:
            ``about`` has ``dialogue_id``, ``turn``, ``item_id`` (of the item that the turn names;
            -1: none), ``asked`` (what the user said so far) and ``text`` (the turn).
        """
        table = data.dataset.dialogues.sort_values(["dialogue_id", "turn"])
        numbers = table["dialogue_id"].unique()
        away = held_out(numbers, data.held_out, data.seed)
        mine = table[table["dialogue_id"].isin(numbers[away == (part != "train")])]
        items = data.dataset.items
        known = as_ids(items["item_id"], "item_id")
        nothing, ids = no_id(known), {item: item for item in known.tolist()}
        raw = dict(zip(known.tolist(), items["title"], strict=True))
        rows: list[Row] = []
        for number, turns in mine.groupby("dialogue_id", sort=True):
            before: list[Piece] = []
            asked: list[str] = []
            for turn in turns.to_dict("records"):
                speaker, item = str(turn["speaker"]), turn["item_id"]
                if speaker not in SPEAKERS:
                    raise DataError(f"dialogue {number}: {speaker!r} speaks, not USER or SYSTEM")
                said = clean(str(turn["text"]), f"dialogue {number}, text")
                if speaker == "SYSTEM" and before:
                    item = nothing if pd.isna(item) else ids[item]
                    about = {"dialogue_id": number, "turn": turn["turn"], "item_id": item}
                    begun = self.phrases["begun"].format(speaker=speaker)
                    rows.append(
                        Row(
                            known=Document(tuple(before)),
                            begun=Document(((None, begun),)),
                            rest=_turn(str(turn["text"]), raw.get(item), item, prompts.text),
                            spare=tuple(range(len(before) - 1)),
                            about=about | {"asked": " ".join(asked), "text": said},
                        )
                    )
                before.append(("[SEP]", self.phrases["turn"].format(speaker=speaker, text=said)))
                if speaker == "USER":
                    asked.append(said)
        examples = examples_of(prompts, rows)
        if part == "test" and len(examples):
            examples = examples[examples.about["item_id"].map(is_id).to_numpy(dtype=bool)]
        examples = examples[data.draw(len(examples), limit)]
        titled = any(data.text.title(item) for item in known.tolist())
        trie = TitleTrie.of(data.text, prompts.tokenizer, known) if titled else None
        return replace(examples, catalogue=trie)

    def _constraint(
        self, generator: TextGenerator, examples: Examples, max_new_tokens: int
    ) -> Allowed | None:
        """Let each turn name a title of the catalogue, once, and not end before it does."""
        if examples.catalogue is None:
            return None
        if isinstance(generator, CausalGenerator):
            raise ValueError(
                "the catalogue is a trie of M6-Rec's tokens: give M6-Rec, or constrained=False"
            )
        return Naming(examples.catalogue, generator.tokenizer, max_new_tokens)

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``names``, ``exists`` and ``item hit``; with the truth ``interest``, ``domain``.

        ``names`` is whether a turn names something; ``exists``, whether that is a title of the
        catalogue; ``item hit``, whether it is the item that the turn named: several items share a
        title, and each then counts in part. ``interest`` and ``domain``: whether it is at least of
        the right one.

        Raises:
            ValueError: if a row's turn names no item, or the examples have no catalogue.
        """
        wanted = examples.about["item_id"].tolist()
        if without := sum(not is_id(one) for one in wanted):
            raise ValueError(
                f"{without} of {len(wanted)} turns name no item: take the examples of part 'test', "
                "or choose them by item_id"
            )
        found, items = {}, [one.items for one in outputs]
        if any(one is None for one in items):
            if examples.catalogue is None:
                raise ValueError("the examples have no catalogue to look titles up in: no item "
                                 "has a title")  # fmt: skip
            titles = [named(one) for one in outputs]
            items = [() if t is None else examples.catalogue.items(t) for t in titles]
            found["names"] = np.array([title is not None for title in titles], float)
            found["exists"] = np.array([len(some) > 0 for some in items], float)

        def share(right: Any) -> np.ndarray:
            return np.array([np.mean([right(one, gold) for one in some]) if some else 0.0
                             for some, gold in zip(items, wanted, strict=True)])  # fmt: skip

        found["item hit"] = share(lambda one, gold: one == gold)
        if (truth := data.truth) is not None:
            found["interest"] = share(lambda a, b: truth.interest(a) == truth.interest(b))
            found["domain"] = share(lambda a, b: truth.domain(a) == truth.domain(b))
        return found

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return items that are chosen without a model.

        Returns:
            ``random item``; ``most named``, the item that most training dialogues end in;
            ``words``, the item whose text shares most with what the user said, each word weighted
            by ``ln(n_items / items with it)``.

        Raises:
            ValueError: if there is no item, or no dialogue that names one.
        """
        ids = as_ids(data.dataset.items["item_id"], "item_id").tolist()
        if not ids:
            raise ValueError("there is no item to name: give at least one")
        said = [item for item in train.about["item_id"].tolist() if is_id(item)]
        if not said:
            raise ValueError("no dialogue to learn from names an item")
        most = Counter(said).most_common(1)[0][0]
        rng = np.random.default_rng(data.seed)
        bags = [set(tokens(data.text.item(item, parts=ALL_PARTS))) for item in ids]
        n_with = Counter(word for bag in bags for word in bag)
        best = []
        for asked in examples.about["asked"]:
            known = [word for word in dict.fromkeys(tokens(asked)) if word in n_with]
            weight = {word: math.log(len(bags) / n_with[word]) for word in known}
            scores = [sum(weight[w] for w in weight if w in bag) for bag in bags]
            best.append(ids[int(np.argmax(scores))])
        found = {
            "random item": [ids[i] for i in rng.choice(len(ids), len(examples))],
            "most named": [most] * len(examples),
            "words": best,
        }
        return {name: [Generation.of(items=(i,)) for i in some] for name, some in found.items()}


def named(written: Generation) -> str | None:
    """Return the title that a turn names: what ``[ITEM]`` opens, else what is quoted."""
    for name, text in written.document.pieces:
        if name == "[ITEM]":
            return text.strip()
    quoted = _QUOTED.search(written.text)
    return None if quoted is None else (quoted[1] or quoted[2]).strip()


def _turn(said: str, raw: Any, item: Id, text: BehaviourText) -> Document:
    """Return a turn in pieces: before the title, the title, and after it."""
    if not is_id(item) or not (title := text.title(item)):
        return Document(((None, " " + clean(said, "dialogues, text")),))
    before, there, after = said.partition(str(raw))
    if not there:  # it says the title otherwise, or not at all: let it be said at the end
        before, after = said, ""
    start, end = (clean(part, "dialogues, text") for part in (before, after))
    return Document(((None, f" {start}"), ("[ITEM]", title), ("[SEP]", end)))
