"""One model for every task: stages, the twins beside it, lists of twenty, and the page."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import gpu_run, joint_runs, one_model, zero_shot
from experiments.__main__ import main
from experiments.pages import one_model as page
from experiments.pages import zero_shot as zero_shot_page
from experiments.records import Records, RunKey
from experiments.task_sets import FIGURES, _divide
from experiments.zero_shot import (
    draw_lists,
    exchange_events,
    list_report,
    rank_by,
    shuffle_events,
)
from m6rec_lite.data import bazaar, leave_one_out
from m6rec_lite.data.result_files import read_json
from m6rec_lite.language import BehaviourText, Tokenizer
from m6rec_lite.m6rec import (
    TASKS,
    Examples,
    M6RecConfig,
    M6RecModel,
    MultiTaskModel,
    Plan,
    TaskData,
)
from m6rec_lite.recommenders import Popularity

DATASET = bazaar.generate(users=120, items=60, seed=6, progress=False)
SPLIT = leave_one_out(DATASET)
DATA = TaskData(DATASET, SPLIT)
WORDS = ["--scale", "smoke", "--model", "checkpoint", "--max-tokens", "512"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a new model in ``checkpoint``."""
    root = tmp_path_factory.mktemp("project")
    text = BehaviourText(DATASET)
    tokenizer = Tokenizer.train([text.item(int(i)) for i in DATASET.items["item_id"]], 600)
    torch.manual_seed(0)
    config = M6RecConfig.of_size("nano", tokenizer, hidden_size=24, num_hidden_layers=1)
    M6RecModel(config).save_pretrained(root / "checkpoint")
    tokenizer.save(root / "checkpoint")
    return root


@pytest.fixture(autouse=True)
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gpu_run, one_model, zero_shot):
        monkeypatch.setattr(module, "load_dataset", lambda name: DATASET)


def command(project: Path, *words: str) -> int:
    return main([*words, "--root", str(project), "--quiet"])


def reports(project: Path, experiment: str) -> dict[str, dict]:
    """The reports of an experiment, by model and variant."""
    records = Records(project / "results")
    frame = records.frame()
    rows = frame[frame["experiment"] == experiment].to_dict("records")
    return {
        f"{row['model']} {row['variant']}": read_json(records.runs / row["id"] / "report.json")
        for row in rows
    }


@pytest.fixture(scope="module")
def finished(project: Path) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(one_model, "load_dataset", lambda name: DATASET)
        assert command(project, "one_model", *WORDS, "--save", str(project / "saved")) == 0
    return project


@pytest.mark.slow
def test_one_checkpoint_has_every_task_beside_its_twins(finished: Path) -> None:
    by_model = {
        name.partition(" checkpoint")[0]: report["tasks"]
        for name, report in reports(finished, "one_model").items()
    }
    assert set(by_model) == {
        one_model.JOINT, one_model.FRESH, one_model.STEPS, one_model.TOKENS
    }  # fmt: skip
    joint, fresh = by_model[one_model.JOINT], by_model[one_model.FRESH]
    for tasks in by_model.values():
        assert list(tasks) == list(FIGURES)
    assert len({task["tokens"] for task in joint.values()}) == 1  # one training
    for name, task in joint.items():
        same_steps, same_tokens = (by_model[m][name] for m in (one_model.STEPS, one_model.TOKENS))
        assert same_steps["steps"] == task["steps"] < same_tokens["steps"]
        assert same_steps["tokens"] < same_tokens["tokens"]
        assert same_tokens["tokens"] == pytest.approx(task["tokens"], rel=0.3)  # whole steps
        assert "joint minus this" not in task
        for other in (same_steps, same_tokens, fresh[name]):
            test = other["joint minus this"]
            difference = task["value"] - other["value"]
            assert test["mean"] == pytest.approx(difference, abs=1e-9)
            assert test["low"] <= test["mean"] <= test["high"]
    kinds = {name: TASKS[name] for name in FIGURES}
    both, _ = MultiTaskModel.load(finished / "saved", kinds)
    assert both.task("scoring").events == 3  # clicks are scored with the user's events


