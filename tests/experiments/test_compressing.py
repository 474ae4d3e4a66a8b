"""The experiment ``compressing``: its variants, its cache count and its page."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest

from experiments import compressing, request_costs
from experiments.claim_rules import verdict
from experiments.claims import judge_claims
from experiments.compressed_variants import Variant
from experiments.pages import compressing as page
from experiments.records import REPORT, Records, RunKey
from m6rec_lite.course.paths import project_root
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data.result_files import read_json
from m6rec_lite.m6rec import share_layers
from tests.contracts import clicks
from tests.m6rec.compress.small import rows


def test_every_variant_has_a_network_or_a_source_that_is_run_before_it():
    names = list(compressing.VARIANTS)
    for i, (name, variant) in enumerate(compressing.VARIANTS.items()):
        assert bool(variant.size) != bool(variant.source), name
        for earlier in filter(None, (variant.source, variant.teacher)):
            assert earlier in names[:i]
    assert set(compressing.REGISTERED) <= set(names)


def test_a_variant_is_described_by_names_that_json_can_store():
    described = compressing.VARIANTS["shared-factorized"].describe()
    assert described["change"] == "share_and_factorize"
    assert described["task"] == "Scoring"
    assert "0x" not in json.dumps(described)


def test_the_share_found_counts_segments_of_earlier_rows():
    examples = rows(1)
    twice = examples[[0, 0]]
    alone, both = (request_costs.share_found(part) for part in (examples, twice))
    n = both * 2 - 1  # of the second row everything is found, [SEP] pieces may repeat within one
    assert n == pytest.approx(alone, abs=1e-12)
    assert request_costs.share_found(twice, capacity=1) < both


def record(
    root: Path,
    name: str,
    seed: int,
    auc: float,
    ms: float,
    variant: str = "",
    dataset: str = "bazaar",
) -> None:
    """Write a record such as the experiment writes."""
    costs: dict[str, float] = {"parameters": 1e7, "nonzero": 1e7, "layers": 6.0, "energy_mj": 9.0}
    costs |= {"fit_cpu_seconds": 60.0, "p50_ms": ms, "p95_ms": 1.2 * ms}
    if "dynamic" not in name:
        costs |= {"bytes": 4e7, "peak_mib": 300.0}
    if "late" in name:
        costs |= {"cold_p50_ms": 4.5 * ms, "cold_p95_ms": 5 * ms, "found": 0.8}
    minus = {"dense-10m": {"mean": auc - 0.75, "low": auc - 0.76 - 0.001 * seed, "high": auc - 0.7}}
    report = {"metrics": {"auc": auc}, "intervals": {"auc": [auc - 0.01, auc + 0.01]}}
    report |= {"costs": costs, "minus": {} if name == "dense-10m" else minus}
    key = RunKey("compressing", dataset, name, variant, seed)
    records = Records(root / "results")
    records.start(key, command="test")
    records.finish(key, report)


def test_the_page_has_a_row_a_variant_and_a_figure(tmp_path):
    results = tmp_path / "results"
    assert page.write_page(results) is None
    for seed in (0, 1):
        record(tmp_path, "dense-10m", seed, 0.75, 20.0)
        record(tmp_path, "late-1", seed, 0.74, 2.0)
        record(tmp_path, "10m-dynamic-8bit", seed, 0.75, 15.0)
        record(tmp_path, "exit-printed", seed, 0.73, 9.0, "threshold=0.9")
        record(tmp_path, "late-1", seed, 0.5, 2.0, "clicks=20")  # other settings: not on the page
    text = page.write_page(results).read_text()
    assert (results / "compressing-bazaar.png").stat().st_size > 1000
    assert text.count("| 2 |") == 4  # seeds
    assert "-0.0100 (-0.0210 to +0.0400)" in text
    assert "2.00 (9.00)" in text
    assert "exit-printed 0.9" in text


def test_the_registered_claims_are_judged_from_the_records(tmp_path):
    shutil.copytree(project_root() / "claims", tmp_path / "claims")
    names = ("late_interaction_four_times", "pruned_keeps_97")

    def verdicts() -> list[str]:
        judged = [(claim.name, results) for claim, results in judge_claims(tmp_path)]
        return [verdict(results) for name, results in judged if name in names]

    assert verdicts() == ["not run", "not run"]
    for seed in range(3):
        for dataset in ("bazaar", "bazaar-wide"):
            at = {"dataset": dataset}
            record(tmp_path, "dense-10m", seed, 0.75 + 0.001 * seed, 20.0, **at)
            record(tmp_path, "pruned-2m", seed, 0.748 + 0.001 * seed, 20.0, **at)
            record(tmp_path, "dense-2m", seed, 0.745 + 0.001 * seed, 10.0, **at)
            record(tmp_path, "dense-600k", seed, 0.74 + 0.002 * seed, 4.0, **at)
        record(tmp_path, "late-1", seed, 0.735 + 0.0015 * seed, 2.0)
        record(tmp_path, "exit-printed", seed, 0.7, 9.0, "threshold=0.9")
    assert verdicts() == ["holds", "holds"]


def test_the_learning_rate_is_the_best_of_validation(tmp_path):
    records = Records(tmp_path / "results")
    for lr, figure in zip(compressing.RATES, (0.6, 0.7, 0.65), strict=True):
        with pytest.raises(FileNotFoundError, match="run --rates first"):
            compressing.best_rate(records, "8x320")
        key = compressing.rate_key("8x320", lr)
        records.start(key, command="test")
        records.finish(key, {"metrics": {"auc": figure}})
    assert compressing.best_rate(records, "8x320") == compressing.RATES[1]


@pytest.mark.slow
def test_rates_are_compared_on_validation_rows_and_kept(tmp_path, monkeypatch, capsys):
    small = {name: Variant(f"1x{32 * (i + 1)}") for i, name in enumerate(compressing.DENSE)}
    monkeypatch.setattr(compressing, "VARIANTS", small)
    monkeypatch.setattr(compressing, "load_dataset", lambda name: clicks.world())
    parser = argparse.ArgumentParser()
    compressing.add_arguments(parser)
    words = ["--clicks", "20", "--negatives", "2", "--events", "0", "--rates"]
    options = parser.parse_args(words)
    options.root, options.quiet, options.again, options.command = tmp_path, True, False, "test"
    compressing.run(options)
    assert capsys.readouterr().out.count("validation AUC") == 9
    records = Records(tmp_path / "results")
    found = [report for _, _, report in records.finished("compressing_rates")]
    assert {report["on"] for report in found} == {"validation"}
    assert len(found) == 9
    assert compressing.best_rate(records, "1x32") in compressing.RATES
    compressing.run(options)
    assert "validation AUC" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_tiny_run_records_every_kind_of_variant_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(request_costs, "REQUESTS", 3)
    monkeypatch.setattr(compressing, "serve_limited", lambda *given: ([], 100.0))
    small = {
        name: Variant(**(vars(variant) | {"size": variant.size and "6x32"}))
        for name, variant in compressing.VARIANTS.items()
    }
    small["shared"] = Variant("2x32", change=share_layers)
    monkeypatch.setattr(compressing, "VARIANTS", small)
    monkeypatch.setattr(compressing, "load_dataset", lambda name: clicks.world())
    parser = argparse.ArgumentParser()
    compressing.add_arguments(parser)
    names = ["dense-10m", "pruned-2m", "late-1", "exit-printed", "shared", "10m-4bit"]
    words = ["--clicks", "20", "--negatives", "2", "--events", "0", "--lr", "2e-3", "--seed", "3"]
    options = parser.parse_args([*words, "--variant", *names])
    options.root, options.quiet, options.again, options.command = tmp_path, True, False, "test"
    of_seed = compressing.Compressing(clicks.world(), options, 3)
    assert len(of_seed.truth) == pytest.approx(3 * of_seed.truth.sum(), abs=1)
    latest = split_by_time(clicks.world().impressions)[2].timestamp
    assert set(of_seed.test["timestamp"]) <= set(latest)
    compressing.run(options)
    records = Records(tmp_path / "results")

    def report(name: str, threshold: float | None = None) -> dict:
        return read_json(records.folder(of_seed.key(name, threshold)) / REPORT)

    costs = {name: report(name)["costs"] for name in names}
    assert {"minus", "metrics", "intervals"} <= set(report("exit-printed", 0.9))
    assert set(report("late-1")["minus"]) == {"dense-10m"}
    assert report("dense-10m")["minus"] == {}
    assert costs["pruned-2m"]["nonzero"] < 0.4 * costs["dense-10m"]["nonzero"]
    assert costs["10m-4bit"]["bytes"] < costs["dense-10m"]["bytes"]
    assert all(cost["p50_ms"] > 0 for cost in costs.values())
    assert costs["late-1"]["cold_p50_ms"] > 0
    assert of_seed.key("late-1").variant == "clicks=20 negatives=2 events=0 lr=0.002"
    # what was recorded is skipped, and a variant that was killed between its records is repeated
    (records.folder(of_seed.key("exit-printed")) / REPORT).unlink()
    capsys.readouterr()
    compressing.run(options)
    printed = capsys.readouterr().out
    assert printed.count("recorded before") == len(names) - 1
    assert records.is_recorded(of_seed.key("exit-printed"))
