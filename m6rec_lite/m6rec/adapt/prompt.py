"""Prompt tuning: trained vectors before the user region; no weight of the model is trained.

    [p1 … pn] [BOS'] the user [EOS'] [BOS] the item [EOS]

The vectors start as embeddings of tokens drawn from the vocabulary. Only ``n d`` numbers are
trained, but every row is n tokens longer. Source: Lester et al., *The power of scale for
parameter-efficient prompt tuning*, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from m6rec_lite.m6rec.adapt.method import Change, Method, check_size
from m6rec_lite.m6rec.adapt.soft import arguments, check_fits, is_start, shift
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task


class SoftPrompt(nn.Module):
    """The trained vectors, and trained copies of the embeddings of some tokens, by their ids.

    Attributes:
        weight: ``(length, hidden_size)``.
        special: ``(len(tokens), hidden_size)``.
    """

    tokens: Tensor

    def __init__(self, model: M6RecModel, length: int, tokens: tuple[int, ...] = ()) -> None:
        super().__init__()
        check_fits(length, model)
        embeddings = model.embedding.weight.detach()
        drawn = torch.randint(0, len(embeddings), (length,)).to(embeddings.device)
        self.weight = nn.Parameter(embeddings[drawn].clone())
        if tokens:
            self.special = nn.Parameter(embeddings[list(tokens)].clone())
        self.register_buffer("tokens", torch.tensor(tokens, dtype=torch.long), persistent=False)
        self.to(embeddings.device)

    def embed(self, model: M6RecModel, input_ids: Tensor) -> Tensor:
        """Return the embeddings of ``(batch, time)`` tokens, ``(batch, time, hidden_size)``."""
        x = model.embedding(input_ids)
        if not len(self.tokens):
            return x
        match = input_ids[..., None] == self.tokens  # (batch, time, len(tokens))
        own = self.special[match.long().argmax(-1)]
        return torch.where(match.any(-1, keepdim=True), own, x)


def states_with_prompt(self: M6RecModel, *args: Any, **kwargs: Any) -> Tensor:
    """Return the states of a row's own tokens, with the soft prompt before it.

    It replaces ``M6RecModel.states``; arguments and result are the same. With a cache, the prompt
    is computed in the first call.
    """
    prompt, row = cast(SoftPrompt, self.soft_prompt), arguments(self, *args, **kwargs)
    starts = is_start(row["past_key_values"])
    first = len(prompt.weight) if starts else 0
    call = shift(self, len(prompt.weight), row, queries=starts)
    x = row["inputs_embeds"] if row["input_ids"] is None else prompt.embed(self, row["input_ids"])
    if starts:
        x = torch.cat([prompt.weight.to(x.dtype).expand(len(x), -1, -1), x], dim=1)
    layers: list[Tensor] | None = None if row["layers"] is None else []
    call |= {"input_ids": None, "inputs_embeds": x, "layers": layers}
    hidden = M6RecModel.states(self, **call)
    if layers is not None:
        row["layers"] += [layer[:, first:] for layer in layers]
    return hidden[:, first:]


def prompt_changes(model: M6RecModel, prompt: SoftPrompt) -> list[Change]:
    """Return the changes that put a soft prompt before every row."""
    return [
        Change(model, "soft_prompt", prompt),
        Change(model, "states", MethodType(states_with_prompt, model)),
    ]


@dataclass(frozen=True)
class PromptTuning(Method):
    """A soft prompt before every row.

    Args:
        length: number of vectors; they count towards the model's context.

    Raises:
        ValueError: if the length is below 1.
    """

    name: ClassVar[str] = "prompt"
    length: int = 16

    def __post_init__(self) -> None:
        check_size("length", self.length)

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Prepend a soft prompt to every row."""
        return prompt_changes(model, SoftPrompt(model, self.length))
