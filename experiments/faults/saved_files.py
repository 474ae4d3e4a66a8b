"""Each kind of file that the package writes: how to write a small one, and how to read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from m6rec_lite import course
from m6rec_lite.course import Leaderboard
from m6rec_lite.data import Dataset, Histories, leave_one_out, load_dataset
from m6rec_lite.data.bazaar import generate, save
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.rank_files import read_ranks, write_ranks
from m6rec_lite.language import BERT, GPT, BERTConfig, GPTConfig, NGram, Tokenizer
from m6rec_lite.language.text.document import Document
from m6rec_lite.m6rec import (
    Adapted,
    LoRA,
    M6RecConfig,
    M6RecModel,
    MultiTaskModel,
    Scoring,
    TokenFile,
    load_compressed,
    save_compressed,
)
from m6rec_lite.recommenders import ItemKNN, Popularity, Recommender, SASRec
from m6rec_lite.training import RowBatches, fit

#: A small bazaar.
DIALS: dict[str, Any] = {"users": 60, "items": 80, "slates": 0.0, "progress": False}


@cache
def world(seed: int) -> Dataset:
    """Return a small world."""
    return generate(seed=seed, **DIALS)


@cache
def tokenizer(seed: int) -> Tokenizer:
    """Return a tokenizer of 600 tokens, trained on the titles of a small world."""
    return Tokenizer.train(world(seed).items["title"].tolist(), 600)


def backbone(seed: int) -> M6RecModel:
    """Return an untrained M6-Rec model of the smallest size."""
    torch.manual_seed(seed)
    return M6RecModel(M6RecConfig.of_size("nano", tokenizer(0), num_hidden_layers=1)).eval()


def multi_task(seed: int) -> MultiTaskModel:
    """Return an untrained model with one task."""
    model = backbone(seed)
    return MultiTaskModel(model, {"scoring": Scoring(model.config.hidden_size)}).eval()


def _states(model: torch.nn.Module) -> dict[str, Any]:
    return {name: value.detach() for name, value in model.state_dict().items()}


def _train(folder: Path, seed: int) -> dict[str, Any]:
    """Train a linear model for ``1 + seed`` epochs, or go on with its checkpoint."""
    torch.manual_seed(0)
    x = torch.arange(4096.0).reshape(64, 64).sin()
    model = torch.nn.Linear(64, 64)
    fit(
        model,
        RowBatches(x, x.cos(), batch_size=8),
        lambda net, batch: ((net(batch[0]) - batch[1]) ** 2).mean(),
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        epochs=1 + seed,
        checkpoint=folder / "run",
        progress=False,
    )
    return _states(model)


def _scores(folder: Path) -> np.ndarray:
    model: Any = Recommender.load(folder / "model")
    return model.score(Histories.from_lists([[item] for item in model.item_ids], model.item_ids))


def _language_model(kind: str, seed: int) -> Any:
    torch.manual_seed(seed)
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    size: dict[str, Any] = {"vocab_size": tokenizer(0).vocab_size, "max_position_embeddings": 32}
    return GPT(GPTConfig(**size, **shape)) if kind == "gpt" else BERT(BERTConfig(**size, **shape))


def _write_adapted(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    adapted = Adapted(backbone(0), LoRA())
    for weight in adapted.trained().values():
        torch.nn.init.normal_(weight)
    adapted.save(folder / "change")


def _write_board(folder: Path, seed: int) -> None:
    """Add one row, so that a failure leaves the rows of before."""
    row = {"dataset": "d", "scale": "smoke", "split_hash": "x", "seed": seed, "ndcg@10": 0.25}
    Leaderboard(folder).add(row | {"model": "EASE", "variant": "a" * 40})


def _prediction(folder: Path, value: float | None = None) -> Any:
    os.environ["M6REC_RUN"] = str(folder)
    if value is not None:
        course.predict("01.hits", value)
    return [read_json(path) for path in sorted(folder.rglob("*.json"))]


def _fit_small(folder: Path, model: Recommender, seed: int) -> None:
    # Without a bar: its file may not grow either, and what is tried is `save`.
    model.fit(leave_one_out(world(seed)).train, progress=False)
    model.save(folder / "model")


def _ranks(seed: int) -> Any:
    split = leave_one_out(world(seed))
    return evaluate(Popularity().fit(split.train, progress=False), split, progress=False)


@dataclass(frozen=True)
class Saved:
    """One kind of files.

    Attributes:
        name: name of the kind.
        write: writes one into a folder, with values that depend on a seed.
        read: returns the values that are in a folder.
        checked: whether its contents have checksums.
        replaces: whether writing again replaces what is there.
        leaves: what may be left of a write that failed, beside the old files as they were: nothing,
            new files that are whole, or anything that reads as the old values.
    """

    name: str
    write: Callable[[Path, int], Any]
    read: Callable[[Path], Any]
    checked: bool = True
    replaces: bool = True
    leaves: Literal["nothing", "whole files", "old values"] = "nothing"


def _tables(folder: Path) -> Any:
    data = load_dataset(folder / "world", progress=False)
    tables = [value for value in vars(data).values() if isinstance(value, pd.DataFrame)]
    users = data.interactions["user_id"].to_numpy()[:20]
    items = data.interactions["item_id"].to_numpy()[:20].reshape(-1, 1)
    times = data.interactions["timestamp"].to_numpy()[:20]
    return tables, data.oracle.click_probability(users, items, times)


def _rows(folder: Path) -> Any:
    file = TokenFile(folder / "tokens", tokenizer(0))
    return [np.asarray(file.tokens), file.about]


SAVED = (
    Saved("recommender", lambda f, s: _fit_small(f, ItemKNN(), s), _scores),
    Saved(
        "network recommender",
        lambda f, s: _fit_small(f, SASRec(epochs=1, hidden_size=16, seed=s), s),
        _scores,
    ),
    Saved(
        "n-grams",
        lambda f, s: NGram(2).fit([t.split() for t in world(s).items["title"]]).save(f / "n.npz"),
        lambda f: [*NGram.load(f / "n.npz").to_arrays().values()],
    ),
    Saved(
        "tokenizer",
        lambda f, s: tokenizer(s).save(f / "words"),
        lambda f: Tokenizer.load(f / "words").encode_batch(world(0).items["title"].tolist()),
    ),
    Saved(
        "GPT",
        lambda f, s: _language_model("gpt", s).save_pretrained(f / "gpt", tokenizer(0)),
        lambda f: [_states(GPT.from_pretrained(f / "gpt")), Tokenizer.load(f / "gpt").encode("a")],
    ),
    Saved(
        "BERT",
        lambda f, s: _language_model("bert", s).save_pretrained(f / "bert", tokenizer(0)),
        lambda f: [_states(BERT.from_pretrained(f / "bert"))],
    ),
    Saved(
        "M6-Rec",
        lambda f, s: backbone(s).save_pretrained(f / "m6rec"),
        lambda f: _states(M6RecModel.from_pretrained(f / "m6rec")),
    ),
    Saved(
        "M6-Rec with tasks",
        lambda f, s: multi_task(s).save(f / "tasks", tokenizer(0)),
        lambda f: _states(MultiTaskModel.load(f / "tasks", {"scoring": Scoring})[0]),
    ),
    Saved("change of M6-Rec", _write_adapted, lambda f: _states(
        Adapted.load(f / "change", backbone(0)).model)),
    Saved(
        "compressed M6-Rec",
        lambda f, s: save_compressed(multi_task(s), tokenizer(0), f / "small.safetensors"),
        lambda f: _states(load_compressed(f / "small.safetensors")[0]),
    ),
    Saved("training checkpoint", _train, lambda f: _train(f, 0)),
    Saved("world", lambda f, s: save(world(s), f / "world"), _tables),
    Saved(
        "tokens",
        lambda f, s: TokenFile.write(
            f / "tokens", [Document(((None, t),)) for t in world(s).items["title"]], tokenizer(0),
            progress=False,
        ),
        _rows,
        replaces=False,
    ),
    Saved("leaderboard", _write_board, lambda f: Leaderboard(f).frame("d"), checked=False),
    Saved("prediction", lambda f, s: _prediction(f, 0.5 + s), _prediction, checked=False),
    Saved(
        "ranks of targets",
        lambda f, s: write_ranks(f / "ranks.npz", _ranks(s)),
        lambda f: [[*vars(part).values()] if hasattr(part, "n_items") else part
                   for part in read_ranks(f / "ranks.npz")],
    ),
)  # fmt: skip
