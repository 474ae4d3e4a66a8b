"""The command that pretrains: what it writes, what it refuses, and that it goes on where it was."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from m6rec_lite.data import Dataset, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.data.run_config import RunConfigError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecModel
from m6rec_lite.m6rec import pretraining as command
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.pretraining import Pretraining, main, pretrain
from m6rec_lite.m6rec.token_file import TokenFile, TokenFileError
from m6rec_lite.training import History
from m6rec_lite.training.metrics import Metrics, read_metrics

SETTINGS: dict[str, Any] = {"size": "nano", "steps": 250, "lines": 4, "vocab_size": 600, "lr": 6e-3}
SHORT: dict[str, Any] = {"steps": 24, "validations": 1}


@pytest.fixture(scope="module")
def world() -> Dataset:
    return generate(users=120, items=100, seed=3)


def known(history: History) -> list[dict[str, float]]:
    """The records without what depends on the machine's speed."""
    speed = {"seconds", "tokens/s", "mfu", "peak_mib"}
    return [{k: v for k, v in one.items() if k not in speed} for one in history.records]


def run(folder: Path, world: Dataset, **changes: Any) -> tuple[M6RecModel, Tokenizer, History]:
    settings = Pretraining(**SETTINGS | {"validations": 3} | changes)
    return pretrain(settings, folder, dataset=world, device="cpu", progress=False)


