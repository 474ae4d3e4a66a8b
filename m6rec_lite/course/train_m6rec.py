"""M6-Rec from a data set to a judged model, by one command.

    make train-m6rec SIZE=nano DATA=bazaar
    python -m m6rec_lite.course.train_m6rec --size small --data bazaar+ml-1m

prepares the tokens, pretrains, tunes on every task that the data sets' tables allow, and judges:
retrieval under the default protocol, clicks, ranking by likelihood, and what is written. All goes
to ``runs/m6rec/<size>-<data>/``: ``model/`` (the tuned model, its heads, its card),
``metrics.json`` (every figure), ``throughput.json``, ``curves.png``, ``tuning.png``,
``leaderboard/``, and ``pretraining/``, the run of ``m6rec.pretraining``. Killed at any moment and
started again, it goes on: a stage that is done is not done again (``stages.json``), training goes
on from its checkpoint.

On several devices, pretrain under ``accelerate launch`` into that ``pretraining/`` first.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from m6rec_lite.course.m6rec_judging import (
    judge_likelihood,
    judge_retrieval,
    judge_scoring,
    judge_writing,
)
from m6rec_lite.course.m6rec_results import write_results
from m6rec_lite.course.m6rec_tuning import Work, World, kinds_of, tune
from m6rec_lite.course.places import project_root
from m6rec_lite.course.stages import Stages
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.files import new_file
from m6rec_lite.data.run_config import check_run_config
from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.run_folder import read_report, tokens
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import Together
from m6rec_lite.m6rec.token_file import TokenFile, TokenFileError
from m6rec_lite.training import CheckpointError, DiskFullError, OutOfMemoryError
from m6rec_lite.training.locks import run_lock
from m6rec_lite.training.plots import png

#: Tokens of a task's row, where the model did not read more in pretraining: rotary positions do
#: not end, and rows that are shorter cost no more for it.
LONGEST = 384


#: And of a row whose likelihood is asked of the model as it was pretrained.
SHORTEST = 192


def train(
    work: Work,
    out: Path,
    *,
    datasets: Sequence[Dataset] | None = None,
    device: str | None = None,
    precision: str = "auto",
    compiled: bool = False,
    recompute: bool = False,
    command: str = "",
    progress: bool = True,
) -> dict[str, Any]:
    """Do all of it, or go on with it.

    Args:
        work: what is to be done.
        out: folder of the run.
        datasets: instead of loading those named in ``work.pretraining.data``.
        device: see ``training.devices``; and so on, see ``m6rec.pretraining.pretrain``.
        command: what makes it again, for the cards.
        progress: show bars, and say what is done.

    Returns:
        What each stage found, by its name.

    Raises:
        CheckpointError: if another run is using ``out``.
        Interrupted: if a signal ended the training of a stage; start it again to go on.
        ValueError: if ``out`` holds other work.
    """
    settings, folder = work.pretraining, out / "pretraining"
    stages = Stages(out / "stages.json", asdict(work), print if progress else lambda said: None)
    loaded: list[Dataset] = list(datasets or ())

    def data() -> list[Dataset]:
        if not loaded:
            loaded.extend(load_dataset(name) for name in settings.names)
        return loaded

    def prepare() -> dict[str, Any]:
        check_run_config(folder / "run.json", asdict(settings))
        _, train, held_out = tokens(settings, folder, data, progress)
        return {"tokens": len(train.tokens), "held out": len(held_out.tokens)}

    def pretraining() -> dict[str, Any]:
        if not (folder / "report.json").is_file():  # else it was done by its own command
            pretrain(
                settings,
                folder,
                device=device,
                precision=precision,
                compiled=compiled,
                recompute=recompute,
                command=command,
                progress=progress,
            )
        report = read_report(folder)
        return {key: report[key] for key in ("parameters", "seconds", "device", "held out")}

    found = {"tokens": stages.run("tokens", prepare)}
    found["pretraining"] = stages.run("pretraining", pretraining)
    tokenizer = Tokenizer.load(folder / "model")
    longest = max(LONGEST, shape_of(settings.size)["max_position_embeddings"])
    worlds = [World(one, tokenizer, longest, work.rows, settings.seed) for one in data()]
    if len({world.tag for world in worlds}) < len(worlds):
        raise ValueError(f"{settings.data} names a data set twice: name each once")

    def tuning() -> dict[str, Any]:
        model = M6RecModel.from_pretrained(folder / "model")
        shape = {
            "lines": settings.lines,
            "time": shape_of(settings.size)["max_position_embeddings"],
        }
        objectives = settings.objectives(tokenizer)
        adapt = tuple(
            PretrainingBatches(TokenFile(folder / "tokens" / part, tokenizer), objectives,
                               tokenizer, **shape)
            for part in ("train", "held-out")
        )  # fmt: skip
        both, history, about = tune(
            model,
            worlds,
            adapt,
            settings.weights,
            alpha=work.alpha,
            beta=work.beta,
            steps=work.tune_steps,
            lr=work.tune_lr,
            tokens=work.tune_tokens,
            checkpoint=out / "tuning",
            seed=settings.seed,
            device=device,
            precision=precision,
            progress=progress,
        )
        both.save(out / "model", tokenizer)
        names = [*about, "infilling nats", "sentence nats"]
        picture = png({n: history[n] for n in names if n in history.records[0]})
        if picture is not None:
            with new_file(out / "tuning.png") as file:
                file.write(picture)
        return {"tasks": about, "seconds": sum(history["seconds"]), "records": history.records}

    found["tuning"] = stages.run("tuning", tuning)
    tasks = found["tuning"]["tasks"]
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kept: dict[str, Any] = {}

    def tuned() -> Together:
        if "both" not in kept:
            both, _ = Together.load(out / "model", kinds_of(tasks))
            kept["both"] = both.to(where)
        return kept["both"]

    def plain() -> M6RecModel:
        if "plain" not in kept:
            kept["plain"] = M6RecModel.from_pretrained(folder / "model").to(where).eval()
        return kept["plain"]

    for world in worlds:
        tail = "" if len(worlds) == 1 else f" {world.tag}"
        given: dict[str, Any] = {
            "variant": f"pretrained {settings.size} on {settings.data}",
            "command": command,
            "scale": "laptop" if where == "cpu" else "gpu",
            "epochs": work.retrieval_epochs,
            "device": device,
            "progress": progress,
        }

        def retrieval(world: World = world, given: dict[str, Any] = given) -> dict[str, Any]:
            return judge_retrieval(world, folder / "model", out, **given)

        def zero_shot(world: World = world) -> dict[str, Any]:
            read = max(SHORTEST, shape_of(settings.size)["max_position_embeddings"])
            return judge_likelihood(replace(world, max_tokens=read), plain(), work.limit)

        found[f"retrieval{tail}"] = stages.run(f"retrieval{tail}", retrieval)
        found[f"zero-shot{tail}"] = stages.run(f"zero-shot{tail}", zero_shot)
        for kind in world.kinds:
            name = f"{kind}{tail}"

            def answers(world: World = world, name: str = name, kind: str = kind) -> dict[str, Any]:
                if kind == "scoring":
                    share = tasks[name]["kept"]
                    return judge_scoring(world, tuned(), name, share, 100 * work.limit)
                if kind == "ranking":
                    return judge_likelihood(world, tuned().model, work.limit)
                return judge_writing(world, tuned(), name, work.limit)

            found[name] = stages.run(name, answers)
    write_results(out, found, work.pretraining, command)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the module. Returns 0; exits with 2 on bad input, 130 or 143 on a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.course.train_m6rec", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--size", default="nano", help=SIZE_HELP)
    parser.add_argument("--data", default="bazaar", help="names or folders, joined by +")
    parser.add_argument("--out", type=Path, help="default: runs/m6rec/<size>-<data>")
    for name in ("steps", "lines", "accumulate", "vocab_size", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="of the pretraining")
    parser.add_argument("--lr", type=float, help="of the pretraining")
    for name in ("tune_steps", "tune_tokens", "rows", "retrieval_epochs", "limit"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="see Work")
    for name in ("alpha", "beta", "tune_lr"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, help="see Work")
    parser.add_argument("--device")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = vars(parser.parse_args(words))
    kept = {name: value for name, value in given.items() if value is not None}
    folder = re.sub(r"[^\w.+-]+", "-", f"{given['size']}-{given['data']}").strip("-")
    out = given["out"] or project_root() / "runs" / "m6rec" / folder
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "this runs in one process. Under accelerate launch run -m m6rec_lite.m6rec."
                f"pretraining --out {out / 'pretraining'} with the same size and data, then this"
            )
        own = {n: kept[n] for n in Pretraining.__dataclass_fields__ if n in kept}
        more = {n: kept[n] for n in Work.__dataclass_fields__ if n in kept}
        with run_lock(out):
            train(
                Work(Pretraining(**own), **more),
                out,
                device=given["device"],
                precision=given["precision"],
                compiled=given["compile"],
                recompute=given["recompute"],
                command=f"{parser.prog} {shlex.join(words)}".strip(),
                progress=not given["quiet"],
            )
    except (
        CheckpointError, DiskFullError, ModelError, OutOfMemoryError, TokenFileError, ValueError,
    ) as error:  # fmt: skip
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
