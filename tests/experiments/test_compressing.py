"""The experiment ``compressing``: its variants, its cache count and its page."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import pytest

from experiments import compressing
from experiments.pages import compressing as page
from m6rec_lite.ctr.impressions import split_by_time
from tests.contracts import clicks
from tests.m6rec.compress.small import rows


def test_every_variant_has_a_network_or_a_source_that_is_run_before_it():
    names = list(compressing.VARIANTS)
    for i, (name, variant) in enumerate(compressing.VARIANTS.items()):
        assert bool(variant.size) != bool(variant.source), name
        for earlier in filter(None, (variant.source, variant.teacher)):
            assert earlier in names[:i]
    assert set(compressing.REGISTERED) <= set(names)


def test_the_share_found_counts_segments_of_earlier_rows():
    examples = rows(1)
    twice = examples[[0, 0]]
    alone, both = (compressing.share_found(part) for part in (examples, twice))
    n = both * 2 - 1  # of the second row everything is found, [SEP] pieces may repeat within one
    assert n == pytest.approx(alone, abs=1e-12)
    assert compressing.share_found(twice, capacity=1) < both


def recorded(seed: int) -> pd.DataFrame:
    names = ["dense-10m", "late-1", "10m-dynamic-8bit"]
    return pd.DataFrame(
        {
            "dataset": "bazaar", "variant": names, "seed": seed, "parameters": [1e7, 2e6, 1e7],
            "nonzero": [1e7, 2e6, 1e7], "bytes": [4e7, 8e6, np.nan], "auc": [0.75, 0.74, 0.75],
            "layers": 6.0, "auc - dense-10m": [np.nan, -0.01, 0.0],
            "auc - dense-10m, low": [np.nan, -0.02, -0.001 * seed],
            "auc - dense-10m, high": [np.nan, 0.001, 0.001], "p50_ms": [20.0, 2.0, 15.0],
            "p95_ms": [25.0, 3.0, 18.0], "cold_p50_ms": [np.nan, 9.0, np.nan],
            "cold_p95_ms": [np.nan, 11.0, np.nan], "found": [np.nan, 0.8, np.nan],
            "energy_mj": [9.0, 2.0, 9.0], "peak_mib": [300.0, 280.0, np.nan], "fit_seconds": 60.0,
        }
    )  # fmt: skip


def test_the_page_has_a_row_a_variant_and_a_figure(tmp_path):
    assert page.write_page(tmp_path) is None
    (tmp_path / "compressing").mkdir()
    pd.concat([recorded(0), recorded(1)]).to_csv(tmp_path / "compressing" / "bazaar.csv")
    text = page.write_page(tmp_path).read_text()
    assert (tmp_path / "compressing-bazaar.png").stat().st_size > 1000
    assert text.count("| 2 |") == 3  # seeds
    assert "-0.0100 (-0.0200 to +0.0010)" in text
    assert "2.00 (9.00)" in text


@pytest.mark.slow
def test_a_tiny_run_records_every_kind_of_variant(tmp_path, monkeypatch):
    monkeypatch.setattr(compressing, "REQUESTS", 3)
    monkeypatch.setattr(compressing, "serve_limited", lambda *given: ([], 100.0))
    small = {
        name: compressing.Variant(**(vars(variant) | {"size": variant.size and "6x32"}))
        for name, variant in compressing.VARIANTS.items()
    }
    small["shared"] = compressing.Variant("2x32", change=compressing.share_layers)
    monkeypatch.setattr(compressing, "VARIANTS", small)
    parser = argparse.ArgumentParser()
    compressing.add_arguments(parser)
    options = parser.parse_args(["--clicks", "20", "--negatives", "2", "--events", "0"])
    options.root, options.quiet, options.again, options.command = tmp_path, True, False, "test"
    run = compressing.Compressing(clicks.world(), options)
    assert len(run.truth) == pytest.approx(3 * run.truth.sum(), abs=1)
    assert set(run.test["timestamp"]) <= set(split_by_time(clicks.world().impressions)[2].timestamp)
    for name in ("dense-10m", "pruned-2m", "late-1", "exit-printed", "shared", "10m-4bit"):
        run.run(name)
    table = pd.read_csv(run.table).set_index("variant")
    assert {"dense-10m", "late-1", "exit-printed", "exit-printed 0.9"} <= set(table.index)
    assert table.loc["pruned-2m", "nonzero"] < 0.4 * table.loc["dense-10m", "nonzero"]
    assert table.loc["10m-4bit", "bytes"] < table.loc["dense-10m", "bytes"]
    assert (table["p50_ms"] > 0).all()
    assert table.loc["late-1", "cold_p50_ms"] > 0
