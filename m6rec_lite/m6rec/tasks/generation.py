"""Tasks that answer in words: the written region is learnt, generated, and judged.

    [BOS'] what is known [EOS'] [BOS]because of its value [SEP]It is worth … [EOS]
                                ^ begun ^ written

All of them share this file: the loss over the written tokens, generation after what was begun,
and the likelihood of what people wrote. Their sentences are data (``writing.json``).
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.evaluation.text import bleu, distinct, rouge, tokens
from m6rec_lite.language.document import Document
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.tasks.generators import TextGenerator, as_generator
from m6rec_lite.m6rec.tasks.rows import BEGUN
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch
from m6rec_lite.nn.decoding import Allowed
from m6rec_lite.nn.sampling import GREEDY, Sampler, beam_search, generate, log_likelihood


@dataclass(frozen=True)
class Generation:
    """What a model wrote after what was begun.

    Attributes:
        ids: its tokens, the one that ended it included.
        document: the same in pieces.
        ended: whether it came to an end by itself, and was not cut.
    """

    ids: list[int]
    document: Document
    ended: bool

    @property
    def text(self) -> str:
        """All its text, without special tokens."""
        return "".join(text for _, text in self.document.pieces).strip()

    def after(self, special: str) -> str:
        """The text of the last piece that this special token opens; all of it if there is none."""
        found = [text for name, text in self.document.pieces if name == special]
        return found[-1].strip() if found else self.text


class GenerationTask(Task):
    """A task whose answer is written.

    Args:
        phrases: sentences in place of those of ``writing.json``, by their names.

    Raises:
        ValueError: if there is no such sentence, or one uses a field that it cannot have.
    """

    def __init__(self, phrases: Mapping[str, str] | None = None) -> None:
        super().__init__()
        known = _phrases().get(self.name, {})
        self._changed = dict(phrases or {})
        for name, text in self._changed.items():
            if name not in known:
                told = ", ".join(known) or "none"
                raise ValueError(f"{self.name} has no phrase {name!r}; it has {told}")
            if strange := _fields(text) - _fields(known[name]):
                raise ValueError(
                    f"phrase {name!r} of {self.name} uses {sorted(strange)}; it may use "
                    f"{sorted(_fields(known[name])) or 'no field'}"
                )
        self.phrases = known | self._changed

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"phrases": self._changed or None}

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Mean cross-entropy of the written tokens after ``[BOS]``, in nats a token.

        Scores over the vocabulary are made at their places alone.

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
        tokenizer: Tokenizer | None = None,
        *,
        sampler: Sampler = GREEDY,
        n_beams: int = 1,
        length_power: float = 1.0,
        max_new_tokens: int = 64,
        allowed: Allowed | None = None,
        seed: int = 0,
        batch_tokens: int = 16_384,
    ) -> list[Generation]:
        """Write the rest of each row's written region, after what of it is begun.

        Args:
            model: M6-Rec; or a ``CausalGenerator`` of another model.
            examples: ``n`` rows; what their written regions hold beyond the begun part is not read.
            tokenizer: the examples'.
            sampler: how tokens are chosen; ``GREEDY`` takes the likeliest.
            n_beams: above 1, beam search in place of the sampler.
            length_power: see ``beam_search``.
            max_new_tokens: where a text that does not end is cut.
            allowed: see ``nn.sampling.generate``.
            seed: of the draws. Each row has its own, by its place: a batch is as one by one.
            batch_tokens: positions, beams included, that run at a time; bounds the memory.

        Raises:
            ValueError: if an argument is out of range, or M6-Rec comes without a tokenizer.
        """
        writer = self._writer(model, tokenizer)
        prompts = [writer.prompt(known, begun) for known, begun, _ in _rows(examples)]
        order = np.argsort([len(prompt) for prompt in prompts], kind="stable").tolist()
        found: list[Generation | None] = [None] * len(prompts)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and n_beams * (end + 1 - start) * (
                len(prompts[order[end]]) + max_new_tokens
            ) <= max(batch_tokens, 1):
                end += 1
            rows = order[start:end]
            given: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop": writer.stop}
            given["allowed"] = allowed
            some = [prompts[row] for row in rows]
            if n_beams != 1:
                beams = beam_search(
                    writer, some, n_beams=n_beams, length_power=length_power, **given
                )
                texts = [best[0].ids for best in beams]
            else:
                draws = [torch.Generator().manual_seed(_mix(seed, row)) for row in rows]
                drawn = None if sampler.temperature == 0 else draws
                texts = generate(writer, some, sampler=sampler, generator=drawn, **given)
            for row, ids in zip(rows, texts, strict=True):
                ended = bool(ids) and ids[-1] in writer.stop
                found[row] = Generation(ids, writer.document(ids), ended)
            start = end
        return [one for one in found if one is not None]

    def log_likelihood(
        self,
        model: M6RecModel | TextGenerator,
        examples: Examples,
        tokenizer: Tokenizer | None = None,
        *,
        batch_tokens: int = 16_384,
    ) -> tuple[np.ndarray, np.ndarray]:
        """How probable the model finds what was written, after what was begun.

        Args:
            model: as in ``predict``.
            examples: ``n`` rows.
            tokenizer: the examples'.
            batch_tokens: positions that run at a time.

        Returns:
            ``(n,)`` nats, at most 0, and ``(n,)`` tokens, the ``[EOS]`` included: for
            ``evaluation.text.perplexity``. Tokens are the writer's own: perplexities of models
            with different tokenizers do not compare.

        Raises:
            ValueError: if a row has nothing written beyond what was begun.
        """
        writer = self._writer(model, tokenizer)
        prompts, endings = [], []
        for row, (known, begun, rest) in enumerate(_rows(examples)):
            if not len(rest):
                raise ValueError(f"example {row} has nothing written beyond what was begun")
            prompts.append(writer.prompt(known, begun))
            endings.append([writer.ending(rest)])
        if not prompts:
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        found = log_likelihood(writer, prompts, endings, batch_tokens=batch_tokens)
        sizes = np.array([len(one[0]) for one in endings], dtype=np.int64)
        return torch.cat(found).numpy(), sizes

    def _writer(
        self, model: M6RecModel | TextGenerator, tokenizer: Tokenizer | None
    ) -> TextGenerator:
        if tokenizer is None and not isinstance(model, TextGenerator):
            raise ValueError(f"{self.name} writes text and needs the model's tokenizer: pass it")
        return as_generator(model, tokenizer)


def text_figures(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """How texts overlap with what people wrote, and how they differ among themselves.

    Tokens are those of ``evaluation.text.tokens``. ``distinct-n`` of the references beside, since
    it falls with the number of texts.

    Raises:
        ValueError: on no texts, or unequal numbers.
    """
    ours, theirs = [tokens(text) for text in texts], [tokens(text) for text in references]
    return {
        "BLEU-4": bleu(ours, [[one] for one in theirs]).score,
        "ROUGE-1": rouge(ours, theirs, 1).f1,
        "ROUGE-L": rouge(ours, theirs, "L").f1,
        "distinct-1": distinct(ours, 1),
        "distinct-2": distinct(ours, 2),
        "distinct-2 of people": distinct(theirs, 2),
        "unique": len({tuple(one) for one in ours}) / len(ours),
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
