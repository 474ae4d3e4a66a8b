"""BERT: logits and losses of ``transformers``' own, what masking hides, what is learnt, on disk."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertForMaskedLM

from m6rec_lite.language.models.bert import BERT, IGNORED, BERTConfig, mask_tokens
from m6rec_lite.language.models.hub import ModelError
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.nn.packing import Packing

TEXTS = ["a red tent for two", "hiking boots, waterproof", "登山靴 防水", "jazz for the morning"]
TOKENIZER = Tokenizer.train(TEXTS * 2, vocab_size=300)
N_SPECIAL, VOCAB, MASK = len(SPECIALS), TOKENIZER.vocab_size, TOKENIZER.id("[MASK]")

SMALL = BERTConfig(
    vocab_size=VOCAB,
    max_position_embeddings=12,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    dropout=0.0,
)
SHAPES = {
    "plain": SMALL,
    "one head, wide": replace(
        SMALL, num_attention_heads=1, intermediate_size=20, num_hidden_layers=3
    ),
    "tanh": replace(SMALL, activation="gelu_tanh", n_segments=1),
    "relu, coarse norm": replace(SMALL, activation="relu", norm_eps=1e-5, pad=None),
}


def loud(model: BERT) -> BERT:
    """In float64, with weights large enough for every part to matter."""
    torch.manual_seed(1)
    for weight in model.double().parameters():
        nn.init.normal_(weight, std=0.3)
    for module in model.modules():  # a norm of weight 0 would let nothing through
        if isinstance(module, nn.LayerNorm):
            module.weight.data += 1.0
    return model.eval()


def some_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Equal to transformers.


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_those_of_transformers(shape: str) -> None:
    ours = loud(BERT(SHAPES[shape]))
    reference = ours.to_transformers()
    ids, real = some_ids(3, 7), torch.arange(7) < torch.tensor([7, 2, 5])[:, None]
    segments = torch.randint(SHAPES[shape].n_segments, ids.shape, generator=generator())
    with torch.no_grad():
        actual = ours.logits(ours(ids, mask=real, segments=segments))[real]
        expected = reference(ids, attention_mask=real.long(), token_type_ids=segments).logits[real]
    assert actual.dtype == torch.float64
    assert actual.std() > 0.3
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_is_the_same_model(shape: str) -> None:
    ours = loud(BERT(replace(SHAPES[shape], tokenizer="abc")))
    again = BERT.from_transformers(ours.to_transformers())
    assert again.config == replace(
        ours.config, intermediate_size=ours.config.intermediate_size or 48
    )
    for (name, weight), (other, back) in zip(
        ours.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(weight, back)


def test_loss_and_gradients_equal_those_of_transformers() -> None:
    ours = loud(BERT(SMALL))
    reference = ours.to_transformers()
    ids, real = some_ids(4, 9), torch.arange(9) < torch.tensor([9, 4, 1, 6])[:, None]
    read, targets = mask_tokens(ids, TOKENIZER, rate=0.5, generator=generator())
    targets = targets.masked_fill(~real, IGNORED)
    actual = ours.loss(read, targets, mask=real)
    expected = reference(read, attention_mask=real.long(), labels=targets).loss
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    actual.backward()
    expected.backward()
    theirs_by_ours = {
        "tokens.weight": reference.bert.embeddings.word_embeddings.weight,
        "positions.weight": reference.bert.embeddings.position_embeddings.weight,
        "dense.weight": reference.cls.predictions.transform.dense.weight,
        "bias": reference.cls.predictions.bias,
        "transformer.blocks.0.up_proj.weight": reference.bert.encoder.layer[
            0
        ].intermediate.dense.weight,
    }
    for name, weight in theirs_by_ours.items():
        given_grad = weight.grad.clone()
        if name == "tokens.weight":  # torch gives the row of its padding_idx no gradient at entry
            given_grad[0] = ours.get_parameter(name).grad[0]
        torch.testing.assert_close(ours.get_parameter(name).grad, given_grad, rtol=1e-8, atol=1e-10)


def test_packed_equals_padded() -> None:
    ours = loud(BERT(SMALL))
    lengths = torch.tensor([7, 5, 2])
    ids = some_ids(14)
    rows = ids.split(lengths.tolist())
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    real = torch.arange(7) < lengths[:, None]
    packed = ours(ids, packing=Packing(lengths))
    torch.testing.assert_close(packed, ours(padded, mask=real)[real], rtol=1e-9, atol=1e-10)
    changed = torch.cat([ids[:7], (ids[7:] + 1) % VOCAB])  # the second and third row are others
    other = ours(changed, packing=Packing(lengths))
    assert torch.equal(other[:7], packed[:7])
    assert (other[7:] - packed[7:]).abs().amax(dim=1).min() > 1e-3


def test_a_state_depends_on_what_stands_before_and_behind() -> None:
    ours = loud(BERT(SMALL))
    ids = some_ids(1, 6)
    for position in (0, 5):
        changed = ids.clone()
        changed[0, position] = (ids[0, position] + 1) % VOCAB
        assert ((ours(ids) - ours(changed))[0].abs().amax(dim=1) > 1e-4).all()


def test_a_fresh_model_knows_nothing() -> None:
    ours = BERT(BERTConfig(VOCAB, hidden_size=64), generator=generator()).eval()
    read, targets = mask_tokens(some_ids(8, 100), TOKENIZER, generator=generator())
    assert ours.loss(read, targets).item() == pytest.approx(math.log(VOCAB), rel=0.02)
    again = BERT(BERTConfig(VOCAB, hidden_size=64), generator=generator())
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True)
    )


# Masking.


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, VOCAB - 1), max_size=40),
    st.floats(0, 1),
    st.sampled_from([(0.8, 0.1, 0.1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2, 0.5, 0.3)]),
    st.integers(0, 5),
)
def test_masking_keeps_its_word(ids: list[int], rate: float, shares: tuple, seed: int) -> None:
    tokens = torch.tensor(ids, dtype=torch.long)
    kept = tokens.clone()
    read, targets = mask_tokens(
        tokens, TOKENIZER, rate=rate, shares=shares, generator=generator(seed)
    )
    assert torch.equal(tokens, kept)
    is_target = targets != IGNORED
    assert torch.equal(targets[is_target], tokens[is_target])  # the answer is what was there
    assert torch.equal(read[~is_target], tokens[~is_target])  # what is not asked is not touched
    assert bool((tokens[is_target] >= N_SPECIAL).all())  # no special token, padding among them
    changed = read != tokens
    assert bool(((read[changed] == MASK) | (read[changed] >= N_SPECIAL)).all())
    if shares[0] == 0:
        assert bool((read[changed] != MASK).all())
    if shares == (1, 0, 0):
        assert bool((read[is_target] == MASK).all())
    if shares == (0, 0, 1):
        assert not bool(changed.any())
    again = mask_tokens(tokens, TOKENIZER, rate=rate, shares=shares, generator=generator(seed))
    assert torch.equal(read, again[0])
    assert torch.equal(targets, again[1])


def test_a_rate_of_nothing_and_of_everything() -> None:
    ids = some_ids(50, 20)
    read, targets = mask_tokens(ids, TOKENIZER, rate=0, generator=generator())
    assert torch.equal(read, ids)
    assert bool((targets == IGNORED).all())
    read, targets = mask_tokens(ids, TOKENIZER, rate=1, generator=generator())
    assert torch.equal(targets != IGNORED, ids >= N_SPECIAL)


def test_shares_are_those_asked_for_and_stand_ins_are_even() -> None:
    n, rate = 400_000, 0.15
    ids = torch.full((n,), N_SPECIAL + 7)
    read, targets = mask_tokens(ids, TOKENIZER, rate=rate, generator=generator(3))
    n_targets = int((targets != IGNORED).sum())

    def near(count: int, trials: int, chance: float) -> bool:
        return abs(count - trials * chance) < 4.5 * np.sqrt(trials * chance * (1 - chance))

    assert near(n_targets, n, rate)
    picked = read[targets != IGNORED]
    n_ordinary = VOCAB - N_SPECIAL
    assert near(int((picked == MASK).sum()), n_targets, 0.8)
    # A token stays by its lot, or because it was drawn in its own place.
    assert near(int((picked == N_SPECIAL + 7).sum()), n_targets, 0.1 + 0.1 / n_ordinary)
    others = picked[(picked != MASK) & (picked != N_SPECIAL + 7)]
    counts = torch.bincount(others, minlength=VOCAB)[N_SPECIAL:].double()
    assert int(counts[7]) == 0
    counts = counts[torch.arange(n_ordinary) != 7]
    mean = float(counts.mean())
    spread = float(((counts - mean) ** 2 / mean).sum()) / (len(counts) - 1)  # chi-square a degree
    assert 0.7 < spread < 1.35
    assert bool((counts > 0).all())


def test_masking_draws_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    draws = generator()
    first = mask_tokens(some_ids(100), TOKENIZER, rate=0.5, generator=draws)[1]
    second = mask_tokens(some_ids(100), TOKENIZER, rate=0.5, generator=draws)[1]
    assert not torch.equal(first, second)  # each epoch hides others
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": -0.1}, "rate must be from 0 to 1, got -0.1"),
        ({"rate": 15}, "0.15 hides 15 tokens in 100"),
        ({"rate": float("nan")}, "rate must be from 0 to 1"),
        ({"shares": (0.8, 0.1)}, "three numbers"),
        ({"shares": (0.8, 0.3, -0.1)}, "at least 0"),
        ({"shares": (0.8, 0.1, 0.2)}, "add up to 1"),
    ],
)
def test_masking_that_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_tokens(some_ids(5), TOKENIZER, **options, generator=generator())


def test_ids_of_another_vocabulary_are_refused() -> None:
    ours = BERT(SMALL)
    for wrong in (VOCAB, -1):
        ids = torch.tensor([3, wrong])
        with pytest.raises(ValueError, match=f"from 0 to {VOCAB - 1}, got .*another tokenizer"):
            mask_tokens(ids, TOKENIZER, generator=generator())
        with pytest.raises(ValueError, match="another tokenizer"):
            ours(ids[None])


# Learning.


def test_it_learns_what_only_both_sides_tell() -> None:
    """A hidden word follows from its two neighbours together: either alone leaves two of four."""
    draws = np.random.default_rng(0)

    def batch(n: int) -> tuple[torch.Tensor, torch.Tensor, Packing]:
        a, b = draws.integers(2, size=n), draws.integers(2, size=n)
        middle = N_SPECIAL + 10 + 2 * a + b
        ids = torch.from_numpy(np.stack([N_SPECIAL + a, middle, N_SPECIAL + 5 + b], axis=1))
        targets = torch.full_like(ids, IGNORED)
        targets[:, 1] = ids[:, 1]
        read = ids.clone()
        read[:, 1] = MASK
        return read.flatten(), targets.flatten(), Packing(torch.full((n,), 3))

    config = BERTConfig(
        VOCAB,
        max_position_embeddings=4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        dropout=0.0,
    )
    model = BERT(config, generator=generator())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        model.loss(*batch(32)).backward()
        optimizer.step()
        optimizer.zero_grad()
    read, targets, packing = batch(200)
    is_target = targets != IGNORED
    with torch.no_grad():
        best = model.logits(model(read, packing=packing)[is_target]).argmax(dim=1)
    assert float((best == targets[is_target]).double().mean()) > 0.95


def test_only_targets_teach() -> None:
    """Changing the answer of a token that is not asked for changes nothing; none asked raises."""
    ours = loud(BERT(SMALL))
    ids = some_ids(2, 6)
    targets = torch.full_like(ids, IGNORED)
    targets[0, 2] = 5
    alone = torch.nn.functional.cross_entropy(ours.logits(ours(ids))[0, 2], torch.tensor(5))
    torch.testing.assert_close(ours.loss(ids, targets), alone, rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="no target among 12 tokens: raise the rate"):
        ours.loss(ids, torch.full_like(ids, IGNORED))


# On disk.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_transformers_opens_what_is_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    ours = loud(BERT(SMALL)).to(dtype)
    state = torch.random.get_rng_state()
    folder = ours.save_pretrained(tmp_path / "some" / "bert")
    assert torch.equal(torch.random.get_rng_state(), state)  # saving draws nothing from it
    assert {path.name for path in folder.iterdir()} == {
        "SHA256SUMS",
        "config.json",
        "model.safetensors",
    }
    reference, info = BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    ids = some_ids(2, 8)
    with torch.no_grad():
        actual = ours.logits(ours(ids))
        torch.testing.assert_close(actual, reference.eval()(ids).logits, rtol=1e-5, atol=1e-5)
        again = BERT.from_pretrained(folder)
        assert again.tokens.weight.dtype == dtype
        assert torch.equal(again.logits(again(ids)), actual)
    assert not again.training


def test_what_transformers_saved_is_opened(tmp_path: Path) -> None:
    torch.manual_seed(2)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=10, initializer_range=0.3,
    )  # fmt: skip
    reference = BertForMaskedLM(config).double().eval()
    reference.save_pretrained(tmp_path)
    state = torch.random.get_rng_state()
    ours = BERT.from_pretrained(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)  # nothing is drawn from it
    ids = some_ids(2, 9) % 50
    with torch.no_grad():
        torch.testing.assert_close(
            ours.logits(ours(ids)), reference(ids).logits, rtol=1e-9, atol=1e-10
        )


def test_the_tokenizer_goes_with_the_model(tmp_path: Path) -> None:
    ours = BERT(replace(SMALL, tokenizer=TOKENIZER.fingerprint))
    folder = ours.save_pretrained(tmp_path, TOKENIZER)
    # what the package does with a user's text: no word of it becomes a special token
    reference = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    text = "a red tent [MASK] 登山靴"
    ids = TOKENIZER.encode(text)
    assert reference(text)["input_ids"] == [TOKENIZER.id("[CLS]"), *ids, TOKENIZER.id("[SEP]")]
    pair = reference("a red tent", "jazz", return_token_type_ids=True)
    assert pair["token_type_ids"][-1] == 1
    assert pair["input_ids"].count(TOKENIZER.id("[SEP]")) == 2
    assert Tokenizer.load(folder).encode(text) == ids
    assert Tokenizer.load(folder).fingerprint == TOKENIZER.fingerprint
    assert TOKENIZER.backend.post_processor is None  # the one that was given is as it was


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    ours = BERT(replace(SMALL, tokenizer="0123456789ab"))
    with pytest.raises(ValueError, match="trained with the tokenizer 0123456789ab, and this is"):
        ours.save_pretrained(tmp_path / "bert", TOKENIZER)
    with pytest.raises(ValueError, match=f"has {VOCAB} tokens and the model knows 50"):
        BERT(replace(SMALL, vocab_size=50)).check_tokenizer(TOKENIZER)
    assert not (tmp_path / "bert").exists()


def test_saving_replaces_a_model_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a card")
    BERT(SMALL).save_pretrained(tmp_path)
    second = BERT(replace(SMALL, num_hidden_layers=1))
    second.save_pretrained(tmp_path)
    assert BERT.from_pretrained(tmp_path).config.num_hidden_layers == 1
    assert (tmp_path / "README.md").read_text() == "a card"
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "README.md"  # no left-overs
    with pytest.raises(NotADirectoryError, match="is a file"):
        second.save_pretrained(tmp_path / "README.md")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "silu"}, "hidden_act='silu'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False"),
    ],
)
def test_a_bert_that_is_another_is_refused(change: dict, message: str) -> None:
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, **change
    )
    with pytest.raises(ModelError, match=message):
        BERT.from_transformers(BertForMaskedLM(config))


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a gpt2, not a BERT"):
        BERT.from_pretrained(tmp_path)


def test_an_encoder_without_a_head_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = loud(BERT(SMALL)).to_transformers()
    whole.bert.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, logger="m6rec_lite"):
        ours = BERT.from_pretrained(tmp_path)
    assert "has no head that predicts masked tokens" in caplog.text
    ids = some_ids(2, 5)
    with torch.no_grad():
        reference = AutoModel.from_pretrained(tmp_path)(ids).last_hidden_state
        torch.testing.assert_close(ours(ids), reference, rtol=1e-9, atol=1e-10)


def test_a_text_longer_than_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 11, got 0 to 12"):
        BERT(SMALL)(some_ids(1, 13))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"max_position_embeddings": 0}, "max_position_embeddings must be at least 1"),
        ({"n_segments": 0}, "n_segments must be at least 1"),
        ({"hidden_size": 10, "num_attention_heads": 4}, "10 cannot be split among 4 heads"),
        ({"dropout": 1.0}, "below 1"),
        ({"activation": "silu"}, "activation must be one of"),
    ],
)
def test_a_config_that_cannot_be_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **values)
