"""The folder of a pretraining run: its tokens and its results."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from m6rec_lite.data import Dataset, leave_one_out
from m6rec_lite.data.files import new_file, new_folder, settle, write_text
from m6rec_lite.language.models.model_folder import read_json
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import Corpus, library_corpus
from m6rec_lite.language.text.document import distinct_texts
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.card import model_card
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.next_events import mean_events_read, next_event_documents
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.training import History
from m6rec_lite.training.plots import png

log = logging.getLogger(__name__)


def tokens(
    settings: Pretraining,
    out: Path,
    datasets: Callable[[], Sequence[Dataset]],
    progress: bool,
    texts: Corpus | None = None,
) -> tuple[Tokenizer, TokenFile, TokenFile]:
    """Return the tokenizer, the training and the held-out tokens; create them if necessary.

    An incomplete folder of a tokenizer, after a kill or on a full disk, is written again.

    Args:
        settings: of the run.
        out: its folder.
        datasets: returns the data sets; called only if there are no tokens yet. The documents of
            several data sets become one corpus, with one tokenizer.
        progress: show a progress bar.
        texts: further documents, such as those of ``load_corpus``.

    Raises:
        DataError: if a library is wanted and a data set is not simulated.
        DiskFullError: if the disk is full.
        TokenFileError: if the tokens are of another tokenizer or of other documents.
    """
    folders = [out / "tokens" / name for name in ("train", "held-out")]
    tokenizer: Tokenizer | None
    if settings.tokenizer is not None:
        tokenizer = Tokenizer.load(settings.tokenizer)
    else:
        tokenizer = _complete_tokenizer(out / "tokenizer")
    if tokenizer is not None and all(folder.is_dir() for folder in folders):
        train, held_out = (TokenFile(folder, tokenizer) for folder in folders)
        return tokenizer, train, held_out
    corpus, names, hashes = Corpus([], []), [], []
    for dataset in datasets():
        split = leave_one_out(dataset)
        text = BehaviourText(dataset, settings.templates, train=split.train)
        corpora = pretraining_corpora(dataset, split, text, seed=settings.seed)
        corpus = sum(corpora.values(), start=corpus)
        if settings.library != "none":
            corpus += _library(dataset, settings)
        names.append(dataset.name)
        hashes.append(split.hash)
    if texts is not None:
        corpus += texts
    if tokenizer is None:
        tokenizer = Tokenizer.train(distinct_texts(corpus.train), settings.vocab_size)
        with new_folder(out / "tokenizer") as fresh:
            tokenizer.save(fresh)
    of = {"data": "+".join(names), "split": "+".join(hashes), "seed": settings.seed}
    if settings.templates != "default":
        of["templates"] = settings.templates
    if settings.library != "none":
        of["library"] = f"{settings.library}, {settings.library_copies} times"
    train, held_out = (
        TokenFile.once(
            folder, documents, tokenizer, of=of | {"part": folder.name}, progress=progress
        )
        for folder, documents in zip(folders, (corpus.train, corpus.held_out), strict=True)
    )
    return tokenizer, train, held_out


def next_event_tokens(
    settings: Pretraining,
    out: Path,
    datasets: Callable[[], Sequence[Dataset]],
    tokenizer: Tokenizer,
    progress: bool,
) -> tuple[TokenFile, TokenFile] | tuple[None, None]:
    """Return the training and the held-out tokens of ``next_event_documents``.

    Args:
        settings: of the run.
        out: its folder.
        datasets: returns the data sets; called only if there are no such tokens yet.
        tokenizer: of the run, see ``tokens``.
        progress: show a progress bar.

    Returns:
        Two files; None and None if the weight of ``next_event`` is 0.

    Raises:
        DiskFullError: if the disk is full.
        TokenFileError: if the tokens are of another tokenizer or of other documents.
        ValueError: if no document fits into a sequence.
    """
    if not settings.next_event:
        return None, None
    folders = [out / "tokens" / f"next-event-{name}" for name in ("train", "held-out")]
    if not all(folder.is_dir() for folder in folders):
        sets = [(dataset, leave_one_out(dataset)) for dataset in datasets()]
        for folder, part in zip(folders, ("train", "held_out"), strict=True):
            documents = (
                document
                for dataset, split in sets
                for document in next_event_documents(
                    split,
                    BehaviourText(dataset, settings.templates),
                    tokenizer,
                    max_tokens=settings.document_tokens,
                    per_user=settings.per_user,
                    part=part,
                    seed=settings.seed,
                )
            )
            names = ("templates", "document_tokens", "per_user", "seed")
            of = {name: getattr(settings, name) for name in names} | {
                "data": "+".join(dataset.name for dataset, _ in sets),
                "split": "+".join(split.hash for _, split in sets),
                "part": folder.name,
            }
            TokenFile.once(folder, documents, tokenizer, of=of, progress=progress)
    train, held_out = (TokenFile(folder, tokenizer) for folder in folders)
    return train, held_out


def write(
    out: Path,
    settings: Pretraining,
    model: M6RecModel,
    tokenizer: Tokenizer,
    files: tuple[TokenFile, TokenFile],
    history: History,
    metrics: Mapping[str, float],
    command: str,
    next_events: TokenFile | None = None,
) -> None:
    """Write the model's folder with its card, the curves, and, last, the report.

    ``files`` are the training and the held-out tokens. Of ``next_events``, the training documents
    that ask for the next event, the report has the number and the mean number of events read.
    """
    model.save_pretrained(out / "model")
    tokenizer.save(out / "model")
    names = [*(name for name in settings.weights if name in history.records[0]), "tokens/s"]
    with new_file(out / "curves.png") as file:
        file.write(png({name: history[name] for name in names}))
    device = next(model.parameters()).device
    of = files[0].about.get("of", {})
    report: dict[str, Any] = {
        "settings": asdict(settings),
        "data": of.get("data", settings.data),
        "split": of.get("split", ""),
        "command": command,
        "parameters": model.num_parameters(),
        "tokens": {file.folder.name: len(file.tokens) for file in files},
        "tokens read": round(sum(r["tokens/s"] * r["seconds"] for r in history.records)),
        "documents": {file.folder.name: len(file) for file in files},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": sum(history["seconds"]),
        "last epoch": history.records[-1],
        "held out": dict(metrics),
    }
    if next_events is not None:
        sample = [next_events[i] for i in range(0, len(next_events), len(next_events) // 1000 + 1)]
        report["next events"] = {
            "documents": len(next_events),
            "tokens": len(next_events.tokens),
            "mean events read": mean_events_read(sample, tokenizer) - 1,  # without the target
        }
    write_text(out / "model" / "README.md", model_card(report, model.config))
    write_text(out / "report.json", json.dumps(report, indent=1) + "\n")


def read_report(out: Path) -> dict[str, Any]:
    """Read the report of a finished run.

    Raises:
        ModelError: if it is missing or damaged.
    """
    return read_json(
        out / "report.json",
        "delete it and start the same run again, which writes it from the last checkpoint",
    )


def _library(dataset: Dataset, settings: Pretraining) -> Corpus:
    """Return the texts of a world's rules; a few thousand, so they may be repeated."""
    library = library_corpus(dataset, shuffled=settings.library == "shuffled", seed=settings.seed)
    return Corpus(library.train * settings.library_copies, library.held_out)


def _complete_tokenizer(folder: Path) -> Tokenizer | None:
    """Return the tokenizer of a run; None if there is none, or an incomplete one."""
    settle(folder)
    if not folder.is_dir():
        return None
    try:
        return Tokenizer.load(folder)
    except (FileNotFoundError, ValueError) as error:
        log.warning("%s is not complete and is written again (%s)", folder, error)
        return None
