"""Prompts, prefixes and options: what they see, what sees them, and equality with peft."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from m6rec_lite.m6rec import (
    Adapted,
    M6RecModel,
    OptionTuning,
    PrefixTuning,
    PromptTuning,
    Retrieval,
)
from m6rec_lite.m6rec.tasks.task import collate
from m6rec_lite.nn import generate
from tests.m6rec.adapt.tiny import examples, make, row, scoring

N = 3  # soft tokens
KINDS = {"prompt": PromptTuning(N), "prefix": PrefixTuning(N), "options": OptionTuning(N)}
IDS = torch.stack([row(i, 4, 3) for i in range(2)])  # [BOS'] 4 [EOS'] [BOS] 3 [EOS]
USER = 6  # tokens of the user region


def adapted_of(kind: str, positions: str = "rotary") -> Adapted:
    return Adapted(make(positions), KINDS[kind], scoring() if kind == "options" else None)


def influences(model: M6RecModel, weight: Tensor) -> Tensor:
    """For each position of a row: whether a change of each soft token changes its state."""
    with torch.no_grad():
        before = model.states(IDS[:1])
        changed = []
        for i in range(N):
            at = weight[i] if weight.ndim == 2 else weight[:, :, :, i]
            kept = at.clone()
            at += torch.linspace(-1, 1, at.numel()).view_as(at)  # a norm would undo a constant
            changed.append((model.states(IDS[:1]) - before).abs().amax(-1)[0] > 1e-9)
            at.copy_(kept)
    return torch.stack(changed)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_token_attends_to_the_soft_ones(kind: str, positions: str) -> None:
    model = adapted_of(kind, positions).model
    weight = model.soft_prefix.weight if kind == "prefix" else model.soft_prompt.weight
    assert influences(model, weight).all()
    assert model.states(IDS).shape == (2, IDS.shape[1], 16)  # the row's own positions


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_row_sees_itself_as_without_soft_tokens(kind: str) -> None:
    """The user region both ways, the written region its past: prompts change no mask."""
    model, time = adapted_of(kind).model, IDS.shape[1]
    x = model.embedding(IDS[:1])
    before = model.states(inputs_embeds=x, prefix_length=USER)
    sees = torch.zeros(time, time, dtype=torch.bool)
    for j in range(time):
        other = x.clone()
        other[0, j] += torch.linspace(-1, 1, 16)
        after = model.states(inputs_embeds=other, prefix_length=USER)
        sees[:, j] = (after - before).abs().amax(-1)[0] > 1e-9
    at = torch.arange(time)
    assert torch.equal(sees, (at[None, :] <= at[:, None]) | (at < USER)[None, :].expand(time, -1))


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_and_explicit_arguments_change_nothing(kind: str, positions: str) -> None:
    model = adapted_of(kind, positions).model
    rows = [row(1, 5, 3), row(2, 2, 2)]
    time = max(map(len, rows))
    for left in (True, False):
        ids, real = torch.full((2, time), 17), torch.zeros(2, time, dtype=torch.bool)
        for i, one in enumerate(rows):
            where = slice(time - len(one), time) if left else slice(len(one))
            ids[i, where], real[i, where] = one, True
        prefix = torch.tensor([7, 4])
        both = model.states(ids, real)
        explicit = model.states(ids, real, prefix, position_ids=(real.cumsum(1) - 1).clamp(min=0))
        for i, one in enumerate(rows):
            alone = model.states(one[None])[0]
            torch.testing.assert_close(both[i][real[i]], alone)
            torch.testing.assert_close(explicit[i][real[i]], alone)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_cache_gives_the_same_states(kind: str) -> None:
    model = adapted_of(kind).eval().model
    whole = model.states(IDS)
    prompts = [IDS[0, :7].tolist(), row(5, 1, 3)[:5].tolist()]  # of two lengths
    written = generate(model, prompts, max_new_tokens=4, stop=())
    for prompt, new in zip(prompts, written, strict=True):
        text = torch.tensor([prompt])
        for token in new:
            logits = model.head(model.states(text, None, prompt.index(2) + 1))[0, -1]
            assert int(logits.argmax()) == token
            text = torch.cat([text, torch.tensor([[token]])], dim=1)
    cache = model(IDS[:, :7], use_cache=True).past_key_values
    rest = model.states(IDS[:, 7:], None, 0, past_key_values=cache)
    torch.testing.assert_close(rest, whole[:, 7:])


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
@torch.no_grad()
def test_hidden_states_are_those_of_the_row(kind: str) -> None:
    model = adapted_of(kind).model
    output = model(IDS, output_hidden_states=True)
    assert [tuple(h.shape) for h in output.hidden_states] == [(2, IDS.shape[1], 16)] * 3
    torch.testing.assert_close(output.hidden_states[0], model.embedding(IDS))
    torch.testing.assert_close(output.hidden_states[-1], model.states(IDS))


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
@torch.no_grad()
def test_soft_tokens_carry_nothing_between_the_towers_of_retrieval(kind: str) -> None:
    """A prompt that read the user region would show it to the item's tower."""
    model, task = adapted_of(kind).model, Retrieval(16, 5, 8).double()
    rows = examples(2)
    batch = collate(rows, np.arange(2))
    known = [part.copy() for part in rows.known]
    known[0][1] = 11 + (known[0][1] - 10) % 20
    other = collate(replace(rows, known=known), np.arange(2))
    states, changed = task.states(model, batch), task.states(model, other)
    written = torch.arange(batch.ids.shape[1]) >= batch.prefix[0]
    assert torch.equal(states[0, written], changed[0, written])
    assert not torch.equal(states[0, ~written], changed[0, ~written])
    vectors = task.item_vectors(model, rows.written)  # without a user region
    torch.testing.assert_close(
        torch.from_numpy(vectors), task.items(batch.last(states)).float(), rtol=1e-4, atol=1e-5
    )


