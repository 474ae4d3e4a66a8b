"""Ours beside the published networks: like with like, and no figure that nobody measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.course.published import MOMENT, NEURAL, TIME_AWARE, beside


def row(model: str, ndcg: float, *, variant: str = "", seed: int = 0) -> dict[str, object]:
    return {
        "model": model,
        "variant": variant,
        "seed": seed,
        "hr@10": 2 * ndcg,
        "ndcg@10": ndcg,
        "ndcg@10_low": ndcg - 0.01,
        "ndcg@10_high": ndcg + 0.01,
        "fit_seconds": 60.0 * (seed + 1),
    }


def board() -> pd.DataFrame:
    rows = [row("SASRec", 0.19, variant="wide"), row("SASRec", 0.18, variant="deep")]
    rows += [row("M6RecRetriever", 0.19 + 0.01 * seed, seed=seed) for seed in range(3)]
    rows += [row("M6RecRetriever", 0.22, variant="now=True epochs=3")]
    rows += [row("M6RecRetriever", 0.15, variant="reads=text")]
    rows += [row("Popularity", 0.03, variant="half_life_days=30 relative_to=at")]
    rows += [row("ItemKNN", 0.5)]
    return pd.DataFrame(rows)


def test_settings_run_last_count_and_seeds_are_averaged() -> None:
    ours = beside(board(), "ml-1m").query("source == 'ours'").set_index(["model", "knows"])
    assert ours.loc[("SASRec", ""), "NDCG@10"] == 0.18  # run last, and not the best on test
    one = ours.loc[("M6-Rec, text and ids", "")]
    assert one["seeds"] == 3
    np.testing.assert_allclose(one[["NDCG@10", "low", "high"]].astype(float), [0.2, 0.18, 0.22])
    assert one["minutes"] == 2
    assert ours.loc[("M6-Rec, text", ""), "NDCG@10"] == 0.15
    assert ours.loc[("M6-Rec, text and ids", MOMENT), "NDCG@10"] == 0.22
    assert ("ItemKNN", "") not in ours.index


def test_who_knows_the_moment_is_marked() -> None:
    table = beside(board(), "ml-1m")
    assert set(table.loc[table["model"] == "Popularity", "knows"]) >= {MOMENT}
    published = table[~table["source"].isin(["ours", "not run here"])]
    assert len(published) == len(NEURAL["ml-1m"]) + len(TIME_AWARE["ml-1m"])
    assert (published["knows"] == MOMENT).sum() == len(TIME_AWARE["ml-1m"])


def test_what_was_not_run_has_no_figure() -> None:
    table = beside(board(), "ml-1m")
    missing = table[table["source"] == "not run here"]
    assert set(missing["model"]) == {"BERT4Rec", "GRU4Rec", "Bigram", "EASE", "Popularity"}
    assert missing[["HR@10", "NDCG@10", "seeds"]].isna().all(axis=None)
    assert table["NDCG@10"].dropna().is_monotonic_increasing
    nothing = beside(board().iloc[:0], "ml-1m")
    assert (nothing["source"] == "not run here").sum() == 9
