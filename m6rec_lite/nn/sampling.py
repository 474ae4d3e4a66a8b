"""Writing text with a language model: how the next token is chosen from its logits.

Small pure functions reshape logits: ``temperature``, ``top_k`` and ``top_p`` here, those against
repetition in ``nn.repetition``. All take ``(rows, vocab_size)`` logits and return the same shape,
-inf for what may not be drawn. Where logits are equal, the lower id comes first. A ``Sampler``
applies them, in the order in which ``transformers`` does, and draws; ``generate`` has it do so
token after token.

Two ways to use a model that draw nothing are in files of their own, and named here too:
``beam_search`` (``nn.beams``) looks for the most probable text, ``log_likelihood``
(``nn.likelihood``) says how probable a given one is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.nn.beams import Beam, beam_search
from m6rec_lite.nn.decoding import Allowed, DecodingState, inference_mode, keep_allowed
from m6rec_lite.nn.likelihood import log_likelihood
from m6rec_lite.nn.repetition import no_repeat, repetition_penalty

__all__ = [
    "GREEDY",
    "Beam",
    "Sampler",
    "beam_search",
    "generate",
    "log_likelihood",
    "no_repeat",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_p",
]


def temperature(logits: Tensor, t: float) -> Tensor:
    """``logits / t``: below 1 the likely becomes likelier, above 1 all become more alike.

    Args:
        logits: ``(rows, vocab_size)``.
        t: at least 0. The limit 0 is taken as such: nothing but the highest logit is left, which
            is greedy choice.

    Raises:
        ValueError: if t is negative or not finite.
    """
    if not 0 <= t < math.inf:
        raise ValueError(
            f"temperature must be at least 0 and finite, got {t!r}: 0 always takes the likeliest "
            "token, 1 draws as the model foresees"
        )
    if t == 0:
        return top_k(logits, 1)
    return logits if t == 1 else logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k highest logits; of equal ones at the border, those of the lowest ids.

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
    border = logits.topk(k, dim=1).values[:, -1:]  # (rows, 1)
    above, tied = logits > border, logits == border
    room = k - above.sum(dim=1, keepdim=True)  # places left for the logits at the border
    return logits.masked_fill(~(above | (tied & (tied.cumsum(dim=1) <= room))), -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Nucleus sampling: keep the smallest set of tokens whose probability reaches p.

    Source: Holtzman et al., *The curious case of neural text degeneration*, 2020, section 3.1.

    Args:
        logits: ``(rows, vocab_size)``.
        p: above 0, at most 1, which keeps all.

    Raises:
        ValueError: if p is out of range.
    """
    if not 0 < p <= 1:
        raise ValueError(
            f"top_p must be above 0 and at most 1, got {p!r}: 0.9 keeps the likeliest tokens that "
            "together have nine chances in ten, 1 keeps all"
        )
    if p == 1:
        return logits
    chance, order = torch.softmax(logits, dim=1).sort(dim=1, descending=True, stable=True)
    chance = chance.double()
    before = chance.cumsum(dim=1) - chance  # what those ahead have together
    dropped = torch.empty_like(logits, dtype=torch.bool).scatter_(1, order, before >= p)
    return logits.masked_fill(dropped, -torch.inf)


