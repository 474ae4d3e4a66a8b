"""Tasks that answer in text: training, generation and evaluation of the written region.

    [BOS'] what is known [EOS'] [BOS]because of its value [SEP]It is worth … [EOS]
                                ^ begun ^ generated

The written region begins with given tokens ("begun"), after which the model generates. All such
tasks share the loss over the written tokens, generation, the likelihood of users' texts, and text
metrics. Their phrases are in ``writing.json``.
"""

from __future__ import annotations

import json
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
from m6rec_lite.language.text.templates import fields_of
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.rows import BEGUN
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, cut_by_length
from m6rec_lite.nn.beams import beam_search
from m6rec_lite.nn.decoding import Allowed
from m6rec_lite.nn.likelihood import log_likelihood
from m6rec_lite.nn.sampling import GREEDY, Sampler, generate


@dataclass(frozen=True)
class Generation:
    """An answer: the text generated after the begun part of a written region.

    Attributes:
        ids: its tokens, including the one that ended it.
        document: the same as a document.
        ended: whether it ended with a stop token, and was not truncated.
        items: items of an answer that is chosen and not generated; else None.
    """

    ids: list[int]
    document: Document
    ended: bool
    items: tuple[Id, ...] | None = None

    @classmethod
    def of(cls, *pieces: tuple[str | None, str], items: tuple[Id, ...] | None = None) -> Self:
        """Return an answer that consists of given pieces."""
        return cls([], Document(pieces), True, items)

    @property
    def text(self) -> str:
        """Return its text, without special tokens."""
        return "".join(text for _, text in self.document.pieces).strip()

    def after(self, special: str) -> str:
        """Return the text of the last piece of a special token; all text if there is none."""
        pieces = [text for name, text in self.document.pieces if name == special]
        return pieces[-1].strip() if pieces else self.text


