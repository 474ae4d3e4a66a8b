"""The experiment ``pretrained_lm`` on small worlds, with a tiny random Llama and letter counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from experiments import pretrained_likes, pretrained_lm, pretrained_vectors
from experiments.__main__ import main
from experiments.claim_rules import RunPattern
from experiments.pretrained_lm import Ranked, some_lists
from experiments.records import Records
from m6rec_lite.data import Dataset, cold_item, leave_one_out, load_dataset
from m6rec_lite.data.bazaar import generate
from m6rec_lite.m6rec import TaskData
from tests.m6rec.test_pretrained_lm import TOKENIZER

SHOP = generate(users=80, items=60, slates=0, seed=2, progress=False)


def films() -> Dataset:
    """Ratings of films with titles, one a second."""
    draw = np.random.default_rng(0)
    users, items = np.divmod(draw.permutation(40 * 25), 25)
    rows = {"user_id": users, "item_id": items, "timestamp": 10**9 + np.arange(len(users))}
    rows |= {"event": "rate", "value": draw.integers(1, 6, len(users)).astype(float)}
    titles = pd.DataFrame({"item_id": range(25), "title": [f"Film {i} (1995)" for i in range(25)]})
    return load_dataset(pd.DataFrame(rows), items=titles)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """Run the experiment; return the index of its records."""
    worlds = {"bazaar": SHOP, "ml-100k": films()}
    for module in (pretrained_lm, pretrained_likes, pretrained_vectors):
        monkeypatch.setattr(module, "load_dataset", worlds.__getitem__)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=1024, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    monkeypatch.setattr(pretrained_lm, "load_smollm2", lambda dtype: (model, TOKENIZER))
    monkeypatch.setattr(pretrained_vectors, "encoders", lambda: {"letters": letters})

    def command(*words: str) -> pd.DataFrame:
        whole = ["pretrained_lm", *words, "--root", str(tmp_path), "--quiet"]
        assert main(whole) == 0
        return Records(tmp_path / "results").frame()

    return command


def letters(texts: list[str]) -> np.ndarray:
    """Return the counts of letters."""
    return np.array([np.bincount([ord(c) % 64 for c in text], minlength=64) for text in texts])


def test_the_lists_are_some_of_those_of_zero_shot() -> None:
    data = TaskData(SHOP, leave_one_out(SHOP))
    few, many = some_lists(data, "test", 8), some_lists(data, "test", 500)
    users = many.histories.user_ids
    whole = {user: row.tolist() for user, row in zip(users, many.candidates, strict=True)}
    assert len(few.candidates) == 8
    for user, row in zip(few.histories.user_ids, few.candidates, strict=True):
        assert whole[user] == row.tolist()


def test_lists_are_ranked_before_and_after_lora_and_recorded_once(
    run: Callable[..., pd.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "bazaar", "--questions", "12", "--steps", "3", "--dtype", "float32"]
    frame = run("--only", "zero_shot", "controls", "lora", *words)
    models = frame["model"].value_counts()
    assert models["SmolLM2-135M"] == 2 * 2 * 6 + 2 * 2  # stages, attentions, scores; controls
    assert set(models.index) == {"SmolLM2-135M", "Popularity", "Bigram", "EASE"}
    assert frame["ndcg@10"].between(0, 1).all()
    variant = "LoRA, prefix, best on validation, 12 questions"
    run_id = RunPattern("pretrained_lm", "SmolLM2-135M", variant).find(frame, "bazaar", 0)
    report = Records(tmp_path / "results").runs / run_id / "report.json"
    text = report.read_text()
    for part in ('"fit_cpu_seconds"', '"trained"', '"Popularity"', '"score"'):
        assert part in text
    capsys.readouterr()
    again = run("--only", "zero_shot", "controls", "lora", *words)
    assert "NDCG" not in capsys.readouterr().out
    pd.testing.assert_frame_equal(again, frame)


def test_the_model_is_as_before_after_lora(run: Callable[..., pd.DataFrame]) -> None:
    words = ["--dataset", "bazaar", "--attention", "causal", "--questions", "8"]
    words += ["--dtype", "float32", "--steps", "3"]
    first = run("--only", "zero_shot", *words)
    both = run("--only", "lora", "zero_shot", *words, "--again")
    zero = both[both["variant"].str.startswith("zero-shot")].reset_index(drop=True)
    before = first[first["variant"].str.startswith("zero-shot")].reset_index(drop=True)
    pd.testing.assert_frame_equal(zero[["variant", "ndcg@10"]], before[["variant", "ndcg@10"]])


def test_training_rows_are_events_of_training(run: Callable[..., pd.DataFrame], tmp_path) -> None:
    import argparse

    options = argparse.Namespace(root=tmp_path, questions=8, again=False, quiet=True, command="")
    ranked = Ranked("bazaar", options)
    load = pretrained_lm.Loaded(torch.float32)
    model = pretrained_lm.make(load, ranked, "causal")
    rows = ranked.training_rows(model, 10, seed=0)
    train = ranked.data.split.train
    words = {tuple(model.written(item)) for item in train.item_ids.tolist()}
    assert len(rows.known) == 10
    assert rows.written is not None
    assert {tuple(ids) for ids in rows.written} <= words
    assert max(map(len, rows.known)) <= pretrained_lm.MAX_TOKENS


def test_likes_have_controls_and_a_record_for_each_number_and_seed(
    run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    words = ["--only", "likes", "--shots", "0", "16", "--seeds", "0", "1", "--dtype", "float32"]
    frame = run(*words)
    variants = frame.groupby("model")["variant"].agg(list)
    assert variants["SmolLM2-135M"] == ["likes rows=0", "likes rows=16", "likes rows=16"]
    assert "auc 0.5" in frame.set_index("model").loc["constant", "headline"]
    page = (tmp_path / "results" / "pretrained_lm.md").read_text()
    assert "TALLRec (published)" in page
    assert "SmolLM2-135M, LoRA" in page


def test_vectors_of_cold_items_and_of_pairs(
    run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    frame = run("--only", "vectors", "--seeds", "0")
    of = frame[frame["dataset"] == "bazaar"].groupby("model")["variant"].agg(set)
    assert of["letters"] == of["TF-IDF"] == {"cold items", "English to Chinese words"}
    assert set(frame.loc[frame["dataset"] == "ml-100k", "variant"]) == {"cold items"}
    page = (tmp_path / "results" / "pretrained_lm.md").read_text()
    assert "Chinese counterparts" in page


def test_chinese_targets_are_those_with_a_chinese_title(bazaar: Dataset) -> None:
    split = cold_item(bazaar, seed=0)
    titles = dict(zip(bazaar.items["item_id"], bazaar.items["title"], strict=True))
    asked = pretrained_vectors.chinese_targets(split, titles)
    assert asked is not None
    assert 0 < len(asked.test) < len(split.test)
    found = [titles[item] for item in split.train.item_ids[asked.test.targets].tolist()]
    assert all(not title.isascii() for title in found)
    assert pretrained_vectors.chinese_targets(split, dict.fromkeys(titles, "Boots")) is None


def test_pair_figures_count_ties_as_the_mean_of_their_ranks() -> None:
    figures = pretrained_vectors.pair_figures(np.eye(4), np.eye(4)[[0, 1, 3, 2]])
    assert figures["hit@1"] == 0.5
    assert figures["mrr"] == pytest.approx((2 + 2 * np.mean([1 / 2, 1 / 3, 1 / 4])) / 4)
    blank = pretrained_vectors.pair_figures(np.zeros((4, 2)), np.ones((4, 2)))
    assert blank["hit@1"] == 0.25
    assert blank["mrr"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))


def test_the_pairs_have_one_counterpart_each() -> None:
    pairs = pretrained_vectors.word_pairs()
    assert len(pairs) > 300
    assert len({en for en, _ in pairs}) == len({zh for _, zh in pairs}) == len(pairs)


def test_too_few_questions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrained_lm", "--questions", "2", "--root", str(tmp_path)]) == 2
    assert "--questions must be from 4 to 500, got 2" in capsys.readouterr().err
