"""What late interaction and early exit share: the blocks of a model, run one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import TaskBatch
from m6rec_lite.nn.attention import AttentionContext, fused_attention
from m6rec_lite.nn.masks import padding_mask, prefix_mask
from m6rec_lite.nn.positions import rotary_angles


def row_mask(batch: TaskBatch) -> Tensor:
    """Return the attention mask of a prefix language model, ``(batch, 1, time, time)`` bool."""
    time = batch.ids.shape[1]
    return prefix_mask(batch.prefix, time) & padding_mask(batch.lengths, time)


def embed(model: M6RecModel, ids: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the input of the first block for ``(batch, time)``, and angles of rotary positions."""
    x, config = model.embedding(ids), model.config
    if model.positions is not None:
        return model.dropout(x + model.positions(positions)), None
    angles = rotary_angles(positions, config.blocks().head_dim, base=config.rotary_base)
    return model.dropout(x), angles


def run_blocks(
    blocks: Iterable[nn.Module], x: Tensor, mask: Tensor | None, rotary: Tensor | None
) -> Tensor:
    """Apply blocks to ``(batch, time, hidden_size)``; see ``AttentionContext`` for the others."""
    context = AttentionContext(mask, rotary=rotary)
    for block in blocks:
        x = block(x, context)
    return x


def task_arguments(ctr: M6RecCTR, model: M6RecModel) -> dict[str, Any]:
    """Return the arguments that every task of scoring takes from a click model."""
    names = ("feature_groups", "events", "negatives")
    return {"hidden_size": model.config.hidden_size} | {name: getattr(ctr, name) for name in names}


def last_state(block: Any, x: Tensor, rotary: Tensor | None) -> Tensor:
    """Apply a block to the last token of one row, which attends to all: ``(1, hidden_size)``."""
    qkv = block.attention.split(block.norm_attention(x), rotary)  # (1, time, 3, heads, head_dim)
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(-3))
    out = fused_attention(q[:, :, -1:], k, v).transpose(1, 2).flatten(-2)  # (1, 1, hidden_size)
    x = x[:, -1:] + block.attention.out(out)
    return (x + block.ffn(block.norm_ffn(x)))[:, -1]
