"""Pretraining with the library of a world, and in 16 bits where the processor multiplies so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from m6rec_lite.data import DataError, Dataset, library
from m6rec_lite.data.bazaar import generate
from m6rec_lite.m6rec import Pretraining, pretrain, tokens
from m6rec_lite.m6rec.pretraining import native_precision

SETTINGS: dict[str, Any] = {"size": "1x32", "steps": 2, "lines": 4, "vocab_size": 500}


@pytest.fixture(scope="module")
def world() -> Dataset:
    return generate(users=50, items=60, seed=3, slates=0, progress=False)


def texts_of(world: Dataset, folder: Path, **changes: Any) -> list[str]:
    """The training documents as text."""
    settings = Pretraining(**SETTINGS | changes)
    tokenizer, train, _ = tokens(settings, folder, lambda: [world], False)
    return [tokenizer.decode(document.tolist()) for document in train]


def test_the_library_is_among_the_texts_only_if_asked_for(world: Dataset, tmp_path: Path) -> None:
    stated = [text for text in library(world.oracle.world) if not text.held_out]
    without = texts_of(world, tmp_path / "none")
    once = texts_of(world, tmp_path / "once", library="stated")
    twice = texts_of(world, tmp_path / "twice", library="stated", library_copies=2)
    assert len(once) - len(without) == len(stated)
    assert len(twice) - len(without) == 2 * len(stated)
    said = "\n".join(once)
    assert all(text.text in said for text in stated[:: len(stated) // 20])
    assert stated[0].text not in "\n".join(without)


def test_the_shuffled_library_states_other_rules(world: Dataset, tmp_path: Path) -> None:
    said = "\n".join(texts_of(world, tmp_path, library="shuffled"))
    true, wrong = (
        [text.text for text in library(world.oracle.world, shuffled=shuffled) if not text.held_out]
        for shuffled in (False, True)
    )
    assert all(text in said for text in wrong[::20])
    assert sum(text in said for text in true) < 0.5 * len(true)


def test_a_card_says_that_the_rules_were_stated(world: Dataset, tmp_path: Path) -> None:
    named = replace(world, name="bazaar-large")
    settings = Pretraining(**SETTINGS, library="shuffled", validations=1)
    pretrain(settings, tmp_path, dataset=named, device="cpu", ngrams=False, progress=False)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "ten times the bazaar's people" in card
    assert "with their objects exchanged, as a control" in card
    about = json.loads((tmp_path / "tokens" / "train" / "about.json").read_text())
    assert about["of"]["library"] == "shuffled, 1 times"


def test_what_has_no_library_is_refused(world: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no library: only the rules of a simulated world"):
        texts_of(replace(world, oracle=None), tmp_path, library="stated")
    with pytest.raises(ValueError, match="library must be one of none, stated, shuffled, got 'x'"):
        Pretraining(library="x")
    with pytest.raises(ValueError, match="library_copies must be at least 1, got 0"):
        Pretraining(library_copies=0)


@pytest.mark.parametrize(
    ("units", "precision"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": False, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": False, "avx512_bf16": False, "avx2": True}, "auto"),
        ({"architecture": "aarch64"}, "auto"),
    ],
)
def test_the_native_precision_is_that_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, units: dict[str, bool | str], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert native_precision("cpu") == precision
    assert native_precision("cuda") == "auto"  # a GPU's own best
