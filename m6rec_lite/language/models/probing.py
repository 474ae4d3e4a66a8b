"""What can be read off a model's states: features of texts, probes on them, words for clusters.

A probe is a simple classifier on frozen features. What it gets right was there to be read; what it
gets wrong may still be there in another form. Source: Alain and Bengio, *Understanding intermediate
layers using linear classifier probes*, 2016.
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

#: Strengths of the ridge that a linear probe chooses among, per person learnt from.
STRENGTHS = (0.003, 0.03, 0.3, 3.0)


@torch.inference_mode()
def token_states(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[Document], *, rows: int = 64
) -> tuple[Tensor, Tensor]:
    """The states of all tokens of some documents.

    Args:
        model: on any device.
        tokenizer: its own.
        documents: each with ``[BOS]`` before it, and no longer than the model's context.
        rows: documents at a time.

    Returns:
        ``(n, time, hidden_size)`` float32, 0 behind a document's end, and the mask ``(n, time)``
        bool, both on the CPU.

    Raises:
        ValueError: if the tokenizer is another's, or a document is too long.
    """
    model.check_tokenizer(tokenizer)
    ids = encode_documents(tokenizer, [document.wrapped(end=None) for document in documents])
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    time = int(lengths.max(initial=1))
    states = torch.zeros(len(ids), time, model.config.hidden_size)
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(ids), rows):
        some = order[start : start + rows]
        flat = torch.cat([torch.from_numpy(ids[i]).long() for i in some]).to(model.device)
        found = model(flat, packing=Packing(torch.from_numpy(lengths[some]))).float().cpu()
        for i, row in zip(some, found.split(lengths[some].tolist()), strict=True):
            states[i, : lengths[i]] = row
    return states, torch.arange(time) < torch.from_numpy(lengths)[:, None]


def linear_probe(
    x: Tensor, ys: Sequence[Tensor], cut: int, strengths: Sequence[float] = STRENGTHS
) -> list[np.ndarray]:
    """A linear classifier by ridge regression onto one-hot labels, for several questions at once.

    The ridge's strength is chosen for each question among ``strengths``: learnt from the first
    three quarters of those below ``cut``, judged on the fourth. Then all below ``cut`` are learnt
    from. The regression has a closed form, so that there is no training to mistrust.

    Args:
        x: ``(n, d)`` features; each is brought to mean 0, and all to deviation 1 together.
        ys: for each question ``(n,)`` whole labels from 0.
        cut: how many of the first are learnt from; the others are asked.
        strengths: of the ridge, times the number learnt from.

    Returns:
        For each question ``(n - cut,)``: 1.0 where the answer is right, else 0.0.

    Raises:
        ValueError: if there is nobody to learn from or to ask.
    """
    _check_cut(len(x), cut)
    x = x.double()
    x = x - x[:cut].mean(dim=0)
    x = F.pad(x / x[:cut].std().clamp(min=1e-12), (0, 1), value=1.0)  # a column of ones: the bias
    targets = torch.cat([F.one_hot(y).double() for y in ys], dim=1)  # (n, all labels)
    widths = [int(y.max()) + 1 for y in ys]

    def right(learnt: int, strength: float, asked: slice) -> list[np.ndarray]:
        gram = x[:learnt].T @ x[:learnt]
        gram.diagonal().add_(strength * learnt)
        weights = torch.linalg.solve(gram, x[:learnt].T @ targets[:learnt])
        parts = (x[asked] @ weights).split(widths, dim=1)
        return [
            (part.argmax(dim=1) == y[asked]).double().numpy()
            for part, y in zip(parts, ys, strict=True)
        ]

    some = max(1, 3 * cut // 4)
    tried = [[r.mean() for r in right(some, strength, slice(some, cut))] for strength in strengths]
    best = np.argmax(tried, axis=0) if some < cut else np.zeros(len(ys), dtype=int)
    answers = {i: right(cut, strengths[i], slice(cut, None)) for i in set(best.tolist())}
    return [answers[i][question] for question, i in enumerate(best.tolist())]


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
    """A linear classifier and the attention pooling before it, learnt together by AdamW.

    Args:
        states: ``(n, time, d)``.
        mask: ``(n, time)`` bool.
        y: ``(n,)`` whole labels from 0.
        cut: how many of the first are learnt from; the others are asked.
        inside: see ``AttentionPooling``.
        steps: of AdamW, on ``batch_size`` people each.
        batch_size: see there.
        lr: learning rate.
        weight_decay: see there.
        seed: of weights and draws.

    Returns:
        As one question of ``linear_probe``.
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
        some = torch.randint(cut, (batch_size,), generator=draw)
        loss = F.cross_entropy(out(pool(states[some], mask[some])), y[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = out(pool(states[cut:], mask[cut:])).argmax(dim=1)
    return (found == y[cut:]).double().numpy()


def typical_words(has: np.ndarray, words: Sequence[str], groups: np.ndarray, n: int = 3) -> dict:
    """The words that are most typical of each group: frequent in its texts, rare in the others'.

    By ``ln((a + s) / (b + s))``, a and b the shares of texts with the word inside and outside; s =
    .02 keeps words that hardly occur from winning by chance.

    Args:
        has: ``(texts, words)`` bool, which text has which word.
        words: the words, one a column.
        groups: ``(texts,)`` the group of each text.
        n: words a group.

    Returns:
        For each group, ascending, its words, the most typical first.
    """
    found = {}
    for group in np.unique(groups):
        inside = groups == group
        a, b = has[inside].mean(axis=0), has[~inside].mean(axis=0) if (~inside).any() else 0.0
        odds = np.log((a + 0.02) / (b + 0.02))
        found[group.item()] = [words[i] for i in np.argsort(-odds, kind="stable")[:n]]
    return found


def _check_cut(n: int, cut: int) -> None:
    if not 0 < cut < n:
        raise ValueError(f"cut must leave somebody to learn from and to ask: 0 < cut < {n}: {cut}")
