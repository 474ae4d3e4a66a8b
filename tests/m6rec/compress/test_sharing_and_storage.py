"""Shared weights, and the file of a compressed model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m6rec_lite.language import ModelError
from m6rec_lite.m6rec import (
    EarlyExitScoring,
    LateInteractionScoring,
    factorize_embedding,
    load_compressed,
    quantize_weights,
    save_compressed,
    share_layers,
)
from tests.m6rec.compress.small import TOKENIZER, a_model, rows, scorer


def n_params(module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_one_layer_is_used_for_all():
    model = a_model(3)
    for block in list(model.blocks)[1:]:
        block.load_state_dict(model.blocks[0].state_dict())
    ids = torch.randint(11, 270, (2, 9))
    before, size = model(ids).logits, n_params(model)
    share_layers(model)
    torch.testing.assert_close(model(ids).logits, before)
    assert size - n_params(model) == 2 * n_params(model.blocks.block)
    assert len(list(model.blocks)) == len(model.blocks) == 3
    model(ids, labels=ids).loss.backward()
    assert model.blocks.block.up_proj.weight.grad is not None


def test_the_embedding_becomes_its_best_approximation_and_stays_tied():
    model = a_model(2)
    full = model.embedding.weight.detach().clone()
    scale = torch.linalg.svdvals(full.double())
    factorize_embedding(model, 8)
    error = (model.embedding.weight - full).double().norm()
    torch.testing.assert_close(error, scale[8:].norm(), rtol=1e-4, atol=0)
    ids = torch.randint(11, 270, (2, 9))
    torch.testing.assert_close(model.embedding(ids), model.embedding.weight[ids])
    output = model(ids, output_hidden_states=True)
    torch.testing.assert_close(output.logits, output.hidden_states[-1] @ model.embedding.weight.T)
    vocab_size = model.config.vocab_size
    assert n_params(model.embedding) == 8 * (vocab_size + 32)
    for rank in (0, 32):
        with pytest.raises(ValueError, match=rf"below hidden_size 32, got {rank}"):
            factorize_embedding(a_model(2), rank)


def change(model, name: str):
    if "shared" in name:
        share_layers(model)
    if "factorized" in name:
        factorize_embedding(model, 8)
    if "pruned" in name:
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight[weight.abs() < weight.abs().quantile(0.8)] = 0.0
    if "4 bit" in name:
        quantize_weights(model, 4, 16)
    return model


@pytest.mark.parametrize(
    "name",
    ["plain", "shared", "factorized", "pruned", "4 bit", "shared, factorized, 4 bit",
     "shared, factorized, pruned"],
)  # fmt: skip
def test_a_file_gives_the_same_answers(name, tmp_path):
    both = scorer(change(a_model(3, 64), name))
    both.task("scoring").negative_share = 0.25
    size = save_compressed(both, TOKENIZER, tmp_path / "model.safetensors")
    assert size == (tmp_path / "model.safetensors").stat().st_size
    again, tokenizer = load_compressed(tmp_path / "model.safetensors")
    assert tokenizer.fingerprint == TOKENIZER.fingerprint
    examples = rows(5)
    wanted = both.task("scoring").predict(both.model, examples)
    np.testing.assert_array_equal(again.task("scoring").predict(again.model, examples), wanted)
    ids = torch.randint(11, 270, (1, 6))
    torch.testing.assert_close(again.model(ids).logits, both.model(ids).logits)


def test_zeros_and_few_bits_take_less_room(tmp_path):
    size = {
        name: save_compressed(scorer(change(a_model(3, 64), name)), TOKENIZER, tmp_path / "model")
        for name in ("plain", "pruned", "shared", "4 bit")
    }
    rest = len(TOKENIZER.to_json()) + 20_000  # names, settings, norms and biases
    assert size["pruned"] < size["plain"] * (0.2 + 1 / 32) + rest
    assert size["shared"] < size["plain"] / 2 + rest
    assert size["4 bit"] < size["plain"] * 6 / 32 + rest  # 4 and a scale for each 16


@pytest.mark.parametrize("kind", [LateInteractionScoring, EarlyExitScoring])
def test_tasks_keep_their_class_and_settings(kind, tmp_path):
    both = scorer(a_model(3), kind(32, negative_share=0.5))
    save_compressed(both, TOKENIZER, tmp_path / "model")
    task = load_compressed(tmp_path / "model")[0].task("scoring")
    assert type(task) is kind
    assert task.settings() == both.task("scoring").settings()


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(ModelError, match="cannot be read"):
        load_compressed(path)
    save_compressed(scorer(a_model(2)), TOKENIZER, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(ModelError, match="checksum differs"):
        load_compressed(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(ModelError, match="write it again with save_compressed"):
        load_compressed(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be read"):
        load_compressed(path)
