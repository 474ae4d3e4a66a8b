"""The whole of M6-Rec by one command: every stage once, whatever happens in between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data import Dataset, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecModel
from m6rec_lite.m6rec import train as command
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.stages import Stages
from m6rec_lite.m6rec.tasks import MultiTaskModel, Ranking, Scoring
from m6rec_lite.m6rec.train import TrainingRun, main
from m6rec_lite.m6rec.tuning import TUNING, RunConfig, TuningData, kinds_of, named_tasks
from m6rec_lite.training.signals import Interrupted

PRETRAINING = {"steps": 40, "lines": 4, "vocab_size": 1500, "validations": 1}
CONFIG = RunConfig(
    Pretraining(**PRETRAINING), tune_steps=4, tune_tokens=500, rows=45, retrieval_epochs=1, limit=2
)
STAGES = ["tokens", "pretraining", "tuning", "retrieval", "zero-shot", "scoring", "explanation"]
STAGES += ["query", "conversation", "design"]


@pytest.fixture(scope="module")
def world() -> Dataset:
    return generate(users=120, items=100, seed=3)


def run(out: Path, world: Dataset, config: RunConfig = CONFIG) -> dict[str, Any]:
    options = {"datasets": [world], "device": "cpu", "command": "make it", "progress": False}
    return TrainingRun(config, out, **options).train()


def broken(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("this was done before")


@pytest.fixture(scope="module")
def finished(
    world: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A run that was cut off twice and gone on with."""
    out = tmp_path_factory.mktemp("m6rec") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command, "tune", broken)
        with pytest.raises(KeyboardInterrupt):
            run(out, world)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command, "pretrain", forbidden)
        patched.setattr(Scoring, "predict", broken)
        with pytest.raises(KeyboardInterrupt):
            run(out, world)
        assert list(json.loads((out / "stages.json").read_text())["done"]) == STAGES[:5]
    with pytest.MonkeyPatch.context() as patched:
        for name in ("pretrain", "tune", "evaluate_retriever"):
            patched.setattr(command, name, forbidden)
        return out, run(out, world)


