"""A grid of finished pretraining runs, and the scaling law through them.

    python -m m6rec_lite.course.scaling_runs --data bazaar
    python -m m6rec_lite.course.scaling_runs --sizes nano tiny small base --tokens 1e7 1e8 1e9

Each size is pretrained for each number of tokens, each run with a schedule of its own that ends
where the run does: a long run on its way is no short run. The rows go to
``results/scaling/<data>.csv``; runs lie in ``runs/scaling/`` and are gone on with, and a finished
one is not run again. At the end the law of ``m6rec.scaling`` is printed, and how far off it is for
the largest size when that was left out of the fit.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.course.places import project_root
from m6rec_lite.course.records import put
from m6rec_lite.data.files import new_folder
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.cost.plan import Plan, count_parameters
from m6rec_lite.m6rec.cost.scaling import fit_law, resampled_laws
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.run_folder import read_report
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.training import CheckpointError, DiskFullError, OutOfMemoryError

KEY = ["data", "size", "tokens", "lr", "lines", "seed"]
SIZES = ("1x32", "2x64", "3x96", "4x128")
TOKENS = (0.5e6, 1e6, 2e6, 4e6)
#: Share of a batch's cells that hold tokens; what a run really read is in its row.
FILLED = 0.84
#: The width that ``--lr`` is for. Others take it times this over theirs, as Adam wants it when
#: weights become more (Yang et al., *Tensor programs V*, 2022).
WIDTH = 96


def settings_of(
    size: str, tokens: float, *, data: str, lr: float, lines: int, tokenizer: str | None, seed: int
) -> Pretraining:
    """The run of a size that reads about so many tokens."""
    shape = shape_of(size)
    steps = max(1, round(tokens / (lines * shape["max_position_embeddings"] * FILLED)))
    rate = float(f"{lr * WIDTH / shape['hidden_size']:.3g}")
    return Pretraining(
        size, data, steps=steps, lines=lines, lr=rate, tokenizer=tokenizer, seed=seed, validations=1
    )


def run(settings: Pretraining, folder: Path, *, device: str | None, progress: bool) -> dict:
    """One run's row; nothing is done for a run that is finished.

    Args:
        settings: of the run.
        folder: of all runs of the data: their tokens are made once.
        device: see ``pretrain``.
        progress: show bars.

    Raises:
        Interrupted: if a signal ended the run; its checkpoint is kept.
    """
    folder /= f"seed{settings.seed}"  # which documents are held out depends on it
    out = folder / f"{settings.size}-{settings.steps}-{settings.lr:g}-{settings.lines}"
    path = out / "report.json"
    if not path.is_file():
        for name in ("tokens", "tokenizer"):
            _copy(folder / name, out / name)
        pretrain(settings, out, device=device, ngrams=False, progress=progress)
        for name in ("tokens", "tokenizer"):
            _copy(out / name, folder / name)
    report = read_report(out)
    found = report["held out"]
    weights = settings.weights
    loss = sum(found[f"{name} nats"] * w for name, w in weights.items()) / sum(weights.values())
    return {
        "data": report["data"],
        "split": report["split"],
        "size": settings.size,
        "parameters": report["parameters"],
        "tokens read": report["tokens read"],
        "loss": loss,
        "infilling nats": found["infilling nats"],
        "sentence nats": found["sentence nats"],
        "steps": settings.steps,
        "lines": settings.lines,
        "lr": settings.lr,
        "seed": settings.seed,
        "seconds": report["seconds"],
        "device": report["device"],
        "threads": report["threads"],
        "torch": report["torch"],
    }


def _copy(here: Path, there: Path) -> None:
    """A folder copied whole or not at all, where it is and is not there yet."""
    if here.is_dir() and not there.is_dir():
        with new_folder(there) as fresh:
            shutil.copytree(here, fresh, dirs_exist_ok=True)


def said(table: pd.DataFrame, base: str = "base", samples: int = 100) -> list[str]:
    """What the rows come to: the law, how it does on a size it has not seen, and ``base``.

    Args:
        table: rows of one data set.
        base: the size that the law is asked about, with 20 tokens a weight.
        samples: laws drawn for the interval.
    """
    columns = ("parameters", "tokens read", "loss")
    n, d, y = (table[name].to_numpy(float) for name in columns)
    law = fit_law(n, d, y)
    off = np.abs(law.loss(n, d) / y - 1)
    lines = [
        f"L(N, D) = {law.floor:.3g} + {law.a:.3g} / N^{law.alpha:.3f} + "
        f"{law.b:.3g} / D^{law.beta:.3f}",
        f"off by {off.mean():.1%} on average of {len(y)} runs, {off.max():.1%} at most",
    ]
    largest = n == n.max()
    if len(np.unique(n)) > 3:
        smaller = fit_law(n[~largest], d[~largest], y[~largest])
        off = smaller.loss(n[largest], d[largest]) / y[largest] - 1
        lines.append(f"without the largest size: off by {off.min():+.1%} to {off.max():+.1%} there")
    size = sum(count_parameters(Plan.of_size(base).config).values())
    there = [one.loss(size, 20 * size) for one in resampled_laws(n, d, y, n=samples)]
    low, high = np.quantile(there, [0.025, 0.975])
    lines.append(
        f"predicted, not measured: {base} after {20 * size:.2g} tokens, "
        f"{law.loss(size, 20 * size):.3f} nats [{low:.3f}, {high:.3f}] if the form holds so far"
    )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the module. Returns 143 if a signal ended it, 2 on bad input, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.course.scaling_runs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", default="bazaar", help="names or folders, joined by +")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help=f"each {SIZE_HELP}")
    parser.add_argument("--tokens", nargs="+", type=float, default=list(TOKENS))
    parser.add_argument("--lr", type=float, default=3e-3, help=f"at a width of {WIDTH}")
    parser.add_argument("--lines", type=int, default=16, help="lines a batch")
    parser.add_argument("--tokenizer", help="folder of one; else a new one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args(arguments)
    tag = re.sub(r"[^\w.+-]+", "-", given.data).strip("-")
    root = project_root()
    command = " ".join([parser.prog, *(sys.argv[1:] if arguments is None else arguments)])
    same = {name: getattr(given, name) for name in ("data", "lr", "lines", "tokenizer", "seed")}
    grid = [(size, tokens) for tokens in given.tokens for size in given.sizes]
    try:
        plans = [settings_of(size, tokens, **same) for size, tokens in grid]
        for i, (settings, (size, tokens)) in enumerate(zip(plans, grid, strict=True)):
            folder = root / "runs" / "scaling" / tag
            row = run(settings, folder, device=given.device, progress=not given.quiet)
            row |= {"tokens": tokens, "command": command}
            table = put(root / "results" / "scaling" / f"{tag}.csv", [row], KEY)
            said_ = f"{row['tokens read']:,} tokens, {row['loss']:.3f} nats"
            print(f"{i + 1} of {len(grid)}: {size}, {said_}", flush=True)
        print(*said(table), sep="\n")
    except (CheckpointError, DiskFullError, OutOfMemoryError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
