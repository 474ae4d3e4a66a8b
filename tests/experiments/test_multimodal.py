"""The experiment ``multimodal``: its cells, its keys, and a tiny run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import pytest

from experiments import multimodal
from experiments.claim_rules import read_claim
from experiments.records import Records
from tests import worlds

ROOT = Path(__file__).resolve().parents[2]


def all_keys() -> list:
    return [
        key
        for part, cells in multimodal.PARTS.items()
        for cell in cells
        for key in multimodal.keys_of(part, cell, 0).values()
    ]


def test_no_two_cells_have_one_key_and_every_rival_is_a_cell():
    ids = [key.id for key in all_keys()]
    assert len(set(ids)) == len(ids)
    variants = {key.variant for key in all_keys()}
    assert {rival for *_, rival in multimodal.pairs()} <= variants


@pytest.mark.parametrize(
    "name",
    [
        "pictures_rank_unseen_items",
        "modality_dropout_helps_without_pictures",
        "context_raises_ndcg",
    ],
)
def test_the_registered_claims_name_runs_of_this_experiment(name):
    claim = read_claim(ROOT / "claims" / f"{name}.toml")
    variants = {key.variant for key in all_keys() if key.dataset in claim.datasets}
    for condition in claim.conditions:
        for run in (condition.ours, condition.rival):
            assert run.experiment == multimodal.EXPERIMENT
            assert run.variant in variants


def options_of(words: list[str], root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    multimodal.add_arguments(parser)
    options = parser.parse_args(words)
    options.root, options.quiet, options.again, options.command = root, True, False, "test"
    return options


@pytest.mark.slow
def test_a_tiny_run_records_every_cell_once(tmp_path, monkeypatch, capsys):
    world = worlds.small()  # before ``generate`` is replaced
    monkeypatch.setattr(multimodal, "load_dataset", lambda name: world)
    monkeypatch.setattr(multimodal.bazaar, "generate", lambda **given: world)
    small = ["--set", "epochs=1", "hidden_size=16", "n_layers=1"]
    words = ["--seeds", "0", *small]
    multimodal.run(options_of([*words, "--only", "unseen", "context", "control"], tmp_path))
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "results" / "multimodal" / "bazaar.csv")
    assert len(table) == 10 + 7 + 2
    assert set(table["part"]) == {"unseen", "context", "control"}
    compared = table[table["rival"].notna()]
    assert (compared["low"] <= compared["difference"]).all()
    assert (compared["difference"] <= compared["high"]).all()
    without = table[table["rival"].isna()]
    assert set(without["variant"]) == {"terse", "none"}
    records = Records(tmp_path / "results").frame()
    assert (records["ranks"] == "kept").all()
    assert printed.count("seed 0") == 19
    multimodal.run(options_of([*words, "--only", "context"], tmp_path))
    assert capsys.readouterr().out == ""  # what is recorded is skipped


def test_the_pretrained_encoder_is_compared_with_the_trained_one_and_with_no_picture():
    rivals = {rival for part, *_, rival in multimodal.pairs() if part == "pretrained"}
    assert rivals == {"unseen: terse, picture", "unseen: terse"}
