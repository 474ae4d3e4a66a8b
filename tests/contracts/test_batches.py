"""What every source of batches keeps to, so that ``training.fit`` can resume and share an epoch.

A new source joins by a case: how to make one, and how to read its examples off a batch.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m6rec_lite.ctr.din_input import Rows
from m6rec_lite.data import Histories
from m6rec_lite.language.text.corpora import TokenBatches
from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.infilling import Infilling, LastEvent, SentenceGeneration
from m6rec_lite.m6rec.mixed_batches import MixedBatches
from m6rec_lite.m6rec.retriever_batches import EventBatches
from m6rec_lite.m6rec.tasks.joint import JointBatches
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatches
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.sequences import MaskedBatches, NextItemBatches
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches
from m6rec_lite.training import RowBatches
from m6rec_lite.training.batches import Batches, arrays, fingerprint

N_ITEMS = 50
NEGATIVES = Negatives(np.arange(N_ITEMS), 3, 1.0)
PACKED = {"batch_size": 4, "max_length": 9, "negatives": NEGATIVES}
#: Histories of 2 to 9 items that name their user: the items of user u begin with u.
LISTS = [[u, *range(u + 1, u + 2 + u % 8)] for u in range(40)]
#: Texts whose first word is their own, so that a row of tokens is of one document.
TEXTS = [f"document{i} of a trail and a boot " + "by the lake " * (i % 5) for i in range(40)]
TOKENIZER = Tokenizer.train(TEXTS, 400)


def histories(at: int | None = 1000) -> Histories:
    return Histories.from_lists(LISTS, np.arange(N_ITEMS), at=at)


def impressions() -> Rows:
    rows = histories()
    arrays_ = {"candidate": np.arange(len(rows)), "labels": np.arange(len(rows)) % 2}
    return Rows(rows, np.ones(len(rows.items)), arrays_, 7)


def examples() -> Examples:
    known = [np.array(TOKENIZER.encode(text), dtype=np.int32) for text in TEXTS]
    return Examples(known, [row[:3] for row in known], np.arange(len(known)))


def documents(folder: Path) -> TokenFile:
    made = [Document((("[USER]", text),)) for text in TEXTS]
    return TokenFile.write(folder / "tokens", made, TOKENIZER, progress=False)


def pretraining(folder: Path, rounds: int = 1) -> PretrainingBatches:
    objectives = {"infilling": Infilling(), "sentence": SentenceGeneration(TOKENIZER)}
    return PretrainingBatches(
        documents(folder), objectives, TOKENIZER, batch_size=4, seq_len=64, rounds=rounds
    )


def mixed(folder: Path) -> MixedBatches:
    asked = {"next event": LastEvent(TOKENIZER)}
    main = pretraining(folder)
    return MixedBatches(
        main, PretrainingBatches(main.file, asked, TOKENIZER, batch_size=2, seq_len=64)
    )


def packed(batch: dict[str, torch.Tensor]) -> Iterable[tuple[int, ...]]:
    """Each sequence with its last target, or with its masked items filled in."""
    items = batch["items"].clone()
    if "target_indices" in batch:
        items[batch["target_indices"]] = batch["targets"]
    ends = batch["lengths"].cumsum(0) - 1
    for row, end in zip(items.split(batch["lengths"].tolist()), ends.tolist(), strict=True):
        yield (*row.tolist(), *([] if "target_indices" in batch else [int(batch["targets"][end])]))


def target_items(batch: dict[str, torch.Tensor]) -> Iterable[tuple[int, int]]:
    """Pairs of an item and the next one, read off the lanes."""
    items = batch["items"].flatten()[batch["target_indices"]]
    return zip(items.tolist(), batch["targets"].tolist(), strict=True)


PAIRS = Counter(pair for row in LISTS for pair in pairwise(row))
NUMBERED = Counter(range(len(LISTS)))


@dataclass(frozen=True)
class Case:
    """A source under test.

    Attributes:
        make: from an empty folder.
        read: the examples of a batch; None where an epoch is no pass over all examples, for which
            the source's own tests say what it holds.
        expected: how often an epoch holds each example.
        drawn: whether batches of another epoch or seed differ.
    """

    make: Callable[[Path], Batches]
    read: Callable[[Any], Iterable[Hashable]] | None = None
    expected: Counter | None = None
    drawn: bool = True


CASES = {
    "RowBatches": Case(
        lambda _: RowBatches(torch.arange(40), torch.rand(40, 3).double(), batch_size=7),
        lambda batch: batch[0].tolist(),
        NUMBERED,
    ),
    "RowBatches in order": Case(
        lambda _: RowBatches(torch.arange(40), batch_size=7, shuffle=False),
        lambda batch: batch[0].tolist(),
        NUMBERED,
        drawn=False,
    ),
    "NextItemBatches": Case(
        lambda _: NextItemBatches(histories(), **PACKED), packed, Counter(map(tuple, LISTS))
    ),
    "NextItemBatches windows": Case(
        lambda _: NextItemBatches(
            histories(), **PACKED | {"max_length": 3}, window="random", shared=False
        )
    ),
    "MaskedBatches": Case(
        lambda _: MaskedBatches(histories(), mask_share=0.3, last_share=0.2, **PACKED),
        packed,
        Counter(map(tuple, LISTS)),
    ),
    "EventBatches": Case(
        lambda _: EventBatches(histories(), batch_size=4, max_length=9),
        packed,
        Counter(map(tuple, LISTS)),
    ),
    "ParallelBatches": Case(
        lambda _: ParallelBatches(histories(), lanes=5, steps=4, negatives=NEGATIVES),
        target_items,
        PAIRS,
    ),
    "DIN's Rows": Case(
        lambda _: impressions(), lambda batch: batch["candidate"].tolist(), NUMBERED
    ),
    "TokenBatches": Case(
        lambda _: TokenBatches([[100 * n + i for i in range(6)] for n in range(40)], tokens=20),
        lambda batch: (int(first) // 100 for first in batch.ids if first % 100 == 0),
        NUMBERED,
    ),
    "TokenBatches in order": Case(
        lambda _: TokenBatches([[n, n] for n in range(40)], tokens=5, shuffle=False),
        lambda batch: batch.ids.tolist(),
        NUMBERED,
        drawn=False,
    ),
    "TaskBatches": Case(
        lambda _: TaskBatches(examples(), 300), lambda batch: batch.rows.tolist(), NUMBERED
    ),
    "TaskBatches in order": Case(
        lambda _: TaskBatches(examples(), 300, shuffle=False),
        lambda batch: batch.rows.tolist(),
        NUMBERED,
        drawn=False,
    ),
    "JointBatches": Case(
        lambda _: JointBatches(
            {
                "tasks": TaskBatches(examples(), 300),
                "rows": RowBatches(torch.arange(9), batch_size=2),
            }
        )
    ),
    "PretrainingBatches": Case(pretraining),
    "PretrainingBatches rounds": Case(lambda folder: pretraining(folder, rounds=3)),
    "MixedBatches": Case(mixed),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def source(case: Case, tmp_path: Path) -> Batches:
    torch.manual_seed(0)
    return case.make(tmp_path)


def fingerprints(plan: Any) -> list[str]:
    return [fingerprint(plan[i]) for i in range(len(plan))]


def test_an_epoch_is_the_same_for_the_same_seed_and_number(source: Batches) -> None:
    for seed, epoch in ((0, 0), (0, 3), (7, 1)):
        assert fingerprints(source.epoch(seed, epoch)) == fingerprints(source.epoch(seed, epoch))


def test_a_run_that_resumes_in_the_middle_sees_the_same_batches(
    case: Case, source: Batches, tmp_path: Path
) -> None:
    """A new process asks for batch i of a later epoch, without anything before it."""
    whole = [fingerprints(source.epoch(3, epoch)) for epoch in range(3)]
    (tmp_path / "again").mkdir()
    torch.manual_seed(0)
    fresh = case.make(tmp_path / "again").epoch(3, 2)
    for i in reversed(range(len(fresh))):
        assert fingerprint(fresh[i]) == whole[2][i]


@pytest.mark.parametrize("case", [n for n in CASES if CASES[n].read], indirect=True)
def test_every_example_comes_once_in_every_epoch(case: Case, source: Batches) -> None:
    for epoch in range(3):
        plan = source.epoch(1, epoch)
        held = Counter(example for i in range(len(plan)) for example in case.read(plan[i]))
        assert held == case.expected


@pytest.mark.parametrize("case", ["RowBatches in order", "TokenBatches in order"], indirect=True)
def test_without_shuffling_examples_keep_their_order(case: Case, source: Batches) -> None:
    assert [example for batch in source.epoch(1, 2) for example in case.read(batch)] == list(
        range(40)
    )


def test_other_seeds_and_epochs_draw_other_batches(case: Case, source: Batches) -> None:
    first = fingerprints(source.epoch(0, 0))
    for other in (source.epoch(0, 1), source.epoch(1, 0)):
        assert (fingerprints(other) != first) == case.drawn


def test_an_epoch_is_a_sequence(source: Batches) -> None:
    plan = source.epoch(0, 0)
    assert len(plan) >= 1
    assert len(list(plan)) == len(plan)
    for outside in (len(plan), -1):
        with pytest.raises(IndexError):
            plan[outside]


def test_a_changed_batch_leaves_the_source_as_it_was(source: Batches) -> None:
    plan = source.epoch(0, 0)
    before = fingerprint(plan[0])
    for array in arrays(plan[0]):  # tensors and arrays share their memory with these
        if array.flags.writeable and array.ndim:
            array[...] = 0
    assert fingerprint(plan[0]) == before


def test_global_random_numbers_are_left_alone(source: Batches) -> None:
    states = random.getstate(), str(np.random.get_state()), torch.random.get_rng_state()  # noqa: NPY002
    list(source.epoch(0, 0))
    assert random.getstate() == states[0]
    assert str(np.random.get_state()) == states[1]  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), states[2])
