"""What fixes a pretraining run: the words of its command, with what each size takes by default."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.infilling import Infilling, Objective, SentenceGeneration
from m6rec_lite.m6rec.objective import PretrainingLoss

#: Steps, lines a batch and rate by size, where the command says nothing else.
PLANS: dict[str, dict[str, Any]] = {
    "nano": {"steps": 800, "lines": 8, "lr": 3e-3},
    "tiny": {"steps": 6000, "lines": 32, "lr": 2e-3},
    "small": {"steps": 10_000, "lines": 64, "lr": 6e-4},
    "base": {"steps": 50_000, "lines": 64, "lr": 3e-4},
}


@dataclass(frozen=True)
class Pretraining:
    """What fixes a run; ``None`` takes what ``PLANS`` has for the size, or for nano."""

    size: str = field(default="nano", metadata={"help": SIZE_HELP})
    data: str = field(
        default="bazaar", metadata={"help": "names or folders for load_dataset, joined by +"}
    )
    steps: int | None = field(default=None, metadata={"help": "steps of the optimizer"})
    lines: int | None = field(default=None, metadata={"help": "lines of tokens a batch"})
    accumulate: int = field(default=1, metadata={"help": "batches a step"})
    lr: float | None = field(default=None, metadata={"help": "highest learning rate"})
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

    def __post_init__(self) -> None:
        shape_of(self.size)  # refuses what is no size
        for name, value in PLANS.get(self.size, PLANS["nano"]).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.steps < 1 or self.validations < 1:
            raise ValueError(
                f"steps and validations must be at least 1, got {self.steps}, {self.validations}"
            )
        if not 0 <= self.last <= 1:
            raise ValueError(f"last must be from 0 to 1, got {self.last!r}")
        Infilling(self.rate, self.mean_span)  # these two refuse what is out of range
        PretrainingLoss(self.weights)

    @property
    def names(self) -> list[str]:
        """Of the data sets: ``bazaar+ml-1m`` are two; a folder's name may hold a + too."""
        return [self.data] if Path(self.data).exists() else self.data.split("+")

    def objectives(self, tokenizer: Tokenizer) -> dict[str, Objective]:
        """Those whose weight is above 0."""
        known: dict[str, Objective] = {
            "infilling": Infilling(self.rate, self.mean_span),
            "sentence": SentenceGeneration(tokenizer, self.last),
        }
        return {name: one for name, one in known.items() if self.weights[name] > 0}

    @property
    def weights(self) -> dict[str, float]:
        """Of the objectives, by name."""
        return {"infilling": self.infilling, "sentence": self.sentence}
