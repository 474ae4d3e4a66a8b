"""Pretrain a GPT or a BERT on the behaviour and item texts of a data set.

    python -m m6rec_lite.language.models.pretraining gpt --dataset bazaar --out FOLDER

trains a tokenizer and a model and writes a folder that ``from_pretrained`` loads, here and in
``transformers``: the model, the tokenizer, ``pretraining.json`` (recipe and metrics) and
``README.md`` (the model card). An interrupted run resumes from its last checkpoint. The texts
contain only a split's training rows; a tenth of the users and items is held out for evaluation.
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

from m6rec_lite.data import Dataset, Split, bazaar, leave_one_out, load_dataset
from m6rec_lite.data.files import seal, write_text
from m6rec_lite.data.folders import checkout_folder
from m6rec_lite.data.run_config import USER_ERRORS, add_config_options
from m6rec_lite.language.models.bert import BERT
from m6rec_lite.language.models.gpt import GPT
from m6rec_lite.language.models.hub import ModelError, find_model
from m6rec_lite.language.models.model_card import model_card
from m6rec_lite.language.models.model_folder import check_sums, read_json
from m6rec_lite.language.models.recipes import KINDS, Recipe, batches_of, build, documents, wrapped
from m6rec_lite.language.text.corpora import Corpus, TokenBatches
from m6rec_lite.language.text.document import distinct_texts
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import (
    Checkpoints,
    History,
    fit,
)

#: File in a model's folder with the recipe and the metrics.
ABOUT = "pretraining.json"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A pretrained model with its tokenizer, recipe and metrics.

    Attributes:
        model: a ``GPT`` or a ``BERT`` in ``eval`` mode.
        tokenizer: the model's tokenizer.
        recipe: settings of the training run.
        metrics: output of ``evaluate_lm`` on held-out documents, by kind of document.
        history: training history, one record per epoch; empty after ``load``.
    """

    model: GPT | BERT
    tokenizer: Tokenizer
    recipe: Recipe
    metrics: dict[str, dict[str, float]]
    history: History

    def save(self, folder: str | Path, about: Mapping[str, Any]) -> Path:
        """Write model, tokenizer, ``pretraining.json`` and the model card to a folder.

        Args:
            folder: created if it is missing; a model in it is replaced.
            about: source of the texts (``dataset``, ``split``, ``documents`` by kind) and
                how the model was trained (``command``, ``tokens`` per epoch); missing entries
                are left blank.
        """
        folder = self.model.save_pretrained(folder, self.tokenizer)
        defaults = {
            "dataset": "unnamed",
            "split": "unnamed",
            "command": "",
            "documents": {},
            "tokens": 0,
        }
        content = {
            **defaults,
            "seconds": round(sum(self.history["seconds"])),
            "device": self.model.device.type,
            "threads": torch.get_num_threads(),
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            **about,
            "recipe": asdict(self.recipe),
            "metrics": self.metrics,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False)
        write_text(folder / ABOUT, f"{text}\n")
        write_text(folder / "README.md", model_card(folder.name, content))
        seal(folder, [ABOUT])
        return folder

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Load a model that ``pretrain`` wrote, by folder or by its name in ``checkpoints/``.

        Raises:
            ModelError: if there is no such model, it is damaged, or ``pretrain`` did not write it.
        """
        folder = find_model(name)
        path = Path(folder) / ABOUT
        if isinstance(folder, str) or not path.is_file():
            raise ModelError(
                f"{name} was not written by pretrain: it has no {ABOUT}. Make one with python -m "
                "m6rec_lite.language.models.pretraining, or load it with GPT.from_pretrained"
            )
        check_sums(Path(folder), (ABOUT,))
        content = read_json(path, "copy the folder again, or make the model again")
        try:
            recipe = Recipe(**content["recipe"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path} holds no recipe of this version ({error!r}): make the model again"
            ) from error
        model = (GPT if recipe.kind == "gpt" else BERT).from_pretrained(folder)
        return cls(model, Tokenizer.load(folder), recipe, content["metrics"], History())


def pretrain(
    recipe: Recipe,
    dataset: Dataset | None,
    split: Split | None = None,
    *,
    texts: Corpus | None = None,
    out: str | Path | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    command: str = "",
    progress: bool = True,
) -> Pretrained:
    """Train a tokenizer and a model, evaluate the model, and write its folder.

    Args:
        recipe: settings of the run.
        dataset: provides items, and users if it has them; None to train on ``texts`` alone.
        split: only its training rows are used; leave-one-out by default.
        texts: further documents, such as those of ``load_corpus``.
        out: folder to write; None writes nothing.
        checkpoint: folder of checkpoints, from which an interrupted run resumes, or
            ``Checkpoints``.
        command: shell command that reproduces the model, for its card.
        progress: show a progress bar.

    Returns:
        The model with its tokenizer and metrics.

    Raises:
        CheckpointError: if the checkpoint belongs to another recipe or other data, or another run
            is using its folder.
        Interrupted: after a signal, once the checkpoint is written.
        ValueError: if there is neither a data set nor a corpus.
    """
    corpora: dict[str, Corpus] = {}
    if dataset is not None:
        split = leave_one_out(dataset) if split is None else split
        corpora = documents(recipe, dataset, split)
    if texts is not None:
        corpora["texts"] = wrapped(recipe, texts)
    if not corpora:
        raise ValueError("pretrain needs a dataset, texts=, or both: there is nothing to train on")
    training = [document for corpus in corpora.values() for document in corpus.train]
    tokenizer = Tokenizer.train(distinct_texts(training), recipe.vocab_size)
    batches = batches_of(recipe, tokenizer, training)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = build(recipe, tokenizer)
    steps = recipe.epochs * len(batches.epoch(recipe.seed, 0))
    warm_up_steps = min(100, max(1, steps // 10))
    held_out = {
        name: batches_of(recipe, tokenizer, corpus.held_out, shuffle=False)
        for name, corpus in corpora.items()
    }
    history = fit(
        model,
        batches,
        lambda network, batch: network.loss(batch.ids, batch.targets, batch.packing),
        optimizer=torch.optim.AdamW(
            model.parameters(),
            lr=recipe.lr,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=True,
        ),
        schedule=warm_up(warm_up_steps, then=cosine(max(1, steps - warm_up_steps), floor=0.02)),
        epochs=recipe.epochs,
        validate=lambda network: {
            f"{name} {key}": value
            for name, held_out_batches in held_out.items()
            for key, value in evaluate_lm(network, tokenizer, held_out_batches).items()
            if key != "tokens"
        },
        checkpoint=checkpoint,
        clip_norm=1.0,
        weigh=lambda batch: int((batch.targets >= 0).sum()),
        seed=recipe.seed,
        config={"recipe": {**asdict(recipe), "tokenizer": tokenizer.fingerprint}},
        progress=progress,
    )
    metrics = {name: evaluate_lm(model, tokenizer, part) for name, part in held_out.items()}
    pretrained = Pretrained(model, tokenizer, recipe, metrics, history)
    if out is not None:
        about = {
            "dataset": "texts" if dataset is None else dataset.name,
            "split": "none" if split is None else f"{split.name}, hash {split.hash}",
            "command": command,
            "documents": {
                name: {"learnt from": len(corpus.train), "kept back": len(corpus.held_out)}
                for name, corpus in corpora.items()
            },
            "tokens": batches.n_tokens,
        }
        pretrained.save(out, about)
    return pretrained


@torch.no_grad()
def evaluate_lm(model: GPT | BERT, tokenizer: Tokenizer, batches: TokenBatches) -> dict[str, float]:
    """Evaluate a language model on the targets of batches.

    Args:
        model: a model in ``eval`` mode, on any device.
        tokenizer: the model's tokenizer, for the number of bytes of each token.
        batches: evaluated in ``epoch(0, 0)``.

    Returns:
        ``nats_a_token``, the corresponding ``perplexity``, ``bits_a_byte`` and the number of
        target ``tokens``. Special tokens are targets too and have no bytes; their nats are
        included in the bits. A BERT predicts only masked tokens, from both sides: its metrics can
        be compared with those of another BERT, not with a GPT's.
    """
    nats = n_tokens = n_bytes = 0.0
    for batch in batches.epoch(0, 0):
        batch = batch.to(model.device)
        targets = batch.targets[batch.targets >= 0].cpu().numpy()
        nats += float(model.loss(batch.ids, batch.targets, batch.packing)) * len(targets)
        n_tokens += len(targets)
        n_bytes += float(tokenizer.n_bytes[targets].sum())
    mean = nats / n_tokens
    bits = nats / math.log(2) / n_bytes if n_bytes else math.nan
    return {
        "nats_a_token": mean,
        "perplexity": math.exp(mean),
        "bits_a_byte": bits,
        "tokens": n_tokens,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.language.models.pretraining",
        description="Pretrain a language model on the behaviour and item texts of a data set.",
    )
    parser.add_argument("kind", choices=KINDS, help="gpt predicts the next token, bert masked ones")
    parser.add_argument("--dataset", default="bazaar", help="a name, or a path (default: bazaar)")
    parser.add_argument(
        "--world",
        nargs="+",
        metavar="NAME=VALUE",
        help="another bazaar than the one that is shipped, such as: seed=1 items=3000 slates=0",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to write the model to")
    parser.add_argument("--checkpoint", type=Path, help="folder of checkpoints (default: in runs/)")
    add_config_options(parser, Recipe, skip=("kind",))
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    settings = vars(parser.parse_args(arguments))
    name, world, out = settings.pop("dataset"), settings.pop("world"), settings.pop("out")
    checkpoint = settings.pop("checkpoint")
    if checkpoint is None:
        datasets = checkout_folder()
        parent = out.parent if datasets is None else datasets.parent / "runs"
        checkpoint = parent / "pretraining" / out.name
    command = shlex.join([*parser.prog.split(), *arguments])
    try:
        dataset = load_dataset(name) if world is None else _generate_bazaar(world)
        pretrained = pretrain(
            Recipe(**settings), dataset, out=out, checkpoint=checkpoint, command=command
        )
    except USER_ERRORS as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(json.dumps({"folder": str(out), **pretrained.metrics}, indent=2))


def _generate_bazaar(pairs: Sequence[str]) -> Dataset:
    """Generate a bazaar with settings such as ``["seed=1", "items=3000"]``.

    Raises:
        ValueError: if a setting is not of the form name=number.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            settings[name] = float(value) if "." in value else int(value)
        except ValueError as error:
            raise ValueError(f"--world wants name=number, such as seed=1, got {pair!r}") from error
    dataset = bazaar.generate(**settings, progress=False)
    listed = ", ".join(f"{name}={value}" for name, value in settings.items())
    return replace(dataset, name=f"{dataset.name}({listed})")


if __name__ == "__main__":
    main()
