"""Continued pretraining on one domain: it learns there, and the table says what others lose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m6rec_lite.data import DataError
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel, continue_pretraining, domain_texts
from tests.worlds import small, small_split


def test_a_domain_is_learned_and_the_others_are_measured(tmp_path: Path) -> None:
    text = BehaviourText(small())
    tokenizer = Tokenizer.train([text.item(i) for i in small().items["item_id"]], 600)
    texts = domain_texts(small(), small_split(), tokenizer, tmp_path, share=0.3, lines=4)
    assert set(texts) == set(small().items["domain"].astype(str))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = M6RecModel(M6RecConfig.of_size("nano", tokenizer, **sizes))
    domain = sorted(texts)[0]
    table = continue_pretraining(model, texts, domain, steps=15, lr=3e-3, limit=2, progress=False)
    assert list(table) == ["domain", "objective", "before", "after", "change", "trained"]
    assert len(table) == 2 * len(texts)
    assert set(table.loc[table["trained"], "domain"]) == {domain}
    assert (table["change"] == table["after"] - table["before"]).all()
    learned = table.groupby("trained")["change"].mean()
    assert learned[True] < learned[False]  # a new model learns something of all of them
    with pytest.raises(KeyError, match="music of the spheres"):
        continue_pretraining(model, texts, "music of the spheres", steps=1)


def test_items_without_domains_are_refused(tmp_path: Path) -> None:
    plain = replace(small(), items=small().items.drop(columns="domain"))
    tokenizer = Tokenizer.train(["some words"], 300)
    with pytest.raises(DataError, match="no domains"):
        domain_texts(plain, small_split(), tokenizer, tmp_path)
