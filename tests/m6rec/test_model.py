"""The prefix language model: who sees whom, exactly, and everything ``transformers`` promises."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, DynamicCache

from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.m6rec import SIZES, M6RecConfig, M6RecModel
from m6rec_lite.m6rec.batches import packed_prefix_mask
from m6rec_lite.nn import generate
from m6rec_lite.nn.cache import KeyValueCache

VOCABULARY = 40
USER_END, EOS = 2, 4


def make(positions: str = "rotary", **options: Any) -> M6RecModel:
    config = M6RecConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        positions=positions,
        initializer_range=0.3,  # far from 0, so that every influence shows
        **options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return M6RecModel(config).double().eval()


def row(seed: int, prefix: int, written: int) -> Tensor:
    """``[BOS'] … [EOS'] [BOS] …``: ``(given + 2 + 1 + written,)``."""
    text = torch.randint(11, VOCABULARY, (prefix + written,), generator=torch.manual_seed(seed))
    marks = [torch.tensor([i]) for i in (1, 2, 3)]
    return torch.cat([marks[0], text[:prefix], marks[1], marks[2], text[prefix:]])


def pad(rows: list[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Rows filled up with tokens that would matter if they were seen, and what is real."""
    time = max(map(len, rows))
    ids = torch.full((len(rows), time), 17)
    real = torch.zeros(len(rows), time, dtype=torch.long)
    for i, one in enumerate(rows):
        where = slice(time - len(one), time) if side == "left" else slice(len(one))
        ids[i, where], real[i, where] = one, 1
    return ids, real


# Who sees whom


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("prefix", range(9))
@torch.no_grad()
def test_each_position_is_seen_by_those_that_may_and_by_no_other(
    positions: str, prefix: int
) -> None:
    model, time = make(positions), 8
    x = torch.randn(1, time, 16, dtype=torch.float64, generator=torch.manual_seed(1))
    changed = x.repeat(time, 1, 1)  # row j differs from x at j alone
    at = torch.arange(time)
    changed[at, at] += torch.randn(time, 16, dtype=torch.float64, generator=torch.manual_seed(2))
    before = model(inputs_embeds=x, prefix_length=prefix).logits
    after = model(inputs_embeds=changed, prefix_length=prefix).logits
    sees = (after - before).abs().amax(-1).T > 1e-9  # (who looks, at whom)
    for i in range(time):
        for j in range(time):
            assert sees[i, j] == (j <= i or j < prefix), (i, j)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@torch.no_grad()
def test_each_position_of_a_packed_line_is_seen_by_its_own_document_alone(positions: str) -> None:
    model = make(positions)
    sizes, prefix_sizes = [5, 3, 4], [3, 0, 4]  # and two tokens of padding at the end
    document = torch.tensor([1] * 5 + [2] * 3 + [3] * 4 + [0] * 2)
    position = torch.cat([torch.arange(n) for n in [*sizes, 2]])
    known = position < torch.tensor([*prefix_sizes, 0])[document - 1]
    known[document == 0] = False
    time = len(document)
    x = torch.randn(1, time, 16, dtype=torch.float64, generator=torch.manual_seed(1))
    changed, at = x.repeat(time, 1, 1), torch.arange(time)
    changed[at, at] += torch.randn(time, 16, dtype=torch.float64, generator=torch.manual_seed(2))
    mask = packed_prefix_mask(document[None], known[None])
    before = model.states(inputs_embeds=x, attention_mask=mask, position_ids=position[None])
    after = model.states(
        inputs_embeds=changed,
        attention_mask=mask.expand(time, -1, -1, -1),
        position_ids=position.expand(time, -1),
    )
    sees = (after - before).abs().amax(-1).T > 1e-9
    for i in range(12):
        for j in range(time):
            may = document[i] == document[j] and (bool(known[j]) or j <= i)
            assert sees[i, j] == may, (i, j)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@given(
    shapes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=4),
    side=st.sampled_from(["left", "right"]),
    with_prefix=st.booleans(),
)
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_a_row_in_a_padded_batch_is_as_it_is_alone(
    positions: str, shapes: list[tuple[int, int]], side: str, with_prefix: bool
) -> None:
    model = make(positions)
    rows = [row(i, *shape) for i, shape in enumerate(shapes)]
    ids, real = pad(rows, side)
    prefix = torch.tensor([prefix_size + 2 for prefix_size, _ in shapes]) if with_prefix else None
    result = model(ids, attention_mask=real, prefix_length=prefix).logits
    for i, one in enumerate(rows):
        alone = model(one[None], prefix_length=shapes[i][0] + 2).logits[0]
        torch.testing.assert_close(result[i][real[i].bool()], alone)


