"""The settings of a pretraining run, which are the options of its command, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.infilling import Infilling, Objective, SentenceGeneration
from m6rec_lite.m6rec.objective import PretrainingLoss
from m6rec_lite.m6rec.token_file import TokenFile

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
        Infilling(self.rate, self.mean_span)  # these two refuse values out of range
        PretrainingLoss(self.weights)

    @property
    def names(self) -> list[str]:
        """Names of the data sets, split at +; the name of an existing folder may hold a +."""
        return [self.data] if Path(self.data).exists() else self.data.split("+")

    def objectives(self, tokenizer: Tokenizer) -> dict[str, Objective]:
        """Return the objectives whose weight is above 0."""
        objectives: dict[str, Objective] = {
            "infilling": Infilling(self.rate, self.mean_span),
            "sentence": SentenceGeneration(tokenizer, self.last),
        }
        return {name: value for name, value in objectives.items() if self.weights[name] > 0}

    def batches(self, file: TokenFile, tokenizer: Tokenizer) -> PretrainingBatches:
        """Return batches of the documents of a file, for all objectives."""
        length = shape_of(self.size)["max_position_embeddings"]
        objectives = self.objectives(tokenizer)
        return PretrainingBatches(
            file, objectives, tokenizer, batch_size=self.lines, seq_len=length
        )

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the objectives, by name."""
        return {"infilling": self.infilling, "sentence": self.sentence}
