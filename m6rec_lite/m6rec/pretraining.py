"""Pretraining M6-Rec by one command, on a CPU, on one GPU or on several.

    python -m m6rec_lite.m6rec.pretraining --size nano --data bazaar --out runs/m6rec-nano
    accelerate launch --multi_gpu --num_processes 4 -m m6rec_lite.m6rec.pretraining --size base …

The folder ``--out`` takes ``tokens/`` (written once), ``checkpoints/``, ``metrics.jsonl``,
``curves.png``, ``report.json`` and at the end ``model/``, which ``M6RecModel.from_pretrained`` and
``Tokenizer.load`` open. Started again, a run goes on from its last checkpoint, whether it was
killed or told to end (SIGTERM); with other settings it is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from accelerate import PartialState

from m6rec_lite.data import Dataset, leave_one_out, load_dataset
from m6rec_lite.language.corpora import Corpus, distinct_texts
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import SIZES, M6RecConfig
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge, ngram_nats
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.token_file import TokenFile, TokenFileError
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import CheckpointError, Checkpoints, History, fit
from m6rec_lite.training.devices import make_accelerator
from m6rec_lite.training.metrics import Metrics, peak_teraflops
from m6rec_lite.training.plots import png
from m6rec_lite.training.signals import StopOnSignal


def pretrain(
    settings: Pretraining,
    out: str | Path,
    *,
    dataset: Dataset | None = None,
    device: str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    recompute: bool = False,
    ngrams: bool = True,
    progress: bool = True,
) -> tuple[M6RecModel, Tokenizer, History]:
    """Pretrain a model, or go on with it.

    Args:
        settings: what fixes the run.
        out: its folder, see the head of this file.
        dataset: instead of loading ``settings.data``.
        device: see ``training.devices``.
        precision: see there.
        compiled: compile the blocks (``torch.compile``): pays from some minutes of a GPU on.
        recompute: keep no activations within blocks for the way back: less memory, a third more
            time.
        ngrams: judge a unigram and a trigram of the training tokens beside the model.
        progress: show bars.

    Returns:
        The model, its tokenizer and the history; ``history.stopped`` says if a signal ended it
        before its time, and then nothing is judged or saved but the checkpoint.

    Raises:
        CheckpointError: if ``out`` holds a run of other settings.
        TokenFileError: if its tokens are of another tokenizer or of other documents.
    """
    out = Path(out)
    accelerator = make_accelerator(device, precision)
    with accelerator.main_process_first():  # the others find what it has written
        _claim(out, settings, accelerator.is_main_process)
        tokenizer, train, held_out = _tokens(settings, out, dataset, progress)
    objectives = settings.objectives(tokenizer)
    time = SIZES[settings.size]["max_position_embeddings"]
    shape = {"lines": settings.lines, "time": time}
    batches = PretrainingBatches(train, objectives, tokenizer, **shape)
    judged = PretrainingBatches(held_out, objectives, tokenizer, **shape)
    per_step = settings.accumulate * accelerator.num_processes
    passes = settings.steps * per_step / len(batches.epoch(settings.seed, 0))
    batches.rounds = max(1, round(settings.validations / passes))
    config = M6RecConfig.of_size(
        settings.size, tokenizer, positions=settings.positions, dropout=settings.dropout
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = M6RecModel(config)
    if recompute:
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    if compiled:
        for block in model.blocks:
            block.compile()
    model.to(accelerator.device)
    warm = max(1, settings.steps // 20)
    peak = peak_teraflops(accelerator)
    history = fit(
        model,
        batches,
        PretrainingLoss(settings.weights),
        optimizer=_optimizer(model, settings),
        schedule=warm_up(warm, 0.01, then=cosine(max(1, settings.steps - warm), 0.05)),
        steps=settings.steps,
        validate=lambda model: judge(model, judged, limit=16),
        callbacks=[Metrics(out / "metrics.jsonl", peak_teraflops=peak), StopOnSignal()],
        checkpoint=Checkpoints(out / "checkpoints"),
        accumulate=settings.accumulate,
        clip_norm=1.0,
        precision=precision,
        device=device,
        seed=settings.seed,
        config={"pretraining": asdict(settings), "tokenizer": tokenizer.fingerprint},
        progress=progress,
    )
    if history.stopped is None and accelerator.is_main_process:
        nats = {}
        if ngrams:
            for name, order in (("unigram", 1), ("trigram", 3)):
                nats[name] = ngram_nats(train, held_out, order, tokenizer.vocab_size)
        found = judge(model, judged, limit=64, ngrams=nats)
        _write(out, settings, model, tokenizer, (train, held_out), history, found)
    accelerator.wait_for_everyone()  # so that no process ends, or reads, before all is written
    return model, tokenizer, history


def _claim(out: Path, settings: Pretraining, write: bool) -> None:
    """Say in the folder what run it is of, or refuse it."""
    path, mine = out / "run.json", asdict(settings)
    if path.is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(mine.keys() | theirs.keys())
        other = [f"{n}: {theirs.get(n)!r} there, {mine.get(n)!r} now" for n in names]
        other = [line for line, n in zip(other, names, strict=True) if theirs.get(n) != mine.get(n)]
        if other:
            raise CheckpointError(
                f"{out} holds a run of other settings ({'; '.join(other)}): go on with those, or "
                "name another folder"
            )
    elif write:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")


def _tokens(
    settings: Pretraining, out: Path, dataset: Dataset | None, progress: bool
) -> tuple[Tokenizer, TokenFile, TokenFile]:
    """The tokenizer and the tokens to learn from and held out; made the first time."""
    folders = [out / "tokens" / name for name in ("train", "held-out")]
    if settings.tokenizer is not None:
        tokenizer = Tokenizer.load(settings.tokenizer)
    elif (out / "tokenizer").is_dir():
        tokenizer = Tokenizer.load(out / "tokenizer")
    else:
        tokenizer = None
    if tokenizer is not None and all(folder.is_dir() for folder in folders):
        return tokenizer, *(TokenFile(folder, tokenizer) for folder in folders)
    dataset = load_dataset(settings.data) if dataset is None else dataset
    split = leave_one_out(dataset)
    corpora = pretraining_corpora(dataset, split, seed=settings.seed)
    whole = sum(corpora.values(), start=Corpus([], []))
    if tokenizer is None:
        tokenizer = Tokenizer.train(distinct_texts(whole.train), settings.vocab_size)
        tokenizer.save(out / "tokenizer")
    of = {"data": dataset.name, "split": split.hash, "seed": settings.seed}
    files = []
    for folder, documents in zip(folders, (whole.train, whole.held_out), strict=True):
        files.append(
            TokenFile.once(
                folder, documents, tokenizer, of=of | {"part": folder.name}, progress=progress
            )
        )
    return tokenizer, *files


def _optimizer(model: M6RecModel, settings: Pretraining) -> torch.optim.Optimizer:
    """AdamW that decays matrices, and neither biases nor norms."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.95), fused=True)


