"""Saving on a full disk: the message says where and what to do, and the old model stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Interactions
from m6rec_lite.data.files import DiskFullError, new_file
from m6rec_lite.language import GPT, GPTConfig, NGram, Tokenizer
from m6rec_lite.m6rec import Adapted, LoRA, M6RecConfig, M6RecModel, MultiTaskModel
from m6rec_lite.recommenders import ItemKNN, SASRec

TEXTS = [f"we sell {n} boots" for n in range(40)]
ROWS = pd.DataFrame(
    {"user_id": np.arange(40) // 4, "item_id": np.arange(40) % 7, "timestamp": np.arange(40)}
)
TOKENIZER = Tokenizer.train(TEXTS, 300)


def m6rec() -> M6RecModel:
    return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER))


def gpt() -> GPT:
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, max_position_embeddings=8, **shape))


def sasrec() -> SASRec:
    model = SASRec(hidden_size=8, max_length=4, epochs=1, device="cpu")
    return model.fit(Interactions.from_frame(ROWS), progress=False)


SAVES: dict[str, Callable[[Path], object]] = {
    "recommender": lambda path: ItemKNN().fit(Interactions.from_frame(ROWS)).save(path),
    "network recommender": lambda path: sasrec().save(path),
    "n-grams": lambda path: NGram(2).fit([text.split() for text in TEXTS]).save(path),
    "tokenizer": TOKENIZER.save,
    "GPT": lambda path: gpt().save_pretrained(path, TOKENIZER),
    "M6-Rec": lambda path: m6rec().save_pretrained(path),
    "M6-Rec with tasks": lambda path: MultiTaskModel(m6rec(), {}).save(path, TOKENIZER),
    "change of M6-Rec": lambda path: Adapted(m6rec(), LoRA()).save(path),
}


@pytest.mark.parametrize("kind", SAVES)
def test_a_full_disk_is_named_with_what_to_do(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "saved.npz" if kind == "n-grams" else tmp_path / "saved"
    SAVES[kind](path)
    files = [path] if path.is_file() else sorted(path.iterdir())
    before = {file.name: file.read_bytes() for file in files}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"saved.*could not be written.*free some room there"):
        SAVES[kind](path)
    files = [path] if path.is_file() else sorted(path.iterdir())
    assert [file.name for file in files] == list(before)
    assert {file.name: file.read_bytes() for file in files} == before


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_a_file_that_is_cut_short_is_a_full_disk(limit: int, tmp_path: Path) -> None:
    """numpy then raises an ``OSError`` of its own words, without a number."""
    import resource

    path, soft_and_hard = tmp_path / "rows.npy", resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_bytes(b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, soft_and_hard[1]))
    try:
        with pytest.raises(DiskFullError, match=r"rows\.npy could not be written.*free some room"):
            write_array(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_and_hard)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.npy"]


def write_array(path: Path) -> None:
    with new_file(path) as file:
        np.save(file, np.zeros(50_000))