class GenerationTask(Task):
    """Base of the tasks whose answer is generated text.

    Args:
        phrases: replacements of phrases in ``writing.json``, by name.

    Attributes:
        max_new_tokens: maximum length of an answer, by default.

    Raises:
        ValueError: on an unknown phrase, or a field that the phrase does not have.
    """

    max_new_tokens: ClassVar[int] = 64

    def __init__(self, phrases: Mapping[str, str] | None = None) -> None:
        super().__init__()
        defaults = _phrases().get(self.name, {})
        self._changed = dict(phrases or {})
        for name, text in self._changed.items():
            if name not in defaults:
                raise ValueError(
                    f"{self.name} has no phrase {name!r}; it has {', '.join(defaults) or 'none'}"
                )
            if unknown := fields_of(text) - fields_of(defaults[name]):
                raise ValueError(
                    f"phrase {name!r} of {self.name} uses {sorted(unknown)}; it may use "
                    f"{sorted(fields_of(defaults[name])) or 'no field'}"
                )
        self.phrases = defaults | self._changed

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"phrases": self._changed or None}

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean cross-entropy of the written tokens after ``[BOS]``, in nats a token.

        Logits are computed only at the positions that predict them.

        Raises:
            ValueError: if no row of the batch has a written token.
        """
        mask = batch.target_mask()
        if not bool(mask.any()):
            raise ValueError(f"a batch of {self.name} has nothing written: build examples for it")
        return token_loss(model, batch.states(model)[mask], batch.ids.roll(-1, dims=1)[mask])

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
        """Generate each row's written region after its begun part.

        Args:
            model: M6-Rec, or a ``CausalGenerator`` of another model.
            examples: ``n`` rows; tokens of their written regions after the begun part are ignored.
            sampler: how tokens are chosen; ``GREEDY`` takes the most probable.
            n_beams: above 1, number of beams of a beam search, which replaces the sampler.
            length_power: see ``beam_search``.
            max_new_tokens: maximum length; None takes the task's default.
            allowed: see ``nn.sampling.generate``; None takes the task's own constraint.
            constrained: whether to apply the task's constraint, if it has one.
            seed: of the draws. Each row has its own generator, so that batching does not matter.
            batch_tokens: positions of a forward pass, beams included, at most; bounds the memory.

        Raises:
            ValueError: if an argument is out of range, or the examples have no tokenizer.
        """
        generator = as_generator(model, examples.tokenizer)
        longest = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        if allowed is None and constrained:
            allowed = self._constraint(generator, examples, longest)
        prompts = [generator.prompt(known, begun) for known, begun, _ in _rows(examples)]
        lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        order = np.argsort(lengths, kind="stable")
        answers: list[Generation | None] = [None] * len(prompts)
        positions = n_beams * (lengths + longest)
        for part in cut_by_length(order, positions, max(batch_tokens, 1)):
            rows = part.tolist()
            options: dict[str, Any] = {"max_new_tokens": longest, "stop": generator.stop}
            options["allowed"] = allowed
            batch = [prompts[row] for row in rows]
            if n_beams != 1:
                beams = beam_search(
                    generator.model, batch, n_beams=n_beams, length_power=length_power, **options
                )
                texts = [best[0].ids for best in beams]
            else:
                seeded = [torch.Generator().manual_seed(_mix(seed, row)) for row in rows]
                draws = None if sampler.temperature == 0 else seeded
                texts = generate(
                    generator.model, batch, sampler=sampler, generator=draws, **options
                )
            for row, ids in zip(rows, texts, strict=True):
                ended = bool(ids) and ids[-1] in generator.stop
                answers[row] = Generation(ids, generator.document(ids), ended)
        return [answer for answer in answers if answer is not None]

    def log_likelihood(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        *,
        batch_tokens: int = 16_384,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-likelihood of each row's written region after its begun part.

        Args:
            model: as in ``predict``.
            examples: ``n`` rows.
            batch_tokens: positions of a forward pass, at most.

        Returns:
            ``(n,)`` log-likelihoods in nats, and ``(n,)`` numbers of tokens, including the
            ``[EOS]``: for ``evaluation.text.perplexity``. Tokens are the generator's own:
            perplexities of models with different tokenizers are not comparable.

        Raises:
            ValueError: if a row has no written tokens after the begun part.
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
        nats = log_likelihood(generator.model, prompts, endings, batch_tokens=batch_tokens)
        sizes = np.array([len(ending[0]) for ending in endings], dtype=np.int64)
        return torch.cat(nats).numpy(), sizes

    def _constraint(
        self, generator: TextGenerator, examples: Examples, max_new_tokens: int
    ) -> Allowed | None:
        """Return the constraint on generated tokens; None for no constraint."""
        return None

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the texts that are compared with those of users."""
        return [output.text for output in outputs]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``(n,)`` metrics of single answers, whose means ``evaluate`` returns.

        A metric is NaN where it does not apply. Some need ``data.truth``.
        """
        return {}

    def _figures(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, float]:
        """Return the means of ``per_example``, and ``text_figures`` of the generated texts."""
        metrics = {
            name: float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            for name, values in self.per_example(outputs, examples, data).items()
        }
        if all(output.items is not None for output in outputs):
            return metrics
        return metrics | text_figures(self.texts(outputs), examples.about["text"].tolist())


def text_figures(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return the overlap of texts with references by users, and the diversity of the texts.

    Tokens are those of ``evaluation.text.tokens``. ``distinct-2`` of the references is returned
    too, since distinct-n falls with the number of texts.

    Raises:
        ValueError: on no texts, or unequal numbers.
    """
    words, targets = [tokens(text) for text in texts], [tokens(text) for text in references]
    return {
        "BLEU-4": bleu(words, [[target] for target in targets]).score,
        "ROUGE-1": rouge(words, targets, 1).f1,
        "ROUGE-L": rouge(words, targets, "L").f1,
        "distinct-1": distinct(words, 1),
        "distinct-2": distinct(words, 2),
        "distinct-2 of people": distinct(targets, 2),
        "unique": len({tuple(text) for text in words}) / len(words),
    }


def _rows(examples: Examples) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return known region, begun part and rest of the written region of each row."""
    n = len(examples)
    begun = examples.about[BEGUN].tolist() if BEGUN in examples.about else [1] * n
    return [
        (known, written[:k], written[k:])
        for known, written, k in zip(examples.known, examples.written, begun, strict=True)
    ]


def _mix(seed: int, row: int) -> int:
    """Return a seed for a row."""
    return int(np.random.SeedSequence([seed, row]).generate_state(1, np.uint64)[0] >> 1)


@cache
def _phrases() -> dict[str, dict[str, str]]:
    """Return ``writing.json``."""
    text = resources.files(__package__).joinpath("writing.json").read_text(encoding="utf-8")
    return json.loads(text)
