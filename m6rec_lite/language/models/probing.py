"""Probes on a model's hidden states, and typical words of clusters.

A probe is a simple classifier on frozen features. A correct probe shows that the features contain
the information; a wrong one does not show that they lack it. Source: Alain and Bengio,
*Understanding intermediate layers using linear classifier probes*, 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.language.models.gpt import GPT
from m6rec_lite.language.models.pooling import AttentionPooling
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.packing import Packing

#: Ridge strengths that a linear probe selects from, per training row.
STRENGTHS = (0.003, 0.03, 0.3, 3.0)


@torch.inference_mode()
def token_states(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[Document], *, rows: int = 64
) -> tuple[Tensor, Tensor]:
    """Compute the hidden states of all tokens of documents.

    Args:
        model: a GPT, on any device.
        tokenizer: the model's tokenizer.
        documents: ``[BOS]`` is added before each; no longer than the model's context.
        rows: documents per batch.

    Returns:
        ``(n, time, hidden_size)`` float32, 0 at padding, and the mask ``(n, time)`` bool, both on
        the CPU.

    Raises:
        ValueError: if the tokenizer is not the model's, or a document is too long.
    """
    model.check_tokenizer(tokenizer)
    ids = encode_documents(tokenizer, [document.wrapped(end=None) for document in documents])
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    time = int(lengths.max(initial=1))
    states = torch.zeros(len(ids), time, model.config.hidden_size)
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(ids), rows):
        batch = order[start : start + rows]
        flat = torch.cat([torch.from_numpy(ids[i]).long() for i in batch]).to(model.device)
        output = model(flat, packing=Packing(torch.from_numpy(lengths[batch]))).float().cpu()
        for i, row in zip(batch, output.split(lengths[batch].tolist()), strict=True):
            states[i, : lengths[i]] = row
    return states, torch.arange(time) < torch.from_numpy(lengths)[:, None]


def linear_probe(
    x: Tensor, ys: Sequence[Tensor], cut: int, strengths: Sequence[float] = STRENGTHS
) -> list[np.ndarray]:
    """Train linear classifiers by ridge regression onto one-hot labels, one per target.

    The ridge strength of each target is selected from ``strengths``: trained on the first three
    quarters of the training rows and evaluated on the last quarter. Then all training rows are
    used. The regression has a closed form, so the result does not depend on an optimizer.

    Args:
        x: ``(n, d)`` features; each is centred, and all are divided by one standard deviation.
        ys: for each target ``(n,)`` integer labels from 0.
        cut: number of training rows, the first ones; the others are test rows.
        strengths: ridge strengths, multiplied by the number of training rows.

    Returns:
        For each target ``(n - cut,)``: 1.0 where the prediction is correct, else 0.0.

    Raises:
        ValueError: if there are no training rows or no test rows.
    """
    _check_cut(len(x), cut)
    x = x.double()
    x = x - x[:cut].mean(dim=0)
    x = F.pad(x / x[:cut].std().clamp(min=1e-12), (0, 1), value=1.0)  # a column of ones: the bias
    targets = torch.cat([F.one_hot(y).double() for y in ys], dim=1)  # (n, all labels)
    widths = [int(y.max()) + 1 for y in ys]

    def correct(n_train: int, strength: float, test: slice) -> list[np.ndarray]:
        gram = x[:n_train].T @ x[:n_train]
        gram.diagonal().add_(strength * n_train)
        weights = torch.linalg.solve(gram, x[:n_train].T @ targets[:n_train])
        scores = (x[test] @ weights).split(widths, dim=1)
        return [
            (part.argmax(dim=1) == y[test]).double().numpy()
            for part, y in zip(scores, ys, strict=True)
        ]

    n_fit = max(1, 3 * cut // 4)
    accuracy = [[hits.mean() for hits in correct(n_fit, s, slice(n_fit, cut))] for s in strengths]
    best = np.argmax(accuracy, axis=0) if n_fit < cut else np.zeros(len(ys), dtype=int)
    results = {i: correct(cut, strengths[i], slice(cut, None)) for i in set(best.tolist())}
    return [results[i][target] for target, i in enumerate(best.tolist())]


def attention_probe(
    states: Tensor,
    mask: Tensor,
    y: Tensor,
    cut: int,
    *,
    inside: int = 16,
    steps: int = 100,
    batch_size: int = 256,
    lr: float = 5e-3,
    weight_decay: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Train attention pooling and a linear classifier on top of it with AdamW.

    Args:
        states: hidden states, ``(n, time, d)``.
        mask: ``(n, time)`` bool.
        y: ``(n,)`` integer labels from 0.
        cut: number of training rows, the first ones; the others are test rows.
        inside: see ``AttentionPooling``.
        steps: number of optimizer steps.
        batch_size: rows per step.
        lr: learning rate.
        weight_decay: weight decay of AdamW.
        seed: seed of initial weights and batches.

    Returns:
        ``(n - cut,)``: 1.0 where the prediction is correct, else 0.0.

    Raises:
        ValueError: if there are no training rows or no test rows.
    """
    _check_cut(len(states), cut)
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pool = AttentionPooling(states.shape[2], inside)
        out = nn.Linear(states.shape[2], int(y.max()) + 1)
    weights = [*pool.parameters(), *out.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay)
    for _ in range(steps):
        batch = torch.randint(cut, (batch_size,), generator=draw)
        loss = F.cross_entropy(out(pool(states[batch], mask[batch])), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        predicted = out(pool(states[cut:], mask[cut:])).argmax(dim=1)
    return (predicted == y[cut:]).double().numpy()


def typical_words(has: np.ndarray, words: Sequence[str], groups: np.ndarray, n: int = 3) -> dict:
    """Return the words that are frequent in the texts of a group and rare in other texts.

    Words are ranked by ``ln((a + 0.02) / (b + 0.02))``, with a and b the shares of texts with the
    word inside and outside the group; 0.02 keeps very rare words from the top.

    Args:
        has: ``(texts, words)`` bool, whether a text has a word.
        words: the word of each column.
        groups: ``(texts,)`` group of each text.
        n: words per group.

    Returns:
        For each group, in ascending order, its words, the most typical first.
    """
    typical = {}
    for group in np.unique(groups):
        inside = groups == group
        a, b = has[inside].mean(axis=0), has[~inside].mean(axis=0) if (~inside).any() else 0.0
        odds = np.log((a + 0.02) / (b + 0.02))
        typical[group.item()] = [words[i] for i in np.argsort(-odds, kind="stable")[:n]]
    return typical


def _check_cut(n: int, cut: int) -> None:
    if not 0 < cut < n:
        raise ValueError(f"cut must leave training and test rows: 0 < cut < {n}, got {cut}")