def _write(
    out: Path,
    settings: Pretraining,
    model: M6RecModel,
    tokenizer: Tokenizer,
    files: tuple[TokenFile, TokenFile],
    history: History,
    found: dict[str, float],
) -> None:
    """The model's folder, the curves and the report."""
    model.save_pretrained(out / "model")
    tokenizer.save(out / "model")
    names = [*(name for name in settings.weights if name in history.records[0]), "tokens/s"]
    picture = png({name: history[name] for name in names})
    if picture is not None:
        (out / "curves.png").write_bytes(picture)
    device = next(model.parameters()).device
    report = {
        "settings": asdict(settings),
        "parameters": model.num_parameters(),
        "tokens": {file.folder.name: len(file.tokens) for file in files},
        "documents": {file.folder.name: len(file) for file in files},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": sum(history["seconds"]),
        "last epoch": history.records[-1],
        "held out": found,
    }
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see ``--help``. Returns 143 if a signal ended the run, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.pretraining",
        description="Pretrain M6-Rec; started again with the same words, it goes on.",
    )
    parser.add_argument("--out", required=True, help="folder of the run")
    for one in fields(Pretraining):
        kind = {"int | None": int, "float | None": float, "str | None": str}.get(one.type)
        kind = kind or {"int": int, "float": float, "str": str}[one.type]
        said = one.metadata["help"] + (
            f" (default {one.default})" if one.default is not None else ""
        )
        parser.add_argument(
            f"--{one.name.replace('_', '-')}", type=kind, default=one.default, help=said
        )
    parser.add_argument("--device", help="cpu, cuda, …; by default the best there is")
    parser.add_argument("--precision", default="auto", help="fp32, bf16, fp16 or auto")
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--recompute", action="store_true", help="less memory, a third more time")
    parser.add_argument("--no-ngrams", action="store_true", help="judge no n-grams at the end")
    parser.add_argument("--quiet", action="store_true", help="show no bars")
    given = vars(parser.parse_args(arguments))
    settings = {one.name: given[one.name] for one in fields(Pretraining)}
    try:
        _, _, history = pretrain(
            Pretraining(**settings),
            given["out"],
            device=given["device"],
            precision=given["precision"],
            compiled=given["compile"],
            recompute=given["recompute"],
            ngrams=not given["no_ngrams"],
            progress=not given["quiet"],
        )
    except (CheckpointError, TokenFileError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    first = PartialState().is_main_process  # of several processes one speaks for all
    if history.stopped is not None:
        if first:
            print(f"{history.stopped}; its checkpoint is written, start it again to go on")
        return 143
    report = json.loads((Path(given["out"]) / "report.json").read_text(encoding="utf-8"))
    for name, value in report["held out"].items() if first else ():
        print(f"{name:<30} {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
