"""A planned pretraining run: its shape, and formulas for its parameters and operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.settings import PLANS

#: Bytes of a number in the blocks, by precision; weights always have 4.
WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Mix:
    """The composition of batches, as shares; the defaults are the bazaar's at 512 tokens.

    Attributes:
        filled: share of positions that are no padding.
        seen: mean number of tokens that a token attends to, as a share of the sequence length.
        predicted: share of tokens that are predicted.
    """

    filled: float = 0.97
    seen: float = 0.59
    predicted: float = 0.23

    def __post_init__(self) -> None:
        for name in ("filled", "seen", "predicted"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")

    @classmethod
    def of(cls, batches: PretrainingBatches, n: int = 8) -> Self:
        """Return the mix of about ``n`` batches, evenly spaced in an epoch."""
        plan = batches.epoch(0, 0)
        sample = [plan[i] for i in range(0, len(plan), max(1, len(plan) // n))]
        cells = sum(batch["ids"].numel() for batch in sample)
        tokens = sum(batch["tokens"] for batch in sample)
        targets = sum(len(at) for batch in sample for at, _ in batch["targets"].values())
        pairs = sum(batch["pairs"] for batch in sample)
        return cls(tokens / cells, pairs / tokens / batches.seq_len, targets / tokens)


#: The bazaar's mix by sequence length, as measured by ``Mix.of``: short sequences have more
#: padding, and a larger share of their tokens is predicted.
MIXES: dict[int, Mix] = {
    128: Mix(filled=0.84, seen=0.56, predicted=0.31),
    256: Mix(filled=0.92, seen=0.59, predicted=0.25),
    512: Mix(filled=0.97, seen=0.60, predicted=0.23),
    1024: Mix(filled=0.99, seen=0.57, predicted=0.22),
}


@dataclass(frozen=True)
class Plan:
    """A run, described by what its cost depends on.

    Attributes:
        config: of the model.
        lines: sequences of a batch.
        time: tokens of a sequence; None is the model's ``max_position_embeddings``.
        steps: of the optimizer.
        accumulate: batches of a step, on each device.
        processes: number of devices.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        recompute: whether activations of blocks are recomputed in the backward pass.
        chunk: number of tokens whose logits are in memory at a time; None for a whole batch.
        mix: composition of the batches.

    Raises:
        ValueError: on a number below 1 or an unknown precision.
    """

    config: M6RecConfig
    lines: int
    time: int = None  # type: ignore[assignment]  # __post_init__ replaces None
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
    def of_size(cls, size: str, *, vocab_size: int = 4096, **changes: Any) -> Self:
        """Return a plan for a size, with the sequences and steps of its default run.

        Raises:
            ValueError: on an unknown size.
        """
        config = M6RecConfig(vocab_size=vocab_size, **shape_of(size))
        plan = PLANS.get(size, PLANS["nano"])
        defaults = {name: plan[name] for name in ("lines", "steps")}
        return cls(config, **defaults | {k: v for k, v in changes.items() if v is not None})

    @property
    def tokens_a_step(self) -> float:
        """Number of tokens of a step that are no padding, on all devices."""
        return self.lines * self.time * self.mix.filled * self.accumulate * self.processes


def count_parameters(config: M6RecConfig) -> dict[str, int]:
    """Return the number of parameters, by part.

    A block has ``4 d^2 + 2 d f`` parameters in its linear maps, ``4 d + f + d`` in their biases and
    ``4 d`` in its two norms; the embedding, shared with the head, has ``V d``, and the last norm
    ``2 d``.
    """
    d, f = config.hidden_size, config.intermediate_size or 4 * config.hidden_size
    counts = {
        "matrices of the blocks": config.num_hidden_layers * (4 * d * d + 2 * d * f),
        "biases and norms": config.num_hidden_layers * (9 * d + f) + 2 * d,
        "embedding, shared with the head": config.vocab_size * d,
    }
    if config.positions == "learned":
        counts["positions"] = config.max_position_embeddings * d
    return counts


def flops_a_token(plan: Plan) -> dict[str, float]:
    """Return the floating-point operations of a token, forward and backward, by part.

    ``6 N`` for the ``N`` weights of the blocks' matrices, ``12 L d s`` for the ``s`` tokens that a
    token attends to, and ``6 d V`` times the share of predicted tokens. Times the number of tokens,
    the sum is ``objective.batch_flops``, from which ``training.Metrics`` computes ``mfu``. Source:
    Chowdhery et al., *PaLM*, 2022, appendix B, where ``s`` is the length of the sequence.
    """
    config = plan.config
    d, layers = config.hidden_size, config.num_hidden_layers
    return {
        "matrices": 6.0 * count_parameters(config)["matrices of the blocks"],
        "attention": 12.0 * layers * d * plan.mix.seen * plan.time,
        "head": 6.0 * d * config.vocab_size * plan.mix.predicted,
    }


def flops_a_step(plan: Plan) -> float:
    """Return the operations of a step on all devices, without recomputation."""
    return sum(flops_a_token(plan).values()) * plan.tokens_a_step
