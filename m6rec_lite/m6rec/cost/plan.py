"""A run of pretraining on paper: its shape, its weights and its arithmetic, by formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.settings import PLANS

#: Bytes of a number that the blocks compute with, by precision; weights always have 4.
WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Mix:
    """What stands in the lines of a batch, as shares; the defaults are the bazaar's at 512 tokens.

    Attributes:
        filled: tokens a cell; the rest is padding.
        seen: tokens that a token sees on average, as a share of the line.
        foretold: tokens that are to be foretold, as a share of all.
    """

    filled: float = 0.97
    seen: float = 0.59
    foretold: float = 0.23

    def __post_init__(self) -> None:
        for name in ("filled", "seen", "foretold"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")

    @classmethod
    def of(cls, batches: PretrainingBatches, n: int = 8) -> Self:
        """The mix of some batches from all over an epoch."""
        plan = batches.epoch(0, 0)
        some = [plan[i] for i in range(0, len(plan), max(1, len(plan) // n))]
        cells = sum(batch["ids"].numel() for batch in some)
        tokens = sum(batch["tokens"] for batch in some)
        asked = sum(len(at) for batch in some for at, _ in batch["targets"].values())
        pairs = sum(batch["pairs"] for batch in some)
        return cls(tokens / cells, pairs / tokens / batches.seq_len, asked / tokens)


#: The bazaar's mix by tokens a line, as `Mix.of` measures it: short lines hold more padding, and a
#: larger share of their tokens is foretold.
MIXES: dict[int, Mix] = {
    128: Mix(filled=0.84, seen=0.56, foretold=0.31),
    256: Mix(filled=0.92, seen=0.59, foretold=0.25),
    512: Mix(filled=0.97, seen=0.60, foretold=0.23),
    1024: Mix(filled=0.99, seen=0.57, foretold=0.22),
}


@dataclass(frozen=True)
class Plan:
    """A run, as far as its cost goes.

    Attributes:
        config: the model's shape.
        lines: of a batch.
        time: tokens a line; None is what the model reads at most.
        steps: of the optimizer.
        accumulate: batches a step.
        processes: devices that share a step out.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        recompute: whether blocks keep nothing for the way back.
        chunk: tokens whose scores are held at a time; None holds those of a batch.
        mix: what stands in the lines.

    Raises:
        ValueError: on a number below 1 or an unknown precision.
    """

    config: M6RecConfig
    lines: int
    time: int | None = None
    steps: int = 1
    accumulate: int = 1
    processes: int = 1
    precision: str = "fp32"
    recompute: bool = False
    chunk: int | None = None
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        if self.time is None:
            object.__setattr__(self, "time", self.config.max_position_embeddings)
        for name in ("lines", "time", "steps", "accumulate", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.precision not in WIDTHS:
            raise ValueError(f"precision must be one of {list(WIDTHS)}, got {self.precision!r}")

    @classmethod
    def of_size(cls, size: str, *, vocab_size: int = 4096, **changes: object) -> Self:
        """A plan for a named size, with the lines and steps of its default run.

        Raises:
            ValueError: if there is no such size.
        """
        config = M6RecConfig(vocab_size=vocab_size, **shape_of(size))
        plan = PLANS.get(size, PLANS["nano"])
        usual = {name: plan[name] for name in ("lines", "steps")}
        return cls(config, **usual | {k: v for k, v in changes.items() if v is not None})

    @property
    def tokens_a_step(self) -> float:
        """Real tokens, of all devices."""
        return self.lines * self.time * self.mix.filled * self.accumulate * self.processes


def count_parameters(config: M6RecConfig) -> dict[str, int]:
    """How many weights, by part.

    A block has ``4 d^2 + 2 d f`` weights in its four linear maps, ``4 d + f + d`` in their biases
    and ``4 d`` in its two norms; the embedding ``V d``, which the head shares; and the last norm
    ``2 d``.
    """
    d, f = config.hidden_size, config.intermediate_size or 4 * config.hidden_size
    found = {
        "matrices of the blocks": config.num_hidden_layers * (4 * d * d + 2 * d * f),
        "biases and norms": config.num_hidden_layers * (9 * d + f) + 2 * d,
        "embedding, shared with the head": config.vocab_size * d,
    }
    if config.positions == "learned":
        found["positions"] = config.max_position_embeddings * d
    return found


def flops_a_token(plan: Plan) -> dict[str, float]:
    """Operations that the model's formulas ask for a token, forward and backward, by part.

    ``6 N`` for the ``N`` weights of the blocks' matrices, ``12 L d`` for each token that is seen
    (``s`` of them) and ``6 d V`` for the share of tokens that is foretold. The sum times the tokens
    is what ``objective.batch_flops`` counts for a batch and ``training.Metrics`` calls ``mfu`` by.
    Source: Chowdhery et al., *PaLM*, 2022, appendix B, where ``s`` is the whole line.
    """
    config = plan.config
    d, layers = config.hidden_size, config.num_hidden_layers
    return {
        "matrices": 6.0 * count_parameters(config)["matrices of the blocks"],
        "attention": 12.0 * layers * d * plan.mix.seen * plan.time,
        "head": 6.0 * d * config.vocab_size * plan.mix.foretold,
    }


def flops_a_step(plan: Plan) -> float:
    """Operations of a step, of all devices; what is computed anew does not count."""
    return sum(flops_a_token(plan).values()) * plan.tokens_a_step
