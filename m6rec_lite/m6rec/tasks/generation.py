"""Tasks that answer in text: the written region is learned, generated, and judged.

    [BOS'] what is known [EOS'] [BOS]because of its value [SEP]It is worth … [EOS]
                                ^ begun ^ written

All of them share this file: the loss over the written tokens, generation after what was begun, the
likelihood of what users wrote, and the figures of texts. Their sentences are data
(``writing.json``).
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.data.ids import Id
from m6rec_lite.evaluation.text import bleu, distinct, rouge, tokens
from m6rec_lite.language.text.document import Document
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.rows import BEGUN
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch
from m6rec_lite.nn.decoding import Allowed
from m6rec_lite.nn.sampling import GREEDY, Sampler, beam_search, generate, log_likelihood


@dataclass(frozen=True)
class Generation:
    """What was written after what was begun.

    Attributes:
        ids: its tokens, the one that ended it included.
        document: the same in pieces.
        ended: whether it came to an end by itself, and was not cut.
        items: the items that an answer consists of where it is chosen and not written; else None.
    """

    ids: list[int]
    document: Document
    ended: bool
    items: tuple[Id, ...] | None = None

    @classmethod
    def of(cls, *pieces: tuple[str | None, str], items: tuple[Id, ...] | None = None) -> Self:
        """Return an answer that no model wrote, of these pieces."""
        return cls([], Document(pieces), True, items)

    @property
    def text(self) -> str:
        """All its text, without special tokens."""
        return "".join(text for _, text in self.document.pieces).strip()

    def after(self, special: str) -> str:
        """Return the text of the last piece that this special token opens; without one all text."""
        pieces = [text for name, text in self.document.pieces if name == special]
        return pieces[-1].strip() if pieces else self.text


class GenerationTask(Task):
    """A task whose answer is written.

    Args:
        phrases: sentences in place of those of ``writing.json``, by their names.

    Attributes:
        max_new_tokens: where an answer is cut by default.

    Raises:
        ValueError: if there is no such sentence, or one uses a field that it cannot have.
    """

    max_new_tokens: ClassVar[int] = 64

    def __init__(self, phrases: Mapping[str, str] | None = None) -> None:
        super().__init__()
        known = _phrases().get(self.name, {})
        self._changed = dict(phrases or {})
        for name, text in self._changed.items():
            if name not in known:
                raise ValueError(
                    f"{self.name} has no phrase {name!r}; it has {', '.join(known) or 'none'}"
                )
            if strange := _fields(text) - _fields(known[name]):
                raise ValueError(
                    f"phrase {name!r} of {self.name} uses {sorted(strange)}; it may use "
                    f"{sorted(_fields(known[name])) or 'no field'}"
                )
        self.phrases = known | self._changed

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"phrases": self._changed or None}

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean cross-entropy of the written tokens after ``[BOS]``, in nats a token.

        Logits are computed at their positions alone.

        Raises:
            ValueError: if no row of the batch has one.
        """
        at = batch.target_mask()
        if not bool(at.any()):
            raise ValueError(f"a batch of {self.name} has nothing written: build examples for it")
        return token_loss(model, batch.states(model)[at], batch.ids.roll(-1, dims=1)[at])

    def predict(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        sampler: Sampler = GREEDY,
        n_beams: int = 1,
        length_power: float = 1.0,
        max_new_tokens: int | None = None,
        allowed: Allowed | None = None,
        constrained: bool = True,
        seed: int = 0,
        batch_tokens: int = 16_384,
    ) -> list[Generation]:
        """Write the rest of each row's written region, after what of it is begun.

        Args:
            model: M6-Rec; or a ``CausalGenerator`` of another model.
            examples: ``n`` rows; what their written regions hold beyond the begun part is not read.
            sampler: how tokens are chosen; ``GREEDY`` takes the likeliest.
            n_beams: above 1, beam search in place of the sampler.
            length_power: see ``beam_search``.
            max_new_tokens: where a text that does not end is cut; None takes the task's own.
            allowed: see ``nn.sampling.generate``; None takes the task's own constraint.
            constrained: apply that constraint, where the task has one.
            seed: of the draws. Each row has its own, by its index: a batch is as one by one.
            batch_tokens: positions, beams included, that run at a time; bounds the memory.

        Raises:
            ValueError: if an argument is out of range, or the examples have no tokenizer.
        """
        generator = as_generator(model, examples.tokenizer)
        longest = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        if allowed is None and constrained:
            allowed = self._constraint(generator, examples, longest)
        prompts = [generator.prompt(known, begun) for known, begun, _ in _rows(examples)]
        order = np.argsort([len(prompt) for prompt in prompts], kind="stable").tolist()
        answers: list[Generation | None] = [None] * len(prompts)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and n_beams * (end + 1 - start) * (
                len(prompts[order[end]]) + longest
            ) <= max(batch_tokens, 1):
                end += 1
            rows = order[start:end]
            how: dict[str, Any] = {"max_new_tokens": longest, "stop": generator.stop}
            how["allowed"] = allowed
            some = [prompts[row] for row in rows]
            if n_beams != 1:
                beams = beam_search(
                    generator, some, n_beams=n_beams, length_power=length_power, **how
                )
                texts = [best[0].ids for best in beams]
            else:
                draws = [torch.Generator().manual_seed(_mix(seed, row)) for row in rows]
                drawn = None if sampler.temperature == 0 else draws
                texts = generate(generator, some, sampler=sampler, generator=drawn, **how)
            for row, ids in zip(rows, texts, strict=True):
                ended = bool(ids) and ids[-1] in generator.stop
                answers[row] = Generation(ids, generator.document(ids), ended)
            start = end
        return [one for one in answers if one is not None]

    def log_likelihood(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        batch_tokens: int = 16_384,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how probable the model finds what was written, after what was begun.

        Args:
            model: as in ``predict``.
            examples: ``n`` rows.
            batch_tokens: positions that run at a time.

        Returns:
            ``(n,)`` nats, at most 0, and ``(n,)`` tokens, the ``[EOS]`` included: for
            ``evaluation.text.perplexity``. Tokens are the generator's own: perplexities of models
            with different tokenizers do not compare.

        Raises:
            ValueError: if a row has nothing written beyond what was begun.
        """
        generator = as_generator(model, examples.tokenizer)
        prompts, endings = [], []
        for row, (known, begun, rest) in enumerate(_rows(examples)):
            if not len(rest):
                raise ValueError(f"example {row} has nothing written beyond what was begun")
            prompts.append(generator.prompt(known, begun))
            endings.append([generator.ending(rest)])
        if not prompts:
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        nats = log_likelihood(generator, prompts, endings, batch_tokens=batch_tokens)
        sizes = np.array([len(one[0]) for one in endings], dtype=np.int64)
        return torch.cat(nats).numpy(), sizes

    def _constraint(
        self, generator: TextGenerator, examples: Examples, max_new_tokens: int
    ) -> Allowed | None:
        """What may be written; None: anything."""
        return None

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the texts that are compared with those of users."""
        return [one.text for one in outputs]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``(n,)`` figures of single answers, whose means ``evaluate`` returns.

        A figure is NaN where it does not apply. Some need ``data.truth``.
        """
        return {}

    def _figures(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, float]:
        """Return the means of ``per_example``, and ``text_figures`` of what was written."""
        found = {
            name: float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            for name, values in self.per_example(outputs, examples, data).items()
        }
        if all(one.items is not None for one in outputs):
            return found
        return found | text_figures(self.texts(outputs), examples.about["text"].tolist())


def text_figures(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return how texts overlap with what users wrote, and how they differ among themselves.

    Tokens are those of ``evaluation.text.tokens``. ``distinct-n`` of the references is given too,
    since it falls with the number of texts.

    Raises:
        ValueError: on no texts, or unequal numbers.
    """
    words, wanted = [tokens(text) for text in texts], [tokens(text) for text in references]
    return {
        "BLEU-4": bleu(words, [[one] for one in wanted]).score,
        "ROUGE-1": rouge(words, wanted, 1).f1,
        "ROUGE-L": rouge(words, wanted, "L").f1,
        "distinct-1": distinct(words, 1),
        "distinct-2": distinct(words, 2),
        "distinct-2 of people": distinct(wanted, 2),
        "unique": len({tuple(one) for one in words}) / len(words),
    }


def _rows(examples: Examples) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Known region, begun part and rest of each row."""
    n = len(examples)
    begun = examples.about[BEGUN].tolist() if BEGUN in examples.about else [1] * n
    return [
        (known, written[:k], written[k:])
        for known, written, k in zip(examples.known, examples.written, begun, strict=True)
    ]


def _mix(seed: int, row: int) -> int:
    """A seed for a row."""
    return int(np.random.SeedSequence([seed, row]).generate_state(1, np.uint64)[0] >> 1)


@cache
def _phrases() -> dict[str, dict[str, str]]:
    """``writing.json``."""
    text = resources.files(__package__).joinpath("writing.json").read_text(encoding="utf-8")
    return json.loads(text)


def _fields(text: str) -> set[str]:
    """The fields of a sentence."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
