"""Pretrain a grid of sizes and numbers of tokens, and fit the scaling law.

    python -m experiments scaling --data bazaar
    python -m experiments scaling --sizes nano tiny small base --tokens 1e7 1e8 1e9

Each size is pretrained for each number of tokens, each run with a complete learning-rate schedule.
Rows go to ``results/scaling/<data>.csv``; a run with a row is skipped, and unfinished runs in
``runs/scaling/`` are continued. At the end the law of ``m6rec.cost.scaling`` is printed, and its
error for the largest size if that size is excluded from the fit.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data.files import new_folder
from m6rec_lite.data.result_files import has_row, upsert_rows
from m6rec_lite.m6rec.config import SIZE_HELP, shape_of
from m6rec_lite.m6rec.cost.plan import Plan, count_parameters
from m6rec_lite.m6rec.cost.scaling import fit_law, resampled_laws
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.run_folder import read_report
from m6rec_lite.m6rec.settings import Pretraining

KEY = ["data", "size", "tokens", "lr", "lines", "seed"]
SIZES = ("1x32", "2x64", "3x96", "4x128")
TOKENS = (0.5e6, 1e6, 2e6, 4e6)
#: Expected share of tokens in a batch; the actual number of tokens is in the row of the run.
FILLED = 0.84
#: Width of ``--lr``. The learning rate of Adam is scaled by the inverse of the width (Yang et al.,
#: *Tensor programs V*, 2022).
WIDTH = 96


def settings_of(
    size: str, tokens: float, *, data: str, lr: float, lines: int, tokenizer: str | None, seed: int
) -> Pretraining:
    """Return the settings of a run of about ``tokens`` tokens."""
    shape = shape_of(size)
    steps = max(1, round(tokens / (lines * shape["max_position_embeddings"] * FILLED)))
    rate = float(f"{lr * WIDTH / shape['hidden_size']:.3g}")
    return Pretraining(
        size, data, steps=steps, lines=lines, lr=rate, tokenizer=tokenizer, seed=seed, validations=1
    )


def measure(settings: Pretraining, folder: Path, *, device: str | None, progress: bool) -> dict:
    """Pretrain, unless that run is finished, and return its row.

    Args:
        settings: settings of the run.
        folder: folder of all runs on the data, which share their tokens.
        device: see ``pretrain``.
        progress: whether to show progress bars.

    Raises:
        Interrupted: if a signal ended the run; its checkpoint is kept.
    """
    folder /= f"seed{settings.seed}"  # the held-out documents depend on it
    out = folder / f"{settings.size}-{settings.steps}-{settings.lr:g}-{settings.lines}"
    path = out / "report.json"
    if not path.is_file():
        for name in ("tokens", "tokenizer"):
            _copy(folder / name, out / name)
        pretrain(settings, out, device=device, ngrams=False, progress=progress)
        for name in ("tokens", "tokenizer"):
            _copy(out / name, folder / name)
    report = read_report(out)
    held_out = report["held out"]
    weights = settings.weights
    loss = sum(held_out[f"{name} nats"] * w for name, w in weights.items()) / sum(weights.values())
    return {
        "data": report["data"],
        "split": report["split"],
        "size": settings.size,
        "parameters": report["parameters"],
        "tokens read": report["tokens read"],
        "loss": loss,
        "infilling nats": held_out["infilling nats"],
        "sentence nats": held_out["sentence nats"],
        "steps": settings.steps,
        "lines": settings.lines,
        "lr": settings.lr,
        "seed": settings.seed,
        "seconds": report["seconds"],
        "device": report["device"],
        "threads": report["threads"],
        "torch": report["torch"],
    }


def _copy(source: Path, target: Path) -> None:
    """Copy a folder atomically, unless it is missing or already copied."""
    if source.is_dir() and not target.is_dir():
        with new_folder(target) as fresh:
            shutil.copytree(source, fresh, dirs_exist_ok=True)


def describe_law(table: pd.DataFrame, base: str = "base", samples: int = 100) -> list[str]:
    """Describe the fitted law, its error on an unseen size, and a forecast.

    Args:
        table: rows of one data set.
        base: size of the forecast, at 20 tokens for each weight.
        samples: number of bootstrap samples of the interval.
    """
    columns = ("parameters", "tokens read", "loss")
    n, d, y = (table[name].to_numpy(float) for name in columns)
    law = fit_law(n, d, y)
    errors = np.abs(law.loss(n, d) / y - 1)
    lines = [
        f"L(N, D) = {law.floor:.3g} + {law.a:.3g} / N^{law.alpha:.3f} + "
        f"{law.b:.3g} / D^{law.beta:.3f}",
        f"mean error {errors.mean():.1%} over {len(y)} runs, at most {errors.max():.1%}",
    ]
    largest = n == n.max()
    if len(np.unique(n)) > 3:
        smaller = fit_law(n[~largest], d[~largest], y[~largest])
        errors = smaller.loss(n[largest], d[largest]) / y[largest] - 1
        low, high = errors.min(), errors.max()
        lines.append(f"fitted without the largest size: error {low:+.1%} to {high:+.1%} there")
    size = sum(count_parameters(Plan.of_size(base).config).values())
    forecasts = [law.loss(size, 20 * size) for law in resampled_laws(n, d, y, n=samples)]
    low, high = np.quantile(forecasts, [0.025, 0.975])
    lines.append(
        f"predicted, not measured: {base} after {20 * size:.2g} tokens, "
        f"{law.loss(size, 20 * size):.3f} nats [{low:.3f}, {high:.3f}] if the form holds that far"
    )
    return lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--data", default="bazaar", help="names or folders, joined by +")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help=f"each {SIZE_HELP}")
    parser.add_argument("--tokens", nargs="+", type=float, default=list(TOKENS))
    parser.add_argument("--lr", type=float, default=3e-3, help=f"at a width of {WIDTH}")
    parser.add_argument("--lines", type=int, default=16, help="lines in a batch")
    parser.add_argument("--tokenizer", help="folder of a tokenizer (default: train a new one)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")


def run(options: argparse.Namespace) -> None:
    """Run the grid, row by row, and print the law."""
    tag = re.sub(r"[^\w.+-]+", "-", options.data).strip("-")
    path = options.root / "results" / "scaling" / f"{tag}.csv"
    same = {name: getattr(options, name) for name in ("data", "lr", "lines", "tokenizer", "seed")}
    grid = [(size, tokens) for tokens in options.tokens for size in options.sizes]
    plans = [settings_of(size, tokens, **same) for size, tokens in grid]
    for i, (settings, (size, tokens)) in enumerate(zip(plans, grid, strict=True), 1):
        key = {"data": options.data, "size": size, "tokens": tokens, "lr": settings.lr}
        key |= {"lines": options.lines, "seed": options.seed}
        if has_row(path, key, KEY) and not options.again:
            print(f"{i} of {len(grid)}: {size}, {tokens:g} tokens: recorded before", flush=True)
            continue
        folder = options.root / "runs" / "scaling" / tag
        row = measure(settings, folder, device=options.device, progress=not options.quiet)
        row |= {"tokens": tokens, "command": options.command}
        upsert_rows(path, [row], KEY)
        read = f"{row['tokens read']:,} tokens, {row['loss']:.3f} nats"
        print(f"{i} of {len(grid)}: {size}, {read}", flush=True)
    print(*describe_law(pd.read_csv(path)), sep="\n")
