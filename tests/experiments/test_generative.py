"""The experiment ``generative``: its keys, its claims, and a tiny run."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import generative
from experiments.claim_rules import read_claim
from experiments.records import Records, RunKey
from tests import worlds

ROOT = Path(__file__).resolve().parents[2]


def all_keys() -> list[RunKey]:
    return [
        key
        for part, cells in generative.PARTS.items()
        for cell in cells
        for key in cell.keys(part, "bazaar", 0).values()
    ]


def test_no_two_evaluations_have_one_key() -> None:
    ids = [key.id for key in all_keys()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "name", ["two_towers_rank_unseen_items", "query_time_helps_hstu", "beam_of_20_is_enough"]
)
def test_the_registered_claims_name_runs_of_this_experiment(name: str) -> None:
    known = {(key.model, key.variant) for key in all_keys()}
    for condition in read_claim(ROOT / "claims" / f"{name}.toml").conditions:
        for run in (condition.ours, condition.rival):
            assert run.experiment == generative.EXPERIMENT
            assert (run.model, run.variant) in known


def options_of(words: list[str], root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    generative.add_arguments(parser)
    options = parser.parse_args(words)
    options.root, options.quiet, options.again, options.command = root, True, False, "test"
    return options


@pytest.mark.slow
def test_a_tiny_run_records_every_evaluation_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = worlds.small()
    monkeypatch.setattr(generative, "load_dataset", lambda name: world)
    small = ["--set", "epochs=1", "max_length=10"]
    words = ["--seeds", "0", "--people", "60", "--part", "known", "unseen", "time", *small]
    generative.run(options_of(words, tmp_path))
    table = pd.read_csv(tmp_path / "results" / "generative" / "bazaar-60-people.csv")
    records = Records(tmp_path / "results").frame()
    assert len(table) == len(records) == 7 + 4 + 4
    assert (records["ranks"] == "kept").all()
    assert np.isfinite(records["ndcg@10"]).all()
    assert capsys.readouterr().out.count("seed 0") == 15
    generative.run(options_of(words, tmp_path))
    assert "seed 0" not in capsys.readouterr().out
