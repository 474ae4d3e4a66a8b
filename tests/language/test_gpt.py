"""GPT: against transformers' GPT-2 in float64, packed against one by one, and on disk."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from m6rec_lite.language.models.causal_lm import CausalLM
from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.models.hub import ModelError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn import Sampler, beam_search, generate, log_likelihood
from m6rec_lite.nn.cache import KeyValueCache
from m6rec_lite.nn.packing import Packing

#: Shapes of GPT-2: heads of several sizes, a feed-forward net of its own size, other functions.
SHAPES = [
    {"n_embd": 12, "n_layer": 2, "n_head": 3},
    {"n_embd": 8, "n_layer": 3, "n_head": 1, "n_inner": 20, "activation_function": "relu"},
    {"n_embd": 16, "n_layer": 1, "n_head": 4, "activation_function": "gelu_pytorch_tanh"},
    {"n_embd": 16, "n_layer": 2, "n_head": 2, "activation_function": "gelu"},
    {"n_embd": 12, "n_layer": 2, "n_head": 2, "layer_norm_epsilon": 0.1},
]
VOCAB, CONTEXT = 31, 16


def of_transformers(seed: int = 0, **shape: object) -> GPT2LMHeadModel:
    """A GPT-2 whose weights are all far from 0 and 1, biases and norms included."""
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=VOCAB, n_positions=CONTEXT, **(SHAPES[0] | shape))
    model = GPT2LMHeadModel(config).double().eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return model


def make(seed: int = 0, **changes: object) -> GPT:
    """Ours, likewise."""
    config = GPTConfig(VOCAB, CONTEXT, 12, 2, 3, **changes)
    model = GPT(config, generator=torch.Generator().manual_seed(seed)).double().eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4, generator=torch.Generator().manual_seed(seed))
        seed += 1
    return model


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def close(ours: torch.Tensor, reference: torch.Tensor) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-10)


# Equality with transformers


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_logits_and_gradients_equal_transformers(shape: dict) -> None:
    reference = of_transformers(**shape)
    ours = GPT.from_transformers(reference)
    ids = random_ids(3, CONTEXT)
    close(ours.logits(ours(ids)), reference(ids).logits)

    loss = ours.loss(ids[:, :-1], ids[:, 1:])
    logits = reference(ids).logits[:, :-1]  # its own loss would be computed in float32
    wanted = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    close(loss, wanted)
    loss.backward()
    wanted.backward()
    close(ours.tokens.weight.grad, reference.transformer.wte.weight.grad)
    close(ours.positions.weight.grad, reference.transformer.wpe.weight.grad)
    block, layer = ours.transformer.blocks[0], reference.transformer.h[0]
    close(block.up_proj.weight.grad, layer.mlp.c_fc.weight.grad.t())
    close(block.attention.qkv.weight.grad, layer.attn.c_attn.weight.grad.t())


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu", "relu"])
def test_ours_becomes_theirs(activation: str) -> None:
    ours = make(activation=activation)
    ids = random_ids(2, 9)
    close(ours.to_transformers()(ids).logits, ours.logits(ours(ids)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_equal_transformers_with_padding(side: str) -> None:
    reference = of_transformers()
    ours, ids, lengths = GPT.from_transformers(reference), random_ids(3, 10), [10, 3, 7]
    mask = torch.zeros(3, 10, dtype=torch.int64)
    for row, n in enumerate(lengths):
        mask[row, 10 - n :] = 1 if side == "left" else 0
        if side == "right":
            mask[row, :n] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)  # what transformers' generate gives
    wanted = reference(ids, attention_mask=mask, position_ids=positions).logits
    result = ours.logits(ours(ids, mask=mask))
    close(result[mask.bool()], wanted[mask.bool()])
    for row, n in enumerate(lengths):  # and as if there were no padding
        alone = ids[row : row + 1][mask[row : row + 1].bool()][None]
        close(ours.logits(ours(alone))[0], result[row][mask[row].bool()])
        assert alone.shape[1] == n


@pytest.mark.parametrize("pieces", [[12], [5, 7], [1] * 12, [4, 1, 1, 6]])
@pytest.mark.parametrize("padded", [False, True])
def test_a_cached_pass_equals_the_full_one(pieces: list[int], padded: bool) -> None:
    ours, ids = make(), random_ids(3, 12)
    mask = None
    if padded:
        mask = torch.arange(12) >= torch.tensor([0, 2, 3])[:, None]  # padding on the left
    full = ours(ids, mask=mask)
    for make_cache in (KeyValueCache, CausalLM(ours.to_transformers()).new_cache):
        cache, parts, past = make_cache(), [], 0
        for n in pieces:
            seen = None if mask is None else mask[:, : past + n]
            parts.append(ours(ids[:, past : past + n], cache=cache, mask=seen))
            past += n
        states = torch.cat(parts, dim=1)
        real = mask if padded else torch.ones(3, 12, dtype=torch.bool)
        close(states[real], full[real])


def test_writing_and_judging_equal_transformers() -> None:
    """Ours, reference behind our loop, and reference behind its own."""
    ours = make(seed=3)
    reference = ours.to_transformers()
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8]]
    written = generate(ours, prompts, max_new_tokens=9)
    assert written == generate(CausalLM(reference), prompts, max_new_tokens=9)
    for prompt, ids in zip(prompts, written, strict=True):
        its = reference.generate(
            torch.tensor([prompt]), max_new_tokens=9, do_sample=False, eos_token_id=None,
            pad_token_id=0,
        )  # fmt: skip
        assert its[0, len(prompt) :].tolist() == ids
    draw = {"max_new_tokens": 9, "sampler": Sampler(0.9, top_p=0.9)}
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert generate(ours, prompts, **draw, generator=seeds[0]) == generate(
        CausalLM(reference), prompts, **draw, generator=seeds[1]
    )
    beams = [
        [[beam.ids for beam in each] for each in beam_search(model, prompts, max_new_tokens=5)]
        for model in (ours, CausalLM(reference))
    ]
    assert beams[0] == beams[1]
    its = reference.generate(
        torch.tensor([prompts[0]]), max_new_tokens=5, do_sample=False, num_beams=4,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    assert its[0, 3:].tolist() == beams[0][0][0]
    continuations = [[[1, 2], [3]], [[4, 4, 4]], []]
    for actual, expected in zip(
        log_likelihood(ours, prompts, continuations),
        log_likelihood(CausalLM(reference), prompts, continuations),
        strict=True,
    ):
        close(actual, expected)


def test_weights_start_as_published() -> None:
    config = GPTConfig(2000, 64, 64, num_hidden_layers=8)
    model = GPT(config, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    reference = GPT.from_transformers(model.to_transformers())
    peer = GPT2LMHeadModel(model.to_transformers().config)
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            wanted = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            assert bool((weight == wanted).all()), name
            continue
        branch = name.endswith(("out.weight", "down_proj.weight"))
        std = 0.02 / 4 if branch else 0.02
        assert float(weight.detach().std()) == pytest.approx(std, rel=0.04), name
        assert torch.equal(reference.get_parameter(name), weight)
    for block, layer in zip(model.transformer.blocks, peer.transformer.h, strict=True):
        for ours, its in (
            (block.attention.qkv, layer.attn.c_attn), (block.attention.out, layer.attn.c_proj),
            (block.up_proj, layer.mlp.c_fc), (block.down_proj, layer.mlp.c_proj),
        ):  # fmt: skip
            actual, expected = ours.weight.detach().std(), its.weight.detach().std()
            assert float(actual) == pytest.approx(float(expected), rel=0.05)
    # At the start nothing is known: the loss is near that of a uniform guess.
    ids = torch.randint(2000, (4, 64))
    with torch.no_grad():
        loss = model.eval().loss(ids[:, :-1], ids[:, 1:])
    assert float(loss) == pytest.approx(7.6, abs=0.1)


def test_the_same_generator_makes_the_same_model() -> None:
    one, same, other = (
        GPT(GPTConfig(9, 4, 8, 1, 2), generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    for name, weight in one.named_parameters():
        assert torch.equal(weight, same.get_parameter(name))
    assert not torch.equal(one.tokens.weight, other.tokens.weight)


def test_dropout_stands_where_gpt_2_has_it() -> None:
    """The share of zeros in what each branch adds, and none inside the feed-forward net."""
    model = make(dropout=0.5).train()
    block = model.transformer.blocks[0]
    met = {}
    for name, module in (("inside", block.down_proj), ("after", block.norm_ffn)):
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: met.update({name: (inputs[0] == 0).float().mean()})
        )
    model(random_ids(8, CONTEXT))
    assert float(met["inside"]) < 0.01
    assert block.config.ffn_dropout == 0.0
    assert block.dropout.p == model.dropout.p == block.attention.dropout == 0.5


# What a position sees


def packed(documents: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, Packing]:
    """Documents from the longest to the shortest as ids, targets and how they lie."""
    ids = torch.cat([document[:-1] for document in documents])
    targets = torch.cat([document[1:] for document in documents])
    return ids, targets, Packing(torch.tensor([len(document) - 1 for document in documents]))


LENGTHS = [17, 14, 13, 13, 6, 3, 2]


def test_packed_training_equals_training_document_by_document() -> None:
    model = make(dropout=0.0).train()
    documents = [random_ids(n, seed=n) for n in LENGTHS]
    ids, targets, packing = packed(documents)
    together = model.loss(ids, targets, packing)
    grads = torch.autograd.grad(together, list(model.parameters()))
    n = sum(len(document) - 1 for document in documents)
    total = 0.0
    for document in documents:
        total = total + model.loss(document[None, :-1], document[None, 1:]) * (len(document) - 1)
    close(together, total / n)
    for one, other in zip(
        grads, torch.autograd.grad(total / n, list(model.parameters())), strict=True
    ):
        close(one, other)


def test_targets_below_0_are_ignored() -> None:
    model, ids = make(), random_ids(2, 8)
    targets = random_ids(2, 8, seed=1)
    targets[0, :5] = -100
    targets[1, 7] = -1
    is_target = targets >= 0
    wanted = F.cross_entropy(model.logits(model(ids))[is_target], targets[is_target])
    close(model.loss(ids, targets), wanted)
    with pytest.raises(ValueError, match="n at least 1"):
        model.loss(ids, torch.full_like(ids, -100))


@pytest.mark.parametrize("changed", range(1, CONTEXT))
def test_a_later_token_never_moves_an_earlier_state(changed: int) -> None:
    model, ids = make(), random_ids(1, CONTEXT)
    other = ids.clone()
    other[0, changed] = (other[0, changed] + 1) % VOCAB
    before, after = model(ids)[0], model(other)[0]
    assert torch.equal(before[:changed], after[:changed])
    moved = (before != after).any(dim=1)
    assert bool(moved[changed:].all())


def test_one_document_never_moves_another() -> None:
    model = make()
    documents = [random_ids(n, seed=n) for n in LENGTHS]
    ids, _, packing = packed(documents)
    before = model(ids, packing=packing).split(packing.lengths.tolist())
    for changed in range(len(LENGTHS)):
        others = [d.clone() for d in documents]
        others[changed][0] = (others[changed][0] + 1) % VOCAB
        ids, _, _ = packed(others)
        after = model(ids, packing=packing).split(packing.lengths.tolist())
        moved = [not torch.equal(one, two) for one, two in zip(before, after, strict=True)]
        assert moved == [position == changed for position in range(len(LENGTHS))]


# On disk


def test_what_is_saved_opens_in_transformers_and_here(tmp_path: Path) -> None:
    ours = make(tokenizer="0123456789ab", dropout=0.3)
    folder = ours.save_pretrained(tmp_path / "some" / "gpt")
    assert {"config.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    ours.save_pretrained(folder)  # saving again replaces
    assert not list(folder.glob(".saving*"))
    ids = random_ids(2, 7)
    logits = ours.logits(ours(ids))
    reference = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(reference, GPT2LMHeadModel)
    assert reference.dtype == torch.float64
    close(reference(ids).logits, logits)
    again = GPT.from_pretrained(folder)
    assert again.config == ours.config
    assert not again.training
    close(again.logits(again(ids)), logits)


def test_what_transformers_saved_opens_here(tmp_path: Path) -> None:
    reference = of_transformers()
    reference.save_pretrained(tmp_path)
    ours, ids = GPT.from_pretrained(tmp_path), random_ids(2, 7)
    close(ours.logits(ours(ids)), reference(ids).logits)
    assert ours.config.tokenizer is None
    assert ours.config.dropout == 0.1


def test_the_names_of_the_first_release_open_too(tmp_path: Path) -> None:
    """The published files name weights without ``transformer.`` and carry masks as buffers."""
    from safetensors.torch import load_file, save_file

    reference = of_transformers()
    reference.save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    old = {name.removeprefix("transformer."): weight for name, weight in kept.items()}
    old |= {f"h.{i}.attn.bias": torch.ones(1, 1, CONTEXT, CONTEXT).tril() for i in range(2)}
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, ids = GPT.from_pretrained(tmp_path), random_ids(2, 7)
    close(ours.logits(ours(ids)), reference(ids).logits)


@pytest.mark.parametrize(
    "variant",
    [
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"activation_function": "silu"},
        {"tie_word_embeddings": False},
        {"add_cross_attention": True},
    ],
    ids=str,
)
def test_a_variant_that_would_give_other_logits_is_refused(variant: dict, tmp_path: Path) -> None:
    reference = of_transformers(**variant)
    name = next(iter(variant))
    with pytest.raises(ModelError, match=rf"this GPT-2 has {name}="):
        GPT.from_transformers(reference)
    reference.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"this GPT-2 has {name}="):
        GPT.from_pretrained(tmp_path)


def test_a_folder_that_is_no_gpt_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model: no config\.json"):
        GPT.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is a bert, not a GPT-2: open it with"):
        GPT.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        GPT.from_pretrained(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file: name a folder"):
        make().save_pretrained(tmp_path / "file")


def test_different_rates_of_dropout_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ours = GPT.from_transformers(of_transformers(resid_pdrop=0.2))
    assert ours.config.dropout == 0.2
    assert "takes resid_pdrop=0.2" in caplog.text


def test_a_tokenizer_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    one, other = (Tokenizer.train([text * 9], 300) for text in ("snow boots ", "jazz trumpet "))
    size = one.vocab_size
    model = GPT(GPTConfig(size, 8, 8, 1, 2, tokenizer=one.fingerprint))
    model.check_tokenizer(one)
    with pytest.raises(ValueError, match=f"tokenizer {one.fingerprint}, and this is"):
        model.check_tokenizer(other)
    with pytest.raises(ValueError, match="saved with the model"):
        model.save_pretrained(tmp_path, other)
    with pytest.raises(ValueError, match=f"has {size} tokens and the model knows {size - 1}"):
        GPT(GPTConfig(size - 1, 8, 8, 1, 2)).check_tokenizer(one)
    reference = AutoModelForCausalLM.from_pretrained(model.save_pretrained(tmp_path, one))
    assert Tokenizer.load(tmp_path).fingerprint == one.fingerprint
    assert reference.config.eos_token_id == one.id("[EOS]")
    assert GPT.from_pretrained(tmp_path).config == model.config


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"max_position_embeddings": 0}, "max_position_embeddings must be at least 1"),
        ({"num_attention_heads": 5}, "cannot be split among 5 heads"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"activation": "silu"}, "activation must be one of"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPTConfig(**({"vocab_size": 10} | change))


def test_ids_and_lengths_out_of_range_are_reported() -> None:
    model = make()
    for strange in (VOCAB, -1):
        with pytest.raises(ValueError, match=f"ids must be from 0 to {VOCAB - 1}"):
            model(torch.tensor([[1, strange]]))
    with pytest.raises(ValueError, match="17 tokens is longer than the context of 16: cut it"):
        model(random_ids(1, 17))
    with pytest.raises(ValueError, match="17 tokens is longer than the context of 16"):
        model(random_ids(19), packing=Packing(torch.tensor([17, 2])))
    cache = KeyValueCache()
    model(random_ids(1, 16), cache=cache)
    with pytest.raises(ValueError, match="17 tokens is longer"):
        model(random_ids(1, 1), cache=cache)
    with pytest.raises(ValueError, match="no mask"):
        model(random_ids(4), packing=Packing(torch.tensor([4])), mask=torch.ones(1, 4))


def test_training_learns_what_can_be_learnt() -> None:
    """Documents that repeat their first two tokens: after these all is certain, and it is found."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(11, 16, 32, 2, 2, dropout=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    draw = torch.Generator().manual_seed(0)

    def documents(n: int) -> list[torch.Tensor]:
        lengths = torch.randint(6, 17, (n,), generator=draw).sort(descending=True).values
        pairs = torch.randint(11, (n, 2), generator=draw)
        return [pair.repeat(8)[:length] for pair, length in zip(pairs, lengths, strict=True)]

    for _ in range(100):
        ids, targets, packing = packed(documents(32))
        model.loss(ids, targets, packing).backward()
        optimizer.step()
        optimizer.zero_grad()
    held_out = documents(50)
    written = generate(model, [d[:2].tolist() for d in held_out], max_new_tokens=4)
    assert written == [d[:2].tolist() * 2 for d in held_out]


