"""Beam search: the most probable text, looked for along several ways at once.

The likeliest text need not begin with the likeliest token. Beam search keeps the best ``n_beams``
beginnings, extends each by every token, and keeps the best again. With enough beams that is every
text there is; with one it is greedy choice.
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
    """A text, or the beginning of one.

    Attributes:
        ids: what was written, without the prompt.
        log_prob: its log-likelihood, in nats.
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
    """The most probable continuations that beam search finds.

    A text is done after a token of ``stop``, where ``allowed`` lets nothing follow, or at
    ``max_new_tokens``. The search of a prompt ends when no beginning can still grow into something
    better than what it found.

    Source: the length penalty is Wu et al., *Google's neural machine translation system*, 2016,
    equation 14, without its constants.

    Args:
        model: as in ``nn.sampling.generate``.
        prompts: token ids, at least one each.
        max_new_tokens: how many tokens to write at most.
        n_beams: beginnings kept, and texts found, a prompt; at least 1.
        length_power: 0 compares log-likelihoods, of which a longer text has the lower; 1 compares
            their mean a token.
        stop: tokens after which a text is done.
        allowed: as in ``generate``.

    Returns:
        For each prompt up to ``n_beams`` texts, best first.

    Raises:
        ValueError: if an argument is out of range, the texts would outgrow the model's context, or
            ``allowed`` lets no text begin.
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
        reader = DecodingState(model, prompts, max_new_tokens - 1)
        logits, active = reader.logits, searches
        while True:
            log_probs = torch.log_softmax(logits.double(), dim=1)  # (rows, vocab_size)
            parents, tokens, first = [], [], 0
            for search in active:
                rows = len(search.alive)
                chosen = search.extend(log_probs[first : first + rows])
                parents += [first + parent for parent, _ in chosen]
                tokens += [token for _, token in chosen]
                first += rows
            active = [search for search in active if search.alive]
            if not active:
                break
            if parents != list(range(first)):
                reader.select(torch.tensor(parents, device=logits.device))
            logits = reader.read(torch.tensor(tokens, device=logits.device)[:, None])
    return [search.found for search in searches]


class _Search:
    """The search that goes on from one prompt.

    Attributes:
        alive: the beginnings that go on, best first; one row of the reader each.
        found: the best texts that are done, best first.
    """

    def __init__(
        self, n: int, power: float, longest: int, stop: Collection[int], allowed: Allowed | None
    ) -> None:
        self.n, self.power, self.longest = n, power, longest
        self.stop, self.allowed = stop, allowed
        self.alive = [Beam([], 0.0, 0.0)]
        self.found: list[Beam] = []

    def extend(self, log_probs: Tensor) -> list[tuple[int, int]]:
        """Make every beginning a token longer and keep the best.

        Args:
            log_probs: ``(len(alive), vocab_size)`` of the next token.

        Returns:
            For each beginning that goes on, the place of the one it came from, and its token.
        """
        if self.allowed is not None:
            choice = [self.allowed(beam.ids) for beam in self.alive]
            if not choice[0] and not self.alive[0].ids:
                raise ValueError("allowed lets no text begin: it gave no id for an empty list")
            for beam, ids in zip(self.alive, choice, strict=True):
                if not ids:
                    self._keep(beam)
            log_probs = keep_allowed(log_probs, choice)
        so_far = torch.tensor([beam.log_prob for beam in self.alive], dtype=torch.float64)
        total = log_probs + so_far[:, None].to(log_probs.device)  # (alive, vocab_size)
        length = len(self.alive[0].ids) + 1
        done = list(range(total.shape[1])) if length == self.longest else sorted(self.stop)
        if done:
            columns = torch.tensor(done, device=total.device)
            for beam, _, _ in self._best(total[:, columns], done):
                self._keep(beam)
            total = total.index_fill(1, columns, -torch.inf)
        best = self._best(total, range(total.shape[1]))
        # A longer text has no higher log-likelihood; at best it stays, and the length grows.
        worst = self.found[-1].score if len(self.found) == self.n else -torch.inf
        best = [one for one in best if one[0].log_prob / self.longest**self.power > worst]
        self.alive = [beam for beam, _, _ in best]
        return [(parent, token) for _, parent, token in best]

    def _best(self, total: Tensor, tokens: Sequence[int]) -> list[tuple[Beam, int, int]]:
        """The n highest of ``(alive, len(tokens))`` as beams, with their parents and tokens."""
        flat = total.flatten()
        border = flat.topk(min(self.n, len(flat))).values[-1]
        places = ((flat >= border) & (flat > -torch.inf)).nonzero()[:, 0]  # n, and ties
        pairs = sorted(zip((-flat[places]).tolist(), places.tolist(), strict=True))[: self.n]
        found = []
        for loss, place in pairs:
            parent, token = place // len(tokens), tokens[place % len(tokens)]
            ids = [*self.alive[parent].ids, token]
            found.append((Beam(ids, -loss, -loss / len(ids) ** self.power), parent, token))
        return found

    def _keep(self, beam: Beam) -> None:
        """Among the n best texts, if it is one."""
        self.found = sorted([*self.found, beam], key=lambda one: -one.score)[: self.n]
