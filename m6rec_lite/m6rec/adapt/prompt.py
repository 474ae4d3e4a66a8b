"""Prompt tuning and option tuning: trained vectors before the user region.

    [p1 … pn] [BOS'] the user [EOS'] [BOS] the item [EOS]

Prompt tuning: the vectors start as embeddings of tokens drawn from the vocabulary. Only ``n d``
numbers are trained, but every row is n tokens longer. Source: Lester et al., *The power of scale
for parameter-efficient prompt tuning*, 2021.

    [p1 … pn-C  o1 … oC] [BOS'] the user [EOS'] [BOS] the item [EOS] -> h
    P(class c) = softmax(h oc)

Option tuning: the last C vectors are also the weights of C classes. A classification head is not
needed: the model reads the options as part of its input, and answers with the one whose vector
matches its state at ``[EOS]`` best. Only the prompt and the embeddings of the special tokens are
trained. Source: Cui et al., *M6-Rec*, 2022, section 3; the length of the prompt and its initial
values are not known to us. Here the options start near the mean embedding, so that all classes
start about equally probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from m6rec_lite.language.text.tokenizer import SPECIALS
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


class OptionHead(nn.Module):
    """A classification head whose weights are the last C vectors of a soft prompt."""

    def __init__(self, prompt: SoftPrompt, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self._prompt = (prompt,)  # a tuple hides the module: its weights belong to the model

    @property
    def weight(self) -> Tensor:
        """The vectors of the options, ``(classes, hidden_size)``."""
        return self._prompt[0].weight[-self.classes :]

    def forward(self, states: Tensor) -> Tensor:
        """Map states ``(…, hidden_size)`` to logits ``(…, classes)``."""
        return states @ self.weight.T


@dataclass(frozen=True)
class OptionTuning(Method):
    """A soft prompt, trained special tokens, and options in place of a head.

    Fit what a task takes from its rows (``encode`` or ``build_examples`` with ``fit=True``) before
    the model is adapted: the task's own head is out of use afterwards.

    Args:
        length: number of vectors, options included.
        classes: C, of the task; at most ``length``.

    Raises:
        ValueError: if a number is out of range.
    """

    name: ClassVar[str] = "options"
    length: int = 16
    classes: int = 2

    def __post_init__(self) -> None:
        check_size("length", self.length)
        if not 2 <= self.classes <= self.length:
            raise ValueError(
                f"classes must be at least 2 and at most length={self.length}, since options are "
                f"vectors of the prompt; got {self.classes!r}"
            )

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Prepend the prompt to every row, and use its last vectors as the task's head."""
        classes = getattr(task, "classes", None)
        if task is None or classes != self.classes:
            got = "no task" if task is None else f"{task.name!r} with classes={classes!r}"
            raise ValueError(
                f"option tuning with {self.classes} options needs a task of as many classes, such "
                f"as Scoring(…, classes={self.classes}); got {got}"
            )
        prompt = SoftPrompt(model, self.length, tuple(range(len(SPECIALS))))
        with torch.no_grad():
            options = prompt.weight[-self.classes :]
            options.normal_(std=model.config.initializer_range)
            options += model.embedding.weight.mean(0)
        head = OptionHead(prompt, self.classes)
        return [*prompt_changes(model, prompt), Change(task, "head", head)]
