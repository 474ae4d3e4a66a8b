"""Log-likelihood of given continuations: the sum of the log-probabilities of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.nn.decoding import DecodingState, check_prompts, inference_mode

#: Largest number of logits in memory, rows * tokens * vocabulary size (64 MB of float32).
LOGITS_IN_MEMORY = 16_000_000


def log_likelihood(
    model: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
    *,
    batch_tokens: int = 8192,
) -> list[Tensor]:
    """Compute ``ln P(continuation | prompt)`` for several continuations of each prompt.

    A prompt is processed once and its cache is shared by its continuations, so that ranking a
    hundred candidates costs the tokens of the prompt once plus those of the candidates. Divide by
    the number of tokens to compare continuations of different lengths by their mean.

    Args:
        model: as in ``nn.sampling.generate``.
        prompts: token ids, at least one each.
        continuations: for each prompt a list of lists of token ids, at least one id each.
        batch_tokens: largest number of positions in a batch, cached ones included; bounds the
            memory.

    Returns:
        For each prompt ``(n_continuations,)`` float64, in nats, at most 0.

    Raises:
        ValueError: if the two lists differ in length, a continuation is empty, or one exceeds the
            model's context.
    """
    lengths = check_prompts(prompts)
    if len(continuations) != len(prompts):
        raise ValueError(
            f"there are {len(prompts)} prompts and {len(continuations)} lists of continuations: "
            "give one list per prompt"
        )
    jobs = [(p, c) for p, texts in enumerate(continuations) for c in range(len(texts))]
    for p, c in jobs:
        if isinstance(continuations[p][c], int) or not len(continuations[p][c]):
            raise ValueError(
                f"continuation {c} of prompt {p} must be a list of at least one token id, got "
                f"{continuations[p][c]!r}"
            )
    # Batch jobs of similar length; keep the continuations of one prompt next to each other.
    jobs.sort(key=lambda job: (lengths[job[0]], job[0], len(continuations[job[0]][job[1]])))
    results = [torch.empty(len(texts), dtype=torch.float64) for texts in continuations]
    with inference_mode(model):
        while jobs:
            batch = _next_batch(jobs, lengths, continuations, batch_tokens)
            jobs = jobs[len(batch) :]
            values = _score_batch(model, prompts, [(p, continuations[p][c]) for p, c in batch])
            for (p, c), value in zip(batch, values, strict=True):
                results[p][c] = value
    return results


def _next_batch(
    jobs: list[tuple[int, int]],
    lengths: list[int],
    continuations: Sequence[Sequence[Sequence[int]]],
    max_positions: int,
) -> list[tuple[int, int]]:
    """Return the first jobs that, padded, fit into ``max_positions``; at least one."""
    prompt = ending = 0  # longest of the batch
    for n, (p, c) in enumerate(jobs):
        prompt = max(prompt, lengths[p])
        ending = max(ending, len(continuations[p][c]))
        if n and (prompt + ending) * (n + 1) > max_positions:
            return jobs[:n]
    return jobs


def _score_batch(
    model: Any, prompts: Sequence[Sequence[int]], pairs: list[tuple[int, Sequence[int]]]
) -> list[float]:
    """Return the log-likelihoods of pairs of a prompt's index and a continuation."""
    unique = list(dict.fromkeys(p for p, _ in pairs))  # each prompt once
    endings = [list(ids) for _, ids in pairs]
    time = max(map(len, endings))
    state = DecodingState(model, [prompts[p] for p in unique], time - 1)
    device = state.logits.device
    rows = torch.tensor([unique.index(p) for p, _ in pairs], device=device)
    ids = torch.tensor([ids + [0] * (time - len(ids)) for ids in endings], device=device)
    log_probs = torch.log_softmax(state.logits.double(), dim=1)  # of each prompt's next token
    total = log_probs[rows, ids[:, 0]]
    if time > 1:
        state.select(rows)
        sizes = torch.tensor([len(ids) for ids in endings], device=device)
        width = max(1, LOGITS_IN_MEMORY // (len(rows) * log_probs.shape[1]))
        for start in range(0, time - 1, width):
            stop = min(start + width, time - 1)
            logits = state.read(ids[:, start:stop], last=False)  # (rows, stop - start, vocab_size)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            targets = ids[:, start + 1 : stop + 1]
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            value = -loss.view(targets.shape).double()
            real = torch.arange(start + 1, stop + 1, device=device) < sizes[:, None]
            total = total + value.masked_fill(~real, 0.0).sum(dim=1)
    return total.tolist()
