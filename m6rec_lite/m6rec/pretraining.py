"""Pretrain M6-Rec with one command, on a CPU, on one GPU or on several.

    python -m m6rec_lite.m6rec.pretraining --size nano --data bazaar --out runs/m6rec-nano
    accelerate launch --multi_gpu --num_processes 4 -m m6rec_lite.m6rec.pretraining --size base …

The folder ``--out`` receives ``tokens/`` (written once), ``checkpoints/``, ``metrics.jsonl``,
``curves.png``, ``report.json`` and finally ``model/`` with its card, for
``M6RecModel.from_pretrained`` and ``Tokenizer.load``. A run that was killed or interrupted (Ctrl-C,
SIGTERM) continues from its last checkpoint when started again, so a long run can be cut into stages
of a known duration: ::

    timeout 6000 python -m m6rec_lite.m6rec.pretraining --size tiny --data bazaar-large \\
        --library stated --templates compact --context 512 --next-event 2 --per-user 2 \\
        --precision native --out runs/m6rec-tiny-large

Other settings, or a second run in the same folder at the same time, are refused.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import chain
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState

from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.run_config import USER_ERRORS, add_config_options, check_run_config
from m6rec_lite.language.text.corpora import Corpus
from m6rec_lite.language.text.plain_texts import load_corpus
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.cost.memory import free_bytes, largest_size_that_fits, needs, ways_to_fit
from m6rec_lite.m6rec.cost.plan import Plan
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge, ngram_nats
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.run_folder import next_event_tokens, read_report, tokens, write
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.nn.losses import CHUNK
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import (
    Checkpoints,
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
    texts: Corpus | None = None,
    device: str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    recompute: bool = False,
    ngrams: bool = True,
    check_memory: bool = True,
    command: str = "",
    progress: bool = True,
) -> tuple[M6RecModel, Tokenizer, History]:
    """Pretrain a model, or continue an interrupted run.

    Args:
        settings: of the run.
        out: folder of the run, see the module.
        dataset: instead of loading ``settings.data``.
        texts: further documents, such as those of ``language.load_corpus``.
        device: see ``training.devices``.
        precision: see ``training.devices``; or ``"native"``, see ``native_precision``.
        compiled: compile the blocks (``torch.compile``), for runs of more than some minutes.
        recompute: recompute the activations of blocks in the backward pass: less memory, a third
            more time.
        ngrams: evaluate a unigram and a trigram model of the training tokens too.
        check_memory: refuse a run that does not fit by ``memory.needs``, before any work is done.
        command: that repeats the run, for the model's card.
        progress: show progress bars.

    Returns:
        The model, its tokenizer and the history.

    Raises:
        CheckpointError: if another run is using ``out``.
        Interrupted: if a signal ended the run; only a checkpoint is saved.
        DiskFullError: if the disk is full; earlier checkpoints remain.
        OutOfMemoryError: if the run would not fit; names settings that would.
        RunConfigError: if ``out`` holds a run of other settings.
        TokenFileError: if the tokens are of another tokenizer or of other documents.
        ValueError: if the device does not exist, or a setting is out of range.
    """
    out = Path(out)
    if precision == "native":
        precision = native_precision(device)
    accelerator = make_accelerator(device, precision)

    def datasets() -> list[Dataset]:
        return [dataset] if dataset is not None else [load_dataset(n) for n in settings.names]

    if check_memory:
        _check_memory(plan_of(settings, accelerator, recompute), accelerator, settings.size)
    with run_lock_of_all(out, accelerator.is_main_process):
        with accelerator.main_process_first():  # the others read what it has written
            config = asdict(settings)
            if texts is not None:
                config["texts"] = texts.fingerprint
            check_run_config(out / "run.json", config, write=accelerator.is_main_process)
            tokenizer, train, held_out = tokens(settings, out, datasets, progress, texts)
            asked = next_event_tokens(settings, out, datasets, tokenizer, progress)
        batches = settings.batches(train, tokenizer, asked[0])
        validation = settings.batches(held_out, tokenizer, asked[1])
        per_step = settings.accumulate * accelerator.num_processes
        passes = settings.steps * per_step / len(batches.epoch(settings.seed, 0))
        batches.rounds = max(1, round(settings.validations / passes))
        shape = M6RecConfig.of_size(
            settings.size,
            tokenizer,
            positions=settings.positions,
            dropout=settings.dropout,
            max_position_embeddings=settings.seq_len,
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = M6RecModel(shape)
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
            validate=lambda model: judge(model, validation, limit=16),
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
                judged = list(chain(*validation.files))
                for name, order in (("unigram", 1), ("trigram", 3)):
                    nats[name] = ngram_nats(train, judged, order, tokenizer.vocab_size)
            metrics = judge(model, validation, limit=64, ngrams=nats)
            with disk_advice(out / "model", str(out / "checkpoints")):
                write(
                    out,
                    settings,
                    model,
                    tokenizer,
                    (train, held_out),
                    history,
                    metrics,
                    command,
                    asked[0],
                )
        accelerator.wait_for_everyone()  # no process ends, or reads, before all files are written
    return model, tokenizer, history


def native_precision(device: str | None = None) -> str:
    """Return ``"bf16"`` for a CPU that multiplies matrices in 16 bits, else ``"auto"``.

    These are CPUs with ``amx_bf16`` or ``avx512_bf16``. On others, products in bf16 are emulated,
    and slower than in fp32.
    """
    on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
    units = torch.cpu.get_capabilities()
    has_units = any(units.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
    return "bf16" if on_cpu and has_units else "auto"


def plan_of(settings: Pretraining, accelerator: Accelerator, recompute: bool = False) -> Plan:
    """Return the ``Plan`` of a run, from which its cost is estimated."""
    precision = {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)
    return Plan(
        M6RecConfig(
            vocab_size=settings.vocab_size,
            positions=settings.positions,
            dropout=settings.dropout,
            **shape_of(settings.size) | {"max_position_embeddings": settings.seq_len},
        ),
        lines=settings.lines,
        steps=settings.steps,
        accumulate=settings.accumulate,
        processes=accelerator.num_processes,
        precision=precision,
        recompute=recompute,
        chunk=CHUNK if accelerator.device.type == "cpu" else None,  # as objective.token_loss does
    )


def _check_memory(plan: Plan, accelerator: Accelerator, size: str) -> None:
    """Refuse a plan that does not fit the device's memory."""
    device = accelerator.device
    free = free_bytes(device)
    if free is None:
        return
    if device.type == "cpu":  # processes of a machine share its memory
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
    """Run the command; see ``--help``. Returns 0; exits with 130 or 143 after a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.pretraining",
        description="Pretrain M6-Rec; started again with the same words, it goes on.",
    )
    parser.add_argument("--out", required=True, help="folder of the run")
    add_config_options(parser, Pretraining)
    parser.add_argument("--texts", help="file of further texts, one a line")
    parser.add_argument("--device", help="cpu, cuda, …; by default the best there is")
    parser.add_argument(
        "--precision",
        default="auto",
        help="fp32, bf16, fp16, auto, or native: bf16 also on a CPU that has 16-bit matrix units",
    )
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--recompute", action="store_true", help="less memory, a third more time")
    parser.add_argument("--no-ngrams", action="store_true", help="judge no n-grams at the end")
    parser.add_argument("--ignore-memory", action="store_true", help="try what seems too large")
    parser.add_argument("--quiet", action="store_true", help="show no bars")
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = vars(parser.parse_args(words))
    settings = {field.name: options[field.name] for field in fields(Pretraining)}
    try:
        pretrain(
            Pretraining(**settings),
            options["out"],
            texts=None if options["texts"] is None else load_corpus(options["texts"], share=0.05),
            device=options["device"],
            precision=options["precision"],
            compiled=options["compile"],
            recompute=options["recompute"],
            ngrams=not options["no_ngrams"],
            check_memory=not options["ignore_memory"],
            command=f"{parser.prog} {shlex.join(words)}",
            progress=not options["quiet"],
        )
        report = read_report(Path(options["out"]))
    except USER_ERRORS as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    is_main = PartialState().is_main_process  # one of several processes prints
    figures = dict(report["held out"])
    if "next events" in report:
        figures["events read of a document"] = report["next events"]["mean events read"]
    for name, value in figures.items() if is_main else ():
        print(f"{name:<30} {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
