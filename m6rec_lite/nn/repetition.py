"""Lower or forbid the logits of tokens that would repeat the text so far.

Greedy decoding of a language model soon repeats itself, and each repetition makes the next one
more probable (Holtzman et al., 2020, figure 4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def repetition_penalty(logits: Tensor, text: Tensor, penalty: float) -> Tensor:
    """Divide the logits of tokens that occur in the text so far.

    Source: Keskar et al., *CTRL*, 2019, section 4.1 (``penalty`` is theta there, about 1.2). A
    negative logit, which a division would raise, is multiplied instead, as in ``transformers``.

    Args:
        logits: ``(rows, vocab_size)``.
        text: ``(rows, time)`` the ids so far; -1 is padding.
        penalty: above 0; 1 changes nothing, a value above 1 makes repetition less probable.

    Raises:
        ValueError: if penalty is not above 0.
    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty must be above 0 (1 does nothing), got {penalty!r}")
    if penalty == 1:
        return logits
    repeated = _mark(logits, text)
    scaled = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(repeated, scaled, logits)


def no_repeat(logits: Tensor, text: Tensor, n: int) -> Tensor:
    """Forbid each token that would complete an n-gram that occurs in the text so far.

    Source: Paulus, Xiong and Socher, *A deep reinforced model for abstractive summarization*, 2017,
    section 2.5 (there n = 3).

    Args:
        logits: ``(rows, vocab_size)``.
        text: ``(rows, time)`` the ids so far; -1 is padding.
        n: length of the n-gram, at least 1; with 1 no token occurs twice.

    Raises:
        ValueError: if n is below 1.
    """
    if n < 1:
        raise ValueError(f"no_repeat must be at least 1 (None lets all repeat), got {n!r}")
    time = text.shape[1]
    if time < n:
        return logits
    windows = text.unfold(1, n, 1)  # (rows, time - n + 1, n): all n-grams
    last = text[:, time - n + 1 :]  # (rows, n - 1): the n-gram that the next token completes
    same = (windows[:, :, :-1] == last[:, None]).all(dim=2)
    repeats = windows[:, :, -1].masked_fill(~same, -1)
    return logits.masked_fill(_mark(logits, repeats), -torch.inf)


def _mark(logits: Tensor, ids: Tensor) -> Tensor:
    """Return ``(rows, vocab_size)`` bool: whether an id occurs in its row of ids; -1 is ignored."""
    rows, vocab_size = logits.shape
    marks = torch.zeros(rows, vocab_size + 1, dtype=torch.bool, device=logits.device)
    return marks.scatter_(1, torch.where(ids < 0, vocab_size, ids), True)[:, :vocab_size]
