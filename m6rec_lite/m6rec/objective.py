"""The pretraining loss, its evaluation on held-out documents, and its number of operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.language.ngrams.ngram import NGram
from m6rec_lite.m6rec.batches import Batch, PretrainingBatches, packed_prefix_mask
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.mixed_batches import MixedBatches
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.training.metrics import TERAFLOP, TOKENS


class PretrainingLoss:
    """``sum of w L / sum of w`` over the objectives, for ``training.fit``.

    Each L is the mean over the objective's tokens in the batch, so that the shares of the
    objectives depend on the weights only, and not on their numbers of tokens. Each L is logged
    separately, in nats a token (NaN if a batch has no token of the objective).

    Args:
        weights: w, by the objectives' names; at least 0, not all 0.

    Raises:
        ValueError: if a weight is negative, or all are 0.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if not weights or min(weights.values()) < 0 or not 0 < sum(weights.values()) < math.inf:
            raise ValueError(
                f"weights must be at least 0, and not all of them 0, got {dict(weights)}"
            )
        self.weights = dict(weights)

    def __call__(self, model: M6RecModel, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss of a batch, and values to log."""
        hidden = _states(model, batch)
        losses = {
            name: token_loss(model, hidden[at], tokens)
            for name, (at, tokens) in batch["targets"].items()
            if len(at)
        }
        shared = {name: self.weights[name] for name in losses if self.weights[name]}
        if not shared:
            raise ValueError("a batch has no token of an objective whose weight is above 0")
        terms = [weight * losses[name] for name, weight in shared.items()]
        total = sum(terms[1:], start=terms[0])
        logs: dict[str, Any] = {name: losses.get(name, math.nan) for name in batch["targets"]}
        logs[TOKENS], logs[TERAFLOP] = batch["tokens"], batch_flops(model.config, batch) / 1e12
        return total / sum(shared.values()), logs


def _states(model: M6RecModel, batch: Batch) -> Tensor:
    """Return the state of every token of a batch, ``(batch_size * seq_len, hidden_size)``."""
    mask = packed_prefix_mask(batch["segment_ids"], batch["is_prefix"])
    return model.states(batch["ids"], mask, position_ids=batch["position_ids"]).flatten(0, 1)


def token_loss(model: M6RecModel, hidden: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean cross-entropy of ``tokens`` ``(k,)``, given ``(k, hidden_size)`` states."""
    weight = model.get_output_embeddings().weight
    if hidden.device.type == "cpu":  # chunks of logits that fit its caches
        return linear_cross_entropy(hidden, weight, tokens)
    return F.cross_entropy(F.linear(hidden, weight).float(), tokens)


def batch_flops(config: M6RecConfig, batch: Batch) -> float:
    """Return the floating-point operations of a batch, forward and backward.

    Two operations for each weight and token in the linear maps of the blocks (``4 d^2 + 2 d f``
    weights a block) and of the head (``d V`` weights, at positions with a target), and ``4 d`` for
    each pair of tokens in attention. Backward counts twice forward. Padding, masked pairs and
    recomputation do not count. Source: Chowdhery et al., *PaLM*, 2022, appendix B, there with all
    pairs.
    """
    d, layers = config.hidden_size, config.num_hidden_layers
    inside = config.intermediate_size or 4 * d
    n_targets = sum(len(at) for at, _ in batch["targets"].values())
    blocks = layers * (2 * (4 * d * d + 2 * d * inside) * batch["tokens"] + 4 * d * batch["pairs"])
    return 3.0 * (blocks + 2 * d * config.vocab_size * n_targets)


@torch.no_grad()
def judge(
    model: M6RecModel,
    batches: PretrainingBatches | MixedBatches,
    *,
    limit: int | None = None,
    ngrams: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """Evaluate a model on the first batches of held-out documents, drawn with seed 0.

    Args:
        model: in ``eval`` mode.
        batches: of held-out documents.
        limit: maximum number of batches.
        ngrams: for each n-gram model the nats of each token of the files (``ngram_nats``).

    Returns:
        For each objective, ``name nats`` per predicted token and ``name bits`` per byte of the
        masked text; and ``name bits, model`` for each n-gram model, of the same bytes. The n-grams
        predict each token from those before it in the whole text; the network uses the unmasked
        text on both sides, and also has to predict where each span ends.
    """
    plan = batches.epoch(0, 0)
    n_bytes = batches.tokenizer.n_bytes
    sums: dict[str, dict[str, float]] = {name: {} for name in batches.objectives}
    device = model.get_output_embeddings().weight.device
    for i in range(len(plan) if limit is None else min(limit, len(plan))):
        batch = plan[i]
        moved = {k: v.to(device) for k, v in batch.items() if isinstance(v, Tensor)}
        hidden = _states(model, moved)
        for name, (at, tokens) in batch["targets"].items():
            if not len(at):
                continue
            nats = token_loss(model, hidden[at.to(device)], tokens.to(device)) * len(at)
            source = batch["source"][name]
            source = source[source >= 0]
            values = {"nats": float(nats), "tokens": len(at), "bytes": n_bytes[tokens].sum()}
            values |= {key: float(each[source].sum()) for key, each in (ngrams or {}).items()}
            for key, value in values.items():
                sums[name][key] = sums[name].get(key, 0.0) + value
    results = {}
    for name, totals in sums.items():
        if not totals or not totals["bytes"]:
            continue
        bits = 1 / (math.log(2) * totals["bytes"])
        results[f"{name} nats"] = totals["nats"] / totals["tokens"]
        results[f"{name} bits"] = totals["nats"] * bits
        results |= {f"{name} bits, {key}": totals[key] * bits for key in ngrams or {}}
    return results


def ngram_nats(
    train: TokenFile, held_out: Sequence[np.ndarray], order: int, vocab_size: int
) -> np.ndarray:
    """Return ``-ln P`` of each held-out token by an n-gram model of the training tokens.

    Args:
        train: training documents.
        held_out: tokens of each held-out document, such as a ``TokenFile``.
        order: of the n-gram model.
        vocab_size: number of tokens.

    Returns:
        ``(n_tokens of held_out,)`` float64.
    """
    model = NGram(order, vocabulary=range(vocab_size), unknown=None, edges=None)
    model.fit_ids(train.tokens.astype(np.int64), train.lengths, progress=False)
    return -model.token_logprobs([document.tolist() for document in held_out])
