"""The experiment of lesson 26 on a small world."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from experiments import learning_live
from experiments.records import Records
from m6rec_lite.data.bazaar import generate


def run(root: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one part on a world of few people."""

    def small(**options: object):
        return generate(**options | {"users": 500, "items": 120, "slates": 6.0})

    monkeypatch.setattr(learning_live, "generate", small)
    monkeypatch.setattr(learning_live, "PEOPLE", 80)
    parser = argparse.ArgumentParser()
    learning_live.add_arguments(parser)
    options = parser.parse_args(["--part", part, "--seeds", "1"])
    options.root, options.again, options.quiet, options.command = root, False, True, "command"
    learning_live.run(options)


def test_each_estimator_has_a_record_and_recorded_seeds_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "off-policy", monkeypatch)
    frame = Records(tmp_path / "results").frame()
    assert len(frame) == len(learning_live.WAYS) * len(learning_live.KINDS)
    assert set(frame["experiment"]) == {"learning_live"}
    run(tmp_path, "off-policy", monkeypatch)
    assert "off-policy, seed 1: recorded" in capsys.readouterr().out


def test_streams_end_with_both_domains_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dict(
        learning_live.streams(generate(users=300, items=120, seed=2, slates=0, text=False), 2)
    )
    assert set(rows) == {*learning_live.STRATEGIES, "bigram, retrained"}
    for metrics in rows.values():
        assert set(metrics) == {
            "stream", "last period", "old domains", "new domain", "old domains, own items",
        }  # fmt: skip
        assert np.isfinite([*metrics.values()]).all()
    assert rows["online"]["new domain"] > rows["frozen"]["new domain"]
