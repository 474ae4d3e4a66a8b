"""The protocol: what is ranked, who counts, what a report holds."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.evaluation import (
    FixedScores,
    Questions,
    TargetRanks,
    accuracy,
    compare,
    evaluate,
    fit_and_evaluate,
    report_table,
)
from m6rec_lite.evaluation.questions import all_but_sample

N_USERS, N_ITEMS = 90, 40


def holdout(histories: list[list[int]], targets: list[list[int]], ids: np.ndarray) -> Holdout:
    lengths = [len(each) for each in targets]
    return Holdout(
        Histories.from_lists(histories, ids),
        np.searchsorted(ids, [item for each in targets for item in each]).astype(np.int32),
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
    )


def make_split(
    histories: list[list[int]], targets: list[list[int]], ids: np.ndarray, **changes
) -> Split:
    frame = pd.DataFrame(
        [(u, item, t) for u, row in enumerate(histories) for t, item in enumerate(row)],
        columns=["user_id", "item_id", "timestamp"],
    )
    train = Interactions.from_frame(frame, user_ids=np.arange(len(histories)), item_ids=ids)
    queries = holdout(histories, targets, ids)
    split = Split("leave-one-out", "toy", train, validation=queries, test=queries)
    return replace(split, **changes)


@pytest.fixture
def split() -> Split:
    rng = np.random.default_rng(0)
    ids = np.arange(N_ITEMS) * 3 + 100  # ids are not places
    chosen = [rng.permutation(ids)[: rng.integers(3, 9)] for _ in range(N_USERS)]
    return make_split([row[:-1].tolist() for row in chosen], [[row[-1]] for row in chosen], ids)


def fixed(split: Split, matrix: np.ndarray, name: str = "Fixed") -> FixedScores:
    return FixedScores(split.item_ids, split.test.histories.user_ids, matrix, name)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 12, size=(N_USERS, N_ITEMS)).astype(float)


def test_it_ranks_every_unseen_item_and_nothing_else(split, scores):
    report = evaluate(fixed(split, scores), split, k=(1, 5))
    history = split.test.histories
    for row in range(N_USERS):
        seen = history.items[history.offsets[row] : history.offsets[row + 1]]
        unseen = np.setdiff1d(np.arange(N_ITEMS), seen)
        target = np.searchsorted(unseen, split.test.targets[row])
        ranks = TargetRanks.from_scores(scores[row, unseen][None], np.zeros(1, int), [target])
        for name, values in accuracy(ranks, (1, 5)).items():
            assert report.per_user[name][row] == pytest.approx(values[0]), name
    assert report["hr@5"] == pytest.approx(report.per_user["hr@5"].mean())
    assert report.n_users == N_USERS


def test_seen_items_may_be_ranked_on_demand(split, scores):
    history = split.test.histories
    scores[history.rows, history.items] = 99.0
    report = evaluate(fixed(split, scores), split, k=5, filter_viewed=False, bootstrap=0)
    lengths = np.minimum(history.lengths, 5)
    np.testing.assert_allclose(report.per_user["unknown@5"], 1 - lengths / 5)
    assert evaluate(fixed(split, scores), split, k=5, bootstrap=0)["unknown@5"] == 1.0


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_do_not_matter(split, scores, size):
    items = np.random.default_rng(2).integers(0, 2, size=(N_ITEMS, 6))
    whole = evaluate(fixed(split, scores), split, items=items)
    parts = evaluate(fixed(split, scores), split, items=items, batch_size=size)
    assert parts.metrics.keys() == whole.metrics.keys()
    for name in whole.metrics.keys() - {"overlap@5", "overlap@10", "overlap@20"}:
        assert parts[name] == pytest.approx(whole[name]), name
        assert parts.intervals.get(name) == pytest.approx(whole.intervals.get(name)), name
    assert parts["overlap@10"] == pytest.approx(whole["overlap@10"], abs=0.01)  # ties are drawn


def test_a_large_catalogue_is_scored_in_small_batches(split, scores, monkeypatch):
    sizes = []

    class Noting(FixedScores):
        def score(self, histories):
            sizes.append(len(histories))
            return super().score(histories)

    monkeypatch.setattr("m6rec_lite.evaluation.questions.MAX_CELLS", 10 * N_ITEMS)
    evaluate(Noting(split.item_ids, split.test.histories.user_ids, scores), split)
    assert sizes == [10] * 9


def test_the_scores_given_are_left_alone(split, scores):
    before = scores.copy()

    class View(FixedScores):
        def score(self, histories):
            return self.matrix

    evaluate(View(split.item_ids, split.test.histories.user_ids, scores), split)
    np.testing.assert_array_equal(scores, before)


def test_only_candidates_are_ranked_and_evaluated(split, scores):
    candidates = np.arange(N_ITEMS) < 20
    report = evaluate(fixed(split, scores), replace(split, candidates=candidates), k=5)
    selected = split.test.targets < 20
    assert report.n_users == selected.sum()
    assert report.n_skipped == report.n_targets_out == (~selected).sum()
    np.testing.assert_array_equal(report.user_ids, np.arange(N_USERS)[selected])
    scores[:, 20:] = -np.inf
    same = evaluate(fixed(split, scores), split, k=5)
    np.testing.assert_allclose(report.per_user["ndcg@5"], same.per_user["ndcg@5"][selected])


def test_targets_that_no_model_may_rank_are_left_out_and_counted():
    ids = np.arange(6)
    split = make_split([[0, 1], [2], [3]], [[1, 4, 4], [2], []], ids)
    matrix = np.tile(np.arange(6.0), (3, 1))
    report = evaluate(fixed(split, matrix), split, k=2)
    # user 0 keeps target 4 (once); user 1's only target was seen; user 2 has none
    assert (report.n_users, report.n_skipped, report.n_targets_out) == (1, 2, 2)
    assert report["recall@2"] == 1.0
    assert "2 users without a target" in str(report)
    again = evaluate(fixed(split, matrix), split, k=2, filter_viewed=False)
    assert (again.n_users, again.n_skipped, again.n_targets_out) == (2, 1, 0)


def test_several_targets_count_as_several():
    split = make_split([[0], [1]], [[5, 4], [2, 0, 3]], np.arange(6))
    matrix = np.tile(np.arange(6.0), (2, 1))
    report = evaluate(fixed(split, matrix), split, k=(2, 10))
    assert report["recall@2"] == pytest.approx((1 + 0) / 2)
    assert report["precision@2"] == pytest.approx((1 + 0) / 2)
    assert report["recall@10"] == 1.0
    assert report["precision@10"] == pytest.approx((2 / 6 + 3 / 6) / 2)  # k is cut to 6


def test_nothing_to_ask_raises():
    split = make_split([[0], [1]], [[0], []], np.arange(3))
    with pytest.raises(ValueError, match=r"no question to evaluate.*filter_viewed=False"):
        evaluate(fixed(split, np.zeros((2, 3))), split)


@pytest.mark.parametrize("k", [0, (5, 0), -3])
def test_k_of_nothing_raises(split, scores, k):
    with pytest.raises(ValueError, match="at least 1"):
        evaluate(fixed(split, scores), split, k=k)


def test_bad_models_are_reported_with_what_is_wrong(split, scores):
    with pytest.raises(ValueError, match=r"Fit it on split\.train"):
        evaluate(replace(fixed(split, scores), item_ids=np.arange(N_ITEMS)), split)
    with pytest.raises(ValueError, match="no item_ids or no score"):
        evaluate(object(), split)
    with pytest.raises(ValueError, match=r"scores of Short must have shape \(90, 40\)"):
        evaluate(fixed(split, scores[:, :39], "Short"), split)
    scores[3, 4] = np.nan
    with pytest.raises(ValueError, match="row 3, column 4"):
        evaluate(fixed(split, scores), split)
    with pytest.raises(ValueError, match="'test' or 'validation'"):
        evaluate(fixed(split, scores), split, on="train")
    with pytest.raises(ValueError, match="batch_size"):
        evaluate(fixed(split, scores), split, batch_size=0)
    with pytest.raises(ValueError, match="mask of the 40 items"):
        evaluate(fixed(split, scores), replace(split, candidates=np.ones(3, bool)))
    with pytest.raises(ValueError, match="features need one row"):
        evaluate(fixed(split, scores), split, items=np.ones((3, 2)))


def test_an_item_never_recommended_fills_no_list(split):
    matrix = np.full((N_USERS, N_ITEMS), -np.inf)
    matrix[:, :2] = 1.0
    report = evaluate(fixed(split, matrix), split, k=10)
    assert report["coverage@10"] == pytest.approx(2 / N_ITEMS)
    assert report["hr@10"] == pytest.approx(np.mean(split.test.targets < 2))


def test_same_model_and_seed_same_report(split, scores):
    first, again = (evaluate(fixed(split, scores), split, seed=4) for _ in range(2))
    assert first.metrics == again.metrics
    assert first.intervals == again.intervals
    other = evaluate(fixed(split, scores), split, seed=5)
    assert first.intervals != other.intervals
    assert first["ndcg@10"] == other["ndcg@10"]


def test_intervals_lie_about_the_means_of_every_user_metric(split, scores):
    report = evaluate(fixed(split, scores), split)
    assert set(report.intervals) == set(report.per_user)
    assert set(report.metrics) - set(report.intervals) == {
        f"{name}@{k}" for name in ("coverage", "overlap") for k in (5, 10, 20)
    }
    for name, (low, high) in report.intervals.items():
        assert low <= report[name] + 1e-12, name
        assert report[name] <= high + 1e-12, name
    assert not evaluate(fixed(split, scores), split, bootstrap=0).intervals


# Sampled negatives ---------------------------------------------------------------------------


def test_sampled_negatives_flatter_as_chance_says():
    n_users, n_items, above, negatives = 600, 300, 25, 50
    split = make_split([[0]] * n_users, [[above + 1]] * n_users, np.arange(n_items))
    matrix = np.tile(-np.arange(float(n_items)), (n_users, 1))
    model = fixed(split, matrix)
    assert evaluate(model, split, k=10, bootstrap=0)["hr@10"] == 0.0
    result = evaluate(model, split, k=10, bootstrap=0, sampled_negatives=negatives)
    # of the 298 other unseen items 25 stand above: a hit where at most 9 of them are drawn
    from scipy.stats import hypergeom

    wanted = hypergeom(n_items - 2, above, negatives).cdf(9)
    assert result["hr@10"] == pytest.approx(wanted, abs=3 * np.sqrt(wanted * (1 - wanted) / 600))
    assert wanted > 0.9


def test_a_sample_has_its_size_and_is_drawn_from_what_may_be_ranked():
    n_users, n_items = 2000, 12
    split = make_split([[0, 1, 2]] * n_users, [[3, 4]] * n_users, np.arange(n_items))
    batch = Questions(split).batch(0, n_users)
    kept = ~all_but_sample(batch, 4, np.random.default_rng(0))
    assert not kept[:, :3].any()
    assert kept[:, 3:5].all()
    np.testing.assert_array_equal(kept[:, 5:].sum(axis=1), 4)
    np.testing.assert_allclose(kept[:, 5:].mean(axis=0), 4 / 7, atol=0.05)


def test_sampled_negatives_are_the_same_for_every_model_and_batch(split, scores):
    whole = evaluate(fixed(split, scores), split, sampled_negatives=10)
    parts = evaluate(fixed(split, scores), split, sampled_negatives=10, batch_size=7)
    np.testing.assert_array_equal(whole.per_user["ndcg@10"], parts.per_user["ndcg@10"])
    other = evaluate(fixed(split, scores), split, sampled_negatives=10, seed=1)
    assert (whole.per_user["ndcg@10"] != other.per_user["ndcg@10"]).any()


def test_as_many_negatives_as_items_is_the_full_ranking(split, scores):
    full = evaluate(fixed(split, scores), split)
    sampled = evaluate(fixed(split, scores), split, sampled_negatives=N_ITEMS + 5)
    np.testing.assert_allclose(sampled.per_user["ndcg@10"], full.per_user["ndcg@10"])
    assert "coverage@10" not in sampled.metrics


# The oracle ----------------------------------------------------------------------------------


def test_share_of_the_oracle(split, scores):
    best = scores / scores.sum(axis=1, keepdims=True)
    best[np.arange(N_USERS), split.test.targets] += 0.5
    oracle = fixed(split, best / best.sum(axis=1, keepdims=True), "Oracle")
    report = evaluate(fixed(split, scores), split, oracle=oracle)
    judged = evaluate(oracle, split)
    assert report.oracle_share.keys() == {f"{m}@{k}" for m in ("hr", "ndcg") for k in (5, 10, 20)}
    for name, share in report.oracle_share.items():
        assert report.oracle[name] == judged[name]
        assert share == pytest.approx(report[name] / judged[name])
    assert evaluate(oracle, split, oracle=oracle).oracle_share["ndcg@10"] == 1.0
    again = evaluate(fixed(split, scores), split, oracle=judged)
    assert again.oracle_share == report.oracle_share
    assert "share of the oracle's" in str(report)


def test_expected_satisfaction_is_the_true_chance_of_the_list(split, scores):
    truth = np.random.default_rng(5).dirichlet(np.full(N_ITEMS, 0.2), size=N_USERS)
    report = evaluate(fixed(split, scores), split, oracle=fixed(split, truth), k=(5, N_ITEMS))
    assert report[f"satisfaction@{N_ITEMS}"] == pytest.approx(1.0)
    assert 0 < report["satisfaction@5"] < 1
    best = evaluate(fixed(split, truth), split, oracle=fixed(split, truth), k=5)
    assert best["satisfaction@5"] > report["satisfaction@5"]
    logits = evaluate(fixed(split, scores), split, oracle=fixed(split, 5 * truth), k=5)
    assert "satisfaction@5" not in logits.metrics


def test_an_oracle_evaluated_otherwise_is_refused(split, scores):
    judged = evaluate(fixed(split, scores), split, k=5)
    with pytest.raises(ValueError, match="other questions"):
        evaluate(fixed(split, scores), split, k=10, oracle=judged)
    with pytest.raises(ValueError, match="other questions"):
        evaluate(fixed(split, scores), split, k=5, filter_viewed=False, oracle=judged)


# Reports -------------------------------------------------------------------------------------


def test_compare_pairs_users(split, scores):
    better = scores.copy()
    better[np.arange(N_USERS), split.test.targets] += 3
    first = evaluate(fixed(split, better, "Better"), split)
    second = evaluate(fixed(split, scores, "Plain"), split)
    result = compare(first, second)
    assert result.what == "ndcg@10: Better - Plain"
    assert result.mean_difference == pytest.approx(first["ndcg@10"] - second["ndcg@10"])
    assert result.low > 0
    assert result.p_value < 0.001
    assert second.compare(first, "hr@10", method="wilcoxon").mean_difference < 0


def test_compare_refuses_what_cannot_be_compared(split, scores):
    report = evaluate(fixed(split, scores), split)
    sampled = evaluate(fixed(split, scores), split, sampled_negatives=10)
    with pytest.raises(ValueError, match="ranking is 'full' and 'sampled:10'"):
        compare(report, sampled)
    other = replace(split, test=split.test[:50])
    with pytest.raises(ValueError, match="split_hash"):
        compare(report, evaluate(fixed(other, scores[:50]), other))
    with pytest.raises(ValueError, match="coverage@10"):
        compare(report, report, "coverage@10")
    with pytest.raises(ValueError, match="different questions"):
        report_table([report, sampled])
    with pytest.raises(ValueError, match="at least one"):
        report_table([])
    with pytest.raises(ValueError, match="has no metric 'hr@3'"):
        report_table([report], ["hr@3"])
    with pytest.raises(KeyError, match="hr@3"):
        report["hr@3"]


class Counting:
    """A smallest recommender: how often each item was met."""

    name, variant, seed = "Counting", "plain", 3

    def fit(self, train, *, validation=None, items=None, users=None, progress=True):
        self.item_ids = train.item_ids
        self.counts = np.bincount(train.items, minlength=train.n_items)
        self.n_params = len(self.counts)
        return self

    def score(self, histories):
        return np.tile(self.counts, (len(histories), 1))


def test_a_row_of_the_leaderboard(split):
    report = fit_and_evaluate(Counting(), split, k=(5, 10))
    row = report.to_row(scale="smoke", command="make results")
    assert list(row)[:16] == [
        *("dataset", "scale", "split_hash", "model", "variant", "seed", "n_params"),
        *("fit_seconds", "predict_seconds", "peak_mib"),
        *("hr@10", "hr@10_low", "hr@10_high", "ndcg@10", "ndcg@10_low", "ndcg@10_high"),
    ]
    assert list(row)[-1] == "command"
    assert (row["dataset"], row["scale"], row["split_hash"]) == ("toy", "smoke", split.hash)
    assert (row["model"], row["variant"], row["seed"]) == ("Counting", "plain", 3)
    assert row["n_params"] == N_ITEMS
    assert row["fit_seconds"] > 0
    assert row["predict_seconds"] > 0
    assert row["hr@10_low"] < row["hr@10"] < row["hr@10_high"]
    assert report.to_row(seed=9)["seed"] == 9
    for changes in ({"sampled_negatives": 10}, {"on": "validation"}):
        with pytest.raises(ValueError, match="full ranking on test"):
            fit_and_evaluate(Counting(), split, **changes).to_row()


def test_reports_read_well(split, scores):
    first = fit_and_evaluate(Counting(), split)
    second = evaluate(fixed(split, scores, "Noise & <co>"), split)
    table = report_table([first, second])
    assert table["model"].tolist() == ["Counting", "Noise & <co>"]
    assert table["ndcg@10"].tolist() == [first["ndcg@10"], second["ndcg@10"]]
    assert table["n_params"].iloc[0] == N_ITEMS
    text = str(first)
    assert "Counting (plain) on toy, leave-one-out test" in text
    assert f"{first['hr@10']:.4f}" in text
    assert split.hash in text
    assert "Noise &amp; &lt;co&gt;" in second._repr_html_()
    frame = first.to_frame().set_index(["metric", "k"])
    assert frame.loc[("ndcg", 20), "value"] == first["ndcg@20"]
    assert tuple(frame.loc[("ndcg", 20), ["low", "high"]]) == first.intervals["ndcg@20"]


@pytest.mark.real_data
def test_real_rows_equal_a_plain_loop():
    folder = os.environ.get("M6REC_DATA")
    if not folder or not (Path(folder) / "ml-100k").exists():
        pytest.skip("set M6REC_DATA to a folder that holds ml-100k")
    from m6rec_lite.data import leave_one_out, load_dataset

    split = leave_one_out(load_dataset("ml-100k"))
    n, n_items = len(split.test), len(split.item_ids)
    popularity = np.log1p(np.bincount(split.train.items, minlength=n_items))
    matrix = popularity + np.random.default_rng(0).gumbel(size=(n, n_items))
    report = evaluate(fixed(split, matrix), split, k=10, bootstrap=0)
    history, hits, gains = split.test.histories, 0.0, 0.0
    for row in range(n):
        seen = set(history.items[history.offsets[row] : history.offsets[row + 1]].tolist())
        ranked = [item for item in np.argsort(-matrix[row]).tolist() if item not in seen][:10]
        if split.test.targets[row] in ranked:
            hits += 1
            gains += 1 / np.log2(ranked.index(split.test.targets[row]) + 2)
    assert n > 900
    assert hits > 0
    assert report["hr@10"] == pytest.approx(hits / n)
    assert report["ndcg@10"] == pytest.approx(gains / n)
