"""Beam search: an approximate search for the most probable text.

The most probable text need not begin with the most probable token. Beam search keeps the best
``n_beams`` partial texts, extends each by every token, and keeps the best again. With enough beams
it is an exhaustive search; with one beam it is greedy decoding.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.nn.decoding import Allowed, DecodingState, inference_mode, keep_allowed


@dataclass(frozen=True)
class Beam:
    """A finished or partial text.

    Attributes:
        ids: generated token ids, without the prompt.
        log_prob: log-likelihood of the ids, in nats.
        score: ``log_prob / len(ids) ** length_power``.
    """

    ids: list[int]
    log_prob: float
    score: float


def beam_search(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    n_beams: int = 4,
    length_power: float = 0.0,
    stop: Collection[int] = (),
    allowed: Allowed | None = None,
) -> list[list[Beam]]:
    """Return the most probable continuations according to beam search.

    A text ends with a token in ``stop``, where ``allowed`` permits no further token, or at
    ``max_new_tokens``. The search of a prompt ends when no partial text can still reach a better
    score than the finished texts.

    Source of the length penalty: Wu et al., *Google's neural machine translation system*, 2016,
    equation 14, without its constants.

    Args:
        model: as in ``nn.sampling.generate``.
        prompts: token ids, at least one each.
        max_new_tokens: largest number of tokens to generate per prompt.
        n_beams: partial texts kept and texts returned per prompt; at least 1.
        length_power: 0 compares log-likelihoods, which favours short texts; 1 compares the mean
            log-likelihood per token.
        stop: ids of tokens that end a text.
        allowed: as in ``generate``.

    Returns:
        For each prompt up to ``n_beams`` texts, best first.

    Raises:
        ValueError: if an argument is out of range, the texts would exceed the model's context, or
            ``allowed`` permits no first token.
    """
    if max_new_tokens < 1 or n_beams < 1:
        raise ValueError(
            f"max_new_tokens and n_beams must be at least 1, got {max_new_tokens!r} and {n_beams!r}"
        )
    if not 0 <= length_power < float("inf"):
        raise ValueError(f"length_power must be at least 0 and finite, got {length_power!r}")
    searches = [
        _Search(n_beams, length_power, max_new_tokens, frozenset(stop), allowed) for _ in prompts
    ]
    with inference_mode(model):
        state = DecodingState(model, prompts, max_new_tokens - 1)
        logits, active = state.logits, searches
        while True:
            log_probs = torch.log_softmax(logits.double(), dim=1)  # (rows, vocab_size)
            parents: list[int] = []
            tokens: list[int] = []
            first = 0
            for search in active:
                rows = len(search.partial)
                chosen = search.extend(log_probs[first : first + rows])
                parents += [first + parent for parent, _ in chosen]
                tokens += [token for _, token in chosen]
                first += rows
            active = [search for search in active if search.partial]
            if not active:
                break
            if parents != list(range(first)):
                state.select(torch.tensor(parents, device=logits.device))
            logits = state.read(torch.tensor(tokens, device=logits.device)[:, None])
    return [search.finished for search in searches]


class _Search:
    """The search for the continuations of one prompt.

    Attributes:
        partial: unfinished texts, best first; one row of the ``DecodingState`` each.
        finished: the best finished texts, best first.
    """

    def __init__(
        self, n: int, power: float, max_length: int, stop: Collection[int], allowed: Allowed | None
    ) -> None:
        self.n, self.power, self.max_length = n, power, max_length
        self.stop, self.allowed = stop, allowed
        self.partial = [Beam([], 0.0, 0.0)]
        self.finished: list[Beam] = []

    def extend(self, log_probs: Tensor) -> list[tuple[int, int]]:
        """Extend every partial text by one token and keep the best.

        Args:
            log_probs: ``(len(partial), vocab_size)`` of the next token.

        Returns:
            For each text kept, the index of the partial text it extends, and its last token.
        """
        if self.allowed is not None:
            options = [self.allowed(beam.ids) for beam in self.partial]
            if not options[0] and not self.partial[0].ids:
                raise ValueError("allowed permits no first token: it gave no id for an empty list")
            for beam, ids in zip(self.partial, options, strict=True):
                if not ids:
                    self._finish(beam)
            log_probs = keep_allowed(log_probs, options)
        so_far = torch.tensor([beam.log_prob for beam in self.partial], dtype=torch.float64)
        total = log_probs + so_far[:, None].to(log_probs.device)  # (partial, vocab_size)
        length = len(self.partial[0].ids) + 1
        final = list(range(total.shape[1])) if length == self.max_length else sorted(self.stop)
        if final:
            columns = torch.tensor(final, device=total.device)
            for beam, _, _ in self._best(total[:, columns], final):
                self._finish(beam)
            total = total.index_fill(1, columns, -torch.inf)
        best = self._best(total, range(total.shape[1]))
        # A log-likelihood cannot rise with length: this score is the best a partial text can reach.
        worst = self.finished[-1].score if len(self.finished) == self.n else -torch.inf
        best = [b for b in best if b[0].log_prob / self.max_length**self.power > worst]
        self.partial = [beam for beam, _, _ in best]
        return [(parent, token) for _, parent, token in best]

    def _best(self, total: Tensor, tokens: Sequence[int]) -> list[tuple[Beam, int, int]]:
        """Return the n highest of ``(partial, len(tokens))``: beams, parents and last tokens."""
        flat = total.flatten()
        threshold = flat.topk(min(self.n, len(flat))).values[-1]
        index = ((flat >= threshold) & (flat > -torch.inf)).nonzero()[:, 0]  # n, and ties
        pairs = sorted(zip((-flat[index]).tolist(), index.tolist(), strict=True))[: self.n]
        best = []
        for loss, i in pairs:
            parent, token = i // len(tokens), tokens[i % len(tokens)]
            ids = [*self.partial[parent].ids, token]
            best.append((Beam(ids, -loss, -loss / len(ids) ** self.power), parent, token))
        return best

    def _finish(self, beam: Beam) -> None:
        """Add a finished text and keep the n best."""
        self.finished = sorted([*self.finished, beam], key=lambda text: -text.score)[: self.n]
