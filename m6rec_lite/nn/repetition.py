"""Against going round in circles: what was written already is made less likely, or forbidden.

A language model that always takes the likeliest token soon repeats itself, and each repetition
makes the next likelier (Holtzman et al., 2020, figure 4). Both cures look at the text so far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def repetition_penalty(logits: Tensor, text: Tensor, penalty: float) -> Tensor:
    """Divide the logits of tokens that occurred already.

    Source: Keskar et al., *CTRL*, 2019, section 4.1 (``penalty`` is theta there, about 1.2). A
    negative logit, which a division would raise, is multiplied instead, as ``transformers`` does.

    Args:
        logits: ``(rows, vocab_size)``.
        text: ``(rows, time)`` the ids so far; -1 is padding.
        penalty: above 0; 1 does nothing, more discourages.

    Raises:
        ValueError: if penalty is not above 0.
    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty must be above 0 (1 does nothing), got {penalty!r}")
    if penalty == 1:
        return logits
    met = _marked(logits, text)
    return torch.where(met, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def no_repeat(logits: Tensor, text: Tensor, n: int) -> Tensor:
    """Forbid each token that would complete n tokens in a row that occurred already.

    Source: Paulus, Xiong and Socher, *A deep reinforced model for abstractive summarization*, 2017,
    section 2.5 (there n = 3).

    Args:
        logits: ``(rows, vocab_size)``.
        text: ``(rows, time)`` the ids so far; -1 is padding.
        n: at least 1, which lets no token occur twice.

    Raises:
        ValueError: if n is below 1.
    """
    if n < 1:
        raise ValueError(f"no_repeat must be at least 1 (None lets all repeat), got {n!r}")
    time = text.shape[1]
    if time < n:
        return logits
    windows = text.unfold(1, n, 1)  # (rows, time - n + 1, n): all n tokens in a row
    begun = text[:, time - n + 1 :]  # (rows, n - 1): what the next token would complete
    same = (windows[:, :, :-1] == begun[:, None]).all(dim=2)
    ends = windows[:, :, -1].masked_fill(~same, -1)
    return logits.masked_fill(_marked(logits, ends), -torch.inf)


def _marked(logits: Tensor, ids: Tensor) -> Tensor:
    """``(rows, vocab_size)`` bool: whether an id stands in its row of ids; -1 stands for none."""
    rows, vocab_size = logits.shape
    marks = torch.zeros(rows, vocab_size + 1, dtype=torch.bool, device=logits.device)
    return marks.scatter_(1, torch.where(ids < 0, vocab_size, ids), True)[:, :vocab_size]
