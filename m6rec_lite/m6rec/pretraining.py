"""Pretraining M6-Rec by one command, on a CPU, on one GPU or on several.

    python -m m6rec_lite.m6rec.pretraining --size nano --data bazaar --out runs/m6rec-nano
    accelerate launch --multi_gpu --num_processes 4 -m m6rec_lite.m6rec.pretraining --size base …

The folder ``--out`` takes ``tokens/`` (written once), ``checkpoints/``, ``metrics.jsonl``,
``curves.png``, ``report.json`` and at the end ``model/`` with its card, which
``M6RecModel.from_pretrained`` and ``Tokenizer.load`` open. Started again, a run goes on from its
last checkpoint, whether it was killed or interrupted (Ctrl-C, SIGTERM); with other settings it is
refused, and so is a second run in one folder at the same time.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState

from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.run_config import add_config_options, check_run_config
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.cost.memory import free_bytes, largest_size_that_fits, needs, ways_to_fit
from m6rec_lite.m6rec.cost.plan import Plan
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge, ngram_nats
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.run_folder import read_report, tokens, write
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.token_file import TokenFileError
from m6rec_lite.nn.losses import CHUNK
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import (
    CheckpointError,
    Checkpoints,
    DiskFullError,
    History,
    OutOfMemoryError,
    fit,
)
from m6rec_lite.training.devices import make_accelerator
from m6rec_lite.training.errors import disk_advice
from m6rec_lite.training.locks import run_lock_of_all
from m6rec_lite.training.metrics import Metrics, peak_teraflops


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
    check_memory: bool = True,
    command: str = "",
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
        check_memory: refuse a run that by ``memory.needs`` does not fit, before any work is done.
        command: what makes the model again, for its card.
        progress: show bars.

    Returns:
        The model, its tokenizer and the history.

    Raises:
        CheckpointError: if another run is using ``out``.
        Interrupted: if a signal ended it; nothing is judged or saved but the checkpoint.
        DiskFullError: if there is no room for a checkpoint; those before it stay.
        OutOfMemoryError: if it would not fit; says what would.
        RunConfigError: if ``out`` holds a run of other settings.
        TokenFileError: if its tokens are of another tokenizer or of other documents.
        ValueError: if the device is not there, or a setting is out of range.
    """
    out = Path(out)
    accelerator = make_accelerator(device, precision)

    def datasets() -> list[Dataset]:
        return [dataset] if dataset is not None else [load_dataset(n) for n in settings.names]

    if check_memory:
        _check_memory(plan_of(settings, accelerator, recompute), accelerator, settings.size)
    with run_lock_of_all(out, accelerator.is_main_process):
        with accelerator.main_process_first():  # the others find what it has written
            check_run_config(out / "run.json", asdict(settings), write=accelerator.is_main_process)
            tokenizer, train, held_out = tokens(settings, out, datasets, progress)
        objectives = settings.objectives(tokenizer)
        time = shape_of(settings.size)["max_position_embeddings"]
        shape = {"batch_size": settings.lines, "seq_len": time}
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
            optimizer=make_adamw(
                model,
                lr=settings.lr,
                weight_decay=settings.weight_decay,
                betas=(0.9, 0.95),
            ),
            schedule=warm_up(warm, 0.01, then=cosine(max(1, settings.steps - warm), 0.05)),
            steps=settings.steps,
            validate=lambda model: judge(model, judged, limit=16),
            callbacks=[Metrics(out / "metrics.jsonl", peak_teraflops=peak)],
            checkpoint=Checkpoints(out / "checkpoints"),
            accumulate=settings.accumulate,
            clip_norm=1.0,
            precision=precision,
            device=device,
            seed=settings.seed,
            config={"pretraining": asdict(settings), "tokenizer": tokenizer.fingerprint},
            progress=progress,
        )
        if accelerator.is_main_process:
            nats = {}
            if ngrams:
                for name, order in (("unigram", 1), ("trigram", 3)):
                    nats[name] = ngram_nats(train, held_out, order, tokenizer.vocab_size)
            found = judge(model, judged, limit=64, ngrams=nats)
            with disk_advice(out / "model", str(out / "checkpoints")):
                write(out, settings, model, tokenizer, (train, held_out), history, found, command)
        accelerator.wait_for_everyone()  # so that no process ends, or reads, before all is written
    return model, tokenizer, history


def plan_of(settings: Pretraining, accelerator: Accelerator, recompute: bool = False) -> Plan:
    """The run as far as its cost goes."""
    shape = shape_of(settings.size)
    shape |= {"positions": settings.positions, "dropout": settings.dropout}
    precision = {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)
    return Plan(
        M6RecConfig(vocab_size=settings.vocab_size, **shape),
        lines=settings.lines,
        steps=settings.steps,
        accumulate=settings.accumulate,
        processes=accelerator.num_processes,
        precision=precision,
        recompute=recompute,
        chunk=CHUNK if accelerator.device.type == "cpu" else None,  # as objective.token_loss does
    )


def _check_memory(plan: Plan, accelerator: Accelerator, size: str) -> None:
    """Refuse what would not fit."""
    device = accelerator.device
    free = free_bytes(device)
    if free is None:
        return
    if device.type == "cpu":  # the processes of a machine share its memory
        free /= max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if needs(plan) <= free:
        return
    same = {key: getattr(plan, key) for key in ("lines", "precision", "recompute", "chunk")}
    fits = largest_size_that_fits(free, vocab_size=plan.config.vocab_size, **same)
    ways = [f"--size {fits}"] if fits is not None else []
    ways += list(ways_to_fit(plan, free))
    raise OutOfMemoryError(
        f"size {size!r} with {plan.lines} lines of {plan.time:,} tokens in {plan.precision} needs "
        f"about {needs(plan) / 1e9:.3g} GB, and {device} has {free / 1e9:.3g} GB free. The largest "
        f"size that fits so is {fits or 'none'}. "
        + (f"What would fit: {'; '.join(ways)}" if ways else "Free some, or use another machine")
        + ". (python -m m6rec_lite.m6rec.cost.budget shows what goes where; check_memory=False, or "
        "--ignore-memory, tries it all the same.)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see ``--help``. Returns 0; after a signal it exits with 130 or 143."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.pretraining",
        description="Pretrain M6-Rec; started again with the same words, it goes on.",
    )
    parser.add_argument("--out", required=True, help="folder of the run")
    add_config_options(parser, Pretraining)
    parser.add_argument("--device", help="cpu, cuda, …; by default the best there is")
    parser.add_argument("--precision", default="auto", help="fp32, bf16, fp16 or auto")
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--recompute", action="store_true", help="less memory, a third more time")
    parser.add_argument("--no-ngrams", action="store_true", help="judge no n-grams at the end")
    parser.add_argument("--ignore-memory", action="store_true", help="try what seems too large")
    parser.add_argument("--quiet", action="store_true", help="show no bars")
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = vars(parser.parse_args(words))
    settings = {one.name: given[one.name] for one in fields(Pretraining)}
    try:
        pretrain(
            Pretraining(**settings),
            given["out"],
            device=given["device"],
            precision=given["precision"],
            compiled=given["compile"],
            recompute=given["recompute"],
            ngrams=not given["no_ngrams"],
            check_memory=not given["ignore_memory"],
            command=f"{parser.prog} {shlex.join(words)}",
            progress=not given["quiet"],
        )
        report = read_report(Path(given["out"]))
    except (CheckpointError, DiskFullError, OutOfMemoryError, TokenFileError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    first = PartialState().is_main_process  # of several processes one prints
    for name, value in report["held out"].items() if first else ():
        print(f"{name:<30} {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
