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
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset, Split
from m6rec_lite.data.ids import Id, as_ids, is_id, no_id
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.language.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.corpora import held_out
from m6rec_lite.language.document import Document, Piece, clean
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask, text_figures
from m6rec_lite.m6rec.tasks.generators import CausalGenerator, TextGenerator
from m6rec_lite.m6rec.tasks.rows import Row, examples_of
from m6rec_lite.m6rec.tasks.task import Examples
from m6rec_lite.m6rec.tasks.trie import Naming, TitleTrie
from m6rec_lite.m6rec.tasks.truth import Truth

#: A title in a text without special tokens.
_QUOTED = re.compile("“([^“”]+)”|《([^《》]+)》")
#: Who says what.
SPEAKERS = ("USER", "SYSTEM")


class Conversation(GenerationTask):
    """Turns of the system in talks; see ``GenerationTask`` for the arguments."""

    name: ClassVar[str] = "conversation"

    def build_examples(
        self,
        dataset: Dataset,
        split: Split | None,
        prompts: PromptBuilder,
        part: str = "train",
        *,
        share: float = 0.05,
        seed: int = 0,
    ) -> Examples:
        """A row for each turn of the system that follows another turn.

        Args:
            dataset: with ``dialogues``. They tell of no user, so no split of users cuts them.
            split: not read; the tasks' builders have the same arguments.
            prompts: of words and tokens. The oldest turns are left out where a row would not fit.
            part: ``"train"``, or ``"held out"`` for those that are not learnt from.
            share: of dialogues held out; with ``seed`` as in pretraining.
            seed: of that draw.

        Returns:
            ``about`` says ``dialogue_id``, ``turn``, ``item_id`` (of the item that the turn names;
            -1: none), ``asked`` (what the user said so far) and ``text`` (the turn).

        Raises:
            DataError: without dialogues, or if somebody else speaks in them.
            ValueError: on another part, or a row that does not fit.
        """
        if part not in ("train", "held out"):
            raise ValueError(f"part must be 'train' or 'held out', got {part!r}")
        if dataset.dialogues is None:
            raise DataError(f"{dataset.name!r} has no dialogues; load_dataset('bazaar') has")
        table = dataset.dialogues.sort_values(["dialogue_id", "turn"])
        numbers = table["dialogue_id"].unique()
        away = held_out(numbers, share, seed)
        mine = table[table["dialogue_id"].isin(numbers[away == (part == "held out")])]
        known = as_ids(dataset.items["item_id"], "item_id")
        nothing, ids = no_id(known), {item: item for item in known.tolist()}
        raw = dict(zip(known.tolist(), dataset.items["title"], strict=True))
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
        return examples_of(prompts, rows)

    def predict(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        tokenizer: Tokenizer | None = None,
        *,
        catalogue: TitleTrie | None = None,
        must_name: bool = True,
        max_new_tokens: int = 96,
        **options: Any,
    ) -> list[Generation]:
        """Write each turn; see ``GenerationTask.predict``.

        Args:
            model: see there.
            examples: see there.
            tokenizer: see there.
            catalogue: only titles of these may be named, once a turn; None: anything.
            must_name: with a catalogue: an item must be named before the turn ends.
            max_new_tokens: where a turn is cut; the longest title must fit.
            options: see there.

        Raises:
            ValueError: with a catalogue and a model of other tokens, or if a title does not fit.
        """
        if catalogue is not None:
            if isinstance(model, CausalGenerator) or tokenizer is None:
                raise ValueError(
                    "a catalogue is a trie of M6-Rec's tokens: give M6-Rec and its tokenizer, or "
                    "no catalogue"
                )
            options["allowed"] = Naming(catalogue, tokenizer, max_new_tokens, must=must_name)
        return super().predict(model, examples, tokenizer, max_new_tokens=max_new_tokens, **options)


def named(written: Generation) -> str | None:
    """The title that a turn names: what ``[ITEM]`` opens, else what stands between quotes."""
    for name, text in written.document.pieces:
        if name == "[ITEM]":
            return text.strip()
    found = _QUOTED.search(written.text)
    return None if found is None else (found[1] or found[2]).strip()


