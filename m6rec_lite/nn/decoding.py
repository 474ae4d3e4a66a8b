"""Decode with a cache: shared by text generation and text scoring.

A language model provides one function, ``step``: it takes the new tokens and a cache of the
earlier ones, and returns logits of the next token. ``DecodingState`` holds the state of a batch of
prompts. Prompts of different lengths are padded on the left, so that all rows continue at the same
column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from m6rec_lite.nn.cache import KeyValueCache

#: Maps the ids generated so far in a row (without the prompt) to the ids that may come next.
Allowed = Callable[[list[int]], Collection[int]]


class Step(Protocol):
    """Interface of the function ``step`` of a language model."""

    def __call__(
        self,
        ids: Tensor,
        cache: Any,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        last: bool = True,
    ) -> Tensor:
        """Process new tokens and return logits of the next token.

        Args:
            ids: ``(rows, new)`` int64.
            cache: keys and values of the earlier tokens; those of the new tokens are added to it.
            mask: ``(rows, past + new)`` bool, False for padding; None if there is no padding.
            positions: ``(rows, new)`` positions in the text; None means past, past + 1, ...
            last: return logits for the last of the new tokens only.

        Returns:
            Logits ``(rows, vocab_size)``, or ``(rows, new, vocab_size)`` unless ``last``.
        """
        ...


@contextmanager
def inference_mode(model: Any) -> Iterator[None]:
    """Turn dropout and gradients off; restore the model's training mode on exit."""
    model = getattr(model, "__self__", model)  # the object of a bound method
    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


class DecodingState:
    """A batch of texts and the model's cache for them.

    Args:
        model: an object with a method ``step`` (see ``Step``) such as ``GPT``, or the function
            itself. Optional attributes of the object: ``new_cache()`` creates the cache
            (default ``KeyValueCache``), ``context`` is its longest text in tokens, ``device``.
        prompts: token ids, at least one each.
        extra: number of columns that may be read after the prompts.

    Attributes:
        logits: ``(rows, vocab_size)`` of the token after each prompt.

    Raises:
        TypeError: if the prompts are one flat list.
        ValueError: if there is no prompt, one is empty, or prompt plus extra exceeds the context.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], extra: int) -> None:
        lengths = check_prompts(prompts)
        context = getattr(model, "context", None)
        if context is not None and max(lengths) + extra > context:
            raise ValueError(
                f"a prompt of {max(lengths)} tokens and up to {extra} more do not fit the model's "
                f"context of {context}: cut the prompt at its start, or ask for fewer tokens"
            )
        device = getattr(model, "device", "cpu")
        self._step: Step = getattr(model, "step", model)
        self._cache = model.new_cache() if hasattr(model, "new_cache") else KeyValueCache()
        time = max(lengths)
        rows = [[-1] * (time - len(prompt)) + list(prompt) for prompt in prompts]
        ids = torch.tensor(rows, device=device)  # (rows, time), -1 for padding
        self._text = torch.full((len(rows), time + extra), -1, device=device)
        self._text[:, :time] = ids
        self._time = time
        self._mask: Tensor | None = None
        self._lengths: Tensor | None = None
        positions = None
        if min(lengths) < time:
            self._mask = torch.ones(self._text.shape, dtype=torch.bool, device=device)
            self._mask[:, :time] = ids >= 0
            self._lengths = torch.tensor(lengths, device=device)
            positions = (self._mask[:, :time].cumsum(dim=1) - 1).clamp(min=0)
        self.logits = self._step(
            ids.clamp(min=0), self._cache, mask=self._current_mask(), positions=positions, last=True
        )

    @property
    def text(self) -> Tensor:
        """All tokens so far, prompt included: ``(rows, time)``, -1 for padding."""
        return self._text[:, : self._time]

    def read(self, ids: Tensor, *, last: bool = True) -> Tensor:
        """Process new tokens.

        Args:
            ids: ``(rows, new)``. A row may end in padding if nothing is read after it.
            last: as in ``Step``.

        Returns:
            Logits, as in ``Step``.
        """
        new = ids.shape[1]
        self._text[:, self._time : self._time + new] = ids
        self._time += new
        positions = None
        if self._lengths is not None:
            positions = self._lengths[:, None] + torch.arange(new, device=ids.device)
            self._lengths = self._lengths + new
        return self._step(
            ids, self._cache, mask=self._current_mask(), positions=positions, last=last
        )

    def select(self, rows: Tensor) -> None:
        """Keep the rows with these ``(n,)`` indices; an index may occur several times."""
        self._cache.select(rows)
        self._text = self._text[rows]
        if self._mask is not None and self._lengths is not None:
            self._mask, self._lengths = self._mask[rows], self._lengths[rows]

    def _current_mask(self) -> Tensor | None:
        return None if self._mask is None else self._mask[:, : self._time]


def check_prompts(prompts: Sequence[Sequence[int]]) -> list[int]:
    """Return the lengths of the prompts; raise if one is not a non-empty list of ids."""
    if isinstance(prompts, str) or any(isinstance(prompt, int | str) for prompt in prompts):
        raise TypeError(
            f"prompts must be lists of token ids, one list a prompt, got {prompts!r:.60}: encode "
            "texts first, and write [ids] for a single prompt"
        )
    lengths = [len(prompt) for prompt in prompts]
    if not lengths:
        raise ValueError("there is no prompt: give at least one")
    if min(lengths) == 0:
        raise ValueError(
            f"prompt {lengths.index(0)} is empty: the model needs at least one token, such as the "
            "token that begins a text"
        )
    return lengths


def keep_allowed(logits: Tensor, allowed: Sequence[Collection[int]]) -> Tensor:
    """Set the logits of all tokens that are not allowed to -inf.

    Args:
        logits: ``(rows, vocab_size)``.
        allowed: for each row the ids that may come next.

    Returns:
        The shape of ``logits``.

    Raises:
        ValueError: if an id is outside the vocabulary.
    """
    masked = torch.full_like(logits, -torch.inf)
    for row, row_ids in enumerate(allowed):
        ids = torch.as_tensor(list(row_ids), dtype=torch.int64)
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < logits.shape[1]:
            raise ValueError(
                f"allowed ids must be from 0 to {logits.shape[1] - 1}, got {int(ids.min())} to "
                f"{int(ids.max())}"
            )
        ids = ids.to(logits.device)
        masked[row, ids] = logits[row, ids]
    return masked
