"""Documents that ask for the next event: what they hold and leave out, how they are mixed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m6rec_lite.data import Dataset, Histories, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import behaviour_documents
from m6rec_lite.language.text.document import Document, distinct_texts, encode_documents
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecModel, PromptBuilder, Ranking
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.infilling import Infilling, LastEvent, to_rows
from m6rec_lite.m6rec.mixed_batches import MixedBatches
from m6rec_lite.m6rec.next_events import draw_targets, mean_events_read, next_event_documents
from m6rec_lite.m6rec.pretraining import Pretraining, pretrain
from m6rec_lite.m6rec.token_file import TokenFile

WORLD = generate(users=120, items=100, seed=3)
SPLIT = leave_one_out(WORLD)
TEXT = BehaviourText(WORLD)
TOKENIZER = Tokenizer.train(distinct_texts(behaviour_documents(SPLIT, TEXT).train), 900)


def documents(max_tokens: int = 123, **options) -> list[Document]:
    arguments = {"text": TEXT, "tokenizer": TOKENIZER, "share": 0.0} | options
    return list(next_event_documents(SPLIT, max_tokens=max_tokens, **arguments))


def pairs(histories: Histories, items: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(histories.user_ids.tolist(), histories.item_ids[items].tolist(), strict=True))


# What is asked


def test_the_row_of_a_document_is_the_prompt_of_zero_shot_ranking() -> None:
    before, items, events = draw_targets(SPLIT.train.histories(), 1)
    clicks = np.flatnonzero(events == 1)[:20]
    before, items = before[clicks], before.item_ids[items[clicks]]
    examples = Ranking().encode(before, items[:, None], PromptBuilder(TEXT, TOKENIZER, 10_000))
    whole = [
        known + Document((("[EVENT]", TEXT.event(item)),))
        for known, item in zip(TEXT.documents(before), items, strict=True)
    ]
    ids = encode_documents(TOKENIZER, whole)
    flat, lengths = np.concatenate(ids), np.array([len(row) for row in ids])
    objective = LastEvent(TOKENIZER)
    masked = objective.take(flat, lengths, np.random.default_rng(0))
    rows = to_rows(flat, lengths, masked, TOKENIZER)
    assert rows.lengths.tolist() == objective.sizes(lengths).tolist()
    made = np.split(rows.ids, np.cumsum(rows.lengths)[:-1])
    for row, n_known, known, written in zip(
        made, rows.known, examples.known, examples.written, strict=True
    ):
        assert row[:n_known].tolist() == known.tolist()
        assert row[n_known:].tolist() == written.tolist()


@pytest.mark.parametrize(
    ("pieces", "masked"),
    [
        ((("[USER]", "a"), ("[EVENT]", "b"), ("[EVENT]", "c")), "c"),
        ((("[ITEM]", "abc"),), "[ITEM]abc"),  # without events all of it
        ((("[USER]", "a"), ("[EVENT]", "")), "[EVENT]"),  # an event without text: itself
        ((("[EVENT]", ""),), "[EVENT]"),
    ],
)
def test_the_text_of_the_last_event_is_masked(pieces: tuple, masked: str) -> None:
    first = encode_documents(TOKENIZER, [Document((("[EVENT]", "x"),))])[0]  # another document
    ids = encode_documents(TOKENIZER, [Document(pieces)])[0]
    flat, lengths = np.concatenate([first, ids]), np.array([len(first), len(ids)])
    taken = LastEvent(TOKENIZER).take(flat, lengths, np.random.default_rng(0))[len(first) :]
    assert TOKENIZER.decode(ids[taken].tolist(), specials=True) == masked
    assert taken.tolist() == sorted(taken.tolist())


# Only training rows


def test_targets_are_training_events_and_never_those_of_validation_or_test() -> None:
    histories = SPLIT.train.histories()
    before, items, _ = draw_targets(histories, 10_000)
    first = histories.items[histories.offsets[:-1]]
    targets = pairs(before, items)
    assert targets == pairs(histories[histories.rows], histories.items) - pairs(histories, first)
    for part in (SPLIT.validation, SPLIT.test):
        held_out = pairs(part.histories[part.target_rows], part.targets)
        assert held_out
        assert not targets & held_out
    starts = np.repeat(before.at, before.lengths)
    assert (before.timestamps <= starts).all()


def test_documents_do_not_depend_on_the_rows_that_are_held_out() -> None:
    table = WORLD.interactions.sort_values(["user_id", "timestamp"], kind="stable")
    kept = table.groupby("user_id").cumcount(ascending=False) >= 2  # without the last two
    last = table[kept].groupby("user_id")["timestamp"].max()
    queries = WORLD.queries
    assert queries is not None
    early = queries["timestamp"] <= queries["user_id"].map(last).fillna(0)
    without: Dataset = replace(WORLD, interactions=table[kept], queries=queries[early])
    assert documents(text=BehaviourText(without)) == documents()


def test_no_search_stands_between_the_latest_event_and_the_target() -> None:
    before, _, _ = draw_targets(SPLIT.train.histories(), 3)
    searches = {f"searched “{text}”" for text in WORLD.queries["text"]}
    made = documents(10_000, per_user=3)
    assert any(piece[1] in searches for document in made for piece in document.pieces)
    events = [[p for p in document.pieces if p[0] == "[EVENT]"] for document in made]
    assert len(made) == len(before)
    assert not any(row[-1][1] in searches or row[-2][1] in searches for row in events)


def test_held_out_users_have_no_training_document() -> None:
    train = documents(share=0.3)
    held_out = documents(share=0.3, part="held_out")
    assert len(held_out) > 5
    assert len(train) + len(held_out) == len(documents())


# What is read


def test_a_history_longer_than_the_context_keeps_its_latest_events() -> None:
    n_cut = 0
    for whole, cut in zip(documents(10_000), documents(150), strict=True):
        n = len(cut.pieces) - 1
        assert cut.pieces[0] == whole.pieces[0]  # the user
        assert cut.pieces[1:] == whole.pieces[-n:]
        assert len(encode_documents(TOKENIZER, [cut])[0]) <= 150
        if n < len(whole.pieces) - 1:
            n_cut += 1
            start = max(i for i, (name, _) in enumerate(whole.pieces[:-n]) if name == "[EVENT]")
            longer = Document((whole.pieces[0], *whole.pieces[start:]))
            assert len(encode_documents(TOKENIZER, [longer])[0]) > 150
    assert n_cut > 100


def test_each_user_has_the_last_target_and_others_drawn_by_seed() -> None:
    histories = SPLIT.train.histories()
    before, items, _ = draw_targets(histories, 4, seed=1)
    assert np.bincount(histories.user_ids.searchsorted(before.user_ids)).max() == 4
    assert (before.lengths >= 1).all()
    last = histories.items[histories.offsets[1:] - 1]
    assert pairs(histories[histories.lengths > 1], last[histories.lengths > 1]) <= pairs(
        before, items
    )
    again, same, _ = draw_targets(histories, 4, seed=1)
    assert np.array_equal(same, items)
    assert np.array_equal(again.at, before.at)
    assert not np.array_equal(draw_targets(histories, 4, seed=2)[1], items)


def test_documents_that_cannot_fit_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        few = documents(60)
    assert 0 < len(few) < len(documents())
    assert "are left out" in caplog.text
    assert max(len(row) for row in encode_documents(TOKENIZER, few)) <= 60


def test_compact_texts_read_more_events_of_the_same_history() -> None:
    compact = BehaviourText(WORLD, "compact")
    tokenizer = Tokenizer.train(distinct_texts(behaviour_documents(SPLIT, compact).train), 900)
    read = [
        mean_events_read(encode_documents(each, documents(155, text=text, tokenizer=each)), each)
        for text, each in ((TEXT, TOKENIZER), (compact, tokenizer))
    ]
    assert read[1] > 1.5 * read[0]


def test_the_mean_number_of_events_counts_no_event_that_is_asked() -> None:
    rows = encode_documents(
        TOKENIZER,
        [
            Document((("[USER]", "a"), ("[EVENT]", "b"), ("[EVENT]", "c"))),
            Document((("[USER]", "a"), ("[EVENT]", "b"), ("[EVENT]", ""), ("[MASK]", ""))),
            Document((("[USER]", "a"),)),
        ],
    )
    assert mean_events_read(rows, TOKENIZER) == 1.0
    assert mean_events_read([], TOKENIZER) == 0.0


def test_bad_input_is_said() -> None:
    with pytest.raises(TypeError, match="hold the targets"):
        next_event_documents(WORLD, TEXT, TOKENIZER, max_tokens=100)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="per_user must be at least 1"):
        documents(per_user=0)
    with pytest.raises(ValueError, match="part must be"):
        documents(part="test")


# How it is mixed


def sources(folder: Path) -> tuple[PretrainingBatches, PretrainingBatches]:
    files = [
        TokenFile.write(folder / name, made, TOKENIZER, progress=False)
        for name, made in (
            ("main", behaviour_documents(SPLIT, TEXT).train),
            ("extra", documents(per_user=2)),
        )
    ]
    first = PretrainingBatches(
        files[0], {"infilling": Infilling()}, TOKENIZER, batch_size=3, seq_len=128
    )
    asked = {"next event": LastEvent(TOKENIZER)}
    return first, PretrainingBatches(files[1], asked, TOKENIZER, batch_size=2, seq_len=128)


def test_a_mixed_batch_holds_the_sequences_of_both_sources(tmp_path: Path) -> None:
    main, extra = sources(tmp_path)
    mixed = MixedBatches(main, extra)
    mixed.rounds = 2
    epoch, own, other = (each.epoch(5, 1) for each in (mixed, main, extra))
    assert len(epoch) == len(own)
    batch, first, second = epoch[1], own[1], other[1]
    assert batch["ids"].shape == (5, 128)
    for name in ("ids", "segment_ids", "position_ids", "is_prefix"):
        assert torch.equal(batch[name][:3], first[name])
        assert torch.equal(batch[name][3:], second[name])
    assert batch["tokens"] == first["tokens"] + second["tokens"]
    assert batch["pairs"] == first["pairs"] + second["pairs"]
    flat = np.concatenate([file.tokens for file in mixed.files])
    for name, (at, tokens) in batch["targets"].items():
        ids = batch["ids"].flatten()
        assert torch.equal(ids[at + 1], tokens)
        known = batch["source"][name] >= 0
        assert known.any()
        assert (flat[batch["source"][name][known]] == tokens.numpy()[known]).all()


def test_sources_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    main, extra = sources(tmp_path)
    with pytest.raises(ValueError, match="different objectives"):
        MixedBatches(main, main)
    other = PretrainingBatches(extra.file, extra.objectives, TOKENIZER, batch_size=2, seq_len=200)
    with pytest.raises(ValueError, match="128 and 200"):
        MixedBatches(main, other)


SETTINGS = {"size": "nano", "steps": 4, "lines": 8, "vocab_size": 600, "validations": 1}


def test_without_the_option_batches_are_those_of_the_documents_alone(tmp_path: Path) -> None:
    main, _ = sources(tmp_path)
    settings = Pretraining(**SETTINGS)
    assert settings.weights == {"infilling": 1.0, "sentence": 1.0}
    assert isinstance(settings.batches(main.file, TOKENIZER), PretrainingBatches)
    assert settings.seq_len == 128


@pytest.mark.parametrize(
    ("weights", "lines"),
    [((1.0, 1.0, 1.0), 3), ((0.5, 0.5, 1.0), 4), ((1.0, 1.0, 0.01), 2), ((1.0, 1.0, 99.0), 4)],
)
def test_the_weight_is_the_share_of_sequences(
    tmp_path: Path, weights: tuple[float, float, float], lines: int
) -> None:
    main, extra = sources(tmp_path)
    names = ("infilling", "sentence", "next_event")
    settings = Pretraining(**SETTINGS, **dict(zip(names, weights, strict=True)))
    mixed = settings.batches(main.file, TOKENIZER, extra.file)
    assert isinstance(mixed, MixedBatches)
    assert (mixed.main.batch_size, mixed.extra.batch_size) == (8 - lines, lines)
    with pytest.raises(ValueError, match="pass next_events="):
        settings.batches(main.file, TOKENIZER)


def test_it_pretrains_with_compact_texts_and_a_longer_context(tmp_path: Path) -> None:
    settings = Pretraining(**SETTINGS, next_event=2.0, per_user=2, context=192, templates="compact")
    model, tokenizer, history = pretrain(
        settings, tmp_path / "run", dataset=WORLD, device="cpu", progress=False
    )
    assert {"next event", "next event nats"} <= history.records[-1].keys()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["next events"]["mean events read"] > 3
    names = ("nats", "bits", "bits, unigram", "bits, trigram")
    assert all(report["held out"][f"next event {name}"] > 0 for name in names)
    saved = M6RecModel.from_pretrained(tmp_path / "run" / "model")
    assert saved.config.max_position_embeddings == model.config.max_position_embeddings == 192
    files = [
        TokenFile(tmp_path / "run" / "tokens" / f"next-event-{name}", tokenizer)
        for name in ("train", "held-out")
    ]
    assert max(file.lengths.max() for file in files) <= 187
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "weights 1 and 1, and the next event, weight 2" in card


@pytest.mark.parametrize("size", ["nano", "tiny", "small", "base"])
def test_every_size_takes_a_context_of_512(size: str) -> None:
    assert Pretraining(size=size, context=512).seq_len == 512


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"context": 1024}, "context must be from 8 to 512"),
        ({"per_user": 0}, "per_user must be at least 1"),
        ({"templates": "verse"}, "no templates are called 'verse'"),
        ({"next_event": -1.0}, "at least 0"),
        ({"next_event": 1.0, "lines": 5}, "lines must be at least 6"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Pretraining(**wrong)