def judge(
    written: Sequence[Generation],
    examples: Examples,
    catalogue: TitleTrie,
    truth: Truth | None = None,
) -> dict[str, float]:
    """How good turns are that should name an item.

    Args:
        written: ``n`` turns.
        examples: their rows; those whose turn names an item (``examples[about.item_id >= 0]``).
        catalogue: what exists.
        truth: what is true; only the bazaar has that.

    Returns:
        ``names``, the share that names something; ``exists``, the share that names a title of the
        catalogue; those of ``hits``, and of ``text_figures``.

    Raises:
        ValueError: on no turns, unequal numbers, or an example without an item.
    """
    titles = [named(one) for one in written]
    items = [() if title is None else catalogue.items(title) for title in titles]
    found = {
        "names": float(np.mean([title is not None for title in titles])) if titles else math.nan,
        "exists": float(np.mean([len(some) > 0 for some in items])) if items else math.nan,
    } | hits(items, examples, truth)
    return found | text_figures([one.text for one in written], examples.about["text"].tolist())


def hits(
    items: Sequence[Sequence[Id]], examples: Examples, truth: Truth | None = None
) -> dict[str, float]:
    """How often what is named is what the talk ended in.

    Args:
        items: for each row the items named; several share a title, and each then counts in part.
        examples: the rows.
        truth: for ``interest`` and ``domain``: whether it is at least of the right one.

    Raises:
        ValueError: on no rows, unequal numbers, or a row without an item.
    """
    wanted = examples.about["item_id"].tolist()
    without = sum(not is_id(one) for one in wanted)
    if len(items) != len(wanted) or not wanted or without:
        raise ValueError(
            f"wanted items for each of {len(wanted)} turns that name one; got {len(items)}, and "
            f"{without} turns that name none: choose examples by item_id"
        )

    def share(right: Any) -> float:
        return float(np.mean([
            np.mean([right(one, gold) for one in some]) if len(some) else 0.0
            for some, gold in zip(items, wanted, strict=True)
        ]))  # fmt: skip

    found = {"item hit": share(lambda one, gold: one == gold)}
    if truth is not None:
        found["interest"] = share(lambda a, b: truth.interest(a) == truth.interest(b))
        found["domain"] = share(lambda a, b: truth.domain(a) == truth.domain(b))
    return found


def baselines(
    train: Examples, examples: Examples, text: BehaviourText, item_ids: Sequence[Id], seed: int = 0
) -> dict[str, list[tuple[Id, ...]]]:
    """Items named without a model, for ``hits``.

    Returns:
        ``random item``; ``most named``, the item that most talks to learn from end in; ``words``,
        the item whose text shares most with what the user said, each word weighted by
        ``ln(n_items / items with it)``.

    Raises:
        ValueError: if there is no item, or no talk that names one.
    """
    if not len(item_ids):
        raise ValueError("there is no item to name: give at least one")
    said = [item for item in train.about["item_id"].tolist() if is_id(item)]
    if not said:
        raise ValueError("no talk to learn from names an item")
    most = Counter(said).most_common(1)[0][0]
    rng, ids = np.random.default_rng(seed), as_ids(item_ids, "item_id").tolist()
    bags = [set(tokens(text.item(item, parts=ALL_PARTS))) for item in ids]
    n_with = Counter(word for bag in bags for word in bag)
    best = []
    for asked in examples.about["asked"]:
        known = [word for word in dict.fromkeys(tokens(asked)) if word in n_with]
        weight = {word: math.log(len(bags) / n_with[word]) for word in known}
        scores = [sum(weight[w] for w in weight if w in bag) for bag in bags]
        best.append((ids[int(np.argmax(scores))],))
    return {
        "random item": [(ids[i],) for i in rng.choice(len(ids), len(examples))],
        "most named": [(most,)] * len(examples),
        "words": best,
    }


def _turn(said: str, raw: Any, item: Id, text: BehaviourText) -> Document:
    """A turn in pieces: before the title, the title, and after it."""
    if not is_id(item) or not (title := text.title(item)):
        return Document(((None, " " + clean(said, "dialogues, text")),))
    before, there, after = said.partition(str(raw))
    if not there:  # it says the title otherwise, or not at all: let it be said at the end
        before, after = said, ""
    start, end = (clean(part, "dialogues, text") for part in (before, after))
    return Document(((None, f" {start}"), ("[ITEM]", title), ("[SEP]", end)))
