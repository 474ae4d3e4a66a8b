"""The two objectives, their rows and batches: what is taken out comes back, and nothing is lost."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.batches import Batch, PretrainingBatches
from m6rec_lite.m6rec.infilling import Infilling, SentenceGeneration, to_rows
from m6rec_lite.m6rec.objective import PretrainingLoss, batch_flops, judge, ngram_nats
from m6rec_lite.m6rec.token_file import TokenFile

TEXTS = [
    "A woman in her thirties, Oslo. March. Snow, -3 degrees.",
    "clicked a product named Alpine Trek Boots 19 minutes ago",
    "这家店很好。我喜欢！",
    "It fits. It lasts! Would I buy it again? Yes",
]
TOKENIZER = Tokenizer.train([*TEXTS, *["。", "！"] * 9], 330)
MASK, USER_START, USER_END, START, END = (
    TOKENIZER.id(name) for name in ("[MASK]", "[BOS']", "[EOS']", "[BOS]", "[EOS]")
)
FIRST = len(SPECIALS)  # numbers from here on are text

lengths_drawn = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def documents(lengths: list[int], seed: int = 0) -> np.ndarray:
    """Random text tokens, with a special token here and there."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(FIRST, TOKENIZER.vocab_size, sum(lengths))
    ids[rng.random(len(ids)) < 0.1] = TOKENIZER.id("[EVENT]")
    return ids


def split(flat: np.ndarray, lengths: list[int] | np.ndarray) -> list[np.ndarray]:
    return np.split(flat, np.cumsum(lengths)[:-1])


def spans(taken: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], taken.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


# What is taken out


