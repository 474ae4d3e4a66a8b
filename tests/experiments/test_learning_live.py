"""The experiment of lesson 26 on a small world."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import learning_live
from experiments.records import Records
from m6rec_lite.data.bazaar import generate


def run(root: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one part on a world of few people."""

    def small(**options: object):
        return generate(**options | {"users": 500, "items": 120, "slates": 6.0})

    monkeypatch.setattr(learning_live, "generate", small)
    for name, value in {"PEOPLE": 80, "DAYS": 3, "WEEK": 2, "SHOPPERS": 40, "ROUNDS": 6}.items():
        monkeypatch.setattr(learning_live, name, value)
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
    world = generate(users=300, items=120, seed=2, slates=0, text=False)
    ways = learning_live.ways_to_learn()
    rows = {name: metrics for name, metrics, _ in learning_live.streams(world, 2, ways)}
    assert set(rows) == {*ways} >= {*learning_live.STRATEGIES, learning_live.BIGRAM}
    for metrics in rows.values():
        assert set(metrics) == {
            "stream", "last period", "old domains", "new domain", "old domains, own items",
        }  # fmt: skip
        assert np.isfinite([*metrics.values()]).all()
    assert rows["online"]["new domain"] > rows["frozen"]["new domain"]


def test_days_have_a_curve_and_a_new_way_is_recorded_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning_live, "ways_to_learn", lambda: ["frozen", learning_live.BIGRAM])
    run(tmp_path, "days", monkeypatch)
    assert "river is not installed (extra stream)" in capsys.readouterr().out
    monkeypatch.setattr(learning_live, "ways_to_learn", lambda: ["frozen", "online"])
    run(tmp_path, "days", monkeypatch)
    assert "frozen" not in capsys.readouterr().out, "what is recorded is not measured again"
    folder = tmp_path / "results" / "learning_live"
    days, means = pd.read_csv(folder / "days.csv"), pd.read_csv(folder / "bazaar.csv")
    assert set(days["model"]) == {"bigram, retrained", "frozen", "online"}
    assert all(list(group) == [0, 1, 2] for _, group in days.groupby("model")["day"])
    by_model = days.set_index(["model", "day"])
    mean = by_model["ndcg@10"].groupby("model").mean()
    np.testing.assert_allclose(means.set_index("model")["days"], mean, atol=1e-5)
    gaps = by_model["ndcg@10"]["online"] - by_model["ndcg@10"]["frozen"]
    online = by_model.loc["online"]
    assert np.isnan(online["less frozen"][0]), "the first week is not over"
    np.testing.assert_allclose(online["less frozen"][2], gaps[1:].mean(), atol=2e-5)
    half = 1.96 * gaps[1:].std() / np.sqrt(2)
    np.testing.assert_allclose(online["high"][2] - online["low"][2], 2 * half, atol=5e-5)


def test_rounds_have_means_and_only_the_models_that_explore_pay_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "rounds", monkeypatch)
    table = pd.read_csv(tmp_path / "results" / "learning_live" / "bazaar.csv", index_col="model")
    assert set(table.index) == {*learning_live.KINDS_OF_ROUNDS}
    cost = table["clicks of the model"] - table["clicks"]
    assert cost["control"] == cost["learns"] == 0
    assert cost["explores .2"] > 0
    assert table[["tail, last five", "gini, last five"]].notna().all(axis=None)


@pytest.mark.extra
def test_the_baseline_of_river_names_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    river = pytest.importorskip("river")
    monkeypatch.setattr(learning_live, "ways_to_learn", lambda: [learning_live.RIVER])
    run(tmp_path, "streams", monkeypatch)
    [(_, config, report)] = Records(tmp_path / "results").finished("learning_live")
    assert config["river"] == river.__version__
    assert report["metrics"]["stream"] > 0