@dataclass(frozen=True)
class Sampler:
    """How the next token is chosen: the penalties, then temperature, top-k, top-p, then a draw.

    Raises:
        ValueError: on a value out of range; each says what would do.
    """

    temperature: float = 1.0  # 0 is greedy: the likeliest token, nothing is drawn
    top_k: int | None = None  # tokens to keep
    top_p: float = 1.0  # probability to keep
    repetition_penalty: float = 1.0  # above 1 discourages what occurred
    no_repeat: int | None = None  # no so many tokens in a row twice

    def __post_init__(self) -> None:
        self(torch.zeros(1, 2), torch.zeros(1, 0, dtype=torch.int64))  # the functions refuse

    def __call__(self, logits: Tensor, text: Tensor) -> Tensor:
        """Reshape ``(rows, vocab_size)`` logits, given ``(rows, time)`` ids so far."""
        logits = temperature(self.penalised(logits, text), self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        return top_p(logits, self.top_p)

    def penalised(self, logits: Tensor, text: Tensor) -> Tensor:
        """The part of it that looks at the text so far."""
        logits = repetition_penalty(logits, text, self.repetition_penalty)
        return logits if self.no_repeat is None else no_repeat(logits, text, self.no_repeat)

    def choose(self, logits: Tensor, text: Tensor, uniform: Tensor | None) -> Tensor:
        """Draw a token for each row, or take the likeliest if greedy.

        Args:
            logits: ``(rows, vocab_size)``.
            text: ``(rows, time)`` ids so far.
            uniform: ``(rows,)`` float64 random numbers in [0, 1).

        Returns:
            ``(rows,)`` ids.

        Raises:
            FloatingPointError: if a row has a logit that is not a number, or nothing is left of it.
        """
        greedy = self.temperature == 0
        logits = self.penalised(logits, text) if greedy else self(logits, text)
        highest, likeliest = logits.max(dim=1)  # of equal ones the first
        if not bool(highest.isfinite().all()):
            row = int(highest.isfinite().int().argmin())
            raise FloatingPointError(
                f"row {row} has no token to choose from: its highest logit is "
                f"{float(highest[row])}. Either the model's logits are not numbers, or no_repeat "
                "and allowed together forbid everything"
            )
        if greedy:
            return likeliest
        # The inverse of the distribution function: one number a row settles its token.
        below = torch.softmax(logits, dim=1).double().cumsum(dim=1)
        target = uniform[:, None] * (1 - 1e-12) * below[:, -1:]  # never all of it, by rounding
        return torch.searchsorted(below, target, right=True)[:, 0]


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
    """Continue texts, token after token.

    All prompts run side by side; a row that is done leaves the batch. What a row becomes does not
    depend on the others, other than by the numbers it draws: with a generator for each row it is
    what it would be alone.

    Args:
        model: an object with a method ``step``, such as ``GPT``, or that function (see
            ``nn.decoding``).
        prompts: token ids, at least one each.
        max_new_tokens: how many tokens to write at most.
        sampler: how to choose; ``GREEDY`` takes the likeliest.
        stop: tokens after which a text is done.
        allowed: given the ids written so far of a row (without the prompt), those that may come
            next; none: the text is done.
        generator: where random numbers come from, one for all rows or one a row. Greedy needs none.

    Returns:
        For each prompt the ids written. Where the last is in ``stop``, the text came to its end;
        else it was cut at ``max_new_tokens``, or ``allowed`` ended it.

    Raises:
        ValueError: if an argument is out of range, the texts would outgrow the model's context,
            ``allowed`` lets no text begin, or there is no generator to draw from.
        FloatingPointError: if nothing is left to choose from.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens!r}")
    if generator is None and sampler.temperature != 0:
        raise ValueError(
            "to draw tokens, generate needs generator=torch.Generator().manual_seed(...); without "
            "one, choose GREEDY"
        )
    stop = frozenset(stop)
    written: list[list[int]] = [[] for _ in prompts]
    with inference_mode(model):
        reader = DecodingState(model, prompts, max_new_tokens - 1)
        rows, logits = list(range(len(prompts))), reader.logits  # rows: those still being written
        for left in range(max_new_tokens - 1, -1, -1):
            if allowed is not None:
                choice = [allowed(written[row]) for row in rows]
                rows, logits = _go_on(reader, rows, logits, [len(ids) > 0 for ids in choice])
                if left == max_new_tokens - 1 and len(rows) < len(prompts):
                    raise ValueError("allowed lets no text begin: it gave no id for an empty list")
                if not rows:
                    break
                logits = keep_allowed(logits, [ids for ids in choice if len(ids)])
            uniform = None
            if sampler.temperature != 0:
                uniform = _uniform(generator, len(prompts))[rows].to(logits.device)
            chosen = sampler.choose(logits, reader.text, uniform)
            tokens = chosen.tolist()
            for row, token in zip(rows, tokens, strict=True):
                written[row].append(token)
            rows, chosen = _go_on(reader, rows, chosen, [token not in stop for token in tokens])
            if not rows or not left:
                break
            logits = reader.read(chosen[:, None])
    return written


def _go_on(
    reader: DecodingState, rows: list[int], values: Tensor, goes_on: list[bool]
) -> tuple[list[int], Tensor]:
    """Drop the rows that are done, from the reader, the list and ``(rows, ...)`` values."""
    if all(goes_on):
        return rows, values
    kept = [place for place, going in enumerate(goes_on) if going]
    places = torch.tensor(kept, dtype=torch.int64, device=values.device)
    reader.select(places)
    return [rows[place] for place in kept], values[places]


def _uniform(generator: torch.Generator | Sequence[torch.Generator], n: int) -> Tensor:
    """``(n,)`` float64 in [0, 1): all rows draw, also those that are done, so none moves others."""
    if isinstance(generator, torch.Generator):
        device = generator.device
        return torch.rand(n, generator=generator, dtype=torch.float64, device=device).cpu()
    if len(generator) != n:
        raise ValueError(f"there are {len(generator)} generators for {n} prompts")
    each = [torch.rand(1, generator=g, dtype=torch.float64, device=g.device) for g in generator]
    return torch.cat([one.cpu() for one in each])
