"""Small models and rows of tokens for the tests of compression."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec import Examples, M6RecConfig, M6RecModel, MultiTaskModel, Scoring

TOKENIZER = Tokenizer.train(["a red boot", "a blue boot", "jazz and bread"], 300)
BOS_USER, EOS_USER, BOS, EOS, SEP, USER, EVENT, ITEM = (
    SPECIALS.index(name)
    for name in ("[BOS']", "[EOS']", "[BOS]", "[EOS]", "[SEP]", "[USER]", "[EVENT]", "[ITEM]")
)


def a_model(n_layers: int = 3, hidden_size: int = 32, seed: int = 0, **changes) -> M6RecModel:
    torch.manual_seed(seed)
    shape = {"num_hidden_layers": n_layers, "hidden_size": hidden_size, "num_attention_heads": 2}
    return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **(shape | changes))).eval()


def rows(n: int = 12, seed: int = 0, n_events: int = 3) -> Examples:
    """Rows of a click model; the class is whether the last event and the item share a token."""
    rng = np.random.default_rng(seed)
    known, written, target = [], [], []

    def text(n_tokens: int) -> list[int]:
        return rng.integers(len(SPECIALS), 270, n_tokens).tolist()

    for _ in range(n):
        row, word = [BOS_USER, USER, *text(3)], int(rng.integers(20, 26))
        for event in range(int(rng.integers(1, n_events + 1)), 0, -1):
            row += [EVENT, *text(2), word if event == 1 else 19, SEP, *text(1)]
        clicked = bool(rng.random() < 0.5)
        item = word if clicked else 20 + (word - 19) % 6
        known.append(np.array([*row, EOS_USER], dtype=np.int32))
        written.append(np.array([BOS, ITEM, item, *text(2), SEP, *text(2), EOS], dtype=np.int32))
        target.append(clicked)
    return Examples(known, written, np.array(target, dtype=np.int64))


def scorer(model: M6RecModel, task: Scoring | None = None) -> MultiTaskModel:
    torch.manual_seed(1)
    return MultiTaskModel(model, {"scoring": task or Scoring(model.config.hidden_size)}).eval()