@given(shapes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_a_document_in_a_packed_line_is_as_it_is_alone(shapes: list[tuple[int, int]]) -> None:
    model = make("learned")
    rows = [row(i, *shape) for i, shape in enumerate(shapes)]
    lengths = torch.tensor([len(one) for one in rows])
    document = torch.repeat_interleave(torch.arange(len(rows)) + 1, lengths)
    position = torch.cat([torch.arange(n) for n in lengths])
    known = position < torch.tensor([inputs + 2 for inputs, _ in shapes])[document - 1]
    packed = model(
        torch.cat(rows)[None],
        attention_mask=packed_prefix_mask(document[None], known[None]),
        position_ids=position[None],
    ).logits[0]
    alone = torch.cat([model(one[None]).logits[0] for one in rows])
    torch.testing.assert_close(packed, alone)


@torch.no_grad()
def test_a_row_without_a_user_region_is_causal() -> None:
    model, ids = make(), torch.arange(11, 18)[None]
    torch.testing.assert_close(model(ids).logits, model(ids, prefix_length=0).logits)
    assert (model(ids).logits - model(ids, prefix_length=7).logits).abs().max() > 1e-3


# Reading and writing in pieces


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("cache", [DynamicCache, KeyValueCache])
@pytest.mark.parametrize("with_prefix", [True, False])
@torch.no_grad()
def test_reading_on_from_a_cache_equals_reading_all(
    positions: str, cache: type, with_prefix: bool
) -> None:
    model = make(positions)
    rows = [row(1, 4, 5), row(2, 1, 5), row(3, 0, 5)]
    ids, real = pad(rows, "left")
    prefix = torch.tensor([6, 3, 2]) if with_prefix else None
    whole = model(ids, attention_mask=real, prefix_length=prefix).logits
    read, parts = cache(), []
    for start, end in ((0, 8), (8, 9), (9, 11), (11, 12)):
        parts.append(
            model(
                ids[:, start:end],
                attention_mask=real[:, :end],
                prefix_length=prefix,
                past_key_values=read,
            ).logits
        )
    torch.testing.assert_close(torch.cat(parts, 1)[real.bool()], whole[real.bool()])


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_what_is_generated_is_the_same_with_and_without_cache_and_company(
    how: dict[str, Any],
) -> None:
    model = make()
    rows = [row(1, 4, 0), row(2, 0, 1), row(3, 2, 0)]
    ids, real = pad(rows, "left")
    prefix = torch.tensor([6, 2, 4])
    options = {"max_new_tokens": 6, "do_sample": False, **how}
    result = model.generate(ids, attention_mask=real, prefix_length=prefix, **options)
    slow = model.generate(
        ids, attention_mask=real, prefix_length=prefix, use_cache=False, **options
    )
    assert torch.equal(result, slow)
    for i, one in enumerate(rows):
        alone = model.generate(one[None], prefix_length=prefix[i : i + 1], **options)
        written = alone[0, len(one) :]
        assert torch.equal(result[i, ids.shape[1] :][: len(written)], written)


@torch.no_grad()
def test_greedy_generation_takes_the_likeliest_token_of_the_full_pass() -> None:
    model, ids = make(), row(1, 4, 1)[None]
    result = model.generate(
        ids, prefix_length=torch.tensor([6]), max_new_tokens=6, do_sample=False, eos_token_id=None
    )
    assert generate(model, ids.tolist(), max_new_tokens=6) == result[:, ids.shape[1] :].tolist()
    for _ in range(6):
        ids = torch.cat([ids, model(ids, prefix_length=6).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(result, ids)
    causal = model.generate(
        ids[:, :8], prefix_length=0, max_new_tokens=6, do_sample=False, eos_token_id=None
    )
    assert not torch.equal(causal, ids)  # the user region matters here


def test_sampling_draws_from_the_models_own_chances() -> None:
    model, ids = make(), row(1, 4, 0)[None]
    with torch.no_grad():
        chances = model(ids).logits[0, -1].softmax(-1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = model.generate(
            ids, do_sample=True, top_k=0, max_new_tokens=1, num_return_sequences=4000
        )[:, -1]
    shares = torch.bincount(drawn, minlength=VOCABULARY) / len(drawn)
    assert (shares - chances).abs().max() < 5 * math.sqrt(0.25 / 4000)
    assert shares.max() > 2 / VOCABULARY


def test_generation_stops_at_the_end_mark() -> None:
    model, ids = make(), row(1, 4, 0)[None]
    free = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None)[0]
    model.generation_config.eos_token_id = int(free[ids.shape[1] + 2])
    stopped = model.generate(ids, max_new_tokens=8, do_sample=False)[0]
    first = (free[ids.shape[1] :] == model.generation_config.eos_token_id).nonzero()[0, 0]
    assert len(stopped) == ids.shape[1] + int(first) + 1
    assert make().generation_config.eos_token_id == EOS


# A model like others


def test_a_saved_model_comes_back_the_same(tmp_path: Path) -> None:
    model, ids = make("learned", tokenizer="abc"), row(1, 3, 3)[None]
    model.save_pretrained(tmp_path)
    for load in (M6RecModel, AutoModelForCausalLM):
        again = load.from_pretrained(tmp_path, dtype=torch.float64)
        assert isinstance(again, M6RecModel)
        assert torch.equal(again(ids).logits, model(ids).logits)
        for name in ("hidden_size", "num_hidden_layers", "positions", "vocab_size", "tokenizer"):
            assert getattr(again.config, name) == getattr(model.config, name)
        assert again.head.weight is again.embedding.weight
    assert again.config.tokenizer == "abc"
    assert again.generation_config.eos_token_id == EOS


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    wider = make().config.to_dict() | {"hidden_size": 32}
    with pytest.raises(ModelError, match="cannot be read as M6RecModel"):
        M6RecModel.from_pretrained(tmp_path, config=M6RecConfig(**wider))


def test_another_tokenizer_is_refused() -> None:
    class Stranger:
        fingerprint = "other"

    M6RecConfig().check_tokenizer(Stranger())  # of a model that names none
    M6RecConfig(tokenizer="other").check_tokenizer(Stranger())
    with pytest.raises(ValueError, match="made for the tokenizer mine and was given other"):
        M6RecConfig(tokenizer="mine").check_tokenizer(Stranger())


@torch.no_grad()
def test_the_start_is_as_published() -> None:
    config = M6RecConfig(vocab_size=500, hidden_size=64, num_hidden_layers=8, num_attention_heads=4)
    torch.manual_seed(0)
    model = M6RecModel(config)
    block = model.blocks[3]
    assert block.up_proj.weight.std() == pytest.approx(0.02, rel=0.05)
    assert block.down_proj.weight.std() == pytest.approx(0.02 / 4, rel=0.05)
    assert block.attention.out.weight.std() == pytest.approx(0.02 / 4, rel=0.05)
    assert not block.up_proj.bias.any()
    ids = torch.randint(500, (4, 30))
    assert model(ids, labels=ids, prefix_length=0).loss == pytest.approx(math.log(500), rel=0.02)


def test_the_loss_is_the_mean_over_labels() -> None:
    model, ids = make(), torch.stack([row(1, 3, 3), row(2, 3, 3)])
    labels = ids.clone()
    labels[:, :6] = -100  # the user region and [BOS] are given
    labels[1, 7] = -100
    result = model(ids, labels=labels)
    logits = result.logits[:, :-1].reshape(-1, VOCABULARY)
    by_hand = F.cross_entropy(logits, labels[:, 1:].flatten())
    torch.testing.assert_close(result.loss.double(), by_hand, rtol=1e-6, atol=1e-6)
    shared = model(ids, labels=labels, num_items_in_batch=10).loss
    torch.testing.assert_close(shared, result.loss * 5 / 10)


def test_only_the_logits_asked_for_are_made() -> None:
    model, ids = make(), row(1, 3, 3)[None]
    whole = model(ids).logits
    torch.testing.assert_close(model(ids, logits_to_keep=2).logits, whole[:, -2:])
    some = torch.tensor([0, 4])
    torch.testing.assert_close(model(ids, logits_to_keep=some).logits, whole[:, some])


def test_layers_are_shown_on_request() -> None:
    model, ids = make(), row(1, 3, 3)[None]
    result = model(ids, output_hidden_states=True)
    assert len(result.hidden_states) == 3
    torch.testing.assert_close(result.hidden_states[0], model.embedding(ids))
    torch.testing.assert_close(result.hidden_states[-1], model.states(ids))
    torch.testing.assert_close(model.head(result.hidden_states[-1]), result.logits)
    assert model(ids, return_dict=False)[0] is not None


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_recomputing_activations_changes_no_gradient(positions: str) -> None:
    ids = row(1, 4, 4)[None]
    gradients = []
    for recompute in (False, True):
        model = make(positions).train()
        if recompute:
            enable = getattr(
                model, "activation_checkpointing_enable", model.gradient_checkpointing_enable
            )
            enable()
        model(ids, labels=ids).loss.backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


def test_it_trains_under_accelerate() -> None:
    accelerator = Accelerator(cpu=True)
    model = make().float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model, optimizer = accelerator.prepare(model, optimizer)
    ids = torch.stack([row(i, 3, 5) for i in range(4)])
    losses = []
    for _ in range(30):
        loss = model.train()(ids, labels=ids).loss
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


def test_new_tokens_can_be_added() -> None:
    model = make()
    model.resize_token_embeddings(VOCABULARY + 5)
    assert model.head.weight is model.embedding.weight
    ids = torch.tensor([[1, VOCABULARY + 4, 2]])
    assert model(ids).logits.shape == (1, 3, VOCABULARY + 5)


# With peft


def test_lora_trains_its_own_weights_alone(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model, ids = make(), torch.stack([row(i, 3, 5) for i in range(4)])
    with torch.no_grad():
        before = model(ids).logits
    frozen = {name: p.detach().clone() for name, p in model.named_parameters()}
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["qkv", "out", "up_proj"])
    adapted = peft.get_peft_model(model, lora)
    torch.testing.assert_close(adapted(ids).logits, before)  # an adapter starts as nothing
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(20):
        loss = adapted(ids, labels=ids, prefix_length=torch.full((4,), 5)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    adapted.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(make(), tmp_path).eval()
    adapted.eval()
    torch.testing.assert_close(again(ids).logits, adapted(ids).logits)
    written = adapted.generate(input_ids=ids[:1, :6], prefix_length=5, max_new_tokens=3)
    merged = adapted.merge_and_unload()
    assert torch.equal(written, merged.generate(ids[:1, :6], prefix_length=5, max_new_tokens=3))
    bases = {n.replace(".base_layer", ""): p for n, p in make().named_parameters()}
    for name, weight in frozen.items():
        torch.testing.assert_close(bases[name], weight)


@torch.no_grad()
def test_soft_prompts_stand_in_the_user_region() -> None:
    peft = pytest.importorskip("peft")
    model = make()
    rows = [row(1, 4, 2), row(2, 1, 2)]
    ids, real = pad(rows, "left")
    prompts = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    adapted = peft.get_peft_model(model, prompts).eval()
    soft = adapted.get_prompt(1)[0].double()
    prefix = torch.tensor([6, 3]) + 3  # the soft ones are counted
    result = adapted(ids, attention_mask=real, prefix_length=prefix).logits
    for i, one in enumerate(rows):
        x = torch.cat([soft, model.embedding(one)])[None]
        alone = model(inputs_embeds=x, prefix_length=int(prefix[i])).logits[0]
        kept = torch.cat([torch.ones(3), real[i]]).bool()
        torch.testing.assert_close(result[i][kept], alone)
    with pytest.raises(ValueError, match="soft prompts included"):
        adapted(ids, attention_mask=real)

    start = rows[0][None]
    written = adapted.generate(
        input_ids=start, prefix_length=9, max_new_tokens=4, do_sample=False, eos_token_id=None
    )[0, start.shape[1] :]
    x = torch.cat([soft, model.embedding(rows[0])])[None]
    for token in written:
        assert model(inputs_embeds=x, prefix_length=9).logits[0, -1].argmax() == token
        x = torch.cat([x, model.embedding(token)[None, None]], dim=1)


def test_prefix_tuning_and_soft_prompts_learn() -> None:
    peft = pytest.importorskip("peft")
    ids = torch.stack([row(i, 3, 5) for i in range(4)])
    for method in (peft.PromptTuningConfig, peft.PrefixTuningConfig):
        torch.manual_seed(0)
        adapted = peft.get_peft_model(
            make(), method(task_type="CAUSAL_LM", num_virtual_tokens=4)
        ).train()
        trained = [p for p in adapted.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=5e-2)
        losses = []
        for _ in range(25):
            loss = adapted(ids, labels=ids, prefix_length=torch.full((4,), 9)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert losses[-1] < 0.95 * losses[0], method.__name__


# What is refused


def test_what_does_not_fit_is_refused() -> None:
    model, ids = make(), row(1, 3, 3)[None]
    with pytest.raises(ValueError, match="one of them"):
        model()
    with pytest.raises(ValueError, match="one of them"):
        model(ids, inputs_embeds=model.embedding(ids))
    with pytest.raises(ValueError, match=r"wanted \(1, 9\)"):
        model(ids, attention_mask=torch.ones(1, 4))
    with pytest.raises(ValueError, match="one number a row"):
        model(ids, prefix_length=torch.tensor([3, 3]))
    with pytest.raises(ValueError, match="prefix_length is not given"):
        model(inputs_embeds=model.embedding(ids))
    with pytest.raises(ValueError, match="cut the sequence to max_length=32"):
        make("learned")(torch.full((1, 33), 11))
    make("rotary")(torch.full((1, 33), 11))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_attention_heads": 3}, "heads that divide it"),
        ({"positions": "sinusoid"}, "'rotary' or 'learned'"),
        ({"vocab_size": 0}, "at least 1"),
        ({"tie_word_embeddings": False}, "leave them tied"),
        ({"dropout": 1.0}, "below 1"),
        ({"activation": "swish"}, "activation must be one of"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        M6RecConfig(**{"hidden_size": 16, "num_attention_heads": 2} | wrong)


def test_the_base_size_is_the_published_one() -> None:
    with torch.device("meta"):
        model = M6RecModel(M6RecConfig(vocab_size=4096, **SIZES["base"]))
    assert model.config.num_hidden_layers == 24
    assert model.config.num_attention_heads == 16
    assert 290e6 < model.num_parameters() < 320e6  # "about 300 M"
