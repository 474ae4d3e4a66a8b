"""Relation distillation: a small model learns how the tokens of a large one relate.

For the queries Q of a layer, split into A relation heads of d_r dimensions, the relation is
``R = softmax(Q Q' / sqrt(d_r))``, one distribution over the tokens for each token and head; keys
and values have one too. The loss is the Kullback-Leibler divergence of the student's relations
from the teacher's, averaged over tokens and heads, and summed over queries, keys and values.
Relations have the shape (heads, tokens, tokens) in models of any width, so teacher and student may
differ in width and in number of attention heads.

Source: Wang et al., *MiniLMv2: Multi-head self-attention relation distillation*, 2021. M6-Rec uses
it in pretraining (Cui et al., 2022, section 4). Ours: queries and keys are taken before the
rotation by position, and a token relates to the tokens that it may attend to. Train with
``training.fit(student, TaskBatches(examples), RelationDistillation(teacher), …)``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.m6rec.compress.blocks import row_mask
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import TaskBatch


class RelationDistillation:
    """The loss of a student against a teacher, for ``training.fit``.

    Args:
        teacher: is not trained.
        relation_heads: A; must divide the width of both models.
        teacher_layer: whose relations are taught, from 1; None is the last. MiniLMv2 takes an upper
            middle layer of large teachers.

    Raises:
        ValueError: if a setting is out of range; in a call, if a student does not fit, or the
            longest row has fewer tokens than there are relation heads.
    """

    def __init__(
        self, teacher: M6RecModel, relation_heads: int = 12, teacher_layer: int | None = None
    ) -> None:
        n_layers = len(teacher.blocks)
        layer = n_layers if teacher_layer is None else teacher_layer
        if not 1 <= layer <= n_layers:
            raise ValueError(f"teacher_layer must be 1 to {n_layers}, got {teacher_layer!r}")
        self.teacher, self.relation_heads, self.layer = teacher, relation_heads, layer
        self.check(teacher)

    def check(self, model: M6RecModel) -> None:
        """Refuse a model whose width cannot be split, or that reads other tokens."""
        width, tokenizers = model.config.hidden_size, {model.config.tokenizer, None}
        if self.relation_heads < 1 or width % self.relation_heads:
            raise ValueError(
                f"hidden_size {width} cannot be split among {self.relation_heads} relation heads: "
                "take a number that divides the width of teacher and student"
            )
        same_size = model.config.vocab_size == self.teacher.config.vocab_size
        if not same_size or len(tokenizers | {self.teacher.config.tokenizer}) > 2:
            raise ValueError(
                "teacher and student must read the same tokens: make the student's configuration "
                "with M6RecConfig.of_size and the teacher's tokenizer"
            )

    def __call__(self, student: M6RecModel, batch: TaskBatch) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss in nats, and its parts by name."""
        self.check(student)
        tokens = int(batch.lengths.max())
        if tokens < self.relation_heads:
            raise ValueError(
                f"rows of at most {tokens} tokens for {self.relation_heads} relation heads: a "
                "relation between so few tokens says little; give longer rows, or fewer heads"
            )
        with torch.no_grad():
            wanted = self.vectors(self.teacher.eval(), batch, self.layer)
        got = self.vectors(student, batch, len(student.blocks))
        mask = row_mask(batch)
        is_token = batch.mask[:, None].expand(-1, self.relation_heads, -1)  # (batch, heads, time)
        logs: dict[str, Any] = {}
        for name, target, value in zip(("queries", "keys", "values"), wanted, got, strict=True):
            divergence = (target.exp() * (target - value)).masked_fill(~mask, 0.0).sum(-1)
            logs[name] = divergence[is_token].mean()
        return torch.stack(list(logs.values())).sum(), logs

    def vectors(self, model: M6RecModel, batch: TaskBatch, layer: int) -> list[Tensor]:
        """Return the log relations of queries, keys and values, ``(batch, heads, time, time)``."""
        layers: list[Tensor] = []  # layers[i] is the input of layer i + 1
        model.states(batch.ids, batch.mask, batch.prefix, layers=layers)
        block: Any = list(model.blocks)[layer - 1]
        qkv = block.attention.split(block.norm_attention(layers[layer - 1])).flatten(-2)
        return [log_relation(x, self.relation_heads, row_mask(batch)) for x in qkv.unbind(-2)]


def log_relation(x: Tensor, heads: int, mask: Tensor) -> Tensor:
    """Return ``log softmax(X X' / sqrt(d_r))`` of each head, ``(batch, heads, time, time)``.

    ``x`` is ``(batch, time, width)``; where the ``mask`` is False, the result is about -1e38.
    """
    x = x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (batch, heads, time, d_r)
    scores = x @ x.transpose(-2, -1) / math.sqrt(x.shape[-1])
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).log_softmax(-1)
