"""The same models under other numbers of threads and instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from experiments.faults.bench import Bench
from experiments.faults.saved_files import tokenizer, world
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.language import GPT, GPTConfig
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, IALS, GRU4Rec, Recommender, SASRec

#: Environments by name; the first is what the others are compared with.
SETTINGS: dict[str, dict[str, str]] = {
    "1 thread": {},
    "1 thread, again": {},
    "2 threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "kernels for AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "kernels without AVX": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "NumPy for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "NumPy for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
}


def write_numbers(path: str) -> None:
    """Fit small models, and write their scores and NDCG@10 to a file."""
    data = world(3)
    split = leave_one_out(data)
    models: dict[str, Recommender] = {
        "EASE": EASE(),
        "IALS": IALS(),
        "SASRec": SASRec(epochs=10),
        "GRU4Rec": GRU4Rec(epochs=3),
        "M6-Rec nano": M6RecRetriever(size="nano", epochs=3, vocab_size=600),
    }
    arrays: dict[str, Any] = {}
    for name, model in models.items():
        extra = {"items": data.items} if isinstance(model, M6RecRetriever) else {}
        model.fit(split.train, progress=False, **extra)
        arrays[name] = model.score(split.test.histories)
        arrays[f"{name} NDCG@10"] = evaluate(model, split, progress=False).metrics["ndcg@10"]
    arrays["GPT"] = _gpt_logits()
    np.savez(path, **arrays)


def _gpt_logits() -> np.ndarray:
    """Train a small GPT on titles for some steps, and return its logits of the first ones."""
    torch.manual_seed(0)
    words = tokenizer(3)
    config = GPTConfig(
        vocab_size=words.vocab_size, max_position_embeddings=32, hidden_size=64,
        num_hidden_layers=2, num_attention_heads=2,
    )  # fmt: skip
    model = GPT(config)
    text = np.concatenate(words.encode_batch(world(3).items["title"].tolist()))
    rows = torch.as_tensor(text[: len(text) // 33 * 33].reshape(-1, 33), dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        logits = model.logits(model(rows[:, :-1]))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return model.logits(model.eval()(rows[:16, :-1])).numpy()


def numbers(bench: Bench) -> Iterator[str]:
    """Compare scores and metrics under other threads and instruction sets."""
    found: dict[str, dict[str, np.ndarray]] = {}
    code = "import sys; from experiments.faults.numbers import write_numbers as w; w(sys.argv[1])"
    for name in bench.each([*SETTINGS][: bench.tries], "settings"):
        path = bench.fresh() / "numbers.npz"
        base = {
            "PYTHONPATH": str(project_root()),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env=os.environ | base | SETTINGS[name], check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            yield f"lost: {name}: {done.stderr.strip().splitlines()[-1][:80]}"
            continue
        with np.load(path) as file:
            found[name] = dict(file)
        first = found["1 thread"]
        bench.figures[name] = {
            key: float(np.abs(value - first[key]).max() / (1 if "@" in key else np.ptp(first[key])))
            for key, value in found[name].items()
        }
        yield "ran to the end"
