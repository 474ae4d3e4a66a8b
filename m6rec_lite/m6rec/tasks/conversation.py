"""Conversation: the system's next turn in a dialogue, which may name an item of the catalogue.

    known      [SEP]USER: I am looking for something to read. Hiking, if possible. [SEP]SYSTEM: …
    written    SYSTEM:| Then try “[ITEM]The Trail Letters, Part 2: Permits[SEP]” by Iris Vale.

Every turn is a piece of its own. A title is enclosed by two special tokens: before the first, any
text may be generated; after it, ``trie.Naming`` allows titles of the catalogue only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

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
from m6rec_lite.m6rec.tasks.lookups import NaiveBayes, word_scores
from m6rec_lite.m6rec.tasks.rows import Row, examples_of
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.trie import Naming, TitleTrie
from m6rec_lite.nn.decoding import Allowed

#: A title in a text without special tokens.
_QUOTED = re.compile("“([^“”]+)”|《([^《》]+)》")
#: The speakers of a dialogue.
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

        Dialogues have no user ids, so a share of the dialogues is held out, whatever the split:
        ``held out`` has all their turns, ``test`` those that name an item. The oldest turns are
        left out if a row would be too long. The catalogue is the trie of all titles.

        Returns:
            ``about`` has ``dialogue_id``, ``turn``, ``item_id`` (of the item that the turn names;
            -1: none), ``asked`` (the user's turns so far) and ``text`` (the turn).
        """
        assert data.dataset.dialogues is not None  # build_examples refuses a dataset without
        table = data.dataset.dialogues.sort_values(["dialogue_id", "turn"])
        numbers = table["dialogue_id"].unique()
        is_held_out = held_out(numbers, data.held_out, data.seed)
        dialogues = table[table["dialogue_id"].isin(numbers[is_held_out == (part != "train")])]
        items = data.dataset.items
        item_ids = as_ids(items["item_id"], "item_id")
        no_item, ids = no_id(item_ids), {item: item for item in item_ids.tolist()}
        raw = dict(zip(item_ids.tolist(), items["title"], strict=True))
        rows: list[Row] = []
        for number, turns in dialogues.groupby("dialogue_id", sort=True):
            before: list[Piece] = []
            queries: list[str] = []
            for turn in turns.to_dict("records"):
                speaker, item = str(turn["speaker"]), turn["item_id"]
                if speaker not in SPEAKERS:
                    raise DataError(f"dialogue {number}: {speaker!r} speaks, not USER or SYSTEM")
                text = clean(str(turn["text"]), f"dialogue {number}, text")
                if speaker == "SYSTEM" and before:
                    item = no_item if pd.isna(item) else ids[item]
                    about = {"dialogue_id": number, "turn": turn["turn"], "item_id": item}
                    begun = self.phrases["begun"].format(speaker=speaker)
                    rows.append(
                        Row(
                            known=Document(tuple(before)),
                            begun=Document(((None, begun),)),
                            rest=_turn(str(turn["text"]), raw.get(item), item, prompts.text),
                            spare=tuple(range(len(before) - 1)),
                            about=about | {"asked": " ".join(queries), "text": text},
                        )
                    )
                before.append(("[SEP]", self.phrases["turn"].format(speaker=speaker, text=text)))
                if speaker == "USER":
                    queries.append(text)
        examples = examples_of(prompts, rows)
        if part == "test" and len(examples):
            examples = examples[examples.about["item_id"].map(is_id).to_numpy(dtype=bool)]
        examples = examples[data.draw(len(examples), limit)]
        titled = any(data.text.title(item) for item in item_ids.tolist())
        trie = TitleTrie.of(data.text, prompts.tokenizer, item_ids) if titled else None
        return replace(examples, catalogue=trie)

    def _constraint(
        self, generator: TextGenerator, examples: Examples, max_new_tokens: int
    ) -> Allowed | None:
        """Return ``Naming``: each turn names one title of the catalogue before it ends."""
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

        ``names`` is whether the generated turn names a title; ``exists``, whether the catalogue
        has it; ``item hit``, whether it is the title of the target item, as a fraction if several
        items share the title; ``interest`` and ``domain``, whether it agrees with the target's.

        Raises:
            ValueError: if a row's turn names no item, or the examples have no catalogue.
        """
        targets = examples.about["item_id"].tolist()
        if without := sum(not is_id(target) for target in targets):
            raise ValueError(
                f"{without} of {len(targets)} turns name no item: take the examples of part "
                "'test', or choose them by item_id"
            )
        metrics = {}
        items = [output.items for output in outputs]
        if any(output.items is None for output in outputs):
            if examples.catalogue is None:
                raise ValueError("the examples have no catalogue to look titles up in: no item "
                                 "has a title")  # fmt: skip
            titles = [named(output) for output in outputs]
            items = [() if t is None else examples.catalogue.items(t) for t in titles]
            metrics["names"] = np.array([title is not None for title in titles], float)
            metrics["exists"] = np.array([bool(matches) for matches in items], float)

        def share(agree: Callable[[Id, Id], bool]) -> np.ndarray:
            return np.array([np.mean([agree(item, target) for item in row]) if row else 0.0
                             for row, target in zip(items, targets, strict=True)])  # fmt: skip

        metrics["item hit"] = share(lambda item, target: item == target)
        if (truth := data.truth) is not None:
            metrics["interest"] = share(lambda a, b: truth.interest(a) == truth.interest(b))
            metrics["domain"] = share(lambda a, b: truth.domain(a) == truth.domain(b))
        return metrics

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return items that are chosen without a model.

        Returns:
            ``random item``; ``most named``, the item that most training turns name; ``words``, the
            item whose text shares most words with the user's turns, each word weighted by
            ``ln(n_items / items with it)``; and ``domain, then words``, the same among the items
            of the domain that naive Bayes guesses from the turns, where items have domains.

        Raises:
            ValueError: if there is no item, or no dialogue that names one.
        """
        ids = as_ids(data.dataset.items["item_id"], "item_id").tolist()
        if not ids:
            raise ValueError("there is no item to name: give at least one")
        items = [item for item in train.about["item_id"].tolist() if is_id(item)]
        if not items:
            raise ValueError("no dialogue to learn from names an item")
        most_named = Counter(items).most_common(1)[0][0]
        rng = np.random.default_rng(data.seed)
        bags = [set(tokens(data.text.item(item, parts=ALL_PARTS))) for item in ids]
        n_with = Counter(word for bag in bags for word in bag)
        queries = examples.about["asked"].tolist()
        scores = [word_scores(query, bags, n_with) for query in queries]
        answers = {
            "random item": [ids[i] for i in rng.choice(len(ids), len(examples))],
            "most named": [most_named] * len(examples),
            "words": [ids[int(np.argmax(row))] for row in scores],
        }
        table = data.dataset.items
        if "domain" in table and table["domain"].notna().all():
            domain = dict(zip(ids, table["domain"].tolist(), strict=True))
            named_rows = [is_id(item) for item in train.about["item_id"].tolist()]
            said = train.about["asked"][named_rows].tolist()
            bayes = NaiveBayes(said, [domain[item] for item in items])
            domains = np.array([domain[item] for item in ids])
            inside = [np.where(domains == bayes.predict(query), 0, -np.inf) for query in queries]
            answers["domain, then words"] = [
                ids[int(np.argmax(row + mask))] for row, mask in zip(scores, inside, strict=True)
            ]
        return {key: [Generation.of(items=(i,)) for i in row] for key, row in answers.items()}


def named(written: Generation) -> str | None:
    """Return the title that a turn names: the piece of ``[ITEM]``, else the first quotation."""
    for name, text in written.document.pieces:
        if name == "[ITEM]":
            return text.strip()
    quoted = _QUOTED.search(written.text)
    return None if quoted is None else (quoted[1] or quoted[2]).strip()


def _turn(turn: str, raw: object, item: Id, text: BehaviourText) -> Document:
    """Return a turn as pieces: the text before the title, the title, and the text after it."""
    if not is_id(item) or not (title := text.title(item)):
        return Document(((None, " " + clean(turn, "dialogues, text")),))
    before, matched, after = turn.partition(str(raw))
    if not matched:  # the turn does not hold the title: append it
        before, after = turn, ""
    start, end = (clean(part, "dialogues, text") for part in (before, after))
    return Document(((None, f" {start}"), ("[ITEM]", title), ("[SEP]", end)))
