"""The settings of a pretraining run, which are the options of its command, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m6rec_lite.language.text.templates import Templates
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.infilling import Infilling, LastEvent, Objective, SentenceGeneration
from m6rec_lite.m6rec.mixed_batches import MixedBatches
from m6rec_lite.m6rec.objective import PretrainingLoss
from m6rec_lite.m6rec.token_file import TokenFile

#: Maximum of ``context``.
MAX_CONTEXT = 512
#: Tokens of a row of ``LastEvent`` besides those of its document.
ROW_TOKENS = 5

#: Values of ``library``: no texts of the world's rules, the true rules, or exchanged ones.
LIBRARIES = ("none", "stated", "shuffled")

#: Default steps, sequences of a batch and learning rate, by size.
PLANS: dict[str, dict[str, Any]] = {
    "nano": {"steps": 800, "lines": 8, "lr": 3e-3},
    "tiny": {"steps": 6000, "lines": 32, "lr": 2e-3},
    "small": {"steps": 10_000, "lines": 64, "lr": 6e-4},
    "base": {"steps": 50_000, "lines": 64, "lr": 3e-4},
}


@dataclass(frozen=True)
class Pretraining:
    """The settings of a run; ``None`` takes the value of ``PLANS`` for the size, or for nano."""

    size: str = field(default="nano", metadata={"help": SIZE_HELP})
    data: str = field(
        default="bazaar", metadata={"help": "names or folders for load_dataset, joined by +"}
    )
    # The three fields without a default of their own get one in ``__post_init__``.
    steps: int = field(default=None, metadata={"help": "steps of the optimizer"})  # type: ignore[assignment]
    lines: int = field(default=None, metadata={"help": "lines of tokens a batch"})  # type: ignore[assignment]
    accumulate: int = field(default=1, metadata={"help": "batches a step"})
    lr: float = field(default=None, metadata={"help": "highest learning rate"})  # type: ignore[assignment]
    weight_decay: float = field(default=0.1, metadata={"help": "of matrices"})
    infilling: float = field(default=1.0, metadata={"help": "weight of text infilling"})
    sentence: float = field(default=1.0, metadata={"help": "weight of sentence generation"})
    rate: float = field(default=0.3, metadata={"help": "share of tokens taken by infilling"})
    mean_span: float = field(default=3.0, metadata={"help": "tokens a span"})
    last: float = field(default=0.5, metadata={"help": "share of sentences that are the last"})
    vocab_size: int = field(default=4096, metadata={"help": "of a new tokenizer"})
    tokenizer: str | None = field(default=None, metadata={"help": "folder of one; else a new one"})
    positions: str = field(default="rotary", metadata={"help": "rotary or learned"})
    dropout: float = field(default=0.0, metadata={"help": "share set to 0"})
    seed: int = field(default=0, metadata={"help": "of weights, order and spans"})
    validations: int = field(default=10, metadata={"help": "looks at held-out documents"})
    context: int | None = field(
        default=None, metadata={"help": "tokens of a sequence, up to 512; else that of the size"}
    )
    templates: str = field(default="default", metadata={"help": "texts: default, terse, compact"})
    next_event: float = field(
        default=0.0, metadata={"help": "weight of the next event after who and the latest events"}
    )
    per_user: int = field(default=8, metadata={"help": "next events that are asked of a user"})
    library: str = field(
        default="none", metadata={"help": f"texts of a world's rules: {', '.join(LIBRARIES)}"}
    )
    library_copies: int = field(default=1, metadata={"help": "times each such text is repeated"})

    def __post_init__(self) -> None:
        shape_of(self.size)  # refuses an unknown size
        for name, value in PLANS.get(self.size, PLANS["nano"]).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.steps < 1 or self.validations < 1:
            raise ValueError(
                f"steps and validations must be at least 1, got {self.steps}, {self.validations}"
            )
        if not 0 <= self.last <= 1:
            raise ValueError(f"last must be from 0 to 1, got {self.last!r}")
        if self.context is not None and not 8 <= self.context <= MAX_CONTEXT:
            raise ValueError(f"context must be from 8 to {MAX_CONTEXT}, got {self.context!r}")
        for name in ("per_user", "library_copies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.library not in LIBRARIES:
            raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {self.library!r}")
        Templates.load(self.templates)  # refuses unknown ones
        Infilling(self.rate, self.mean_span)  # these two refuse values out of range
        PretrainingLoss(self.weights)
        least = 2 * sum(weight > 0 for weight in self.weights.values())
        if self.next_event and self.lines < least:
            raise ValueError(f"lines must be at least {least} (2 an objective), got {self.lines}")

    @property
    def names(self) -> list[str]:
        """Names of the data sets, split at +; the name of an existing folder may hold a +."""
        return [self.data] if Path(self.data).exists() else self.data.split("+")

    @property
    def seq_len(self) -> int:
        """Tokens of a sequence."""
        return self.context or shape_of(self.size)["max_position_embeddings"]

    @property
    def document_tokens(self) -> int:
        """Maximum length of a document that asks for the next event, so that its row fits."""
        return self.seq_len - ROW_TOKENS

    def objectives(self, tokenizer: Tokenizer) -> dict[str, Objective]:
        """Return the objectives on whole documents whose weight is above 0."""
        objectives: dict[str, Objective] = {
            "infilling": Infilling(self.rate, self.mean_span),
            "sentence": SentenceGeneration(tokenizer, self.last),
        }
        return {name: value for name, value in objectives.items() if self.weights[name] > 0}

    def batches(
        self, file: TokenFile, tokenizer: Tokenizer, next_events: TokenFile | None = None
    ) -> PretrainingBatches | MixedBatches:
        """Return batches of the documents of a file, for all objectives.

        Args:
            file: the documents of all kinds.
            tokenizer: of the files.
            next_events: the documents of ``next_event``; required if its weight is above 0. They
                have the share of the batch's lines that ``next_event`` has of all weights.

        Raises:
            ValueError: if the file of ``next_event`` is missing.
        """
        objectives = self.objectives(tokenizer)
        if not self.next_event:
            return PretrainingBatches(
                file, objectives, tokenizer, batch_size=self.lines, seq_len=self.seq_len
            )
        if next_events is None:
            raise ValueError("a weight of next_event needs its documents: pass next_events=")
        asked: dict[str, Objective] = {"next event": LastEvent(tokenizer)}
        if not objectives:
            return PretrainingBatches(
                next_events, asked, tokenizer, batch_size=self.lines, seq_len=self.seq_len
            )
        share = self.next_event / sum(self.weights.values())
        lines = min(max(2, round(self.lines * share)), self.lines - 2 * len(objectives))
        return MixedBatches(
            PretrainingBatches(
                file, objectives, tokenizer, batch_size=self.lines - lines, seq_len=self.seq_len
            ),
            PretrainingBatches(
                next_events, asked, tokenizer, batch_size=lines, seq_len=self.seq_len
            ),
        )

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objectives, by name; ``next event`` only if its weight is not 0."""
        weights = {"infilling": self.infilling, "sentence": self.sentence}
        return weights | ({"next event": self.next_event} if self.next_event else {})
