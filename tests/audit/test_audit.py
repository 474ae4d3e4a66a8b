"""The audit finds planted faults, does not accuse a clean experiment, and names bad files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.audit import CHECKS, CRITERIA, audit, read_lists
from m6rec_lite.audit.__main__ import main
from m6rec_lite.audit.experiment import Experiment
from m6rec_lite.data import DataError, Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import FixedScores, evaluate

USERS, ITEMS, EVENTS, NEW = 160, 50, 8, 3
few = settings(max_examples=3, deadline=None)
seeds = st.integers(0, 10**6)


@cache
def world(seed: int) -> tuple[Dataset, Split, pd.DataFrame]:
    """A log, its split, and the scores of a good and a weak model with two seeds each."""
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(ITEMS)[:EVENTS] for _ in range(USERS)])
    rows = pd.DataFrame({"user_id": np.arange(USERS).repeat(EVENTS) + 1, "item_id": items + 100})
    rows["timestamp"] = rng.permutation(len(rows)) + 1_600_000_000
    log = load_dataset(rows, name="log")
    split = leave_one_out(log)
    parts = []
    for model, signal in (("good", 2.5), ("weak", 0.0)):
        for number in (0, 1):
            matrix = rng.normal(size=(USERS, ITEMS))
            matrix[np.arange(USERS), split.test.targets] += signal
            parts.append(table(split, matrix).assign(model=model, seed=number))
    return log, split, pd.concat(parts, ignore_index=True)


def table(split: Split, matrix: np.ndarray) -> pd.DataFrame:
    """Scores of the items that each user has not seen, as rows."""
    users, items = np.nonzero(~split.test.histories.matrix().toarray().astype(bool))
    names = {"user": split.test.histories.user_ids[users], "item": split.item_ids[items]}
    return pd.DataFrame(names | {"score": matrix[users, items]})


def training_rows(log: Dataset, split: Split) -> Dataset:
    """The log without the last two rows of each user."""
    rows = log.interactions.sort_values(["user_id", "timestamp"])
    return load_dataset(rows.groupby("user_id").head(EVENTS - 2))


@few
@given(seeds)
def test_a_clean_experiment_is_not_accused(seed: int) -> None:
    log, split, scores = world(seed)
    times = log.interactions.groupby("user_id")["timestamp"].nlargest(2).groupby("user_id").last()
    scores = scores.assign(query_time=scores["user"].map(times) + 0.5)
    result = audit(scores, log, train=training_rows(log, split))
    verdicts = {finding.check: finding.verdict for finding in result}
    assert list(verdicts) == list(CHECKS)
    assert verdicts.pop("cold_items") == "cannot be told"  # every item has many users
    assert set(verdicts.values()) == {"pass"}, verdicts
    assert not result.failed


Planted = tuple[pd.DataFrame, Dataset, Dataset | None]


def tied(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores.assign(score=scores["score"].round()), log, None


def average_ranks(seed: int) -> Planted:
    log, _, scores = world(seed)
    keys = [scores[name] for name in ("model", "seed", "user")]
    ranks = scores["score"].round().groupby(keys).rank(ascending=False)
    return scores.assign(rank=ranks).drop(columns="score"), log, None


def sampled(seed: int) -> Planted:
    log, split, scores = world(seed)
    target = dict(
        zip(split.test.histories.user_ids, split.item_ids[split.test.targets], strict=True)
    )
    asked = scores["item"] == scores["user"].map(target)
    drawn = np.random.default_rng(seed).random(len(scores)) < 0.3
    return scores[asked | drawn], log, None


def few_candidates(seed: int) -> Planted:
    log, split, _ = world(seed)
    ranks = np.random.default_rng(seed).integers(1, 12, USERS)
    users = split.test.histories.user_ids
    return pd.DataFrame({"user": users, "rank": ranks, "candidates": 11}), log, None


def from_the_past(seed: int) -> Planted:
    log, split, _ = world(seed)
    matrix = np.random.default_rng(seed).random((USERS, ITEMS))
    users, items = np.indices(matrix.shape).reshape(2, -1)
    names = {"user": split.test.histories.user_ids[users], "item": split.item_ids[items]}
    return pd.DataFrame(names | {"score": matrix.ravel()}), log, None


def twice_in_a_list(seed: int) -> Planted:
    log, _, scores = world(seed)
    return pd.concat([scores, scores]), log, None


def left_out(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores[scores["user"] > USERS // 2], log, None


def other_users(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores[(scores["user"] > 9) | (scores["model"] == "good")], log, None


def random_targets(seed: int) -> Planted:
    log, _, scores = world(seed)
    drawn = log.interactions.groupby("user_id").sample(1, random_state=seed % 1000)
    target = drawn.set_index("user_id")["item_id"]
    return scores.assign(target=scores["user"].map(target)), log, None


def random_training(seed: int) -> Planted:
    lists, log, _ = random_targets(seed)
    asked = lists.drop_duplicates("user").set_index("user")["target"]
    rows = log.interactions
    return lists, log, load_dataset(rows[rows["item_id"] != rows["user_id"].map(asked)])


def trained_on_answers(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores, log, log


def asked_at_the_answer(seed: int) -> Planted:
    log, _, scores = world(seed)
    last = log.interactions.groupby("user_id")["timestamp"].max()
    return scores.assign(query_time=scores["user"].map(last)), log, None


def asked_after_the_answer(seed: int) -> Planted:
    lists, log, train = asked_at_the_answer(seed)
    return lists.assign(query_time=lists["query_time"] + 1), log, train


def whole_days(seed: int) -> Planted:
    log, _, scores = world(seed)
    rows = log.interactions
    return scores, load_dataset(rows.assign(timestamp=rows["timestamp"] // 86400 * 86400)), None


def noise(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores[scores["model"] == "weak"], log, None


def two_alike(seed: int) -> Planted:
    log, _, scores = world(seed)
    weak = scores[scores["model"] == "weak"]
    return weak.assign(model=weak["seed"].map({0: "a", 1: "b"})), log, None


def one_seed(seed: int) -> Planted:
    log, _, scores = world(seed)
    return scores[scores["seed"] == 0], log, None


def many_settings(seed: int) -> Planted:
    log, split, _ = world(seed)
    rng = np.random.default_rng(seed)
    parts = [
        table(split, rng.random((USERS, ITEMS))).assign(model=f"setting {i}") for i in range(12)
    ]
    return pd.concat(parts), log, None


def cold(seed: int) -> Planted:
    """Every fifth user ends with an item that no other user has, which the model never finds."""
    log, _, scores = world(seed)
    rows = log.interactions.sort_values(["user_id", "timestamp"])
    last = ~rows.duplicated("user_id", keep="last") & (rows["user_id"] % 5 == 0)
    rows = rows.assign(item_id=rows["item_id"].mask(last, 1000 + rows["user_id"]))
    target = rows.groupby("user_id")["item_id"].last()
    return scores.assign(target=scores["user"].map(target)), load_dataset(rows), None


FAULTS: tuple[tuple[Callable[[int], Planted], str, str], ...] = (
    (tied, "ties", "fail"),
    (average_ranks, "ties", "fail"),
    (sampled, "candidates", "fail"),
    (few_candidates, "candidates", "fail"),
    (from_the_past, "repeats", "fail"),
    (twice_in_a_list, "repeats", "fail"),
    (left_out, "users", "fail"),
    (other_users, "users", "fail"),
    (random_targets, "future", "warning"),
    (random_training, "future", "fail"),
    (trained_on_answers, "training", "fail"),
    (asked_at_the_answer, "query_time", "warning"),
    (asked_after_the_answer, "query_time", "fail"),
    (whole_days, "order", "warning"),
    (noise, "baseline", "warning"),
    (two_alike, "intervals", "warning"),
    (one_seed, "seeds", "warning"),
    (many_settings, "best_of_n", "fail"),
    (cold, "cold_items", "warning"),
)


@pytest.mark.parametrize(
    ("plant", "check", "verdict"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_fault_is_found(
    plant: Callable[[int], Planted], check: str, verdict: str
) -> None:
    for seed in (1, 2):
        lists, log, train = plant(seed)
        finding = audit(lists, log, train=train)[check]
        if check in ("baseline", "intervals") and finding.verdict == "fail":
            continue  # noise may also be below popularity
        assert finding.verdict == verdict, finding


def test_every_check_has_a_planted_fault_and_a_criterion() -> None:
    assert {check for _, check, _ in FAULTS} == set(CHECKS)
    assert sorted(check for checks in CRITERIA.values() for check in checks) == sorted(CHECKS)


def test_the_metrics_and_the_baseline_are_those_of_the_protocol() -> None:
    log, split, scores = world(3)
    rounded = scores[(scores["model"] == "good") & (scores["seed"] == 0)]
    rounded = rounded.assign(score=rounded["score"].round(1))
    e = Experiment.join(read_lists(rounded), log)
    matrix = rounded.pivot_table("score", "user", "item").fillna(0)
    fixed = FixedScores(split.item_ids, matrix.index.to_numpy(), matrix.to_numpy())
    report = evaluate(fixed, split, k=10, bootstrap=0, progress=False)
    np.testing.assert_allclose(e.ndcg[0], report.per_user["ndcg@10"])
    np.testing.assert_allclose(e.hr[0], report.per_user["hr@10"])
    popular = np.bincount(e.past.items, minlength=ITEMS)
    fixed = FixedScores(split.item_ids, matrix.index.to_numpy(), np.tile(popular, (USERS, 1)))
    report = evaluate(fixed, split, k=10, bootstrap=0, progress=False)
    np.testing.assert_allclose(e.popularity, report.per_user["ndcg@10"])


def test_lists_and_their_scores_have_the_same_metrics() -> None:
    log, _, scores = world(4)
    keys = [scores[name] for name in ("model", "seed", "user")]
    ranks = scores["score"].groupby(keys).rank(ascending=False)
    lists = scores.assign(rank=ranks).drop(columns="score")[ranks <= 10]
    assert audit(lists, log).models == pytest.approx(audit(scores, log).models)
    assert audit(lists, log)["candidates"].verdict == "cannot be told"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    log, _, scores = world(5)
    lists = tmp_path / "lists.csv"
    scores.to_csv(lists, index=False)
    log.interactions.to_csv(tmp_path / "log.csv", index=False)
    return lists, tmp_path / "log.csv"


def test_the_command_writes_a_page_and_json(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert main([*map(str, files), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [finding["check"] for finding in report["findings"]] == list(CHECKS)
    page = (tmp_path / "out" / "audit.html").read_text()
    HTMLParser().feed(page)
    assert all(check in page for check in CHECKS)
    assert "http" not in page  # one file, which needs no other
    pd.read_csv(files[0]).to_parquet(tmp_path / "lists.parquet")
    assert main([str(tmp_path / "lists.parquet"), str(files[1]), "--train", str(files[1])]) == 1


def test_text_in_names_is_not_html() -> None:
    log, _, scores = world(6)
    assert "<b>" not in audit(scores.assign(model="a<i>"), log).to_html().split("<h2>Models")[1]


BAD = (
    ("user,item,rank\n", "no rows"),
    ("", "cannot be read"),
    ("user,item\n1,100\n", "needs those of one form"),
    ("user,item,rank\n1,100,first\n", "column rank: 1 of 1 rows are missing or cannot be read"),
    ("user,item,rank\n1,100,0\n", "below 1"),
    ("user,item,score\n1,100,inf\n", "are infinite"),
    ("user,item,rank\n1,,1\n", "column item"),
    ("user,item,rank\nada,100,1\n", "no whole number"),
    ("user,item,rank\n77777,100,1\n", "the log lacks 1 of its ids"),
    ("user,item,rank\n1,5,1\n1,6,2\n1,100,3\n", "the log lacks 2 of its ids"),
    ("user,item,rank,target\n1,100,1,101\n1,102,2,103\n", "two targets"),
    ("user,rank,candidates\n1,3,oops\n", "column candidates"),
    ("user,item,rank,query_time\n1,100,1,never\n", "column query_time"),
    ('user,item,rank\n1,"100,1\n', ""),
    ("\x00\x01\x02", ""),
)


@pytest.mark.parametrize(("text", "message"), BAD, ids=lambda value: repr(value)[:30])
def test_a_bad_file_is_one_line_and_status_2(
    text: str, message: str, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files[0].write_text(text)
    assert main([*map(str, files)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "name", ["lists.parquet", "lists.npz", "lists.csv.gz", "lists.xlsx", "no.csv"]
)
def test_a_file_that_is_not_what_its_name_says(
    name: str, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    if name != "no.csv":
        (files[0].parent / name).write_bytes(b"neither one nor the other")
    assert main([str(files[0].parent / name), str(files[1])]) == 2
    assert name in capsys.readouterr().err


def test_other_wrong_arguments(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lists, log = map(str, files)
    for arguments in ([lists, "nothing"], [lists, log, "--k", "0"], [lists, log, "--column", "x"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith("error: ")
    other = load_dataset(pd.DataFrame({"user_id": ["a"], "item_id": ["b"], "timestamp": [1]}))
    with pytest.raises(DataError, match="share no user"):
        audit(lists, load_dataset(log), train=other)
    with pytest.raises(KeyError, match="no check"):
        audit(lists, load_dataset(log))["nothing"]
    with pytest.raises(DataError, match="repeats the column"):
        read_lists(pd.DataFrame([[1, 2, 3]], columns=["user", "user", "rank"]))


def test_a_saved_page_has_the_further_rows_of_the_rubric(tmp_path: Path) -> None:
    log, _, scores = world(3)
    result = audit(scores, log)
    rubric = result.rubric()
    rubric.loc["cold <start>"] = ["warning", "section 6", "HR@10 .240 [.215, .270] & no more"]
    for page in result.save(tmp_path, rubric=rubric):
        assert page.exists()
    page = (tmp_path / "audit.html").read_text()
    assert "<b>cold &lt;start&gt;</b>: warning. HR@10 .240 [.215, .270] &amp; no more</li>" in page
    told = json.loads((tmp_path / "audit.json").read_text())["rubric"]
    assert set(told) == {*CRITERIA, "cold <start>"}
    assert "rubric" not in json.loads(result.to_json())
