"""A program that trains, to be killed: the tests of ``m6rec_lite.training`` start it.

``training_program.py train RESULT FOLDER`` trains once, also under ``accelerate launch``; with
two arguments more it then trains what the processes of a launch share out.
``training_program.py nursery`` reads lines ``RESULT FOLDER`` and trains each in a process of its
own, whose number it prints at once, and then its exit status; so packages are loaded only once.
"""

import os
import sys
import time
from pathlib import Path

import torch
from accelerate.state import PartialState
from torch import nn

from m6rec_lite.nn import warm_up
from m6rec_lite.training import Checkpoints, EarlyStopping, ReduceOnPlateau, RowBatches, fit

#: Seconds a batch takes, so that there is time to be killed in.
PAUSE = 0.003


def rows(n: int = 75) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences of five items and a number to be predicted from each; float64."""
    generator = torch.Generator().manual_seed(1)
    items = torch.randint(11, (n, 5), generator=generator)
    return items, torch.sin(items.double()).sum(1, keepdim=True)


class Net(nn.Module):
    """Embedding, GRU, dropout and normalisation with running means: state of every kind."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.recurrent = nn.GRU(6, 6, batch_first=True)
        self.norm = nn.BatchNorm1d(6)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(6, 1)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        states, _ = self.recurrent(self.embedding(items))  # (batch, 5, 6)
        return self.out(self.dropout(self.norm(states[:, -1])))


def killable(result: Path, folder: Path) -> None:
    """A run with everything that has a state; its end goes to ``result``."""
    torch.manual_seed(3)
    net = Net(0.3)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        time.sleep(PAUSE)
        return ((model(batch[0]) - batch[1].float()) ** 2).mean()

    items, truth = rows(20)
    history = fit(
        net,
        RowBatches(*rows(), batch_size=7),  # 11 batches an epoch
        loss,
        optimizer=torch.optim.Adam(net.parameters(), lr=0.02),
        schedule=warm_up(8),
        epochs=30,
        validate=lambda model: {"error": ((model(items) - truth) ** 2).mean()},
        callbacks=[
            EarlyStopping("error", patience=2, by=0.1),
            ReduceOnPlateau("error", patience=0, threshold=0.3, factor=0.5),
        ],
        checkpoint=Checkpoints(folder, steps=2),
        accumulate=2,
        clip_norm=1.0,
        progress=False,
    )
    if PartialState().is_main_process:
        records = [{**record, "seconds": 0.0} for record in history.records]
        state = {"weights": net.state_dict(), "records": records, "stopped": history.stopped}
        torch.save(state, result)


def shared_out(result: Path, folder: Path) -> None:
    """Four batches a step, shared out, in float64 and without chance; weighed by rows, and not.

    Of nine batches, the last of three rows, one is left for the last step of an epoch: then the
    second of two processes has none.
    """
    states = {}
    for name, weigh in {"even": None, "weighed": lambda batch: len(batch[0])}.items():
        torch.manual_seed(4)
        net = nn.Sequential(nn.Embedding(11, 6), nn.Flatten(), nn.Linear(30, 1)).double()
        history = fit(
            net,
            RowBatches(*rows(), batch_size=9),
            lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean(),
            optimizer=torch.optim.Adam(net.parameters(), lr=0.05),
            epochs=3,
            accumulate=4 // PartialState().num_processes,
            clip_norm=0.5,
            weigh=weigh,
            checkpoint=Checkpoints(folder / name, minutes=1e-9),
            progress=False,
        )
        states[name] = {"weights": net.state_dict(), "loss": history["loss"]}
    if PartialState().is_main_process:
        torch.save(states, result)


def nursery() -> None:
    """See above. The parent never trains itself, so that every child starts untouched."""
    import torch._dynamo  # noqa: F401 (the first step of an optimizer would import it)

    print("ready", flush=True)
    for line in sys.stdin:
        result, folder = map(Path, line.split("\t"))
        child = os.fork()
        if child == 0:
            killable(result, Path(str(folder).strip()))
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "nursery":
        nursery()
    else:
        killable(Path(sys.argv[2]), Path(sys.argv[3]))
        if len(sys.argv) > 4:
            shared_out(Path(sys.argv[4]), Path(sys.argv[5]))
