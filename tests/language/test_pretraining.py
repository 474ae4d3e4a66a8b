"""Pretraining: what is read, what is written, and that the figures are what they say."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from m6rec_lite.data import leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.language.models import pretraining
from m6rec_lite.language.models.bert import IGNORED
from m6rec_lite.language.models.hub import ModelError, checkpoints
from m6rec_lite.language.models.pretraining import ABOUT, Pretrained, evaluate_lm, main, pretrain
from m6rec_lite.language.models.recipes import Recipe, batches_of, documents
from m6rec_lite.language.text.document import encode_documents
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.training.checkpoints import CheckpointError, Checkpoints

TINY = {
    "vocab_size": 600,
    "window": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TINY |= {"epochs": 2, "batch_tokens": 512, "users": 12, "items": False, "share": 0.3}


@pytest.fixture(scope="module", params=["gpt", "bert"])
def made(request, bazaar, bazaar_split, tmp_path_factory) -> tuple[Pretrained, object]:
    folder = tmp_path_factory.mktemp(request.param) / f"tiny-{request.param}"
    recipe = Recipe(kind=request.param, **TINY)
    return pretrain(
        recipe, bazaar, bazaar_split, out=folder, command="a command", progress=False
    ), folder


def test_texts_hold_the_training_rows_of_each_user_and_nothing_else(bazaar, bazaar_split):
    recipe = Recipe(**TINY)
    corpus = documents(recipe, bazaar, bazaar_split)["behaviour"]
    n_events = sum(
        name == "[EVENT]" for d in corpus.train + corpus.held_out for name, _ in d.pieces
    )
    assert n_events == int((bazaar_split.train.users < 12).sum())
    assert len(corpus.train) + len(corpus.held_out) == 12
    assert corpus.held_out, "no document is held out"
    titles = dict(zip(bazaar.items["item_id"], bazaar.items["title"], strict=True))
    text = recipe.text(bazaar)
    for holdout in (bazaar_split.validation, bazaar_split.test):
        for row in range(12):
            (target,) = holdout.targets[holdout.target_offsets[row] :][:1]
            words = titles[bazaar_split.item_ids[target]]
            user = bazaar_split.test.histories.user_ids[row]
            ours = text.documents(
                bazaar_split.train.histories()[bazaar_split.train.user_ids == user]
            )[0]
            assert words not in ours.text


def test_judge_is_the_sum_of_the_log_probabilities(bazaar, bazaar_split):
    recipe = Recipe(**TINY)
    corpus = documents(recipe, bazaar, bazaar_split)["behaviour"]
    tokenizer = Tokenizer.train([d.text for d in corpus.train], 600)
    torch.manual_seed(1)
    model = pretraining.build(recipe, tokenizer).double().eval()
    result = evaluate_lm(
        model, tokenizer, batches_of(recipe, tokenizer, corpus.held_out, shuffle=False)
    )
    nats = tokens = 0.0
    for row in encode_documents(tokenizer, corpus.held_out):
        for start in range(0, len(row) - 1, recipe.window):  # windows, as TokenBatches cuts them
            part = torch.from_numpy(row[start : start + recipe.window + 1]).long()
            with torch.no_grad():
                chances = torch.log_softmax(model.logits(model(part[None, :-1]))[0], dim=1)
            nats -= float(chances[torch.arange(len(part) - 1), part[1:]].sum())
            tokens += len(part) - 1
    assert result["tokens"] == tokens
    assert result["nats_a_token"] == pytest.approx(nats / tokens, rel=1e-9)
    assert result["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-9)
    n_bytes = sum(d.n_bytes for d in corpus.held_out)
    assert result["bits_a_byte"] == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-9)


def test_it_learns(made):
    model, _ = made
    blind = math.log(model.tokenizer.vocab_size)
    assert model.metrics["behaviour"]["nats_a_token"] < blind - 0.2
    assert model.history["loss"][-1] < model.history["loss"][0]


def test_the_folder_opens_here_and_in_transformers(made):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    model, folder = made
    kind = AutoModelForCausalLM if model.recipe.kind == "gpt" else AutoModelForMaskedLM
    ids = torch.arange(20, 40)[None]
    reference = kind.from_pretrained(folder).eval()
    again = Pretrained.load(folder)
    with torch.no_grad():
        ours = model.model.logits(model.model(ids))
        torch.testing.assert_close(reference(ids).logits, ours, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(again.model.logits(again.model(ids)), ours)
    opened = AutoTokenizer.from_pretrained(folder)
    result = opened("a jazz recording", add_special_tokens=False).input_ids
    assert result == model.tokenizer.encode("a jazz recording")
    assert again.recipe == model.recipe
    assert again.tokenizer.fingerprint == model.tokenizer.fingerprint
    assert again.metrics == model.metrics


def test_the_reported_figures_are_found_again_from_the_folder(made, bazaar, bazaar_split):
    _, folder = made
    again = Pretrained.load(folder)
    corpus = documents(again.recipe, bazaar, bazaar_split)["behaviour"]
    batches = batches_of(again.recipe, again.tokenizer, corpus.held_out, shuffle=False)
    result = evaluate_lm(again.model, again.tokenizer, batches)
    assert result == pytest.approx(again.metrics["behaviour"], rel=1e-6)


def test_the_card_says_what_a_reader_needs(made):
    model, folder = made
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("license: apache-2.0", "simulated world", "a command", "hash d4520f47cf4b",
                  f"{model.metrics['behaviour']['perplexity']:.3f}", "2 passes"):  # fmt: skip
        assert words in card
    about = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    assert about["parameters"] == sum(weight.numel() for weight in model.model.parameters())
    assert about["documents"]["behaviour"]["kept back"] > 0
    other = pretraining.model_card("x", about | {"dataset": "ml-100k"})
    assert "license: other" in other
    assert "MovieLens forbids" in other


def test_cut_off_and_started_again_it_ends_the_same(bazaar, bazaar_split, tmp_path, monkeypatch):
    recipe = Recipe(**TINY)
    whole = pretrain(recipe, bazaar, bazaar_split, progress=False)

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    saves = Checkpoints(tmp_path / "saves", steps=3)
    with monkeypatch.context() as patched:
        patched.setattr(pretraining, "evaluate_lm", cut_off)  # asked at the first epoch's end
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, bazaar, bazaar_split, checkpoint=saves, progress=False)
    saves = Checkpoints(tmp_path / "saves", steps=3)
    assert saves.paths(), "nothing was saved before the end of the first epoch"
    again = pretrain(recipe, bazaar, bazaar_split, checkpoint=saves, progress=False)
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weight, rtol=0, atol=0)
    other = replace(recipe, lr=1e-3)
    with pytest.raises(CheckpointError, match="lr"):
        pretrain(other, bazaar, bazaar_split, checkpoint=tmp_path / "saves", progress=False)


def test_hidden_tokens_are_drawn_anew_each_epoch_and_are_never_special(bazaar, bazaar_split):
    recipe = Recipe(**TINY | {"kind": "bert", "users": 60, "batch_tokens": 4096})
    corpus = documents(recipe, bazaar, bazaar_split)["behaviour"]
    tokenizer = Tokenizer.train([d.text for d in corpus.train], 600)
    batches = batches_of(recipe, tokenizer, corpus.train)
    assert batches.overlap == 0
    shares, first = [], []
    for epoch in (0, 0, 1):
        batch = batches.epoch(3, epoch)[0]
        hidden = batch.targets != IGNORED
        assert batch.targets[hidden].min() >= len(SPECIALS)
        assert len(batch.ids) == int(batch.lengths.sum())
        kept = ~hidden
        shares.append(float(hidden.float().mean() / (batch.ids >= len(SPECIALS)).float().mean()))
        first.append((batch.targets, batch.ids[kept]))
    assert shares[0] == pytest.approx(0.15, abs=0.03)
    assert torch.equal(first[0][0], first[1][0])
    assert first[0][0].shape != first[2][0].shape or not torch.equal(first[0][0], first[2][0])


def test_a_tiny_batch_still_asks_for_something(bazaar, bazaar_split):
    recipe = Recipe(**TINY | {"kind": "bert", "batch_tokens": 1, "window": 2, "masking": 0.01})
    corpus = documents(recipe, bazaar, bazaar_split)["behaviour"]
    tokenizer = Tokenizer.train([d.text for d in corpus.train], 600)
    some = batches_of(recipe, tokenizer, corpus.train[:1]).epoch(0, 0)
    n_targets = [int((some[i].targets != IGNORED).sum()) for i in range(min(40, len(some)))]
    assert min(n_targets) >= 1


def test_the_command_writes_a_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    options = ["--users", "12", "--epochs", "1", "--hidden-size", "16", "--num-hidden-layers", "1"]
    options += ["--num-attention-heads", "2", "--vocab-size", "600", "--no-items", "--window", "64"]
    options += ["--parts", "title", "--share", "0.3", "--checkpoint", str(tmp_path / "saves")]
    main(["gpt", "--dataset", "bazaar", "--out", str(tmp_path / "mine"), *options])
    output = json.loads(capsys.readouterr().out)
    made = Pretrained.load(tmp_path / "mine")
    assert made.recipe.parts == ("title",)
    assert output["behaviour"] == made.metrics["behaviour"]
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "python -m m6rec_lite.language.models.pretraining gpt --dataset bazaar" in card


def test_the_command_reads_another_bazaar(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    options = ["--epochs", "1", "--hidden-size", "16", "--num-hidden-layers", "1"]
    options += ["--num-attention-heads", "2"]
    options += ["--vocab-size", "600", "--window", "64", "--checkpoint", str(tmp_path / "saves")]
    out = ["--out", str(tmp_path / "mine"), *options]
    main(["bert", "--world", "seed=3", "users=40", "items=60", "slates=0", *out])
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "bazaar.generate(seed=3, users=40, items=60, slates=0)" in card
    assert "other shoppers and other items" in card
    with pytest.raises(SystemExit):
        main(["bert", "--world", "seed", *out])
    assert "name=number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"kind": "t5"}, "gpt, bert"),
        ({"share": 0.0}, "nothing can be evaluated"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"masking": 1.5}, "masking"),
    ],
)
def test_a_recipe_refuses_what_cannot_be(setting, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**setting)


def test_load_refuses_what_was_not_made_here(made, tmp_path):
    model, _ = made
    model.model.save_pretrained(tmp_path / "bare", model.tokenizer)
    with pytest.raises(ModelError, match="pretraining"):
        Pretrained.load(tmp_path / "bare")


@pytest.mark.parametrize("name", ["bazaar-gpt", "bazaar-bert"])
def test_a_kept_checkpoint_is_as_good_as_its_card_says(name, bazaar, bazaar_split):
    if name not in checkpoints():
        pytest.skip(f"checkpoints/{name} is not here")
    kept = Pretrained.load(name)
    about = json.loads((checkpoints()[name] / ABOUT).read_text(encoding="utf-8"))
    dials = dict(re.findall(r"(\w+)=(\d+)", about["dataset"]))
    if dials:  # it was trained on another bazaar
        bazaar = generate(**{key: int(value) for key, value in dials.items()}, progress=False)
        bazaar_split = leave_one_out(bazaar)
    assert about["split"] == f"{bazaar_split.name}, hash {bazaar_split.hash}"
    corpora = documents(kept.recipe, bazaar, bazaar_split)
    sizes = {"items": None, "behaviour": 30}  # all the items, some of the people
    for kind, n in sizes.items():
        batches = batches_of(kept.recipe, kept.tokenizer, corpora[kind].held_out[:n], shuffle=False)
        result = evaluate_lm(kept.model, kept.tokenizer, batches)
        near = 1e-4 if n is None else 0.1
        for figure in ("nats_a_token", "bits_a_byte"):
            assert result[figure] == pytest.approx(kept.metrics[kind][figure], rel=near), kind
    card = (checkpoints()[name] / "README.md").read_text(encoding="utf-8")
    assert f"{kept.metrics['behaviour']['perplexity']:.3f}" in card
    size = sum(path.stat().st_size for path in checkpoints()[name].iterdir())
    assert size < 8_000_000
    assert np.isfinite([weight.sum().item() for weight in kept.model.parameters()]).all()
