"""How probable a given continuation is: the sum of the log-probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.nn.decoding import DecodingState, check_prompts, inference_mode

#: Logits held at a time: rows times tokens times the vocabulary (64 MB of float32).
LOGITS_IN_MEMORY = 16_000_000


def log_likelihood(
    model: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
    *,
    batch_tokens: int = 8192,
) -> list[Tensor]:
    """``ln P(continuation | prompt)`` for several continuations of each prompt.

    A prompt is read once and its cache is shared by its continuations, so that ranking a hundred
    candidates costs the prompt once and the candidates' own tokens. Divide by the number of tokens
    to compare continuations of different lengths by their mean.

    Args:
        model: as in ``nn.sampling.generate``.
        prompts: token ids, at least one each.
        continuations: for each prompt a list of lists of token ids, at least one id each.
        batch_tokens: positions, cached ones included, that run at a time; bounds the memory.

    Returns:
        For each prompt ``(n_continuations,)`` float64, in nats, at most 0.

    Raises:
        ValueError: if the two lists differ in length, a continuation is empty, or one outgrows the
            model's context.
    """
    lengths = check_prompts(prompts)
    if len(continuations) != len(prompts):
        raise ValueError(
            f"there are {len(prompts)} prompts and {len(continuations)} lists of continuations: "
            "give one list a prompt"
        )
    jobs = [(p, c) for p, given in enumerate(continuations) for c in range(len(given))]
    for p, c in jobs:
        if isinstance(continuations[p][c], int) or not len(continuations[p][c]):
            raise ValueError(
                f"continuation {c} of prompt {p} must be a list of at least one token id, got "
                f"{continuations[p][c]!r}"
            )
    # Those of about the same size run together, and those of one prompt stay side by side.
    jobs.sort(key=lambda job: (lengths[job[0]], job[0], len(continuations[job[0]][job[1]])))
    found = [torch.empty(len(given), dtype=torch.float64) for given in continuations]
    with inference_mode(model):
        while jobs:
            batch = _fitting(jobs, lengths, continuations, batch_tokens)
            jobs = jobs[len(batch) :]
            values = _of_batch(model, prompts, [(p, continuations[p][c]) for p, c in batch])
            for (p, c), value in zip(batch, values, strict=True):
                found[p][c] = value
    return found


def _fitting(
    jobs: list[tuple[int, int]], lengths: list[int], continuations: Sequence, most: int
) -> list[tuple[int, int]]:
    """The first jobs whose rows, padded alike, have at most so many positions; at least one."""
    longest = ending = 0
    for n, (p, c) in enumerate(jobs):
        longest = max(longest, lengths[p])
        ending = max(ending, len(continuations[p][c]))
        if n and (longest + ending) * (n + 1) > most:
            return jobs[:n]
    return jobs


def _of_batch(
    model: Any, prompts: Sequence[Sequence[int]], pairs: list[tuple[int, Sequence[int]]]
) -> list[float]:
    """The log-likelihoods of pairs of a prompt's number and a continuation."""
    read = list(dict.fromkeys(p for p, _ in pairs))  # each prompt once
    endings = [list(ids) for _, ids in pairs]
    time = max(map(len, endings))
    reader = DecodingState(model, [prompts[p] for p in read], time - 1)
    device = reader.logits.device
    rows = torch.tensor([read.index(p) for p, _ in pairs], device=device)
    ids = torch.tensor([ids + [0] * (time - len(ids)) for ids in endings], device=device)
    log_probs = torch.log_softmax(reader.logits.double(), dim=1)  # of the first token, each prompt
    total = log_probs[rows, ids[:, 0]]
    if time > 1:
        reader.select(rows)
        sizes = torch.tensor([len(ids) for ids in endings], device=device)
        width = max(1, LOGITS_IN_MEMORY // (len(rows) * log_probs.shape[1]))
        for start in range(0, time - 1, width):
            stop = min(start + width, time - 1)
            logits = reader.read(ids[:, start:stop], last=False)  # (rows, stop - start, vocab_size)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            wanted = ids[:, start + 1 : stop + 1]
            lost = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
            value = -lost.view(wanted.shape).double()
            real = torch.arange(start + 1, stop + 1, device=device) < sizes[:, None]
            total = total + value.masked_fill(~real, 0.0).sum(dim=1)
    return total.tolist()