@pytest.fixture(scope="module")
def finished(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    folder = tmp_path_factory.mktemp("pretraining") / "run"
    return folder, run(folder, world)[2]


def test_it_learns_more_than_how_often_words_occur(finished: tuple[Path, History]) -> None:
    folder, history = finished
    result = json.loads((folder / "report.json").read_text())["held out"]
    for name in ("infilling", "sentence"):
        assert result[f"{name} bits"] < 0.95 * result[f"{name} bits, unigram"]
        assert result[f"{name} bits, trigram"] < result[f"{name} bits, unigram"]
        assert history[f"{name} nats"][-1] < history[f"{name} nats"][0]
    assert len(history) >= 3


def test_the_folder_holds_a_model_and_how_it_was_made(finished: tuple[Path, History]) -> None:
    folder, history = finished
    tokenizer = Tokenizer.load(folder / "model")
    model = M6RecModel.from_pretrained(folder / "model")
    model.config.check_tokenizer(tokenizer)
    assert model.config.vocab_size == tokenizer.vocab_size == 600
    ids = torch.tensor([[tokenizer.id("[BOS']"), *tokenizer.encode("A woman"), 2, 3]])
    written = model.generate(ids, max_new_tokens=5, do_sample=False)
    assert written.shape[1] > ids.shape[1]
    lines = read_metrics(folder / "metrics.jsonl")
    assert [line["record"] for line in lines if "record" in line] == history.records
    step = next(line for line in lines if "record" not in line)
    assert {"infilling", "sentence", "loss", "lr", "tokens/s", "mfu", "peak_mib"} <= step.keys()
    assert step["loss"] == pytest.approx((step["infilling"] + step["sentence"]) / 2, rel=1e-4)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((folder / "report.json").read_text())
    assert report["parameters"] == model.num_parameters()
    assert report["settings"]["steps"] == 250


def test_a_finished_run_started_again_changes_nothing(
    finished: tuple[Path, History], world: Dataset
) -> None:
    folder, history = finished
    before = M6RecModel.from_pretrained(folder / "model").state_dict()
    model, _, again = run(folder, world)
    assert known(again) == known(history)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_end(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, history = run(tmp_path / "whole", world, **SHORT)

    class Tells(Metrics):
        def step(self, run: Any) -> None:
            super().step(run)
            if run.step == 9:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(command, "Metrics", Tells)
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "run", world, **SHORT)
    assert ended.value.code == 143
    assert not (tmp_path / "run" / "model").exists()
    monkeypatch.undo()
    model, _, rest = run(tmp_path / "run", world, **SHORT)
    assert known(rest) == known(history)
    for (name, one), other in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert (tmp_path / "run" / "model").is_dir()


def test_a_folder_of_another_run_is_refused(
    finished: tuple[Path, History], world: Dataset, tmp_path: Path
) -> None:
    folder, _ = finished
    with pytest.raises(RunConfigError, match=r"lr: 0.006 there, 0.001 now"):
        run(folder, world, lr=1e-3)
    Tokenizer.train(["words of another kind"], 300).save(tmp_path / "other")
    (folder / "run.json").rename(tmp_path / "run.json")
    try:
        with pytest.raises(TokenFileError, match="numbers mean other words"):
            run(folder, world, tokenizer=str(tmp_path / "other"))
    finally:
        (tmp_path / "run.json").replace(folder / "run.json")


def test_the_model_has_a_card(finished: tuple[Path, History]) -> None:
    folder, _ = finished
    card = (folder / "model" / "README.md").read_text()
    report = json.loads((folder / "report.json").read_text())
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert f"{report['parameters']:,} parameters: 2 layers" in card
    assert leave_one_out(generate(users=120, items=100, seed=3)).hash in card
    for name in ("infilling", "sentence"):
        figures = [report["held out"][f"{name} {kind}"] for kind in ("nats", "bits")]
        row = next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
        assert [float(cell) for cell in row.split(" | ")[1:3]] == pytest.approx(figures, abs=1e-4)
    read = report["tokens read"]
    assert f"250 steps of 1 x 4 sequences, {read:,} tokens, took" in card
    assert 0.7 * 250 * 4 * 128 < read < 250 * 4 * 128
    assert "simulated world" in card
    for one in card.split("\n## ")[1:]:
        assert len(one.splitlines()) > 1, f"nothing stands under {one!r}"


def test_tokens_come_from_training_rows_and_never_from_targets(
    finished: tuple[Path, History], world: Dataset
) -> None:
    folder, _ = finished
    tokenizer = Tokenizer.load(folder / "tokenizer")
    split = leave_one_out(world)
    train = TokenFile(folder / "tokens" / "train", tokenizer)
    held_out = TokenFile(folder / "tokens" / "held-out", tokenizer)
    corpora = pretraining_corpora(world, split)
    assert len(train) == sum(len(one.train) for one in corpora.values())
    assert len(held_out) == sum(len(one.held_out) for one in corpora.values())
    assert set(corpora) == {"behaviour", "items", "statistics", "reviews", "dialogues"}
    events = tokenizer.id("[EVENT]")
    n_events = sum(
        int((document == events).sum()) for file in (train, held_out) for document in file
    )
    rows = len(split.train.users)
    assert rows <= n_events <= rows + len(world.queries)  # searches are written too


def test_one_objective_alone_can_be_trained(world: Dataset, tmp_path: Path) -> None:
    _, _, history = run(tmp_path / "run", world, sentence=0.0, steps=2, positions="learned")
    assert "infilling nats" in history.records[-1]
    assert "sentence" not in history.records[-1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": "huge"}, "size must be one of nano, tiny, small, base"),
        ({"steps": 0}, "at least 1"),
        ({"infilling": 0.0, "sentence": 0.0}, "not all of them 0"),
        ({"rate": 2.0}, "rate must be"),
    ],
)
def test_settings_out_of_range_are_refused(
    world: Dataset, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run(tmp_path / "run", world, **wrong)
    assert not (tmp_path / "run" / "tokens").exists()  # said before any work was done


def test_the_command_says_what_came_out_and_what_went_wrong(
    finished: tuple[Path, History],
    world: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = finished
    monkeypatch.setattr(command, "load_dataset", lambda name: world)
    words = ["--out", str(folder), "--device", "cpu", "--quiet", "--validations", "3"]
    for name, value in SETTINGS.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    assert main(words) == 0
    assert "infilling bits, unigram" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*words, "--dropout", "0.1"])
    assert ended.value.code == 2
    assert "holds a run of other settings" in capsys.readouterr().err
