"""Trainers ended by signals at random moments and started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.faults.bench import Bench
from experiments.faults.saved_files import world
from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.data.bazaar import save
from m6rec_lite.data.files import file_hash
from m6rec_lite.recommenders import SASRec
from m6rec_lite.training import Checkpoints

#: Signal and default number of tries, by the first word of a trial's name.
SIGNALS = {
    "kill": ("SIGKILL", 20),
    "term": ("SIGTERM", 20),
    "int": ("SIGINT", 20),
}


def _checkpoint_often() -> None:
    """Let runs of this process write a checkpoint every third step, in place of every minutes."""
    Checkpoints.due = lambda self, run: run.step % 3 == 0  # type: ignore[method-assign]


def train_sasrec(data: Path, folder: Path) -> None:
    """Fit and save SASRec."""
    model = SASRec(epochs=25, hidden_size=32, batch_size=16)
    model.fit(leave_one_out(load_dataset(data)).train, checkpoint=folder / "checkpoints")
    model.save(folder / "model")


def pretrain_gpt(data: Path, folder: Path) -> None:
    """Run the command that pretrains a GPT."""
    _pretrain("gpt", data, folder)


def pretrain_bert(data: Path, folder: Path) -> None:
    """Run the command that pretrains a BERT."""
    _pretrain("bert", data, folder)


def _pretrain(kind: str, data: Path, folder: Path) -> None:
    from m6rec_lite.language.models.pretraining import main

    words = (
        f"{kind} --dataset {data} --out {folder / 'model'} --checkpoint {folder / 'checkpoints'} "
        "--vocab-size 600 --window 64 --hidden-size 32 --num-hidden-layers 1 "
        "--num-attention-heads 2 --epochs 2 --batch-tokens 512"
    )
    main(words.split())


def train_retriever(data: Path, folder: Path) -> None:
    """Fit and save M6-Rec's blocks over item vectors."""
    from m6rec_lite.m6rec import M6RecRetriever

    dataset = load_dataset(data)
    model = M6RecRetriever(epochs=6, vocab_size=600, dimensions=32, batch_size=16)
    model.fit(leave_one_out(dataset).train, items=dataset.items, checkpoint=folder / "checkpoints")
    model.save(folder / "model")


def pretrain_m6rec(data: Path, folder: Path) -> None:
    """Run the command that pretrains M6-Rec."""
    from m6rec_lite.m6rec.pretraining import main

    words = (
        f"--size nano --data {data} --out {folder / 'run'} --steps 30 --lines 4 --device cpu "
        "--vocab-size 600 --validations 2 --no-ngrams"
    )
    main(words.split())


def train_m6rec(data: Path, folder: Path) -> None:
    """Run the command that pretrains, tunes and evaluates M6-Rec."""
    from m6rec_lite.m6rec.train import main

    words = (
        f"--size nano --data {data} --out {folder / 'run'} --steps 12 --lines 4 --device cpu "
        "--vocab-size 600 --validations 1 --rows 30 --tune-steps 6 --tune-tokens 400 "
        "--retrieval-epochs 1 --limit 1"
    )
    main(words.split())


#: What is trained, in words, and how, by the last word of a trial's name.
PROGRAMS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "sasrec": ("`SASRec.fit` with checkpoints", train_sasrec),
    "gpt": ("`python -m m6rec_lite.language.models.pretraining gpt`", pretrain_gpt),
    "bert": ("`python -m m6rec_lite.language.models.pretraining bert`", pretrain_bert),
    "retriever": ("`M6RecRetriever.fit` with checkpoints", train_retriever),
    "m6rec": ("`python -m m6rec_lite.m6rec.pretraining`", pretrain_m6rec),
    "train": ("`python -m m6rec_lite.m6rec.train`, all stages", train_m6rec),
}


def trained(program: Callable[[Path, Path], None], data: Path, folder: Path) -> dict[str, str]:
    """Run a program, and return the hashes of the weights that it wrote."""
    _checkpoint_often()
    program(data, folder)
    found = sorted(folder.rglob("*.safetensors"))
    return {str(path.relative_to(folder)): file_hash(path) for path in found}


def interrupted(program: Callable[[Path, Path], None], name: str, bench: Bench) -> Iterator[str]:
    """End a program by a signal at random moments, start it again, and compare the weights."""
    data = bench.folder / "world"
    save(world(3), data)
    bench.call(trained, program, data, bench.fresh())  # imports what is imported late
    begun = time.monotonic()
    whole = bench.call(trained, program, data, bench.fresh())
    seconds = time.monotonic() - begun
    for _ in bench.each(name=program.__name__):
        while True:
            folder = bench.fresh()
            child = bench.start(trained, program, data, folder)
            if child.interrupt(name, bench.random.uniform(0.05, 0.95) * seconds):
                break
            seconds *= 0.9  # it had ended before: the machine has become faster
        saved = any(folder.rglob("step-*"))
        again = bench.outcome(trained, program, data, folder)
        left = [path.name for path in folder.rglob(".*-*") if path.name != ".lock"]
        moment = "after a checkpoint" if saved else "before the first checkpoint"
        if isinstance(again, str):
            yield again
        elif again != whole:
            yield "lost: other weights"
        else:
            yield f"lost: left over {left[0]}" if left else moment