def test_every_stage_is_done_once_and_found_something(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    _, result = finished
    assert list(result) == STAGES
    assert result["pretraining"]["parameters"] > 300_000
    assert set(result["tuning"]["tasks"]) == {"scoring", *STAGES[-4:]}
    assert "infilling nats" in result["tuning"]["records"][-1]  # what is left of the pretraining
    assert "adapt" in result["tuning"]["records"][-1]
    assert 0 < result["retrieval"]["ndcg@10"] < 1
    share = result["retrieval"]["ndcg@10, share of the oracle's"]
    assert result["retrieval"]["ndcg@10"] < share < 1
    assert result["zero-shot"]["users"] == 2
    assert 0 <= result["zero-shot"]["oracle ndcg@10"] <= 1
    assert 0.5 < result["scoring"]["auc of the oracle"] <= 1
    assert result["scoring"]["auc"] < result["scoring"]["auc of the oracle"]
    assert result["scoring"]["rows"] == 200
    assert (
        0 < result["scoring"]["log_loss"] < 0.3
    )  # clicks are few, and probabilities are corrected
    assert result["conversation"]["exists"] == 1.0  # its catalogue lets nothing else be named
    for name in STAGES[-4:]:
        assert result[name]["rows"] == 2
    for name in STAGES[-6:]:
        assert result[name]["beside"], name


def test_all_of_it_is_written(finished: tuple[Path, dict[str, Any]], world: Dataset) -> None:
    out, result = finished
    written = json.loads((out / "metrics.json").read_text(), parse_constant=forbidden)  # no NaN
    assert written == {"command": "make it", **result}
    speed = json.loads((out / "throughput.json").read_text())
    assert speed["device"] == "cpu"
    assert speed["median tokens/s"] > 0
    assert 0 < speed["median mfu"] < 1
    for name in ("curves.png", "tuning.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    row = Leaderboard(out / "leaderboard").frame("bazaar").iloc[0]
    assert row["model"] == "M6RecRetriever"
    assert row["split_hash"] == leave_one_out(world).hash
    assert row["ndcg@10"] == pytest.approx(result["retrieval"]["ndcg@10"])
    assert row["variant"] == "pretrained nano on bazaar"
    assert row["command"] == "make it"
    card = (out / "model" / "README.md").read_text()
    assert card.index("## Training") < card.index("## Tuned on") < card.index("## Use")
    assert f"| scoring | auc | {result['scoring']['auc']:.4g} |" in card
    assert "    make it\n" in card
    assert str(out) not in card + json.dumps(written) + ",".join(map(str, row))


def test_the_tuned_model_is_kept_with_its_heads(finished: tuple[Path, dict[str, Any]]) -> None:
    out, result = finished
    both, tokenizer = MultiTaskModel.load(out / "model", kinds_of(result["tuning"]["tasks"]))
    both.model.config.check_tokenizer(tokenizer)
    before = M6RecModel.from_pretrained(out / "pretraining" / "model")
    assert not torch.equal(both.model.embedding.weight, before.embedding.weight)


def test_started_again_nothing_is_done(
    finished: tuple[Path, dict[str, Any]], world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, result = finished
    for name in ("tokens", "pretrain", "tune", "evaluate_retriever", "evaluate_task"):
        monkeypatch.setattr(command, name, forbidden)
    assert run(out, world) == result
    with pytest.raises(ValueError, match=r"holds work of other settings \(beta: 0.25 there, 0.5"):
        run(out, world, replace(CONFIG, beta=0.5))


def test_a_signal_is_passed_on_and_the_stage_is_not_done(
    finished: tuple[Path, dict[str, Any]],
    world: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise Interrupted(143)

    monkeypatch.setattr(command, "pretrain", interrupted)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", world)
    assert list(json.loads((tmp_path / "run" / "stages.json").read_text())["done"]) == ["tokens"]
    monkeypatch.setattr(command, "load_dataset", lambda name: world)
    with pytest.raises(Interrupted) as ended:
        main(["--out", str(tmp_path / "two"), "--vocab-size", "900", "--quiet"])
    assert ended.value.code == 143


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "0"], "must be at least 1"),
        (["--steps", "0"], "steps and validations must be at least 1"),
        (["--data", "no-such-set"], "no-such-set"),
    ],
)
def test_bad_arguments_are_reported(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--quiet", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_several_processes_are_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "run")])
    assert "this runs in one process. Under accelerate launch run -m" in capsys.readouterr().err


# What is learnt from.


@pytest.fixture(scope="module")
def small(world: Dataset, finished: tuple[Path, dict[str, Any]]) -> TuningData:
    return TuningData.of(world, Tokenizer.load(finished[0] / "model"), 384)


def bare(one: TuningData, name: str) -> TuningData:
    """A dataset that has interactions and items alone."""
    dataset = replace(one.data.dataset, name=name, impressions=None, reviews=None, queries=None,
                      dialogues=None)  # fmt: skip
    return one._replace(data=replace(one.data, dataset=dataset))


def test_clicks_are_the_earliest_and_corrected_by_their_share(small: TuningData) -> None:
    torch.manual_seed(0)
    task = Scoring(96, events=3)
    examples = task.build_examples(*small, limit=90, fit=True)
    train, _, _ = split_by_time(small.data.dataset.impressions)
    assert examples.about["timestamp"].max() <= train["timestamp"].max()
    clicks = int(examples.target.sum())
    assert len(examples) == clicks * (task.negatives + 1)
    clicked = train["clicked"].to_numpy(dtype=bool)
    odds = clicked.sum() / (~clicked).sum()  # learned odds times the share are the true ones
    assert task.negative_share == pytest.approx(odds * task.negatives)


def test_sentences_to_rank_by_are_of_training_rows(small: TuningData) -> None:
    other = bare(small, "bazaar")
    assert other.kinds == ["design", "ranking"]
    examples = Ranking().build_examples(*other, limit=90)
    histories = other.data.split.train.histories()
    last = {
        int(user): int(histories.item_ids[histories.items[end - 1]])
        for user, end in zip(histories.user_ids, histories.offsets[1:], strict=True)
    }
    targets = dict(zip(examples.about["user_id"], examples.about["item_id"], strict=True))
    assert targets == {user: last[user] for user in targets}
    assert len(targets) == min(90, np.count_nonzero(histories.lengths >= 2))


def test_tasks_of_several_datasets_have_names_of_their_own(small: TuningData) -> None:
    names = named_tasks([small, bare(small, "ml-1m")], 96)
    assert "scoring bazaar" in names
    assert "ranking ml-1m" in names
    assert "scoring ml-1m" not in names
    assert kinds_of(list(names))["scoring bazaar"] is Scoring
    assert bare(small, "bazaar(drift=0.5)").tag == "bazaar-drift-0-5"


def test_alpha_or_beta_may_be_nothing_but_not_both() -> None:
    assert RunConfig(Pretraining(), beta=0.0).tune_steps == TUNING["nano"]["tune_steps"]
    with pytest.raises(ValueError, match="alpha or beta must be above 0"):
        RunConfig(Pretraining(), alpha=0.0, beta=0.0)


# Stages.


def test_a_stage_is_done_once(tmp_path: Path) -> None:
    path, reported, calls = tmp_path / "work" / "stages.json", [], []

    def work() -> dict[str, float]:
        calls.append(1)
        return {"value": 1.5, "none": float("nan"), "list": (1, 2)}

    wanted = {"value": 1.5, "none": None, "list": [1, 2]}
    assert Stages(path, {"seed": 1}, reported.append).run("one", work) == wanted
    again = Stages(path, {"seed": 1}, reported.append)
    assert again.run("one", work) == wanted
    assert len(calls) == 1
    assert reported[-1] == "one: done before"
    with pytest.raises(KeyboardInterrupt):
        again.run("two", broken)
    assert list(Stages(path, {"seed": 1}).done) == ["one"]
    with pytest.raises(ValueError, match=r"other settings \(seed: 1 there, 2 now\)"):
        Stages(path, {"seed": 2})
    path.write_text("{")
    with pytest.raises(ValueError, match=r"is damaged .* delete it"):
        Stages(path, {"seed": 1})