# The real one


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("M6REC_GPT2")
    if not folder or not (Path(folder) / "config.json").is_file():
        pytest.skip("no GPT-2 on disk: set M6REC_GPT2 to a folder with config.json and weights")
    return Path(folder)


def test_the_real_gpt_2_gives_the_same_logits(real: Path) -> None:
    reference = AutoModelForCausalLM.from_pretrained(real, dtype=torch.float32).double().eval()
    ours = GPT.from_pretrained(real).double()
    ids = torch.randint(ours.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            ours.logits(ours(ids)), reference(ids).logits, rtol=1e-8, atol=1e-8
        )


def test_the_real_gpt_2_survives_the_round_trip(real: Path, tmp_path: Path) -> None:
    ours = GPT.from_pretrained(real)
    again = GPT.from_pretrained(ours.save_pretrained(tmp_path))
    for name, weight in ours.named_parameters():
        assert torch.equal(weight, again.get_parameter(name)), name
    written = generate(ours, [[464, 3139, 286, 4881, 318]], max_new_tokens=8)  # "The capital of …"
    reference = AutoModelForCausalLM.from_pretrained(real, dtype=torch.float32).eval()
    its = reference.generate(
        torch.tensor([[464, 3139, 286, 4881, 318]]), max_new_tokens=8, do_sample=False,
        pad_token_id=0, eos_token_id=None,
    )  # fmt: skip
    assert its[0, 5:].tolist() == written[0]
