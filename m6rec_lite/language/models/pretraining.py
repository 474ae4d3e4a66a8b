"""Pretraining a GPT or a BERT on what a data set says, by one command.

    python -m m6rec_lite.language.models.pretraining gpt --dataset bazaar --out FOLDER

learns a tokenizer and a model from behaviour as text and from item texts, and writes a folder that
``from_pretrained`` opens, here and in ``transformers``: the model, the tokenizer,
``pretraining.json`` (the recipe and what was measured) and ``README.md``, the model card. Cut off
and started again, it goes on from its last checkpoint. The texts hold a split's training rows and
nothing later; a tenth of the users and of the items is kept back to judge by.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from m6rec_lite.data import Dataset, Split, bazaar, leave_one_out, load_dataset
from m6rec_lite.data.files import seal, write_text
from m6rec_lite.data.folders import checkout_folder
from m6rec_lite.data.run_config import add_config_options
from m6rec_lite.language.models.bert import BERT
from m6rec_lite.language.models.gpt import GPT
from m6rec_lite.language.models.hub import ModelError, find_model
from m6rec_lite.language.models.model_card import model_card
from m6rec_lite.language.models.model_folder import check_sums, read_json
from m6rec_lite.language.models.recipes import KINDS, Recipe, batches_of, build, documents
from m6rec_lite.language.text.corpora import TokenBatches, distinct_texts
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import (
    CheckpointError,
    Checkpoints,
    DiskFullError,
    History,
    OutOfMemoryError,
    fit,
)

#: In the folder of a model: the recipe and what was measured.
ABOUT = "pretraining.json"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What came of a recipe.

    Attributes:
        model: a ``GPT`` or a ``BERT``, dropout off.
        tokenizer: its own.
        recipe: how it was made.
        metrics: what was measured on documents kept back, by kind of document: see ``evaluate_lm``.
        history: of the training, an epoch a record; empty for one that was loaded.
    """

    model: GPT | BERT
    tokenizer: Tokenizer
    recipe: Recipe
    metrics: dict[str, dict[str, float]]
    history: History

    def save(self, folder: str | Path, about: Mapping[str, Any]) -> Path:
        """Write model, tokenizer, ``pretraining.json`` and the model card to a folder.

        Args:
            folder: made if it is missing; a model in it is replaced.
            about: where the texts came from (``dataset``, ``split``, ``documents`` by kind) and
                how the model was trained (``command``, ``tokens`` per epoch); missing entries
                are left blank.
        """
        folder = self.model.save_pretrained(folder, self.tokenizer)
        blank = {
            "dataset": "unnamed",
            "split": "unnamed",
            "command": "",
            "documents": {},
            "tokens": 0,
        }
        whole = {
            **blank,
            "seconds": round(sum(self.history["seconds"])),
            "device": next(self.model.parameters()).device.type,
            "threads": torch.get_num_threads(),
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            **about,
            "recipe": asdict(self.recipe),
            "metrics": self.metrics,
        }
        text = json.dumps(whole, indent=2, ensure_ascii=False)
        write_text(folder / ABOUT, f"{text}\n")
        write_text(folder / "README.md", model_card(folder.name, whole))
        seal(folder, [ABOUT])
        return folder

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Read what ``pretrain`` wrote: a folder, or a name in ``checkpoints/`` of the project.

        Raises:
            ModelError: if there is no such model, it is damaged, or was not made by ``pretrain``.
        """
        folder = find_model(name)
        path = Path(folder) / ABOUT
        if isinstance(folder, str) or not path.is_file():
            raise ModelError(
                f"{name} was not made here: it has no {ABOUT}. Make one with python -m "
                "m6rec_lite.language.models.pretraining, or read it with GPT.from_pretrained"
            )
        check_sums(Path(folder), (ABOUT,))
        about = read_json(path, "copy the folder again, or make the model again")
        try:
            recipe = Recipe(**about["recipe"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path} holds no recipe of this version ({error!r}): make the model again"
            ) from error
        model = (GPT if recipe.kind == "gpt" else BERT).from_pretrained(folder)
        return cls(model, Tokenizer.load(folder), recipe, about["metrics"], History())


def pretrain(
    recipe: Recipe,
    dataset: Dataset,
    split: Split | None = None,
    *,
    out: str | Path | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    command: str = "",
    progress: bool = True,
) -> Pretrained:
    """Learn a tokenizer and a model, judge it, and write its folder.

    Args:
        recipe: what to do.
        dataset: its items, and its users where it has them.
        split: whose training rows are read; leave-one-out by default.
        out: folder to write; None writes nothing.
        checkpoint: folder from which a run that was cut off goes on, or ``Checkpoints``.
        command: what makes the model again, for its card.
        progress: show a bar.

    Returns:
        The model, its tokenizer, and what was measured.

    Raises:
        CheckpointError: if the checkpoint is of another recipe or other data, or another run is
            using its folder.
        Interrupted: after a signal, once the checkpoint is written.
    """
    split = leave_one_out(dataset) if split is None else split
    corpora = documents(recipe, dataset, split)
    learnt = [document for corpus in corpora.values() for document in corpus.train]
    tokenizer = Tokenizer.train(distinct_texts(learnt), recipe.vocab_size)
    batches = batches_of(recipe, tokenizer, learnt)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = build(recipe, tokenizer)
    steps = recipe.epochs * len(batches.epoch(recipe.seed, 0))
    warm = min(100, max(1, steps // 10))
    away = {
        name: batches_of(recipe, tokenizer, corpus.held_out, shuffle=False)
        for name, corpus in corpora.items()
    }
    history = fit(
        model,
        batches,
        lambda model, batch: model.loss(batch.ids, batch.targets, batch.packing),
        optimizer=torch.optim.AdamW(
            model.parameters(),
            lr=recipe.lr,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=True,
        ),
        schedule=warm_up(warm, then=cosine(max(1, steps - warm), floor=0.02)),
        epochs=recipe.epochs,
        validate=lambda model: {
            f"{name} {key}": value
            for name, each in away.items()
            for key, value in evaluate_lm(model, tokenizer, each).items()
            if key != "tokens"
        },
        checkpoint=checkpoint,
        clip_norm=1.0,
        weigh=lambda batch: int((batch.targets >= 0).sum()),
        seed=recipe.seed,
        config={"recipe": {**asdict(recipe), "tokenizer": tokenizer.fingerprint}},
        progress=progress,
    )
    metrics = {name: evaluate_lm(model, tokenizer, each) for name, each in away.items()}
    made = Pretrained(model, tokenizer, recipe, metrics, history)
    if out is not None:
        about = {
            "dataset": dataset.name,
            "split": f"{split.name}, hash {split.hash}",
            "command": command,
            "documents": {
                name: {"learnt from": len(each.train), "kept back": len(each.held_out)}
                for name, each in corpora.items()
            },
            "tokens": batches.n_tokens,
        }
        made.save(out, about)
    return made


@torch.no_grad()
def evaluate_lm(model: nn.Module, tokenizer: Tokenizer, batches: TokenBatches) -> dict[str, float]:
    """How well a model foretells the tokens it is asked for.

    Args:
        model: in ``eval`` mode; it stays where it is.
        tokenizer: says how many bytes each token stands for.
        batches: what is asked, in ``epoch(0, 0)``.

    Returns:
        ``nats_a_token``, their ``perplexity``, ``bits_a_byte``, and the number of ``tokens`` asked
        for. Special tokens are asked for too and stand for no bytes: their nats are in the bits.
        For a BERT the tokens are the hidden ones alone, each guessed from both its sides: its
        figures compare with another BERT's and not with a GPT's.
    """
    device = next(model.parameters()).device
    nats = n_tokens = n_bytes = 0.0
    for batch in batches.epoch(0, 0):
        batch = batch.to(device)
        asked = batch.targets[batch.targets >= 0].cpu().numpy()
        nats += float(model.loss(batch.ids, batch.targets, batch.packing)) * len(asked)
        n_tokens += len(asked)
        n_bytes += float(tokenizer.n_bytes[asked].sum())
    mean = nats / n_tokens
    bits = nats / math.log(2) / n_bytes if n_bytes else math.nan
    return {
        "nats_a_token": mean,
        "perplexity": math.exp(mean),
        "bits_a_byte": bits,
        "tokens": n_tokens,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.language.models.pretraining",
        description="Pretrain a language model on the behaviour and item texts of a data set.",
    )
    parser.add_argument("kind", choices=KINDS, help="gpt foresees, bert fills in")
    parser.add_argument("--dataset", default="bazaar", help="a name, or a path (default: bazaar)")
    parser.add_argument(
        "--world",
        nargs="+",
        metavar="NAME=VALUE",
        help="another bazaar than the one that is shipped, such as: seed=1 items=3000 slates=0",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to write the model to")
    parser.add_argument("--checkpoint", type=Path, help="folder to go on from (default: in runs/)")
    add_config_options(parser, Recipe, skip=("kind",))
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = vars(parser.parse_args(given))
    name, world, out = chosen.pop("dataset"), chosen.pop("world"), chosen.pop("out")
    dataset = load_dataset(name) if world is None else _another_bazaar(world)
    checkpoint = chosen.pop("checkpoint")
    if checkpoint is None:
        datasets = checkout_folder()
        beside = out.parent if datasets is None else datasets.parent / "runs"
        checkpoint = beside / "pretraining" / out.name
    command = shlex.join([*parser.prog.split(), *given])
    options = {"out": out, "checkpoint": checkpoint, "command": command}
    try:
        made = pretrain(Recipe(**chosen), dataset, **options)
    except (CheckpointError, DiskFullError, OutOfMemoryError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(json.dumps({"folder": str(out), **made.metrics}, indent=2))


def _another_bazaar(pairs: Sequence[str]) -> Dataset:
    """A bazaar with the dials turned as ``["seed=1", "items=3000"]`` says.

    Raises:
        ValueError: if one of them is not of the form name=number.
    """
    turned = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            turned[name] = float(value) if "." in value else int(value)
        except ValueError as error:
            raise ValueError(f"--world wants name=number, such as seed=1, got {pair!r}") from error
    made = bazaar.generate(**turned, progress=False)
    dials = ", ".join(f"{name}={value}" for name, value in turned.items())
    return replace(made, name=f"{made.name}({dials})")


if __name__ == "__main__":
    main()
