"""M6-Rec from a dataset to an evaluated model, by one command.

    make train-m6rec SIZE=nano DATA=bazaar
    python -m m6rec_lite.m6rec.train --size small --data bazaar+ml-1m

prepares the tokens, pretrains, tunes on every task that the datasets' tables permit, and evaluates:
retrieval under the default protocol, clicks, ranking by likelihood, and generated text. Results go
to ``runs/m6rec/<size>-<data>/``: ``model/`` (the tuned model, its heads, its card),
``metrics.json`` (every figure), ``throughput.json``, ``curves.png``, ``tuning.png``,
``leaderboard/``, and ``pretraining/``, the run of ``m6rec.pretraining``. An interrupted run
continues when started again: finished stages are skipped (``stages.json``), training continues from
its checkpoint.

On several devices, pretrain under ``accelerate launch`` into that ``pretraining/`` first.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.files import new_file
from m6rec_lite.data.run_config import USER_ERRORS, add_config_options, check_run_config
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.run_folder import next_event_tokens, read_report, tokens
from m6rec_lite.m6rec.run_results import write_results
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.stages import Stages
from m6rec_lite.m6rec.task_results import evaluate_retriever, evaluate_task
from m6rec_lite.m6rec.tasks import MultiTaskModel, Ranking
from m6rec_lite.m6rec.tuning import RunConfig, TuningData, kinds_of, tune
from m6rec_lite.training.locks import run_lock
from m6rec_lite.training.plots import png

#: Maximum tokens of a task's row, or the length in pretraining if that is more: rotary positions
#: are not limited.
LONGEST = 384

#: The same for zero-shot ranking with the pretrained model.
SHORTEST = 192


class TrainingRun:
    """One run of the command: its folder and its stages.

    Args:
        config: of the run.
        out: its folder.
        datasets: used instead of those named in ``config.pretraining.data``.
        device: see ``m6rec.pretraining.pretrain``, also for the next three.
        command: that repeats the run, for the cards.
        progress: show progress bars, and print a line for each stage.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        *,
        datasets: Sequence[Dataset] | None = None,
        device: str | None = None,
        precision: str = "auto",
        compiled: bool = False,
        recompute: bool = False,
        command: str = "",
        progress: bool = True,
    ) -> None:
        self.config, self.out, self.folder = config, out, out / "pretraining"
        self.settings, self.command, self.progress = config.pretraining, command, progress
        self.training: dict[str, Any] = {"device": device, "precision": precision}
        self.training |= {"progress": progress}
        self.memory: dict[str, Any] = {"compiled": compiled, "recompute": recompute}
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._datasets: list[Dataset] = list(datasets or ())
        self._models: dict[str, Any] = {}

    def datasets(self) -> list[Dataset]:
        """Return the datasets, loaded at the first call."""
        if not self._datasets:
            self._datasets += [load_dataset(name) for name in self.settings.names]
        return self._datasets

    def sets(self, longest: int) -> list[TuningData]:
        """Return the datasets for the tasks, with rows of at most ``longest`` tokens."""
        tokenizer = Tokenizer.load(self.folder / "model")
        size, templates = max(longest, self.settings.seq_len), self.settings.templates
        seed = self.settings.seed
        sets = [
            TuningData.of(dataset, tokenizer, size, seed, templates) for dataset in self.datasets()
        ]
        if len({dataset.tag for dataset in sets}) < len(sets):
            raise ValueError(f"{self.settings.data} names a data set twice: name each once")
        return sets

    def prepare(self) -> dict[str, Any]:
        """Write the training and the held-out tokens."""
        check_run_config(self.folder / "run.json", asdict(self.settings))
        tokenizer, train, held_out = tokens(
            self.settings, self.folder, self.datasets, self.progress
        )
        next_event_tokens(self.settings, self.folder, self.datasets, tokenizer, self.progress)
        return {"tokens": len(train.tokens), "held out": len(held_out.tokens)}

    def pretrain(self) -> dict[str, Any]:
        """Pretrain, unless ``m6rec.pretraining`` has done so into this folder."""
        if not (self.folder / "report.json").is_file():
            options = self.training | self.memory
            pretrain(self.settings, self.folder, command=self.command, **options)
        report = read_report(self.folder)
        return {key: report[key] for key in ("parameters", "seconds", "device", "held out")}

    def tune(self, sets: Sequence[TuningData]) -> dict[str, Any]:
        """Tune on all tasks, and save the model and its heads."""
        tokenizer = sets[0].prompts.tokenizer
        _, *files = tokens(self.settings, self.folder, self.datasets, self.progress)
        asked = next_event_tokens(
            self.settings, self.folder, self.datasets, tokenizer, self.progress
        )
        train, held_out = (
            self.settings.batches(file, tokenizer, events)
            for file, events in zip(files, asked, strict=True)
        )
        both, history, about = tune(
            M6RecModel.from_pretrained(self.folder / "model"),
            sets,
            (train, held_out),
            self.settings.weights,
            self.config,
            checkpoint=self.out / "tuning",
            **self.training,
        )
        both.save(self.out / "model", tokenizer)
        names = [*about, "infilling nats", "sentence nats"]
        picture = png({n: history[n] for n in names if n in history.records[0]})
        if picture is not None:
            with new_file(self.out / "tuning.png") as file:
                file.write(picture)
        return {"tasks": about, "seconds": sum(history["seconds"]), "records": history.records}

    def pretrained(self) -> M6RecModel:
        """Return the pretrained model."""
        if "pretrained" not in self._models:
            model = M6RecModel.from_pretrained(self.folder / "model")
            model.to(torch.device(self.device))  # type: ignore[arg-type]  # a decorator loses self
            self._models["pretrained"] = model.eval()
        return self._models["pretrained"]

    def tuned(self, names: Sequence[str]) -> MultiTaskModel:
        """Return the tuned model with the heads of these tasks."""
        if "tuned" not in self._models:
            both, _ = MultiTaskModel.load(self.out / "model", kinds_of(names))
            self._models["tuned"] = both.to(self.device)
        return self._models["tuned"]

    def retrieve(self, dataset: TuningData) -> dict[str, Any]:
        """Fit the retriever from the pretrained model, and evaluate it."""
        return evaluate_retriever(
            dataset,
            self.folder / "model",
            self.out,
            variant=f"pretrained {self.settings.size} on {self.settings.data}",
            command=self.command,
            scale="laptop" if self.device == "cpu" else "gpu",
            epochs=self.config.retrieval_epochs,
            device=self.training["device"],
            progress=self.progress,
        )

    def rank_zero_shot(self, dataset: TuningData) -> dict[str, Any]:
        """Evaluate ranking by likelihood with the pretrained model."""
        limits = {"limit": self.config.limit, "rows": self.config.rows}
        return evaluate_task(Ranking(), self.pretrained(), dataset, **limits)

    def evaluate(self, dataset: TuningData, name: str, names: Sequence[str]) -> dict[str, Any]:
        """Evaluate a tuned task."""
        both = self.tuned(names)
        limits = {"limit": self.config.limit, "rows": self.config.rows}
        return evaluate_task(both.task(name), both.model, dataset, **limits)

    def train(self) -> dict[str, Any]:
        """Run all unfinished stages.

        Returns:
            The results of each stage, by its name.

        Raises:
            CheckpointError: if another run is using the folder.
            Interrupted: if a signal ended the training of a stage; call again to continue.
            ValueError: if the folder holds a run of other settings.
        """
        say = print if self.progress else lambda line: None
        stages = Stages(self.out / "stages.json", asdict(self.config), say)
        results = {"tokens": stages.run("tokens", self.prepare)}
        results["pretraining"] = stages.run("pretraining", self.pretrain)
        sets, short = self.sets(LONGEST), self.sets(SHORTEST)
        results["tuning"] = stages.run("tuning", partial(self.tune, sets))
        names = list(results["tuning"]["tasks"])
        for dataset, brief in zip(sets, short, strict=True):
            tail = "" if len(sets) == 1 else f" {dataset.tag}"
            work = {"retrieval": partial(self.retrieve, dataset)}
            work["zero-shot"] = partial(self.rank_zero_shot, brief)
            work |= {
                kind: partial(self.evaluate, dataset, kind + tail, names) for kind in dataset.kinds
            }
            for kind, do in work.items():
                results[kind + tail] = stages.run(kind + tail, do)
        write_results(self.out, results, self.command)
        return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0; exits with 2 on invalid input, 130 or 143 on a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.m6rec.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, help="default: runs/m6rec/<size>-<data>")
    add_config_options(parser, Pretraining)
    add_config_options(parser, RunConfig, skip=("pretraining",))
    parser.add_argument("--device")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = vars(parser.parse_args(words))
    folder = re.sub(r"[^\w.+-]+", "-", f"{options['size']}-{options['data']}").strip("-")
    out = options["out"] or Path("runs") / "m6rec" / folder
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "this runs in one process. Under accelerate launch run -m m6rec_lite.m6rec."
                f"pretraining --out {out / 'pretraining'} with the same size and data, then this"
            )
        own = {name: options[name] for name in Pretraining.__dataclass_fields__}
        more = {n: options[n] for n in RunConfig.__dataclass_fields__ if n != "pretraining"}
        with run_lock(out):
            run = TrainingRun(
                RunConfig(Pretraining(**own), **more),
                out,
                device=options["device"],
                precision=options["precision"],
                compiled=options["compile"],
                recompute=options["recompute"],
                command=f"{parser.prog} {shlex.join(words)}".strip(),
                progress=not options["quiet"],
            )
            run.train()
    except USER_ERRORS as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
