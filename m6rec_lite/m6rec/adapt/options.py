"""Option tuning: a soft prompt whose last C vectors are also the weights of C classes.

    [p1 … pn-C  o1 … oC] [BOS'] the user [EOS'] [BOS] the item [EOS] -> h
    P(class c) = softmax(h oc)

A classification head is not needed: the model reads the options as part of its input, and answers
with the one whose vector matches its state at ``[EOS]`` best. Only the prompt and the embeddings of
the special tokens are trained. Source: Cui et al., *M6-Rec*, 2022, section 3; the length of the
prompt and its initial values are not known to us. Here the options start near the mean embedding,
so that all classes start about equally probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec.adapt.method import Change, Method, check_size
from m6rec_lite.m6rec.adapt.prompt import SoftPrompt, prompt_changes
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task


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