def test_what_cannot_be_placed_is_refused() -> None:
    model = adapted_of("prompt", "learned").model
    with pytest.raises(ValueError, match=r"3 soft tokens and a row of 30 do not fit .* 32 "):
        model.states(torch.full((1, 30), 15), None, 0)
    with pytest.raises(ValueError, match="pass the number of real tokens"):
        model.states(inputs_embeds=model.embedding(IDS))
    with pytest.raises(ValueError, match="one of them"):
        model.states()


# Options


def test_options_are_the_head_and_the_special_tokens_are_trained() -> None:
    task = scoring()
    adapted = Adapted(make(), OptionTuning(5), task).train()
    prompt, batch = adapted.model.soft_prompt, collate(examples(4), np.arange(4))
    states = batch.last(batch.states(adapted.model))
    torch.testing.assert_close(task.head(states), states @ prompt.weight[-2:].T)
    adapted.loss(batch).backward()
    assert (prompt.weight.grad.abs().sum(1) > 0).all()
    used = prompt.special.grad.abs().sum(1) > 0
    assert used.nonzero().flatten().tolist() == [1, 2, 3, 4]  # the marks of both regions
    assert adapted.model.embedding.weight.grad is None
    assert set(adapted.trained()) == {"model.soft_prompt.weight", "model.soft_prompt.special"}
    head = adapted.detach().task.head
    assert isinstance(head, torch.nn.Linear)


@torch.no_grad()
def test_special_tokens_have_their_own_vectors_and_others_do_not() -> None:
    adapted = adapted_of("options")
    prompt, embedding = adapted.model.soft_prompt, adapted.model.embedding
    prompt.special += torch.arange(11)[:, None]
    difference = (prompt.embed(adapted.model, IDS) - embedding(IDS)).mean(-1)
    torch.testing.assert_close(difference, torch.where(IDS < 11, IDS, 0).double())


# With peft


def peft_model(kind: str) -> Any:
    peft = pytest.importorskip("peft")
    config = {"prompt": peft.PromptTuningConfig, "prefix": peft.PrefixTuningConfig}[kind]
    return peft.get_peft_model(make(), config(task_type="CAUSAL_LM", num_virtual_tokens=N)).double()


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_loss_and_gradient_equal_those_of_peft(kind: str) -> None:
    theirs = peft_model(kind)
    adapted = adapted_of(kind).train()
    weight = theirs.prompt_encoder.default.embedding.weight
    ours = getattr(adapted.model, f"soft_{kind}").weight
    # peft: (n, layers * 2 * heads * head_dim)
    order = ours if kind == "prompt" else ours.permute(3, 0, 1, 2, 4)
    with torch.no_grad():
        weight.copy_(order.reshape(N, -1))
    labels = IDS.clone()
    labels[:, 0] = -100  # which peft predicts from the last soft token of a prompt
    loss = adapted.model(IDS, labels=labels, prefix_length=USER, use_cache=False).loss
    prefix = torch.full((2,), USER + N)  # peft passes it on, so soft tokens are counted
    expected = theirs.train()(IDS, labels=labels, prefix_length=prefix).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    gradient = ours.grad if kind == "prompt" else ours.grad.permute(3, 0, 1, 2, 4)
    torch.testing.assert_close(gradient.reshape(N, -1), weight.grad)