@given(lengths_drawn, st.floats(0.01, 0.99), st.floats(1, 6), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_infilling_takes_the_share_it_says_in_the_spans_it_says(
    lengths: list[int], rate: float, mean_span: float, seed: int
) -> None:
    way = Infilling(rate, mean_span)
    taken = way.take(documents(lengths), np.array(lengths), np.random.default_rng(seed))
    for n, result in zip(lengths, split(taken, lengths), strict=True):
        wanted = min(max(round(rate * n), 1), n)
        assert result.sum() == wanted
        assert len(spans(result)) == min(max(round(wanted / mean_span), 1), n - wanted + 1)


def test_every_way_to_place_the_spans_is_as_likely() -> None:
    way, n = Infilling(0.5, 2.0), 8  # 4 tokens in 2 spans
    drawn = way.take(np.zeros(n * 6000), np.full(6000, n), np.random.default_rng(0))
    counts = Counter(map(tuple, drawn.reshape(6000, n).tolist()))
    ways = [
        way
        for way in itertools.product([False, True], repeat=n)
        if sum(way) == 4 and len(spans(np.array(way))) == 2
    ]
    assert set(counts) == set(ways)
    expected = 6000 / len(ways)
    chi_square = sum((counts[way] - expected) ** 2 / expected for way in ways)
    assert chi_square < len(ways) + 5 * math.sqrt(2 * len(ways))


def pieces(*parts: tuple[str | None, str]) -> np.ndarray:
    return np.array(
        [
            token
            for name, text in parts
            for token in [*([] if name is None else [TOKENIZER.id(name)]), *TOKENIZER.encode(text)]
        ]
    )


def sentences_taken(document: np.ndarray, last: float) -> Counter[str]:
    way, n = SentenceGeneration(TOKENIZER, last), 400
    taken = way.take(np.tile(document, n), np.full(n, len(document)), np.random.default_rng(0))
    return Counter(TOKENIZER.decode(document[one]) for one in taken.reshape(n, -1))


def test_one_whole_sentence_is_taken_and_each_as_often() -> None:
    document = pieces(
        ("[USER]", TEXTS[0]), ("[EVENT]", TEXTS[1]), (None, " twice"), ("[SEP]", TEXTS[2])
    )
    result = sentences_taken(document, last=0.0)
    wanted = {
        "A woman in her thirties, Oslo.",
        " March.",
        " Snow, -3 degrees.",
        TEXTS[1] + " twice",
        "这家店很好。",
        "我喜欢！",
    }
    assert set(result) == wanted
    assert min(result.values()) > 400 / 6 / 2
    assert set(sentences_taken(document, last=1.0)) == {"我喜欢！"}
    assert 200 < sentences_taken(document, last=0.5)["我喜欢！"] < 300


def test_of_a_document_of_one_sentence_all_text_is_taken() -> None:
    document = pieces(("[ITEM]", TEXTS[1]))
    assert set(sentences_taken(document, last=0.5)) == {TEXTS[1]}
    taken = SentenceGeneration(TOKENIZER).take(
        document, np.array([len(document)]), np.random.default_rng(0)
    )
    assert not taken[0]  # [ITEM] stays
    only_specials = np.array([6, 7, 8])
    taken = SentenceGeneration(TOKENIZER).take(
        only_specials, np.array([3]), np.random.default_rng(0)
    )
    assert taken.tolist() == [False, False, True]


@given(lengths_drawn, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_sentence_generation_takes_one_run_of_text_from_each_document(
    lengths: list[int], seed: int
) -> None:
    ids = documents(lengths, seed)
    taken = SentenceGeneration(TOKENIZER, 0.3).take(
        ids, np.array(lengths), np.random.default_rng(seed)
    )
    for document, result in zip(split(ids, lengths), split(taken, lengths), strict=True):
        assert len(spans(result)) == 1
        assert (document[result] >= FIRST).all() or (document < FIRST).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Infilling(0.0),
        lambda: Infilling(1.0),
        lambda: Infilling(mean_span=0.5),
        lambda: SentenceGeneration(TOKENIZER, 1.5),
        lambda: to_rows(np.array([20, 21]), [2], np.array([False, False]), TOKENIZER),
        lambda: to_rows(np.array([20, 21]), [1], np.array([True, True]), TOKENIZER),
        lambda: to_rows(np.array([20, 21]), [2, 0], np.array([True, True]), TOKENIZER),
        lambda: PretrainingLoss({"infilling": 0.0, "sentence": 0.0}),
        lambda: PretrainingLoss({"infilling": -1.0, "sentence": 2.0}),
        lambda: PretrainingLoss({}),
    ],
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"must be|wanted lengths|nothing is taken"):
        wrong()


# How it is written


def restored(row: np.ndarray, known: int) -> list[int]:
    """The document that a row was made of, read as a person would read it."""
    assert row[0] == USER_START
    assert row[known - 1] == USER_END
    assert row[known] == START
    assert row[-1] == END
    written = " ".join(map(str, row[known + 1 : -1])).split(f" {MASK} ")
    answers = iter([[int(i) for i in answer.split()] for answer in written])
    result = []
    for token in row[1 : known - 1].tolist():
        result += next(answers) if token == MASK else [token]
    assert next(answers, None) is None
    return result


