"""The paper's claims beside ours: the rule, the readers of each file, and the page as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.pages import paper, paper_readers
from experiments.pages.paper_rule import (
    FAILS,
    HOLDS,
    NOT_TRIED,
    Comparison,
    Evidence,
    compare_intervals,
    verdict,
)
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.paths import project_root
from tests.experiments.test_claims import add_runs, write_claim

RESULTS = project_root() / "results"


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def read(results: Path, words: str) -> Evidence | None:
    """Evidence, on the one claim whose name holds these words."""
    (claim,) = (claim for claim in paper.CLAIMS if words in claim.name)
    return claim.read(results)


def says(ours: Evidence) -> dict[tuple[str, int], str]:
    return {(one.other, one.seed): one.outcome for one in ours.comparisons}


# The page


def test_the_page_is_what_the_files_say_now():
    text = (RESULTS / paper.PAGE).read_text("utf-8")
    assert text == paper.page(RESULTS), "run: python -m experiments results --only pages"


def test_without_any_file_nothing_is_tried_and_the_page_stands(tmp_path):
    assert {verdict(claim.read(tmp_path)) for claim in paper.CLAIMS} == {NOT_TRIED}
    text = paper.write_page(tmp_path).read_text("utf-8")
    for claim in paper.CLAIMS:
        assert f"| {claim.name} | {claim.reported} |" in text
    assert text.count(f"**{NOT_TRIED}** |") == len(paper.CLAIMS)
    assert str(tmp_path) not in text


def test_claims_are_distinguished_and_each_says_how_it_is_known():
    assert len({claim.name for claim in paper.CLAIMS}) == len(paper.CLAIMS)
    assert {claim.source for claim in paper.CLAIMS} == {paper.TWO, paper.ONE, paper.ABSTRACT}
    for claim in paper.CLAIMS:  # figures are given exactly where they are said to be known
        has_figures = (
            any(letter.isdigit() for letter in claim.reported) or "as above" in claim.reported
        )
        assert has_figures == (claim.source != paper.ABSTRACT)


def test_a_caveat_stands_beside_the_verdict_and_in_the_section(tmp_path):
    name = "Explanations are better"
    (claim,) = (claim for claim in paper.CLAIMS if name in claim.name)
    row = task_row("explanation", "M6-Rec", "true aspect", 0.6)
    write(tmp_path / "tasks" / "bazaar.csv", [row, row | {"model": "random review", "low": 0.1}])
    text = paper.page(tmp_path)
    assert f"**{FAILS}**; {claim.caveat} |" in text
    assert f"Caveat: {claim.caveat}." in text
    assert "lookup by item" in claim.caveat
    assert "random weights" in next(c for c in paper.CLAIMS if "never seen" in c.name).caveat
    assert "[one_model.md](one_model.md)" in text


@pytest.mark.parametrize(
    ("aucs", "expected"),
    [
        ((0.80, 0.81, 0.82), HOLDS),
        ((0.60, 0.61, 0.62), FAILS),
        ((0.60, 0.80, 0.90), paper.UNDECIDED),
        ((), NOT_TRIED),
    ],
)
def test_a_registered_claim_decides_by_its_own_threshold(tmp_path, monkeypatch, aucs, expected):
    monkeypatch.setattr(paper, "REGISTERED", tmp_path / "claims")
    write_claim(tmp_path)  # ours less theirs, above -.01
    if aucs:
        add_runs(tmp_path, list(aucs), [0.79, 0.80, 0.81])
    claim = paper.Claim("It is better", "1 %", paper.ONE, "as stated", registered=("better",))
    text = paper.page(tmp_path / "results", [claim])
    assert f"| [better](../docs/claims.md) | **{expected}** |" in text
    assert ("auc: `ours (epochs=5 *)` - `theirs`: " in text) == bool(aucs)


def test_every_registered_claim_of_the_page_exists():
    for claim in paper.CLAIMS:
        assert bool(claim.registered) != (claim.read is not paper.Claim.read), claim.name
        for name in claim.registered:
            assert (paper.REGISTERED / f"{name}.toml").is_file()


# The rule

ends = st.tuples(*[st.floats(-1, 1)] * 2).map(sorted)


@given(st.lists(ends, min_size=1, max_size=6))
def test_a_claim_holds_if_every_interval_lies_above_nothing(intervals):
    against = tuple(
        Comparison("it", "AUC", seed, (low + high) / 2, low, high, True)
        for seed, (low, high) in enumerate(intervals)
    )
    result = verdict(Evidence((), "", (), against))
    assert result == (HOLDS if min(low for low, _ in intervals) > 0 else FAILS)
    for one, (low, high) in zip(against, intervals, strict=True):
        inside = low <= 0 <= high
        assert (one.outcome == "not distinguishable") == inside


@given(ends, ends)
def test_figures_apart_are_distinguished_where_their_intervals_do_not_overlap(own, reference):
    ours, other = ((sum(pair) / 2, *pair) for pair in (own, reference))
    one = compare_intervals("it", "AUC", 0, ours, other)
    assert one.low <= one.mean <= one.high
    assert (one.outcome == "above") == (own[0] > reference[1])
    assert (one.outcome == "below") == (own[1] < reference[0])
    assert not one.paired


def test_figures_without_baselines_decide_nothing_and_a_missing_interval_is_reported():
    assert verdict(Evidence(("AUC 0.9",), "", (), ())) == NOT_TRIED
    with pytest.raises(ValueError, match="AUC against DIN, seed 3: a comparison needs an interval"):
        Comparison("DIN", "AUC", 3, 0.1, float("nan"), 0.2, True)


# Scoring


def click_row(model: str, auc: float, low: float, seed: int = 0, variant: str = "") -> dict:
    return {
        "dataset": "bazaar", "label": "clicked", "model": model, "variant": variant, "seed": seed,
        "n_train": 147200, "n_test": 18400, "auc": auc, "command": f"{model} {variant} {seed}",
        "auc - DIN": low + 0.01, "auc - DIN, low": low, "auc - DIN, high": low + 0.02,
    }  # fmt: skip


def test_clicks_count_the_settings_with_most_seeds_and_every_seed(tmp_path):
    path = tmp_path / "clicks" / "bazaar.csv"
    din = click_row("DIN", 0.8, 0.0) | {"auc - DIN": None, "auc - DIN, low": None}
    twice = [click_row("M6RecCTR", 0.81, 0.002, seed, "events=0") for seed in (1, 0)]
    write(path, [din, *twice, click_row("M6RecCTR", 0.9, -0.1, 0, "once")])
    ours = read(tmp_path, "click model")
    assert verdict(ours) == HOLDS
    assert ours.commands == ("M6RecCTR events=0 0", "M6RecCTR events=0 1")
    assert ours.figures == ("AUC M6RecCTR 0.8100 (mean of 2 seeds), DIN 0.8000",)
    assert "147,200 for training" in ours.protocol
    assert "settings `events=0`, seed 0 and 1" in ours.protocol
    # one seed that is not distinguishable, and it does not hold
    write(path, [din, twice[0], click_row("M6RecCTR", 0.805, -0.002, 0, "events=0")])
    ours = read(tmp_path, "click model")
    assert verdict(ours) == FAILS
    assert says(ours) == {("DIN, seed 0", 0): "not distinguishable", ("DIN, seed 0", 1): "above"}


def test_other_labels_and_files_of_baselines_alone_are_not_a_trial(tmp_path):
    path = tmp_path / "clicks" / "bazaar.csv"
    write(path, [click_row("DIN", 0.8, 0.0)])
    assert read(tmp_path, "click model") is None
    write(path, [click_row("M6RecCTR", 0.9, 0.1) | {"label": "purchased"}])
    assert read(tmp_path, "click model") is None


def test_a_file_that_lacks_a_column_is_named(tmp_path):
    row = click_row("M6RecCTR", 0.9, 0.1)
    del row["auc - DIN, low"]
    write(tmp_path / "clicks" / "bazaar.csv", [row])
    with pytest.raises(ValueError, match=r"clicks/bazaar\.csv lacks the columns auc - DIN, low"):
        paper.page(tmp_path)


# Retrieval


@pytest.fixture
def board(tmp_path) -> Callable[..., None]:
    """Adds a row to a leaderboard."""

    def add(dataset: str, model: str, ndcg: float, *, seed: int = 0, variant: str = "") -> None:
        Leaderboard(tmp_path / "leaderboard").add({
            "dataset": dataset, "scale": "laptop", "split_hash": "abc", "model": model,
            "variant": variant, "seed": seed, "ndcg@10": ndcg, "ndcg@10_low": ndcg - 0.01,
            "ndcg@10_high": ndcg + 0.01, "hr@10": 2 * ndcg, "command": f"{model} {variant} {seed}",
        })  # fmt: skip

    return add


def test_retrieval_stands_against_the_best_network_and_a_figure_from_elsewhere(tmp_path, board):
    for model, value in (("Bigram", 0.05), ("SASRec", 0.06), ("GRU4Rec", 0.1), ("EASE", 0.2)):
        board("ml-100k", model, value)
    board("ml-100k", "M6RecRetriever", 0.3)  # reads ids too: another claim
    for seed in (0, 1):
        board("ml-100k", "M6RecRetriever", 0.11 + seed, seed=seed, variant="item_input=text")
    ours = read(tmp_path, "by text alone")
    elsewhere = "T5-small that writes item ids as text (OpenP5), published"
    assert says(ours) == {
        ("Bigram", 0): "above", ("Bigram", 1): "above",
        ("GRU4Rec", 0): "not distinguishable", ("GRU4Rec", 1): "above",
        (elsewhere, 0): "above", (elsewhere, 1): "above",
    }  # fmt: skip
    assert verdict(ours) == FAILS
    assert "The best other model of the leaderboard is EASE, 0.2000" in ours.protocol
    assert ours.figures[0].startswith("NDCG@10 M6RecRetriever 0.6100 (mean of 2 seeds), GRU4Rec")
    board("bazaar", "M6RecRetriever", 0.3)
    assert verdict(read(tmp_path, "text and ids")) == NOT_TRIED  # no baseline to compare with
    board("bazaar", "SASRec", 0.1)
    assert verdict(read(tmp_path, "text and ids")) == HOLDS


def test_time_aware_rows_stand_against_no_time_blind_ones(tmp_path, board):
    board("ml-1m", "SASRec", 0.17)
    board("ml-1m", "M6RecRetriever", 0.5, variant="use_query_time=True")
    assert verdict(read(tmp_path, "over all films")) == NOT_TRIED
    board("ml-1m", "M6RecRetriever", 0.2)
    ours = read(tmp_path, "over all films")
    best = "SASRec, cross-entropy over 3,000 negatives, published"  # of the time-blind ones
    assert says(ours) == {("SASRec", 0): "above", (best, 0): "above"}
    board("ml-1m", "M6RecRetriever", 0.195, seed=1)
    assert says(read(tmp_path, "over all films"))[best, 1] == "not distinguishable"


def test_a_retriever_of_ids_alone_is_not_one_of_text_and_ids(tmp_path, board):
    board("bazaar", "SASRec", 0.1)
    board("bazaar", "M6RecRetriever", 0.3, variant="item_input=ids")
    assert verdict(read(tmp_path, "text and ids")) == NOT_TRIED
    board("bazaar", "M6RecRetriever", 0.2)
    board("bazaar", "M6RecRetriever", 0.4, variant="item_input=ids epochs=2")  # run last
    assert "M6RecRetriever 0.2000" in read(tmp_path, "text and ids").figures[0]


def test_a_report_s_paired_interval_goes_before_two_apart(tmp_path, board):
    board("ml-100k", "Bigram", 0.1)
    board("ml-100k", "M6RecRetriever", 0.11, variant="item_input=text")
    assert says(read(tmp_path, "by text alone"))["Bigram", 0] == "not distinguishable"
    folder = tmp_path / "runs" / "0123abcd"
    folder.mkdir(parents=True)
    result = {"mean": 0.01, "low": 0.002, "high": 0.018}
    (folder / "report.json").write_text(json.dumps({"more than the bigram, paired": result}))
    for command, expected in (
        ("another", "not distinguishable"),
        ("M6RecRetriever item_input=text 0", "above"),
    ):
        (folder / "config.json").write_text(json.dumps({"command": command}))
        assert says(read(tmp_path, "by text alone"))["Bigram", 0] == expected


# Tasks


def task_row(task: str, model: str, metric: str, value: float, **more: object) -> dict:
    row = {
        "dataset": "bazaar", "task": task, "part": "test", "model": model, "metric": metric,
        "seed": 0, "value": value, "low": value - 0.02, "high": value + 0.02, "n": 400,
        "command": "python -m experiments tasks",
    }  # fmt: skip
    return row | more


def test_tasks_take_the_paired_difference_and_leave_validation_out(tmp_path):
    path, task = tmp_path / "tasks" / "bazaar.csv", "conversation"
    rows = [
        task_row(task, "M6-Rec", "item hit", 0.05),
        task_row(task, "words", "item hit", 0.03),
        task_row(task, "M6-Rec", "item hit", 0.0, part="validation"),
    ]
    write(path, rows)
    ours = read(tmp_path, "Conversation")
    assert says(ours) == {("words", 0): "not distinguishable"}
    assert ours.figures == ("item hit M6-Rec 0.0500, words 0.0300",)
    assert "400 test cases of test" in ours.protocol
    pair = task_row(task, "M6-Rec", "item hit - words", 0.02, low=0.01, high=0.03)
    write(path, [*rows, pair])
    ours = read(tmp_path, "Conversation")
    assert [one.paired for one in ours.comparisons] == [True]
    assert verdict(ours) == HOLDS
    write(path, [row | {"part": ""} for row in (*rows[:2], pair)])  # no parts
    ours = read(tmp_path, "Conversation")
    assert verdict(ours) == HOLDS
    assert "400 test cases, not used" in ours.protocol


def test_every_baseline_of_the_file_is_used_where_the_claim_names_none(tmp_path):
    path, task = tmp_path / "tasks" / "bazaar.csv", "explanation"
    ours = [task_row(task, "M6-Rec", "true aspect", 0.6 + seed, seed=seed) for seed in (0, 1)]
    write(path, [*ours, task_row(task, "most frequent", "true aspect", 0.2)])
    assert verdict(read(tmp_path, "Explanations")) == HOLDS
    rows = [*ours, task_row(task, "most frequent", "true aspect", 0.2)]
    write(path, [*rows, task_row(task, "counts", "true aspect", 0.7)])
    result = read(tmp_path, "Explanations")
    assert says(result)["counts", 0] == "below"
    assert says(result)["counts", 1] == "above"  # the baseline has one seed, used for both
    assert verdict(result) == FAILS
    assert verdict(read(tmp_path, "Conversation")) == NOT_TRIED  # the same file, another task


def test_ours_in_other_settings_is_no_baseline_and_other_tasks_stay_apart(tmp_path):
    values = {"M6-Rec": 0.2, "M6-Rec, unbound": 0.3, "words": 0.0, "most named": 0.05}
    rows = [task_row("conversation", name, "item hit", value) for name, value in values.items()]
    rows += [task_row("explanation", name, "true aspect", 0.9) for name in ("M6-Rec", "counts")]
    write(tmp_path / "tasks" / "bazaar.csv", rows)
    ours = read(tmp_path, "Conversation")
    assert says(ours) == {("words", 0): "above", ("most named", 0): "above"}
    assert "M6-Rec, unbound" in ours.figures[0]  # shown beside
    assert says(read(tmp_path, "Explanations")) == {("counts", 0): "not distinguishable"}


def test_figures_alone_are_shown_and_decide_nothing(tmp_path):
    figures = {"item exists": 1.0, "item hit": 0.1, "perplexity": 12.345}
    rows = [task_row("conversation", "M6-Rec", name, value) for name, value in figures.items()]
    write(tmp_path / "tasks" / "bazaar.csv", rows)
    ours = read(tmp_path, "Conversation")
    assert verdict(ours) == NOT_TRIED
    assert ours.figures[-1] == "perplexity M6-Rec 12.35"
    assert "there is no verdict" in paper.page(tmp_path)


# A new domain


def test_a_new_domain_is_judged_where_examples_are_few_against_the_best_other(tmp_path):
    def row(model: str, examples: int, value: float, **more: object) -> dict:
        figures = {"ndcg@10": value, "ndcg@10_low": value - 0.01, "ndcg@10_high": value + 0.01}
        about = {"dataset": "bazaar", "domain": "music", "seed": 0, "n_users": 900}
        return about | figures | {"model": model, "examples": examples, "command": "make it"} | more

    path = tmp_path / "new_domain" / "bazaar.csv"
    own = [row("M6RecRetriever", k, value) for k, value in ((0, 0.1), (100, 0.15), (1234, 0.2))]
    rows = [*own, *(row("SASRec", k, v) for k, v in ((0, 0.02), (100, 0.05), (1234, 0.3)))]
    rows += [row("M6RecRetriever, more", 0, 0.5), row("EASE", 100, 0.01)]
    write(path, rows)
    ours = read(tmp_path, "new domain")
    assert [(one.other, one.outcome) for one in ours.comparisons] == [("SASRec", "above")] * 2
    assert verdict(ours) == HOLDS
    assert ours.figures[:2] == (
        "NDCG@10, mean over domains, at 0, 100, all examples",
        "M6RecRetriever 0.100, 0.150, 0.200",
    )
    assert "music (900 users); seed 0" in ours.protocol
    # a model run in some domains stands beside the same domains, not beside a mean over all
    other = [one | {"domain": "posts"} for one in rows if one["model"] != "M6RecRetriever"]
    other += [row("M6RecRetriever", k, 0.5, domain="posts") for k in (0, 100, 1234)]
    some = [row("M6RecRetriever, pretrained", k, 0.3) for k in (0, 100, 1234)]
    write(path, [*[r for r in rows if "more" not in r["model"]], *other, *some])
    figures = read(tmp_path, "new domain").figures
    assert "M6RecRetriever 0.300, 0.325, 0.350" in figures
    assert (
        "on music alone: M6RecRetriever, pretrained 0.300, 0.300, 0.300, "
        "M6RecRetriever 0.100, 0.150, 0.200" in figures
    )
    write(path, [*rows, row("ContentBased", 100, 0.145)])  # not distinguishable, in one place
    ours = read(tmp_path, "new domain")
    assert [(one.other, one.outcome) for one in ours.comparisons][1] == (
        "ContentBased", "not distinguishable"
    )  # fmt: skip
    assert verdict(ours) == FAILS
    write(path, rows[3:6])
    assert read(tmp_path, "new domain") is None


def test_what_is_chosen_of_equals_is_what_ran_last():
    rows = pd.DataFrame({"variant": ["a", "b", "a", "b"], "seed": [0, 0, 1, 1]})
    assert paper_readers.most_seeds(rows)["variant"].tolist() == ["b", "b"]
    assert paper_readers.most_seeds(rows.iloc[:3])["seed"].tolist() == [0, 1]
    assert not len(paper_readers.most_seeds(rows.iloc[:0]))
