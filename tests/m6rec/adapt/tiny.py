"""A model, rows and a task, small enough that every method is trained in a test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.m6rec import (
    AdaLoRA,
    Adapters,
    Combined,
    Examples,
    FineTuning,
    LoRA,
    M6RecConfig,
    M6RecModel,
    OptionAdapter,
    OptionTuning,
    PrefixTuning,
    PromptTuning,
    Scoring,
)

VOCABULARY = 40
METHODS = {
    "full": FineTuning(),
    "top": FineTuning("top"),
    "head": FineTuning("head"),
    "bitfit": FineTuning("biases"),
    "adapters": Adapters(4),
    "lora": LoRA(2),
    "adalora": AdaLoRA(3, 2),
    "prefix": PrefixTuning(4),
    "prompt": PromptTuning(4),
    "options": OptionTuning(4),
    "option_adapter": OptionAdapter(4),
    "options_and_adapters": Combined([OptionTuning(4), OptionAdapter(4)]),
    "lora_and_option_adapter": Combined([OptionAdapter(4), LoRA(2)]),
}


def make(positions: str = "rotary", seed: int = 0, **options) -> M6RecModel:
    """A model whose every weight matters: biases too start away from 0."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = M6RecConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=32,
        positions=positions,
        initializer_range=0.3,
        **sizes | options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = M6RecModel(config)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.1)
    return model.double().eval()


def row(seed: int, known: int, written: int) -> Tensor:
    """``[BOS'] … [EOS'] [BOS] … [EOS]``."""
    text = torch.randint(11, VOCABULARY, (known + written,), generator=torch.manual_seed(seed))
    marks = [torch.tensor([i]) for i in (1, 2, 3, 4)]
    return torch.cat([marks[0], text[:known], marks[1], marks[2], text[known:], marks[3]])


def examples(n: int = 24, classes: int = 2) -> Examples:
    """Rows whose class is told by the first token of the written region."""
    rows = [row(i, 2 + i % 4, 2) for i in range(n)]
    known = [r[: 4 + i % 4].numpy() for i, r in enumerate(rows)]
    written = [r[4 + i % 4 :].numpy() for i, r in enumerate(rows)]
    target = np.arange(n) % classes
    for i, part in enumerate(written):
        part[1] = 20 + target[i]
    return Examples(known, written, target)


def scoring(classes: int = 2) -> Scoring:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Scoring(16, classes, feature_groups=(), events=0).double()
