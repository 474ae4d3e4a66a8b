"""Generate text with a language model: choose the next token from the model's logits.

Pure functions transform logits: ``temperature``, ``top_k`` and ``top_p`` in this file, the
repetition penalties in ``nn.repetition``. All take ``(rows, vocab_size)`` logits and return the
same shape, with -inf for tokens that must not be drawn. Ties are broken by the lower id. A
``Sampler`` applies them in the order of ``transformers`` and draws a token; ``generate`` repeats
this token by token.

``nn.beams`` searches for the most probable text, ``nn.likelihood`` computes the probability of a
given one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.nn.decoding import Allowed, DecodingState, inference_mode, keep_allowed
from m6rec_lite.nn.repetition import no_repeat, repetition_penalty


def temperature(logits: Tensor, t: float) -> Tensor:
    """Return ``logits / t``: t below 1 sharpens the distribution, t above 1 flattens it.

    Args:
        logits: ``(rows, vocab_size)``.
        t: at least 0. At 0 only the highest logit is kept, which is greedy decoding.

    Raises:
        ValueError: if t is negative or not finite.
    """
    if not 0 <= t < math.inf:
        raise ValueError(
            f"temperature must be at least 0 and finite, got {t!r}: 0 always takes the most "
            "probable token, 1 draws from the model's own distribution"
        )
    if t == 0:
        return top_k(logits, 1)
    return logits if t == 1 else logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k highest logits; ties at the boundary are broken by the lowest ids.

    Source: Fan, Lewis and Dauphin, *Hierarchical neural story generation*, 2018, section 5.4.

    Args:
        logits: ``(rows, vocab_size)``.
        k: at least 1; all are kept where k reaches ``vocab_size``.

    Raises:
        ValueError: if k is below 1.
    """
    if k < 1:
        raise ValueError(f"top_k must be at least 1, got {k!r}: 1 is greedy, None keeps all")
    if k >= logits.shape[1]:
        return logits
    threshold = logits.topk(k, dim=1).values[:, -1:]  # (rows, 1): the k-th highest
    above, tied = logits > threshold, logits == threshold
    n_ties = k - above.sum(dim=1, keepdim=True)  # how many of the tied logits to keep
    return logits.masked_fill(~(above | (tied & (tied.cumsum(dim=1) <= n_ties))), -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of tokens whose total probability reaches p (nucleus sampling).

    Source: Holtzman et al., *The curious case of neural text degeneration*, 2020, section 3.1.

    Args:
        logits: ``(rows, vocab_size)``.
        p: above 0 and at most 1; 1 keeps all tokens.

    Raises:
        ValueError: if p is out of range.
    """
    if not 0 < p <= 1:
        raise ValueError(
            f"top_p must be above 0 and at most 1, got {p!r}: 0.9 keeps the most probable tokens "
            "whose probabilities add up to 0.9, 1 keeps all"
        )
    if p == 1:
        return logits
    probs, order = torch.softmax(logits, dim=1).sort(dim=1, descending=True, stable=True)
    probs = probs.double()
    before = probs.cumsum(dim=1) - probs  # total probability of the tokens ranked higher
    dropped = torch.empty_like(logits, dtype=torch.bool).scatter_(1, order, before >= p)
    return logits.masked_fill(dropped, -torch.inf)


@dataclass(frozen=True)
class Sampler:
    """Choose the next token: penalties, then temperature, top-k, top-p, then a random draw.

    Raises:
        ValueError: if a value is out of range.
    """

    temperature: float = 1.0  # 0 is greedy: take the most probable token, draw nothing
    top_k: int | None = None  # number of tokens to keep; None keeps all
    top_p: float = 1.0  # total probability to keep
    repetition_penalty: float = 1.0  # above 1 lowers the logits of tokens in the text so far
    no_repeat: int | None = None  # length of the n-grams that must not occur twice

    def __post_init__(self) -> None:
        self(
            torch.zeros(1, 2), torch.zeros(1, 0, dtype=torch.int64)
        )  # the functions check the values

    def __call__(self, logits: Tensor, text: Tensor) -> Tensor:
        """Transform ``(rows, vocab_size)`` logits, given the ``(rows, time)`` ids so far."""
        logits = temperature(self.penalised(logits, text), self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        return top_p(logits, self.top_p)

    def penalised(self, logits: Tensor, text: Tensor) -> Tensor:
        """Apply only the penalties that depend on the text so far."""
        logits = repetition_penalty(logits, text, self.repetition_penalty)
        return logits if self.no_repeat is None else no_repeat(logits, text, self.no_repeat)

    def choose(self, logits: Tensor, text: Tensor, uniform: Tensor | None) -> Tensor:
        """Draw a token for each row, or take the most probable one if greedy.

        Args:
            logits: ``(rows, vocab_size)``.
            text: ``(rows, time)`` ids so far.
            uniform: ``(rows,)`` float64 random numbers in [0, 1).

        Returns:
            ``(rows,)`` ids.

        Raises:
            FloatingPointError: if a row has a NaN logit, or all its logits are -inf.
        """
        greedy = self.temperature == 0
        logits = self.penalised(logits, text) if greedy else self(logits, text)
        highest, best = logits.max(dim=1)  # the first of equal ones
        if not bool(highest.isfinite().all()):
            row = int(highest.isfinite().int().argmin())
            raise FloatingPointError(
                f"row {row} has no token to choose from: its highest logit is "
                f"{float(highest[row])}. Either the model's logits are not numbers, or no_repeat "
                "and allowed together forbid everything"
            )
        if greedy:
            return best
        if uniform is None:
            raise ValueError("to draw tokens, choose needs uniform, one random number per row")
        # Invert the cumulative distribution function: one uniform number per row.
        cumulative = torch.softmax(logits, dim=1).double().cumsum(dim=1)
        target = uniform[:, None] * (1 - 1e-12) * cumulative[:, -1:]  # below the total
        return torch.searchsorted(cumulative, target, right=True)[:, 0]


GREEDY = Sampler(temperature=0.0)


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    sampler: Sampler = GREEDY,
    stop: Collection[int] = (),
    allowed: Allowed | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> list[list[int]]:
    """Continue prompts token by token.

    All prompts are decoded in one batch; a finished row leaves the batch. With one random
    generator per row, the result of a row does not depend on the other rows.

    Args:
        model: an object with a method ``step``, such as ``GPT``, or that function (see
            ``nn.decoding``).
        prompts: token ids, at least one each.
        max_new_tokens: largest number of tokens to generate per prompt.
        sampler: how to choose; ``GREEDY`` takes the most probable token.
        stop: ids of tokens that end a text.
        allowed: function from the ids generated so far in a row (without the prompt) to the ids
            that may follow; an empty collection ends the text.
        generator: source of random numbers, one for all rows or one per row. Greedy decoding
            needs none.

    Returns:
        For each prompt the generated ids. A text ends with an id in ``stop``, or it was cut by
        ``max_new_tokens`` or by ``allowed``.

    Raises:
        ValueError: if an argument is out of range, the texts would exceed the model's context,
            ``allowed`` permits no first token, or a generator is needed and missing.
        FloatingPointError: if a row has no token to choose from.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens!r}")
    if generator is None and sampler.temperature != 0:
        raise ValueError(
            "to draw tokens, generate needs generator=torch.Generator().manual_seed(...); without "
            "one, choose GREEDY"
        )
    stop = frozenset(stop)
    generated: list[list[int]] = [[] for _ in prompts]
    with inference_mode(model):
        state = DecodingState(model, prompts, max_new_tokens - 1)
        rows, logits = list(range(len(prompts))), state.logits  # rows: those not finished
        for remaining in range(max_new_tokens - 1, -1, -1):
            if allowed is not None:
                options = [allowed(generated[row]) for row in rows]
                rows, logits = _keep_active(state, rows, logits, [len(ids) > 0 for ids in options])
                if remaining == max_new_tokens - 1 and len(rows) < len(prompts):
                    raise ValueError(
                        "allowed permits no first token: it gave no id for an empty list"
                    )
                if not rows:
                    break
                logits = keep_allowed(logits, [ids for ids in options if len(ids)])
            uniform = None
            if generator is not None and sampler.temperature != 0:
                uniform = _uniform(generator, len(prompts))[rows].to(logits.device)
            chosen = sampler.choose(logits, state.text, uniform)
            tokens = chosen.tolist()
            for row, token in zip(rows, tokens, strict=True):
                generated[row].append(token)
            active = [token not in stop for token in tokens]
            rows, chosen = _keep_active(state, rows, chosen, active)
            if not rows or not remaining:
                break
            logits = state.read(chosen[:, None])
    return generated


def _keep_active(
    state: DecodingState, rows: list[int], values: Tensor, active: list[bool]
) -> tuple[list[int], Tensor]:
    """Drop finished rows from the state, from the list of rows and from ``(rows, ...)`` values."""
    if all(active):
        return rows, values
    positions = [i for i, is_active in enumerate(active) if is_active]
    index = torch.tensor(positions, dtype=torch.int64, device=values.device)
    state.select(index)
    return [rows[i] for i in positions], values[index]


def _uniform(generator: torch.Generator | Sequence[torch.Generator], n: int) -> Tensor:
    """Draw ``(n,)`` float64 in [0, 1), also for finished rows: the draws of a row stay the same."""
    if isinstance(generator, torch.Generator):
        device = generator.device
        return torch.rand(n, generator=generator, dtype=torch.float64, device=device).cpu()
    if len(generator) != n:
        raise ValueError(f"there are {len(generator)} generators for {n} prompts")
    draws = [torch.rand(1, generator=g, dtype=torch.float64, device=g.device) for g in generator]
    return torch.cat([draw.cpu() for draw in draws])