@pytest.mark.slow
def test_what_is_done_is_not_done_again(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reports(finished, "one_model")
    assert command(finished, "one_model", *WORDS) == 0
    assert "recorded before" in capsys.readouterr().out
    for path in (finished / "results" / "runs").glob("*/report.json"):
        path.unlink()

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a finished stage was trained again")

    monkeypatch.setattr(joint_runs, "train_jointly", refuse)
    assert command(finished, "one_model", *WORDS) == 0
    assert reports(finished, "one_model") == before


@pytest.mark.slow
def test_the_page_says_where_the_joint_model_loses(finished: Path) -> None:
    path = page.write_page(finished / "results")
    assert path is not None
    text = path.read_text()
    for words in (*FIGURES, *page.QUESTIONS.values(), *(m for m in page.QUESTIONS)):
        assert words in text
    assert text.count("The joint model loses on") == 3
    assert page.verdict({"low": 0.1, "high": 0.2}) == page.MORE
    assert page.verdict({"low": -0.2, "high": -0.1}) == page.LESS
    assert page.verdict({"low": -0.1, "high": 0.2}) == page.SAME
    task = {"figure": "auc", "joint minus this": {"mean": -0.15, "low": -0.2, "high": -0.1}}
    lines = page.verdicts({"scoring": task})
    assert lines[0] == "scoring: loses, auc -0.1500 [-0.2000, -0.1000]"
    assert lines[1] == "The joint model loses on 1 of 1 tasks."


def test_without_records_there_is_no_page(tmp_path: Path) -> None:
    assert page.write_page(tmp_path) is None


def test_bad_input_of_one_model_is_said(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, "one_model", "--model", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    other = Tokenizer.train(["words of another kind"] * 3, 300)
    M6RecModel.from_pretrained(project / "checkpoint").save_pretrained(tmp_path / "checkpoint")
    other.save(tmp_path / "checkpoint")
    assert command(tmp_path, "one_model", *WORDS) == 2
    assert "made for the tokenizer" in capsys.readouterr().err


def test_dialogues_to_validate_on_are_not_trained_on() -> None:
    about = pd.DataFrame({"dialogue_id": np.repeat(np.arange(20), 3)})
    rows = [np.array([1, 2], dtype=np.int32)] * len(about)
    train, validation = _divide(Examples(rows, rows, np.zeros(len(about)), about), 4)
    assert set(train.about["dialogue_id"]) == set(range(18))
    assert set(validation.about["dialogue_id"]) <= {18, 19}
    assert (len(validation), validation.part) == (4, "validation")


# Lists of twenty.


def test_a_list_holds_the_target_and_unseen_items() -> None:
    lists = draw_lists(DATA, "test", 30)
    assert lists.candidates.shape == (30, 20)
    row_of = {user: row for row, user in enumerate(SPLIT.test.histories.user_ids.tolist())}
    for row, user in enumerate(lists.histories.user_ids.tolist()):
        candidates = lists.candidates[row]
        assert len(set(candidates.tolist())) == 20
        start, stop = lists.histories.offsets[row : row + 2]
        assert not set(candidates.tolist()) & set(lists.histories.items[start:stop].tolist())
        assert candidates[0] == SPLIT.test.targets[SPLIT.test.target_offsets[row_of[user]]]
    again = draw_lists(DATA, "test", 30)
    np.testing.assert_array_equal(again.candidates, lists.candidates)
    with pytest.raises(ValueError, match="pass a smaller --candidates"):
        draw_lists(DATA, "test", 3, 60)


def test_the_report_ranks_the_list_alone() -> None:
    lists = draw_lists(DATA, "test", 12)
    scores = np.random.default_rng(0).normal(size=lists.candidates.shape)
    report = list_report(scores, lists, DATA, "random")
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    wanted = np.where(above < 10, 1 / np.log2(above + 2), 0.0)
    assert report["ndcg@10"] == pytest.approx(wanted.mean(), rel=1e-12)
    equal = list_report(np.zeros_like(scores), lists, DATA, "equal")
    assert equal["ndcg@10"] == pytest.approx((1 / np.log2(np.arange(10) + 2)).sum() / 20)
    popular = rank_by([Popularity()], lists, DATA)["Popularity"]
    assert popular.n_users == 12


def test_controls_change_what_is_read_and_nothing_else() -> None:
    histories = draw_lists(DATA, "test", 20).histories
    shuffled, exchanged = shuffle_events(histories), exchange_events(histories)
    changed = 0
    for row in range(len(histories)):
        start, stop = histories.offsets[row : row + 2]
        pairs = [
            list(zip(h.items[start:stop].tolist(), h.events[start:stop].tolist(), strict=True))
            for h in (histories, shuffled)
        ]
        assert sorted(pairs[0]) == sorted(pairs[1])
        changed += pairs[0] != pairs[1]
    assert changed > 10
    np.testing.assert_array_equal(shuffled.timestamps, histories.timestamps)
    np.testing.assert_array_equal(exchanged.user_ids, histories.user_ids)
    np.testing.assert_array_equal(exchanged.lengths, np.roll(histories.lengths, -1))
    np.testing.assert_array_equal(exchanged.at, np.roll(histories.at, -1))


def test_every_score_is_recorded_beside_simple_models(project: Path) -> None:
    words = ["--model", "checkpoint", "--max-tokens", "512", "--users", "8"]
    assert command(project, "zero_shot", *words, "--gpt", "bazaar-gpt") == 0
    found = reports(project, "zero_shot")
    others = {"Popularity", "Bigram", "EASE", zero_shot.DOMAIN_FIRST}
    gpt = {f"{zero_shot.GPT}, sum", f"{zero_shot.GPT}, mean"}
    assert {name.partition(" lists")[0] for name in found if "M6-Rec" not in name} == others | gpt
    own = {name: report for name, report in found.items() if "M6-Rec" in name}
    for score in ("sum", "mean", "sum, lift", "mean, lift"):
        assert any(name.endswith(f"tokens, {score}") for name in own)
    assert sum("best on validation" in name for name in own) == 3  # and two controls
    for report in own.values():
        assert report["events read"] > 0
        assert set(report["minus"]) == others | gpt
    text = (zero_shot_page.write_page(project / "results") or Path()).read_text(encoding="utf-8")
    assert "## bazaar, `checkpoint`, seed 0" in text
    assert text.count("Best on validation minus the same with") == 2
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    compared = [line for line in lines if re.search(r"[+-]\d\.\d{3} \[[^|]*\] \|$", line)]
    assert len(compared) == len(others | gpt)  # each other model, with a paired difference


def test_the_rule_of_the_last_domain() -> None:
    lists = draw_lists(DATA, "test", 30)
    report = zero_shot.domain_first(lists, DATA)[zero_shot.DOMAIN_FIRST]
    domain = DATASET.items.set_index("item_id")["domain"].loc[SPLIT.item_ids].to_numpy()
    popular = Popularity().fit(SPLIT.train).popularity_
    wanted = []
    for row, candidates in enumerate(lists.candidates):
        last = lists.histories[[row]].items[-1]
        keys = [(domain[item] == domain[last], popular[item]) for item in candidates]
        above = sum(key > keys[0] for key in keys[1:])
        equal = sum(key == keys[0] for key in keys[1:])
        places = np.arange(above, above + equal + 1)
        wanted.append(np.where(places < 10, 1 / np.log2(places + 2), 0.0).mean())
    assert report["ndcg@10"] == pytest.approx(np.mean(wanted), rel=1e-9)
    items = DATASET.items.drop(columns="domain")
    assert not zero_shot.domain_first(lists, TaskData(replace(DATASET, items=items), SPLIT))


# The prepared run for a GPU.


def test_a_gpu_that_is_not_there_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command(project, "gpu_run", "--size", "small") == 2
    assert "a GPU was asked for and torch finds none" in capsys.readouterr().err
    assert not (project / "runs" / "gpu_run").exists()


def test_the_gpu_run_works_on_a_cpu(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_run, "_steps", lambda plan, seconds, device: 2)
    monkeypatch.setattr(gpu_run, "MEASURED", 1)
    small = {"fp32": (Plan.of_size("nano", lines=2), False)}
    monkeypatch.setattr(gpu_run, "ways", lambda plan, device: small)
    words = ["gpu_run", "--size", "nano", "--device", "cpu", "--minutes", "0.01"]
    words += ["--lines", "8", "--context", "512", "--test", "2"]
    assert command(project, *words, "--prepare") == 0
    assert command(project, *words) == 0
    (report,) = reports(project, "gpu_run").values()
    assert set(report["headline"]) == set(FIGURES)
    assert report["pretraining"]["next events"]["mean events read"] > 0
    (row,) = report["throughput"]
    assert row["way"] == "fp32"
    assert min(row["tokens/s"], row["mfu"]) > 0
    key = RunKey(
        "gpu_run", "bazaar", "M6-Rec nano",
        "pretrained on bazaar-large, library stated, 0.01 minutes",
    )  # fmt: skip
    assert Records(project / "results").is_recorded(key)


def test_a_gpu_also_measures_compiled_blocks() -> None:
    plan = Plan.of_size("nano")
    ways, on_cpu = gpu_run.ways(plan, "cuda"), gpu_run.ways(plan, "cpu")
    assert set(ways) - set(on_cpu) == {"bf16, compiled"}
    assert [name for name, (_, compiled) in ways.items() if compiled] == ["bf16, compiled"]
    whole, parts = (ways[name][0] for name in ("bf16", "bf16, two parts a step"))
    assert parts.lines * parts.accumulate == whole.lines
    assert parts.tokens_a_step == pytest.approx(whole.tokens_a_step)


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    rows = [{"way": "fp32", "seconds": 1.0, "tokens/s": 2.0, "mfu": 0.5, "peak gb": None}]
    (tmp_path / "throughput.json").write_text(json.dumps(rows))
    assert gpu_run.throughput(argparse.Namespace(), tmp_path) == rows


def test_steps_fit_into_the_minutes() -> None:
    assert gpu_run.steps_within(60, 0.5) == 120
    assert gpu_run.steps_within(0.1, 1.0) == 1
