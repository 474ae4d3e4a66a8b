"""Training SASRec on MovieLens-1M: seconds per epoch of ours, plain PyTorch and RecTools 0.19.

The published configuration: d 64, 2 blocks, 1 head, the latest 200 items, dropout 0.2, batches of
128 users, cross-entropy over the whole catalogue. *Plain* is the usual implementation of the same
network: rows padded to 200, and all logits of a batch at once. *RecTools* (which needs numpy < 2)
runs in a virtual environment that this script creates under ``runs/``; it trains on the same rows
with its own network, loader and loop.

The three alternate. A turn trains ``--steps`` batches after two that are not counted; its seconds
per epoch are its seconds per batch times the number of batches. Ours and plain must have the same
loss on one batch without dropout.

Needs ``M6REC_DATA``, a folder with ml-1m, and for the first run a package index.

    python benchmarks/sasrec.py [--threads 2] [--rounds 3] [--steps 46] [--without-rectools]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from m6rec_lite.data import Interactions

MAX_LENGTH, BATCH_SIZE, HIDDEN_SIZE, WARM_UP = 200, 128, 64, 2
ENVIRONMENT = Path(__file__).resolve().parents[1] / "runs" / "rectools"
PACKAGES = ["rectools[torch]==0.19.0", "numpy<2"]


def timed(step: Callable[[int], None], steps: int) -> float:
    """Return seconds per batch over ``steps`` batches, after a warm-up."""
    for i in range(WARM_UP):
        step(i)
    clock = time.perf_counter()
    for i in range(WARM_UP, WARM_UP + steps):
        step(i)
    return (time.perf_counter() - clock) / steps


class Turns:
    """Training steps of ours and plain, with separate optimizers, on the same batches."""

    def __init__(self) -> None:
        import torch
        from torch import nn

        from m6rec_lite.data import leave_one_out, load_dataset
        from m6rec_lite.recommenders import SASRec
        from m6rec_lite.recommenders.sequential.sequences import NextItemBatches

        self.train = leave_one_out(load_dataset("ml-1m")).train
        self.model = SASRec(HIDDEN_SIZE, max_length=MAX_LENGTH, batch_size=BATCH_SIZE)
        source = NextItemBatches(
            self.train.histories(), batch_size=BATCH_SIZE, max_length=MAX_LENGTH
        )
        self.plan = source.epoch(0, 0)
        torch.manual_seed(0)
        self.ours = self.model._build(self.train.n_items)

        class Plain(nn.Module):
            """SASRec as usually written; items count from 1, 0 is padding on the left."""

            def __init__(self, n_items: int) -> None:
                super().__init__()
                self.items = nn.Embedding(n_items + 1, HIDDEN_SIZE, padding_idx=0)
                self.positions = nn.Embedding(MAX_LENGTH, HIDDEN_SIZE)
                self.dropout = nn.Dropout(0.2)
                layer = nn.TransformerEncoderLayer(
                    HIDDEN_SIZE, 1, HIDDEN_SIZE, 0.2, batch_first=True, norm_first=True
                )
                self.blocks = nn.TransformerEncoder(
                    layer, 2, norm=nn.LayerNorm(HIDDEN_SIZE), enable_nested_tensor=False
                )
                self.register_buffer(
                    "ahead", torch.ones(MAX_LENGTH, MAX_LENGTH, dtype=torch.bool).triu(1)
                )

            def forward(self, items: torch.Tensor) -> torch.Tensor:
                x = self.items(items) * HIDDEN_SIZE**0.5 + self.positions.weight
                x = self.blocks(self.dropout(x), mask=self.ahead, is_causal=True)
                return x @ self.items.weight[1:].t()  # (rows, 200, n_items)

        self.plain = Plain(self.train.n_items)
        self.copy_weights()
        self.optimizers = {
            net: torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.0, fused=net is self.ours)
            for net in (self.ours, self.plain)
        }
        self.check()

    def copy_weights(self) -> None:
        """Copy the weights of ours to plain."""
        import torch

        ours: Any = self.ours
        plain: Any = self.plain
        with torch.no_grad():
            plain.items.weight[1:].copy_(ours.items.weight)
            plain.positions.weight.copy_(ours.positions.weight.flip(0))
            for block, layer in zip(ours.transformer.blocks, plain.blocks.layers, strict=True):
                layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
                layer.self_attn.in_proj_bias.copy_(block.attention.qkv.bias)
                for target, source in (
                    (layer.self_attn.out_proj, block.attention.out),
                    (layer.linear1, block.up_proj),
                    (layer.linear2, block.down_proj),
                    (layer.norm1, block.norm_attention),
                    (layer.norm2, block.norm_ffn),
                ):
                    target.load_state_dict(source.state_dict())

    def padded(self, i: int) -> tuple:
        """Return batch i as rows of 200, padded on the left; targets of padding are -100."""
        import torch

        batch = self.plan[i % len(self.plan)]
        rows = batch["lengths"].tolist()
        items = torch.zeros(len(rows), MAX_LENGTH, dtype=torch.long)
        targets = torch.full((len(rows), MAX_LENGTH), -100)
        parts = zip(batch["items"].split(rows), batch["targets"].split(rows), strict=True)
        for row, (inputs, next_items) in enumerate(parts):
            items[row, -len(inputs) :], targets[row, -len(inputs) :] = inputs + 1, next_items
        return items, targets

    def loss_of_plain(self, i: int) -> torch.Tensor:
        """Return the cross-entropy of the targets; logits of padding are computed too."""
        from torch.nn import functional as F

        items, targets = self.padded(i)
        return F.cross_entropy(self.plain(items).flatten(0, 1), targets.flatten())

    def check(self) -> None:
        """Raise ``SystemExit`` unless both have the same loss with the same weights."""
        self.ours.eval()
        self.plain.eval()
        loss = float(self.model._loss(self.ours, self.plan[0]).detach())
        expected = float(self.loss_of_plain(0).detach())
        if abs(loss - expected) > 1e-3 * expected:
            raise SystemExit(f"ours has a loss of {loss:.5f} and plain one of {expected:.5f}")
        self.ours.train()
        self.plain.train()

    def step_ours(self, i: int) -> None:
        """Take one training step of ours."""
        self.model._loss(self.ours, self.plan[i % len(self.plan)]).backward()
        self.optimizers[self.ours].step()
        self.optimizers[self.ours].zero_grad()

    def step_plain(self, i: int) -> None:
        """Take one training step of plain."""
        self.loss_of_plain(i).backward()
        self.optimizers[self.plain].step()
        self.optimizers[self.plain].zero_grad()


def make_environment() -> Path:
    """Return the Python of RecTools' environment, which is created on first use."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".ready").exists():
        import torch

        version = torch.__version__.partition("+")[0]
        print(f"Making {ENVIRONMENT} with {', '.join(PACKAGES)}: minutes the first time ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *PACKAGES, f"torch=={version}"], check=True)
        (ENVIRONMENT / ".ready").touch()
    return python


def seconds_of_rectools(python: Path, rows: Path, steps: int, threads: int) -> float:
    """Return seconds per batch, measured by this file in the other environment."""
    command = [str(python), __file__, "--peer", str(rows), "--steps", str(steps)]
    command += ["--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=rows.parent, check=False
    )
    if done.returncode:
        raise SystemExit(f"RecTools failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def peer(rows: Path, steps: int, threads: int) -> None:
    """Train RecTools' SASRec, in the other environment, and print its seconds per batch."""
    import pandas as pd
    import torch
    from pytorch_lightning import Callback, Trainer
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(threads)
    ends: list[float] = []

    class Clock(Callback):
        def on_train_batch_end(self, *_: object) -> None:
            ends.append(time.perf_counter())

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=1, limit_train_batches=WARM_UP + steps, accelerator="cpu", logger=False,
            enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
            callbacks=[Clock()],
        )  # fmt: skip

    frame = pd.read_csv(rows)
    frame.columns = [Columns.User, Columns.Item, Columns.Datetime]
    frame[Columns.Datetime] = pd.to_datetime(frame[Columns.Datetime], unit="s")
    frame[Columns.Weight] = 1
    model = SASRecModel(
        n_blocks=2, n_heads=1, n_factors=HIDDEN_SIZE, session_max_len=MAX_LENGTH,
        dropout_rate=0.2, loss="softmax", lr=1e-3, batch_size=BATCH_SIZE,
        dataloader_num_workers=0, get_trainer_func=trainer,
    )  # fmt: skip
    model.fit(Dataset.construct(frame))
    print(json.dumps({"seconds": (ends[-1] - ends[WARM_UP - 1]) / (len(ends) - WARM_UP)}))


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=46)
    parser.add_argument("--without-rectools", action="store_true")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.peer, options.steps, options.threads)
        return

    import torch

    torch.set_num_threads(options.threads)
    turns = Turns()
    tokens = sum(len(batch["targets"]) for batch in turns.plan)
    n = len(turns.plan)
    runs: dict[str, Callable[[], float]] = {
        "ours": lambda: timed(turns.step_ours, options.steps),
        "plain": lambda: timed(turns.step_plain, options.steps),
    }
    with tempfile.TemporaryDirectory() as folder:
        if not options.without_rectools:
            python, rows = make_environment(), Path(folder) / "rows.csv"
            write_rows(turns.train, rows)
            runs["RecTools"] = lambda: seconds_of_rectools(
                python, rows, options.steps, options.threads
            )
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(options.rounds):
            for name, run in runs.items():
                seconds[name].append(run() * n)
                print(f"round {turn + 1}, {name}: {seconds[name][-1]:.1f} s an epoch", flush=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name}: {value:.1f} s an epoch, {tokens / value:,.0f} targets/s of {tokens:,}")
    other = "plain" if options.without_rectools else "RecTools"
    print(
        json.dumps(
            {
                "name": f"SASRec on ml-1m, d 64, 2 blocks, length 200, full cross-entropy, an "
                f"epoch, against {other}, {options.threads} threads",
                "ours": round(median["ours"], 2),
                "peer": round(median[other], 2),
                "ratio": round(median["ours"] / median[other], 4),
                "unit": "s",
                "plain": round(median["plain"], 2),
                "tokens/s": round(tokens / median["ours"]),
            }
        )
    )


def write_rows(train: Interactions, path: Path) -> None:
    """Write the training rows to a CSV file, with the row number as time to keep their order."""
    import numpy as np
    import pandas as pd

    columns = {"user": train.users, "item": train.items, "time": np.arange(len(train))}
    pd.DataFrame(columns).to_csv(path, index=False)


if __name__ == "__main__":
    main()
