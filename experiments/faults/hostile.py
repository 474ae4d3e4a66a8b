"""Hostile titles, reviews and errors in prompts, pages and answers of the server."""

from __future__ import annotations

import asyncio
import html
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.faults.bench import (
    Bench,
    hostile_texts,
)
from experiments.faults.saved_files import tokenizer, world
from m6rec_lite.course.build.pages import write_index
from m6rec_lite.data import Dataset, Interactions, leave_one_out
from m6rec_lite.language import BehaviourText
from m6rec_lite.language.text.document import encode_documents
from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec import PromptBuilder, pretraining_corpora
from m6rec_lite.recommenders import Popularity
from m6rec_lite.serving import RecommendationService, create_app

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


class _Elements(HTMLParser):
    """Collects the tags of a page with their attributes' names, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.texts = io.StringIO()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.write(data)


def hostile_pages(bench: Bench) -> Iterator[str]:
    """Compare the elements of the index of a run with those for plain texts."""
    size = min(100, bench.tries)
    plain = _index(bench.fresh(), [f"model {i}" for i in range(size)])
    for number in bench.each(range(bench.tries // size), "pages"):
        texts = hostile_texts(size, bench.seed + number)
        page = _index(bench.fresh(), texts)
        elements = _Elements(page)
        same = elements.tags == _Elements(plain).tags
        lost = [text for text in texts if html.escape(text) not in page]
        outcome = "lost: other elements" if not same else "lost: a text" if lost else "escaped"
        yield from [outcome] * size


def _index(folder: Path, texts: list[str]) -> str:
    """Write an index with the texts as errors of lessons, two of them also as models; return it."""
    row = {"dataset": "d", "scale": "smoke", "split_hash": "x", "variant": "", "seed": 0}
    board = pd.DataFrame([row | {"model": t, "ndcg@10": 0.1, "n_users": 9} for t in texts[:2]])
    lesson = row | {"status": "failed", "seconds": 1.0, "peak_mib": 9, "bounds_held": 0, "code": ""}
    lessons = [lesson | {"chapter": "00_a", "bounds": 0, "broken": "", "error": t} for t in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font of the figure lacks
        write_index(folder, pd.DataFrame(lessons), board, pd.DataFrame([]))
    return (folder / "index.html").read_bytes().decode()


def hostile_serving(bench: Bench) -> Iterator[str]:
    """Ask the server for all items of a catalogue with hostile titles."""
    import httpx

    n = 100
    log = pd.DataFrame(
        {"user_id": np.arange(n), "item_id": np.arange(n), "timestamp": np.arange(n)}
    )
    model = Popularity().fit(Interactions.from_frame(log)).save(bench.fresh() / "model")

    async def ask(items: pd.DataFrame) -> httpx.Response:
        app = create_app(RecommendationService(model, items=items))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            try:
                return await client.post("/recommend", json={"items": [], "k": n})
            finally:
                await app.state.batcher.close()

    for number in bench.each(range(-(-bench.tries // n)), "catalogues"):
        titles = hostile_texts(n, bench.seed + number)
        answer = asyncio.run(ask(pd.DataFrame({"item_id": np.arange(n), "title": titles})))
        kind = answer.headers.get("content-type", "")
        given = {item["item_id"]: item["title"] for item in answer.json().get("items", [])}
        for item, title in enumerate(titles[: bench.tries - number * n]):
            same = kind == "application/json" and given.get(item) == title
            yield "given back in JSON" if same else "lost: another title"
