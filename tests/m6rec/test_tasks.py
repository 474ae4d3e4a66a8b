"""What all tasks share: rows in two regions, batches of them, and the states of a batch."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import Histories
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import TASKS, Examples, TaskBatches, collate
from tests.worlds import shipped, shipped_split

DATASET = shipped()
SPLIT = shipped_split()
TOKENIZER = Tokenizer.train(DATASET.items["title"], 600)
TEXT = BehaviourText(DATASET)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def model() -> M6RecModel:
    torch.manual_seed(0)
    return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **SHAPE)).double().eval()


def random_examples(sizes: list[tuple[int, int]], seed: int = 0) -> Examples:
    draw = np.random.default_rng(seed)
    known = [draw.integers(11, 600, k).astype(np.int32) for k, _ in sizes]
    written = [draw.integers(11, 600, w).astype(np.int32) for _, w in sizes]
    about = pd.DataFrame({"user_id": np.arange(len(sizes))})
    return Examples(known, written, draw.integers(0, 5, len(sizes)), about)


def marks(ids: np.ndarray) -> list[str]:
    return TOKENIZER.tokens(ids.tolist())


def test_regions_stand_between_their_boundaries() -> None:
    prompts = PromptBuilder(TEXT, TOKENIZER, 200)
    item = int(DATASET.items["item_id"].iloc[3])
    (row,) = prompts.items([item])
    assert marks(row)[:2] == ["[BOS]", "[ITEM]"]
    assert marks(row)[-1] == "[EOS]"
    assert TOKENIZER.decode(row[2:-1].tolist()) == TEXT.item(item)
    (known,) = prompts.known([Document((("[USER]", "somebody"),))])
    assert [marks(known)[0], marks(known)[-1]] == ["[BOS']", "[EOS']"]
    (begun,) = prompts.written([Document(((None, "because"),))], open=True)
    assert marks(begun)[0] == "[BOS]"
    assert "[EOS]" not in marks(begun)


def test_a_long_history_keeps_its_latest_events_and_leaves_room() -> None:
    prompts = PromptBuilder(TEXT, TOKENIZER, 200)
    longest = int(SPLIT.train.histories().lengths.argmax())
    history = SPLIT.train.histories()[longest : longest + 1]
    (row,) = prompts.people(history, room=50)
    assert len(row) <= 150
    assert marks(row)[:2] == ["[BOS']", "[USER]"]
    assert marks(row)[-1] == "[EOS']"
    latest = TEXT.events(history)[-1]
    assert TOKENIZER.decode(row.tolist()).endswith(latest)


def test_a_user_without_events_and_an_item_without_text_can_be_described() -> None:
    prompts = PromptBuilder(TEXT, TOKENIZER, 200)
    empty = Histories.from_lists([[]], SPLIT.item_ids, user_ids=[-5], at=1_700_000_000)
    (row,) = prompts.people(empty)
    assert marks(row)[:2] == ["[BOS']", "[USER]"]


def test_too_little_room_is_said() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        PromptBuilder(TEXT, TOKENIZER, 4)
    history = SPLIT.train.histories()[:1]
    with pytest.raises(ValueError, match="leaves no room"):
        PromptBuilder(TEXT, TOKENIZER, 100).people(history, room=99)
    with pytest.raises(ValueError, match="too few"):
        PromptBuilder(TEXT, TOKENIZER, 20).people(history)


def test_a_batch_answers_as_each_row_alone(model: M6RecModel) -> None:
    """Filling is not seen, the known region sees itself both ways, the written one its past."""
    examples = random_examples([(7, 4), (3, 9), (12, 0), (5, 1)])
    batch = collate(examples, np.array([2, 0, 3, 1]))
    with torch.no_grad():
        states = batch.states(model)
        for line, i in enumerate(batch.rows.tolist()):
            row = np.concatenate([examples.known[i], examples.written[i]])
            ids = torch.from_numpy(row.astype(np.int64))[None]
            alone = model.states(ids, prefix_length=len(examples.known[i]))[0]
            torch.testing.assert_close(states[line, : len(row)], alone)
            torch.testing.assert_close(batch.last(states)[line], alone[-1])


def test_what_is_predicted_is_what_is_written_after_its_first_token() -> None:
    examples = random_examples([(3, 4), (2, 1), (4, 0)])
    batch = collate(examples, np.arange(3))
    assert batch.target_mask().sum(dim=1).tolist() == [3, 0, 0]
    nexts = batch.ids.roll(-1, dims=1)[batch.target_mask()]
    assert nexts.tolist() == examples.written[0][1:].tolist()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), min_size=1, max_size=60),
    st.integers(1, 300),
    st.booleans(),
)
def test_an_epoch_holds_every_row_once_within_its_budget(sizes, tokens, shuffle) -> None:
    batches = TaskBatches(random_examples(sizes), tokens, shuffle=shuffle)
    epoch = batches.epoch(1, 2)
    result = list(epoch)
    assert sorted(torch.cat([batch.rows for batch in result]).tolist()) == list(range(len(sizes)))
    for batch in result:
        assert batch.ids.numel() <= tokens or len(batch.ids) == 1
    again = [batch.rows.tolist() for batch in batches.epoch(1, 2)]
    assert again == [batch.rows.tolist() for batch in result]


def test_examples_are_chosen_by_indices_slices_and_bools() -> None:
    examples = random_examples([(k, 2) for k in range(1, 7)])
    for rows in (np.array([4, 1]), slice(1, 3), np.arange(6) % 2 == 0):
        some, indices = examples[rows], np.arange(6)[rows]
        assert some.lengths.tolist() == examples.lengths[indices].tolist()
        assert some.about["user_id"].tolist() == indices.tolist()
        assert some.target.tolist() == examples.target[indices].tolist()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="as many of each"):
        Examples([np.zeros(1)], [], np.zeros(1))
    with pytest.raises(ValueError, match="no examples"):
        TaskBatches(random_examples([]))
    with pytest.raises(ValueError, match="tokens must be"):
        TaskBatches(random_examples([(1, 1)]), 0)


def test_every_task_has_a_name_of_its_own_and_the_three_verbs() -> None:
    assert sorted(TASKS) == ["conversation", "design", "explanation", "query", "ranking",
                             "retrieval", "scoring"]  # fmt: skip
    for name, kind in TASKS.items():
        assert kind.name == name
        assert not inspect.isabstract(kind)
