"""Relation distillation: the loss against a direct computation, and that a student learns it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from m6rec_lite.m6rec import RelationDistillation, TaskBatches
from m6rec_lite.m6rec.tasks.task import collate
from m6rec_lite.training import fit
from tests.m6rec.compress.small import a_model, rows


def relations(model, examples, layer: int, heads: int) -> list[torch.Tensor]:
    """Relations of one row, position by position."""
    ids = torch.from_numpy(np.concatenate([examples.known[0], examples.written[0]])).long()[None]
    layers: list[torch.Tensor] = []
    model.states(ids, layers=layers)
    block = model.blocks[layer - 1]
    qkv = block.attention.qkv(block.norm_attention(layers[layer - 1]))[0]
    n_known, found = len(examples.known[0]), []
    for x in qkv.chunk(3, dim=-1):
        rows_of_x = []
        for head in x.chunk(heads, dim=-1):
            for i in range(len(head)):
                end = max(n_known, i + 1)
                scores = head[:end] @ head[i] / math.sqrt(head.shape[1])
                rows_of_x.append(scores.softmax(0))
        found.append(rows_of_x)
    return found


def test_the_loss_is_the_divergence_of_the_relations():
    teacher, student = a_model(3, 64, seed=1), a_model(2, 32, seed=2)
    examples, heads = rows(1), 4
    loss, logs = RelationDistillation(teacher, heads)(student, collate(examples, np.array([0])))
    wanted, got = relations(teacher, examples, 3, heads), relations(student, examples, 2, heads)
    for name, target, value in zip(("queries", "keys", "values"), wanted, got, strict=True):
        each = [(p * (p / q).log()).sum() for p, q in zip(target, value, strict=True)]
        torch.testing.assert_close(logs[name], torch.stack(each).mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss, sum(logs.values()))


def test_a_copy_has_no_loss_and_padding_does_not_count():
    teacher, examples = a_model(2), rows(4)
    distillation = RelationDistillation(teacher, 4, teacher_layer=2)
    batch = collate(examples, np.arange(4))
    assert float(distillation(a_model(2), batch)[0]) == pytest.approx(0, abs=1e-6)
    student = a_model(1, 32, seed=5)
    each = [distillation(student, collate(examples, np.array([i])))[0].item() for i in range(4)]
    weights = examples.lengths / examples.lengths.sum()
    together = float(distillation(student, batch)[0])
    assert together == pytest.approx(float(weights @ np.array(each)), rel=1e-4)


def test_a_narrow_student_learns_and_the_teacher_does_not():
    teacher, student, examples = a_model(2, 64, seed=1), a_model(1, 32, seed=2), rows(40)
    loss, before = RelationDistillation(teacher, 4), teacher.embedding.weight.clone()
    batch = collate(examples, np.arange(40))
    start = float(loss(student, batch)[0])
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    fit(student, TaskBatches(examples, 512), loss, optimizer=optimizer, steps=30, device="cpu",
        progress=False)  # fmt: skip
    assert float(loss(student, batch)[0]) < 0.8 * start
    torch.testing.assert_close(teacher.embedding.weight, before, rtol=0, atol=0)


def test_bad_settings_are_refused():
    teacher = a_model(2, 64)
    with pytest.raises(ValueError, match="hidden_size 64 cannot be split among 12"):
        RelationDistillation(teacher, 12)
    with pytest.raises(ValueError, match="teacher_layer must be 1 to 2, got 3"):
        RelationDistillation(teacher, 4, teacher_layer=3)
    examples = rows(2)
    batch = collate(examples, np.arange(2))
    with pytest.raises(ValueError, match="for 64 relation heads: a relation between so few"):
        RelationDistillation(teacher, 64)(a_model(1, 64), batch)
    with pytest.raises(ValueError, match="must read the same tokens"):
        RelationDistillation(teacher, 4)(a_model(1, 32, vocab_size=299), batch)
    student = a_model(1, 32)
    student.config.tokenizer = "another"
    with pytest.raises(ValueError, match="must read the same tokens"):
        RelationDistillation(teacher, 4)(student, batch)
