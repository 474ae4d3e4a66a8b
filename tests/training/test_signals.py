"""Interrupted runs write a checkpoint, end with the signal's status, and go on bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.nn import Plateau
from m6rec_lite.nn.optim import SGD
from m6rec_lite.recommenders import SASRec
from m6rec_lite.training import Callback, CheckpointError, ReduceOnPlateau, RowBatches, fit
from m6rec_lite.training.locks import run_lock
from m6rec_lite.training.run import Run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

#: Sends itself the signal after the fourth step, by wrapping the optimizer that the trainer makes.
PROGRAM = """
import os, signal, sys
import numpy as np, torch
torch.set_num_threads(1)
kind, folder, end, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
from m6rec_lite.training.run import Run
set_rates, steps = Run.set_rates, [0]
def counted(run, share):
    set_rates(run, share)
    steps[0] += 1
    if number and steps[0] == 4:
        os.kill(os.getpid(), number)
Run.set_rates = counted
from m6rec_lite.data import bazaar, leave_one_out
data = bazaar.generate(users=60, items=60, progress=False)
split = leave_one_out(data)
if kind in ("SASRec", "GRU4Rec", "BERT4Rec"):
    import m6rec_lite.recommenders as recommenders
    model = getattr(recommenders, kind)(epochs=2, batch_size=16)
    model.fit(split.train, checkpoint=folder, progress=False)
    weights = getattr(model, "network", None) or model._network
    weights = weights.state_dict()
elif kind in ("gpt", "bert"):
    from m6rec_lite.language.models.pretraining import pretrain
    from m6rec_lite.language.models.recipes import Recipe
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
    recipe = Recipe(kind, **shape, vocab_size=300, epochs=1)
    weights = pretrain(recipe, data, checkpoint=folder, progress=False).model.state_dict()
else:
    from m6rec_lite.m6rec.pretraining import Pretraining, pretrain
    settings = Pretraining(size="nano", steps=8, lines=4, vocab_size=300, validations=1)
    weights = pretrain(settings, folder, dataset=data, device="cpu", progress=False)[0].state_dict()
torch.save(weights, end)
"""


def run(kind: str, folder: Path, end: Path, number: int = 0) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(folder), str(end), str(number)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SASRec", "GRU4Rec", "BERT4Rec", "gpt", "bert", "m6rec"])
def test_an_interrupted_trainer_writes_a_checkpoint_and_goes_on(kind: str, tmp_path: Path) -> None:
    whole = run(kind, tmp_path / "whole", tmp_path / "whole.pt")
    assert whole.returncode == 0, whole.stderr
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        folder, end = tmp_path / f"{status}", tmp_path / f"{status}.pt"
        cut = run(kind, folder, end, number)
        assert cut.returncode == status, cut.stderr
        assert "Traceback" not in cut.stderr
        assert "start it again to continue" in cut.stdout
        assert list(folder.rglob("step-00000004"))
        rest = run(kind, folder, end)
        assert rest.returncode == 0, rest.stderr
        one, other = torch.load(tmp_path / "whole.pt"), torch.load(end)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def small(folder: Path) -> None:
    net = nn.Linear(2, 1)
    rows = torch.ones(8, 2)
    fit(
        net,
        RowBatches(rows, batch_size=4),
        lambda model, batch: model(batch[0]).mean(),
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        epochs=1,
        checkpoint=folder,
        progress=False,
    )


@pytest.mark.slow
def test_a_second_run_in_one_folder_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\nfrom m6rec_lite.training.locks import run_lock\n"
        "with run_lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n"
        "    time.sleep(99)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline().strip() == "held"
    with pytest.raises(CheckpointError, match=rf"another run \(process {holder.pid} on .*wait"):
        small(tmp_path)
    holder.kill()
    holder.communicate()
    small(tmp_path)


def test_the_lock_is_free_after_a_run(tmp_path: Path) -> None:
    small(tmp_path)
    with run_lock(tmp_path), pytest.raises(CheckpointError, match="in use"):
        small(tmp_path)


@pytest.mark.parametrize("lowest", [0.2, 2.0])
def test_a_floor_above_the_rate_is_refused(lowest: float) -> None:
    optimizer = SGD([np.zeros(1)], lr=0.1)
    with pytest.raises(ValueError, match="lowest must be at most"):
        Plateau(optimizer, lowest=lowest)


@pytest.mark.parametrize("lowest", [2.0, -0.1])
def test_a_floor_that_is_no_share_is_refused(lowest: float) -> None:
    with pytest.raises(ValueError, match="share of the rate"):
        ReduceOnPlateau(lowest=lowest)


def test_a_plateau_never_raises_a_rate_that_was_lowered_below_its_floor() -> None:
    optimizer = SGD([np.zeros(1)], lr=0.1)
    plateau = Plateau(optimizer, patience=0, lowest=0.05)
    plateau.update(1.0)
    optimizer.lr = 0.01
    assert plateau.update(1.0) == 0.01


def test_the_stop_button_of_a_notebook_leaves_a_checkpoint(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("m6rec_lite.training.signals.in_notebook", lambda: True)

    class Stop(Callback):
        def step(self, run: Run) -> None:
            if run.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    def train(folder: Path, epochs: int, callbacks: tuple[Callback, ...] = ()) -> SASRec:
        model = SASRec(hidden_size=8, epochs=epochs, batch_size=4, device="cpu")
        rows = pd.DataFrame({"user_id": np.arange(60) // 5, "item_id": np.arange(60) % 7})
        train = Interactions.from_frame(rows.assign(timestamp=np.arange(60)))
        return model.fit(train, checkpoint=folder, callbacks=callbacks, progress=False)

    with pytest.raises(KeyboardInterrupt, match=r"interrupted by SIGINT.*start it again"):
        train(tmp_path / "cut", 2, (Stop(),))
    assert [path.name for path in (tmp_path / "cut").glob("step-*")] == ["step-00000003"]
    train(tmp_path / "cut", 2)
    longer = train(tmp_path / "cut", 4)  # more epochs than the checkpoint's go on
    whole = train(tmp_path / "whole", 4)
    histories = Histories.from_lists([[1, 2]], whole.item_ids)
    np.testing.assert_array_equal(longer.score(histories), whole.score(histories))
