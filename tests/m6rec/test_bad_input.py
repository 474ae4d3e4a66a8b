"""Input that a text model cannot read as it is: too long, without text, of another tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m6rec_lite.data import DataError, Dataset, Histories, Interactions, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.language import BehaviourText, Tokenizer
from m6rec_lite.m6rec import (
    FullTextRetriever,
    M6RecConfig,
    M6RecCTR,
    M6RecModel,
    M6RecRetriever,
    Pretraining,
    PromptBuilder,
    Ranking,
    TaskData,
    next_event_documents,
    pretrain,
)

WORLD: Dataset = generate(users=40, items=60, seed=5, progress=False)
SPLIT = leave_one_out(WORLD)
TEXT = BehaviourText(WORLD, "compact", queries="none")
TOKENIZER = Tokenizer.train([TEXT.item(int(i)) for i in WORLD.items["item_id"]], 600)
#: Tokens of a row; a history of 400 events has far more.
CONTEXT = 160


@pytest.fixture(scope="module")
def long() -> Histories:
    """One user's 400 events; the latest is the first item of the catalogue."""
    ids = SPLIT.item_ids.tolist()
    items = [ids[1 + i % (len(ids) - 1)] for i in range(399)] + [ids[0]]
    times = [list(range(1000, 1400))]
    user = [int(WORLD.users["user_id"].iloc[0])]
    return Histories.from_lists([items], SPLIT.item_ids, user_ids=user, timestamps=times)


def test_a_history_longer_than_the_context_keeps_its_latest_events(long: Histories) -> None:
    prompts = PromptBuilder(TEXT, TOKENIZER, CONTEXT)
    (row,) = prompts.people(long)
    assert len(row) <= CONTEXT
    (recent,) = prompts.people(long.last(100))
    np.testing.assert_array_equal(row, recent)  # the older events do not matter
    assert TEXT.event(int(SPLIT.item_ids[0])) in TOKENIZER.decode(row.tolist())
    (document,) = TEXT.documents(long, tokenizer=TOKENIZER, max_tokens=CONTEXT)
    n_events = sum(name == "[EVENT]" for name, _ in document.pieces)
    assert document.truncated + n_events == 400
    examples = Ranking().encode(long, [SPLIT.item_ids[:5]], prompts)
    assert examples.lengths.max() <= CONTEXT


def test_a_long_history_asks_for_its_next_event_within_the_context(long: Histories) -> None:
    rows = Interactions.from_frame(
        WORLD.interactions.iloc[:400].assign(
            user_id=long.user_ids[0],
            item_id=long.item_ids[long.items],
            timestamp=long.timestamps,
        ),
        item_ids=SPLIT.item_ids,
    )
    documents = list(
        next_event_documents(rows, TEXT, TOKENIZER, max_tokens=CONTEXT, per_user=3, share=0.0)
    )
    assert len(documents) == 3
    for document in documents:
        size = sum((name is not None) + len(TOKENIZER.encode(t)) for name, t in document.pieces)
        assert size <= CONTEXT


# A data set without text.


def bare() -> Dataset:
    """The world with nothing known of its items but their ids."""
    return replace(WORLD, items=WORLD.items[["item_id"]], reviews=None, dialogues=None)


def impressions(dataset: Dataset) -> Any:
    assert dataset.impressions is not None
    return dataset.impressions.iloc[:200]


READERS: dict[str, Callable[[Dataset, Path], Any]] = {
    "pretrain": lambda data, out: pretrain(
        Pretraining(size="1x32", steps=1), out, dataset=data, device="cpu", progress=False
    ),
    "retriever": lambda data, out: M6RecRetriever(item_input="text").fit(
        SPLIT.train, items=data.items, progress=False
    ),
    "full text": lambda data, out: FullTextRetriever().fit(
        SPLIT.train, items=data.items, progress=False
    ),
    "clicks": lambda data, out: M6RecCTR().fit(impressions(data), data, progress=False),
    "task": lambda data, out: Ranking().build_examples(
        TaskData(data, SPLIT), PromptBuilder(BehaviourText(data), TOKENIZER, CONTEXT)
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_data_set_without_text_is_refused_by_what_reads_text(reader: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the \d+ items has any text.*Give a table"):
        READERS[reader](bare(), tmp_path / "run")


# A checkpoint with another tokenizer.


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder whose model was made for another tokenizer than the one in it."""
    folder = tmp_path_factory.mktemp("mixed")
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
    M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **shape)).save_pretrained(folder)
    Tokenizer.train(["quite another text"] * 3, 300).save(folder)
    return str(folder)


MODELS: dict[str, Callable[[str], Any]] = {
    "retriever": lambda folder: M6RecRetriever(model=folder, item_input="text").fit(
        SPLIT.train, items=WORLD.items, progress=False
    ),
    "full text": lambda folder: FullTextRetriever(model=folder).fit(
        SPLIT.train, items=WORLD.items, progress=False
    ),
    "clicks": lambda folder: M6RecCTR(model=folder).fit(impressions(WORLD), WORLD, progress=False),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_with_another_tokenizer_is_refused(name: str, mixed: str) -> None:
    with pytest.raises(ValueError, match=r"made for the tokenizer .* its numbers mean"):
        MODELS[name](mixed)