@given(lengths_drawn, st.floats(0.05, 0.95), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_row_holds_its_document_whole(lengths: list[int], rate: float, seed: int) -> None:
    rng, ids = np.random.default_rng(seed), documents(lengths, seed)
    taken = rng.random(len(ids)) < rate
    taken[np.cumsum(lengths) - 1] |= [not one.any() for one in split(taken, lengths)]
    made = to_rows(ids, lengths, taken, TOKENIZER)
    parts = zip(
        split(ids, lengths),
        split(made.ids, made.lengths),
        made.known,
        split(made.source, made.lengths),
        strict=True,
    )
    for document, row, known, source in parts:
        assert restored(row, known) == document.tolist()
        assert (source[:known] == -1).all()
        assert (row[source >= 0] == ids[source[source >= 0]]).all()
    assert sorted(made.source[made.source >= 0]) == np.flatnonzero(taken).tolist()


def test_the_example_of_the_module_comes_out_as_written() -> None:
    ids = np.arange(20, 30)
    taken = np.isin(ids, [22, 23, 27, 28])
    made = to_rows(ids, [10], taken, TOKENIZER)
    wanted = [USER_START, 20, 21, MASK, 24, 25, 26, MASK, 29, USER_END]
    wanted += [START, 22, 23, MASK, 27, 28, END]
    assert made.ids.tolist() == wanted
    assert made.known.tolist() == [10]
    assert Infilling(0.4, 2.0).sizes(np.array([10])).tolist() == [len(wanted)]


@given(lengths_drawn, st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_rows_are_as_long_as_the_objectives_said_beforehand(lengths: list[int], seed: int) -> None:
    ids, sizes = documents(lengths, seed), np.array(lengths)
    for way in (Infilling(0.3, 3.0), SentenceGeneration(TOKENIZER)):
        made = to_rows(ids, sizes, way.take(ids, sizes, np.random.default_rng(seed)), TOKENIZER)
        assert made.lengths.tolist() == way.sizes(sizes).tolist()


# How it is packed


def token_file(folder: Path, n: int = 60) -> TokenFile:
    rng = np.random.default_rng(0)
    words = " ".join(TEXTS).split()
    made = []
    for _ in range(n):
        events = [("[EVENT]", " ".join(rng.choice(words, rng.integers(1, 9)))) for _ in range(3)]
        made.append(Document((("[USER]", TEXTS[0]), *events[: rng.integers(0, 4)])))
    made.append(Document((("[EVENT]", " ".join(rng.choice(words, 4))),) * 12))  # a long one
    made.append(Document((("[EVENT]", " ".join(rng.choice(words, 40))),)))  # nowhere to cut it
    return TokenFile.write(folder, made, TOKENIZER, progress=False)


def batches(folder: Path, **options) -> PretrainingBatches:
    both = {"infilling": Infilling(), "sentence": SentenceGeneration(TOKENIZER)}
    arguments = {"batch_size": 4, "seq_len": 96} | options
    return PretrainingBatches(token_file(folder), both, TOKENIZER, **arguments)


def rows_of(batch: Batch) -> list[tuple[list[int], int]]:
    """Each document's row, and how much of it is known."""
    result = []
    for ids, document, known, position in zip(
        batch["ids"], batch["segment_ids"], batch["is_prefix"], batch["position_ids"], strict=True
    ):
        for number in sorted(set(document.tolist()) - {0}):
            own = document == number
            assert position[own].tolist() == list(range(int(own.sum())))
            result.append((ids[own].tolist(), int(known[own].sum())))
            assert known[own].tolist() == sorted(known[own].tolist(), reverse=True)
    return result


def test_a_pass_holds_every_document_once_and_long_ones_in_pieces(tmp_path: Path) -> None:
    source = batches(tmp_path / "tokens")
    whole = PretrainingBatches(source.file, source.objectives, TOKENIZER, batch_size=99, seq_len=96)
    epoch = whole.epoch(0, 0)
    result = Counter()
    for i in range(len(epoch)):
        for row, known in rows_of(epoch[i]):
            result[tuple(restored(np.array(row), known))] += 1
    wanted = Counter()
    for document in source.file:
        if len(document) <= source.longest:
            wanted[tuple(document.tolist())] += 1
        else:  # cut where a special token opens a piece
            opens = np.append(np.flatnonzero(document < FIRST), len(document))
            at = 0
            while at < len(document):
                fits = opens[(opens > at) & (opens <= at + source.longest)]
                end = int(fits.max()) if len(fits) else at + source.longest
                end = min(end, len(document))
                wanted[tuple(document[at:end].tolist())] += 1
                at = end
    assert result == wanted
    assert len(source.file[len(source.file) - 1]) > source.longest


def test_batches_have_one_shape_and_little_padding(tmp_path: Path) -> None:
    source = batches(tmp_path / "tokens")
    epoch = source.epoch(0, 0)
    kept = [epoch[i] for i in range(len(epoch))]
    assert {one["ids"].shape for one in kept} == {(4, 96)}
    used = sum(one["tokens"] for one in kept) / (4 * 96 * len(kept))
    assert used > 0.8, used
    for one in kept:
        assert one["tokens"] == (one["segment_ids"] > 0).sum()
        assert all(len(at) for at, _ in one["targets"].values())


def test_targets_are_what_is_written_predicted_from_the_position_before(tmp_path: Path) -> None:
    made = batches(tmp_path / "tokens")
    batch, tokens_of = made.epoch(3, 1)[0], made.file.tokens
    ids, known, document = (batch[name].flatten() for name in ("ids", "is_prefix", "segment_ids"))
    wanted = [
        cell
        for cell in range(len(ids) - 1)
        if document[cell] and document[cell] == document[cell + 1] and not known[cell]
    ]
    at = torch.cat([at for at, _ in batch["targets"].values()])
    tokens = torch.cat([tokens for _, tokens in batch["targets"].values()])
    assert sorted(at.tolist()) == wanted
    assert torch.equal(ids[at + 1], tokens)
    for name, (at, tokens) in batch["targets"].items():
        source = batch["source"][name]
        assert (tokens_of[source[source >= 0]] == tokens.numpy()[source >= 0]).all()
        assert set(tokens[torch.from_numpy(source < 0)].tolist()) <= {MASK, END}
        assert len(at) == len(source)


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one["ids"], other["ids"]) and torch.equal(
        one["is_prefix"], other["is_prefix"]
    )


def test_epochs_are_fixed_by_the_seed_and_rounds_share_out_a_pass(tmp_path: Path) -> None:
    whole = batches(tmp_path / "tokens")
    parts = PretrainingBatches(
        whole.file, whole.objectives, TOKENIZER, batch_size=4, seq_len=96, rounds=3
    )
    for number in (0, 1):
        epoch = whole.epoch(5, number)
        rounds = [parts.epoch(5, 3 * number + i) for i in range(3)]
        assert sum(map(len, rounds)) == len(epoch)
        together = [one[i] for one in rounds for i in range(len(one))]
        assert all(same(one, epoch[i]) for i, one in enumerate(together))
    assert not same(whole.epoch(5, 0)[0], whole.epoch(5, 1)[0])
    assert not same(whole.epoch(5, 0)[0], whole.epoch(6, 0)[0])
    many = PretrainingBatches(
        whole.file, whole.objectives, TOKENIZER, batch_size=4, seq_len=96, rounds=99
    )
    assert all(len(many.epoch(0, i)) == 1 for i in (0, 50, 98, 99))


@pytest.mark.parametrize("wrong", [{"batch_size": 3}, {"seq_len": 4}, {"rounds": 0}])
def test_batches_of_no_size_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        batches(tmp_path / "tokens", **wrong)


# What is minimised


def model(**options) -> M6RecModel:
    config = M6RecConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.2,
        **options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return M6RecModel(config).double().eval()


def test_the_loss_of_a_packed_batch_is_that_of_its_documents_one_by_one(tmp_path: Path) -> None:
    net, source = model(), batches(tmp_path / "tokens")
    batch = source.epoch(0, 0)[0]
    result, logs = PretrainingLoss({"infilling": 3.0, "sentence": 1.0})(net, batch)
    losses: dict[str, list[torch.Tensor]] = {"infilling": [], "sentence": []}
    flat = batch["segment_ids"].flatten()
    lines = torch.arange(flat.numel()) // 96
    kinds = {
        (int(lines[i]), int(flat[i])): name
        for name, (at, _) in batch["targets"].items()
        for i in at.tolist()
    }
    for line, (ids, document) in enumerate(zip(batch["ids"], batch["segment_ids"], strict=True)):
        for number in sorted(set(document.tolist()) - {0}):
            row = ids[document == number][None]
            known = int(batch["is_prefix"][line][document == number].sum())
            logits = net(row, prefix_length=known).logits[0, known:-1]
            nats = F.cross_entropy(logits, row[0, known + 1 :], reduction="none")
            losses[kinds[line, number]].append(nats)
    means = {name: torch.cat(parts).mean() for name, parts in losses.items()}
    torch.testing.assert_close(logs["infilling"], means["infilling"])
    torch.testing.assert_close(logs["sentence"], means["sentence"])
    torch.testing.assert_close(result, (3 * means["infilling"] + means["sentence"]) / 4)
    alone, logs = PretrainingLoss({"infilling": 0.0, "sentence": 2.0})(net, batch)
    torch.testing.assert_close(alone, means["sentence"])
    torch.testing.assert_close(logs["infilling"], means["infilling"])  # logged all the same


def test_an_objective_that_a_batch_lacks_is_not_made_up(tmp_path: Path) -> None:
    net, batch = model(), batches(tmp_path / "tokens").epoch(0, 0)[0]
    none = torch.zeros(0, dtype=torch.long)
    batch["targets"]["sentence"] = (none, none)
    result, logs = PretrainingLoss({"infilling": 1.0, "sentence": 5.0})(net, batch)
    torch.testing.assert_close(result, logs["infilling"])
    assert math.isnan(logs["sentence"])
    with pytest.raises(ValueError, match="no token of an objective"):
        PretrainingLoss({"infilling": 0.0, "sentence": 5.0})(net, batch)


def test_operations_are_counted_as_torch_counts_them() -> None:
    net, time = model().float(), 64
    ids = torch.randint(FIRST, TOKENIZER.vocab_size, (2, time))
    batch = {
        "ids": ids,
        "segment_ids": torch.ones_like(ids),
        "is_prefix": torch.ones_like(ids, dtype=torch.bool),  # all see all: no pair is masked
        "position_ids": torch.arange(time).expand(2, -1),
        "targets": {"infilling": (torch.arange(2 * time), ids.flatten())},
        "tokens": 2 * time,
        "pairs": 2 * time * time,
    }
    for block in net.blocks:
        block.attention.fused = False  # torch counts its fused kernel on some devices only
    with FlopCounterMode(display=False) as counter:
        net.head(net.states(ids, prefix_length=time))
    assert batch_flops(net.config, batch) == 3 * counter.get_total_flops()


def test_held_out_text_is_judged_in_bits_a_byte_beside_ngrams(tmp_path: Path) -> None:
    net, source = model().float(), batches(tmp_path / "tokens")
    file = source.file
    unigram = ngram_nats(file, file, 1, TOKENIZER.vocab_size)
    trigram = ngram_nats(file, file, 3, TOKENIZER.vocab_size)
    assert len(unigram) == len(file.tokens)
    counts = np.bincount(file.tokens, minlength=TOKENIZER.vocab_size)
    shares = counts[file.tokens] / len(file.tokens)
    assert unigram.mean() == pytest.approx(-np.log(shares).mean(), rel=0.1)
    result = judge(net, source, ngrams={"unigram": unigram, "trigram": trigram})
    total, n_bytes = 0.0, 0
    epoch = source.epoch(0, 0)
    with torch.no_grad():
        for i in range(len(epoch)):
            _, logs = PretrainingLoss({"infilling": 1.0, "sentence": 1.0})(net, epoch[i])
            at, tokens = epoch[i]["targets"]["infilling"]
            total += float(logs["infilling"]) * len(at)
            n_bytes += TOKENIZER.n_bytes[tokens].sum()
    assert result["infilling bits"] == pytest.approx(total / math.log(2) / n_bytes, rel=1e-5)
    assert result["sentence bits, trigram"] < result["sentence bits, unigram"]
    assert judge(net, source, limit=1)["infilling nats"] != result["infilling nats"]
