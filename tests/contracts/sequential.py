"""The sequential networks under test, their data, and models of torch's own layers to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.recommenders import HSTU, BERT4Rec, GRU4Rec, SASRec

N_ITEMS = 30
SMALL = {"hidden_size": 16, "max_length": 12, "epochs": 4, "batch_size": 16, "lr": 5e-3}


@dataclass(frozen=True)
class Case:
    """A network under test.

    Attributes:
        make: the model; takes settings beside ``SMALL``.
        reads: the latest items that it reads of a history.
        causal: whether the state after an item depends on earlier items only.
        learns: settings under which it learns the items of ``chain`` in seconds.
        losses: settings of each loss that must learn them.
        least_change: of every later state when an item changes. Attention reads all items
            directly; a recurrent state forgets step by step.
    """

    make: Callable[..., Any]
    reads: int
    causal: bool
    learns: dict[str, Any]
    losses: tuple[dict[str, Any], ...]
    least_change: float = 1e-3


CASES = {
    "SASRec": Case(
        SASRec,
        reads=12,
        causal=True,
        learns={"epochs": 25, "lr": 0.01, "dropout": 0.1, "batch_size": 64},
        losses=(
            {"loss": "ce"},
            {"loss": "sampled", "negatives": 16, "popularity_power": 0.5},
            {"loss": "gbce", "negatives": 16, "shared_negatives": False},
            {"loss": "bce", "negatives": 1, "shared_negatives": False},
        ),
    ),
    "BERT4Rec": Case(
        BERT4Rec,
        reads=11,  # and the mask
        causal=False,
        learns={
            "hidden_size": 32, "n_layers": 1, "batch_size": 32, "epochs": 25, "lr": 0.01,
            "dropout": 0.1, "mask_share": 0.3, "last_share": 0.5,
        },
        losses=(
            {"loss": "ce"},
            {"loss": "sampled", "negatives": 12, "shared_negatives": False},
            {"loss": "gbce", "negatives": 12, "shared_negatives": False},
        ),
    ),
    "HSTU": Case(
        HSTU,
        reads=12,
        causal=True,
        learns={"epochs": 25, "lr": 0.01, "dropout": 0.1, "batch_size": 64},
        losses=({"loss": "ce"},),
    ),
    "GRU4Rec": Case(
        GRU4Rec,
        reads=12,
        causal=True,
        learns={
            "hidden_size": 32, "epochs": 30, "lr": 0.01, "batch_size": 32, "dropout": 0.0,
            "negatives": 12,
        },
        losses=(
            {"loss": "ce"},
            {"loss": "ce", "steps": 5},
            {"loss": "sampled", "popularity_power": 0.75},
            {"loss": "bpr-max", "popularity_power": 0.5},
            {"loss": "top1-max", "steps": 5},
            {"loss": "bpr-max", "shared_negatives": False},
        ),
        least_change=1e-9,
    ),
    "GRU4Rec deep": Case(
        partial(GRU4Rec, n_layers=2, state_size=5),
        reads=12,
        causal=True,
        learns={},
        losses=(),
        least_change=1e-9,
    ),
}  # fmt: skip


def chain(n_users: int = 120) -> pd.DataFrame:
    """Histories whose next item depends on the item *before* the last: no bigram predicts it."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(n_users):
        walk = list(rng.choice(N_ITEMS, size=2, replace=False))
        while len(walk) < int(rng.integers(6, 12)):
            step = (walk[-2] * 7 + 3) % N_ITEMS
            walk.append(step if step not in walk else int(rng.integers(N_ITEMS)))
        rows += [(user, item, t) for t, item in enumerate(walk)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def network(model: Any) -> nn.Module:
    """The model's network in float64, with weights large enough for every part to matter."""
    torch.manual_seed(0)
    built = model._build(N_ITEMS).double()
    for weight in built.parameters():
        nn.init.normal_(weight, std=0.3)
    return built.eval()


class DensePadded(nn.Module):
    """The blocks of a packed Transformer as torch's own layers, for rows padded on the left."""

    def __init__(self, ours: nn.Module, activation: str) -> None:
        super().__init__()
        self.ours = ours
        config = ours.transformer.config
        self.layers = nn.ModuleList()
        for block in ours.transformer.blocks:
            layer = nn.TransformerEncoderLayer(
                config.hidden_size, config.n_heads, block.up_proj.out_features, 0.0, activation,
                batch_first=True, norm_first=True, dtype=torch.float64,
            )  # fmt: skip
            with torch.no_grad():
                layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
                layer.self_attn.in_proj_bias.copy_(block.attention.qkv.bias)
                layer.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
                layer.linear1.load_state_dict(block.up_proj.state_dict())
                layer.linear2.load_state_dict(block.down_proj.state_dict())
                layer.norm1.load_state_dict(block.norm_attention.state_dict())
                layer.norm2.load_state_dict(block.norm_ffn.state_dict())
            self.layers.append(layer)

    def states(self, x: Tensor, blocked: Tensor) -> Tensor:
        """``(rows, time, hidden_size)``, from vectors and ``(rows, time, time)`` bool."""
        time = x.shape[1]
        blocked = blocked.clone()
        blocked[:, torch.arange(time), torch.arange(time)] = False  # pads see themselves: no NaN
        for layer in self.layers:
            x = layer(x, src_mask=blocked.repeat_interleave(layer.self_attn.num_heads, 0))
        return self.ours.transformer.norm(x)


class DenseSASRec(DensePadded):
    def __init__(self, ours: nn.Module) -> None:
        super().__init__(ours, "relu")

    def scores(self, items: Tensor) -> Tensor:
        """``(rows, time, n_items)`` for items padded with -1."""
        time = items.shape[1]
        x = self.ours.items(items.clamp(min=0)) * self.ours.items.embedding_dim**0.5
        x = x + self.ours.positions.weight.flip(0)[-time:]  # the last token is position 0
        later = torch.ones(time, time, dtype=torch.bool).triu(1)
        return self.states(x, later | (items < 0)[:, None, :]) @ self.ours.items.weight.t()


class DenseBERT4Rec(DensePadded):
    def __init__(self, ours: nn.Module) -> None:
        super().__init__(ours, "gelu")

    def scores(self, items: Tensor) -> Tensor:
        """``(rows, time, n_items)`` for items padded with -1; ``n_items`` is the mask."""
        time = items.shape[1]
        x = torch.cat([self.ours.items.weight, self.ours.mask[None]])[items.clamp(min=0)]
        x = self.ours.norm(x + self.ours.positions.weight[:time].flip(0))
        x = self.states(x, (items < 0)[:, None, :].expand(-1, time, -1))
        x = self.ours.turn_norm(F.gelu(self.ours.turn(x)))
        return x @ self.ours.items.weight.t() + self.ours.bias


def padded(values: Tensor, lengths: list[int]) -> Tensor:
    """``(rows, longest)`` from packed values, with -1 on the left."""
    rows = torch.full((len(lengths), max(lengths)), -1)
    for row, part in zip(rows, values.split(lengths), strict=True):
        row[-len(part) :] = part
    return rows
