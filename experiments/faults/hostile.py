"""Hostile titles and reviews in prompts and in answers of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from experiments.faults.bench import (
    Bench,
    hostile_texts,
)
from experiments.faults.saved_files import tokenizer, world
from m6rec_lite.data import Dataset, Interactions, leave_one_out
from m6rec_lite.language import BehaviourText
from m6rec_lite.language.text.document import encode_documents
from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec import PromptBuilder, pretraining_corpora
from m6rec_lite.recommenders import Popularity
from m6rec_lite.serving import Limits, RecommendationService, create_app

#: Characters that no text of a prompt may hold.
CONTROLS = {*map(chr, range(32)), "\x7f", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff"}


def hostile_prompts(bench: Bench) -> Iterator[str]:
    """Compare the special tokens of encoded documents with those of their structure."""
    plain, words = world(0), tokenizer(0)
    assert plain.reviews is not None
    split, n_items, n_reviews = leave_one_out(plain), len(plain.items), len(plain.reviews)
    structure = [_names(document) for document in _documents(plain, split)]
    size = n_items + n_reviews
    for number in bench.each(range(-(-bench.tries // size)), "worlds"):
        texts = hostile_texts(size, bench.seed + number)
        hostile = replace(
            plain,
            items=plain.items.assign(title=texts[:n_items]),
            reviews=plain.reviews.assign(text=texts[n_items:]),
        )
        documents = _documents(hostile, split)
        fault = ""
        for document, row in zip(documents, encode_documents(words, documents), strict=True):
            wanted = [words.id(name) for name, _ in document.pieces if name is not None]
            if row[row < len(SPECIALS)].tolist() != wanted:
                fault = "lost: a special token that no code wrote"
            elif not CONTROLS.isdisjoint("".join(text for _, text in document.pieces)):
                fault = "lost: a control character"
        if [_names(document) for document in documents] != structure:
            fault = "lost: another structure"
        prompts = PromptBuilder(BehaviourText(hostile, queries="none"), words, 256)
        people, items = prompts.people(split.test.histories), prompts.items(split.item_ids)
        if max(map(len, people)) > prompts.max_tokens:
            fault = "lost: a prompt too long"
        for rows, names in ((people, ("[BOS']", "[EOS']")), (items, ("[BOS]", "[EOS]"))):
            ends = [words.id(name) for name in names]
            if any(row[[0, -1]].tolist() != ends for row in rows):
                fault = "lost: a prompt without its ends"
        yield from [fault or "same structure"] * min(size, bench.tries - number * size)


def _documents(dataset: Dataset, split: Any) -> list[Any]:
    corpora = pretraining_corpora(dataset, split)
    return [document for corpus in corpora.values() for document in corpus.train + corpus.held_out]


def _names(document: Any) -> list[str | None]:
    return [name for name, _ in document.pieces if name is not None]


def hostile_serving(bench: Bench) -> Iterator[str]:
    """Ask the server for a list, searches and reasons in a catalogue with hostile titles."""
    import httpx

    n = 100
    log = pd.DataFrame(
        {"user_id": np.arange(n), "item_id": np.arange(n), "timestamp": np.arange(n)}
    )
    model = Popularity().fit(Interactions.from_frame(log)).save(bench.fresh() / "model")
    many = Limits(rate=1e6, burst=10**6)

    async def ask(titles: list[str]) -> list[httpx.Response]:
        """Return the list of all items, and for each its search and an item that it explains."""
        items = pd.DataFrame({"item_id": np.arange(n), "title": titles})
        app = create_app(RecommendationService(model, items=items), limits=many)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            try:
                answers = [await client.post("/recommend", json={"items": [], "k": n})]
                for item, title in enumerate(titles):
                    own = {"items": [item], "item_ids": [(item + 1) % n]}
                    answers.append(await client.post("/items", json={"text": title[:100]}))
                    answers.append(await client.post("/explain", json=own))
            finally:
                await app.state.batcher.close()
        return answers

    for number in bench.each(range(-(-bench.tries // n)), "catalogues"):
        titles = hostile_texts(n, bench.seed + number)
        answers = asyncio.run(ask(titles))
        kinds = {answer.headers.get("content-type") for answer in answers}
        listed, *others = (answer.json() for answer in answers)
        for item, title in enumerate(titles[: bench.tries - number * n]):
            found, reasons = others[2 * item : 2 * item + 2]
            items = [*listed["items"], *found, *reasons["reasons"][0]]
            given = [each["title"] for each in items if each["item_id"] == item]
            right = all(each["title"] == titles[each["item_id"]] for each in items)
            same = kinds == {"application/json"} and right and given.count(title) >= 2
            yield "given back in JSON" if same else "lost: another title"
