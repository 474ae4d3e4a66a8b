"""Token by token: the same sums as ``judge``, and causal attention on request."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m6rec_lite.language import Document, Tokenizer
from m6rec_lite.m6rec import (
    Infilling,
    M6RecConfig,
    M6RecModel,
    PretrainingBatches,
    SentenceGeneration,
    TokenFile,
    token_nats,
)
from m6rec_lite.m6rec.objective import judge

TEXTS = [f"A woman, {city}. Rain. Clicked the trek boots number {i}." for i, city in
         enumerate(["Oslo", "Chicago", "Madrid", "Lyon"] * 5)]  # fmt: skip


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> PretrainingBatches:
    tokenizer = Tokenizer.train(TEXTS, 320)
    documents = [Document((("[USER]", text),)) for text in TEXTS]
    file = TokenFile.write(
        tmp_path_factory.mktemp("tokens") / "held-out", documents, tokenizer, progress=False
    )
    objectives = {"infilling": Infilling(), "sentence": SentenceGeneration(tokenizer)}
    return PretrainingBatches(file, objectives, tokenizer, batch_size=4, seq_len=64)


@pytest.fixture(scope="module")
def model(held_out: PretrainingBatches) -> M6RecModel:
    torch.manual_seed(0)
    # Two layers: what a prefix token has read reaches a written token in the second.
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    wide = {"initializer_range": 0.5}
    return M6RecModel(M6RecConfig.of_size("nano", held_out.tokenizer, **shape, **wide)).eval()


def test_the_means_are_those_of_judge(model: M6RecModel, held_out: PretrainingBatches) -> None:
    frame = token_nats(model, held_out.epoch(0, 0), limit=2)
    wanted = judge(model, held_out, limit=2)
    for name, nats in frame.groupby("objective")["nats"].mean().items():
        assert nats == pytest.approx(wanted[f"{name} nats"], rel=1e-5)
    bits = frame["nats"] / np.log(2)
    n_bytes = held_out.tokenizer.n_bytes[frame["token"]]
    for name in held_out.objectives:
        rows = frame["objective"] == name
        found = bits[rows].sum() / n_bytes[rows].sum()
        assert found == pytest.approx(wanted[f"{name} bits"], rel=1e-5)


def test_each_span_has_one_first_token(model: M6RecModel, held_out: PretrainingBatches) -> None:
    frame = token_nats(model, held_out.epoch(0, 0), limit=1)
    ends = [held_out.tokenizer.id(name) for name in ("[MASK]", "[EOS]")]
    is_end = frame["token"].isin(ends) & (frame["source"] < 0)
    assert frame["opens"].sum() == is_end.sum()  # each span has a first token, and ends once
    tokens = np.asarray(held_out.file.tokens)
    text = frame[frame["source"] >= 0]
    np.testing.assert_array_equal(tokens[text["source"]], text["token"])


def test_causal_attention_changes_what_is_read_only(
    model: M6RecModel, held_out: PretrainingBatches
) -> None:
    batches = held_out.epoch(0, 0)
    both, causal = (token_nats(model, batches, limit=1, both_ways=way) for way in (True, False))
    assert both.drop(columns="nats").equals(causal.drop(columns="nats"))
    assert not np.allclose(both["nats"], causal["nats"])
    batch = batches[0]
    batch = batch | {"is_prefix": torch.zeros_like(batch["is_prefix"])}
    np.testing.assert_allclose(token_nats(model, [batch])["nats"], causal["nats"], rtol=1e-6)


def test_no_batch_is_refused(model: M6RecModel, held_out: PretrainingBatches) -> None:
    with pytest.raises(ValueError, match="there is no batch: pass batches of held-out documents"):
        token_nats(model, held_out.epoch(0, 0), limit=0)
