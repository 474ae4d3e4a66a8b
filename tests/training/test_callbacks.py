"""What happens beside training: stopping, plateaus, the bar, the guard of time, curves."""

from __future__ import annotations

import builtins
import io
import itertools
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.training import (
    Callback,
    Checkpoints,
    EarlyStopping,
    LivePlot,
    ReduceOnPlateau,
    RowBatches,
    TensorBoard,
    TimeGuard,
    TooLongError,
    fit,
    plots,
    progress,
)
from m6rec_lite.training.guard import in_words
from m6rec_lite.training.plots import png, sparkline


def train(callbacks, values=None, *, lr=0.1, **settings_):
    """A run of one step an epoch, whose validation finds the given values in turn."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.arange(12.0).reshape(4, 3) / 10
    result = iter(values or itertools.repeat(1.0))
    settings_ = {"epochs": len(values or [0] * 3), "progress": False, **settings_}
    history = fit(
        model,
        RowBatches(x, x.sum(1, keepdim=True), batch_size=4),
        lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=lr),
        validate=lambda model: {"found": next(result)},
        callbacks=callbacks,
        **settings_,
    )
    return model, history


class Keep(Callback):
    """The weights and the rate after each epoch."""

    def __init__(self):
        self.weights, self.rates = [], []

    def epoch(self, run, record):
        self.weights.append(run.model.weight.detach().clone())
        self.rates.append(run.lr)


# ---- early stopping


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from(["min", "max"]),
)
def test_early_stopping_stops_when_it_should_and_brings_the_best_weights_back(
    values, patience, by, mode
):
    keep = Keep()
    stopping = EarlyStopping("found", mode=mode, patience=patience, by=by)
    model, history = train([keep, stopping], [float(value) for value in values])

    best, waited, epochs = None, 0, 0  # the same in the plainest way
    for epoch, value in enumerate(values):
        epochs = epoch + 1
        ahead = None if best is None else (values[best] - value) * (1 if mode == "min" else -1)
        if ahead is None or ahead > by:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited > patience:
            break
    assert len(history) == epochs
    assert (stopping.best, stopping.best_epoch) == (values[best], best + 1)
    assert torch.equal(model.weight, keep.weights[best])
    if waited > patience:
        assert f"found has not got better for {waited} epochs" in history.stopped
        assert f"in epoch {best + 1}" in history.stopped
    else:
        assert history.stopped is None


def test_early_stopping_starts_afresh_with_each_run():
    stopping = EarlyStopping("found", patience=0)
    train([stopping], [1.0, 2.0, 3.0])
    _, history = train([stopping], [9.0, 8.0, 7.0])
    assert len(history) == 3
    assert stopping.best == 7.0


def test_a_run_that_breaks_off_still_gets_its_best_weights():
    keep = Keep()

    class Break(Callback):
        def epoch(self, run, record):
            if record["epoch"] == 3:
                self.model = run.model
                raise KeyboardInterrupt

    breaks = Break()
    with pytest.raises(KeyboardInterrupt):
        train([keep, EarlyStopping("found"), breaks], [2.0, 1.0, 3.0, 4.0])
    assert torch.equal(breaks.model.weight, keep.weights[1])


def test_what_is_watched_must_be_there_and_be_a_number():
    with pytest.raises(KeyError, match=r"watches 'ndcg', and the records hold epoch, found, loss"):
        train([EarlyStopping("ndcg")], [1.0])
    with pytest.raises(ValueError, match="found is NaN in epoch 2: nothing to go by"):
        train([EarlyStopping("found")], [1.0, float("nan")])
    with pytest.raises(ValueError, match="mode must be 'min'"):
        EarlyStopping("loss", mode="best")
    with pytest.raises(ValueError, match="patience and by must be 0 or more, got -1"):
        EarlyStopping("loss", patience=-1)


# ---- plateau


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=14),
    st.integers(0, 3),
    st.sampled_from(["min", "max"]),
)
def test_the_rate_falls_as_under_torchs_reduce_on_plateau(values, patience, mode):
    keep = Keep()
    plateau = ReduceOnPlateau("found", mode=mode, factor=0.5, patience=patience)
    train([plateau, keep], [float(value) for value in values], lr=0.1)

    reference = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        reference, mode=mode, factor=0.5, patience=patience, eps=0
    )
    wanted = []
    for value in values:
        wanted.append(reference.param_groups[0]["lr"])  # what the epoch was trained with
        reference.step()
        scheduler.step(value)
    assert keep.rates == pytest.approx(wanted)


def test_a_plateau_acts_on_top_of_the_schedule():
    keep = Keep()
    shares = [1.0, 0.8, 0.6, 0.4]
    train(
        [ReduceOnPlateau("found", factor=0.5, patience=0), keep],
        [1.0, 2.0, 3.0, 0.5],
        lr=0.1,
        schedule=lambda step: shares[step],
    )
    assert keep.rates == pytest.approx([0.1, 0.08, 0.03, 0.01])
    with pytest.raises(ValueError, match="factor must be above 0 and below 1, got 1"):
        ReduceOnPlateau(factor=1)


# ---- progress


def test_the_bar_tells_of_epoch_loss_and_validation_and_goes_away(capsys, monkeypatch):
    def eager(**setting):
        return progress.tqdm_text(**{**setting, "mininterval": 0})

    monkeypatch.setattr(progress, "tqdm_auto", eager)
    train([], [0.5, 0.25], progress=True)
    output = capsys.readouterr().err
    assert "training" in output
    assert "2/2" in output
    assert "epoch=2" in output
    assert "found=0.5" in output
    assert re.search(r"\r +\r$", output), "the bar is wiped away"


def test_the_bar_is_silent_without_a_terminal(capsys):
    train([], progress=True, epochs=300)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("training:") <= 2


def test_the_bar_is_text_where_widgets_are_missing(monkeypatch, capsys):
    def no_widgets(**setting):
        raise ImportError("IProgress not found")

    monkeypatch.setattr(progress, "tqdm_auto", no_widgets)
    train([], [1.0], progress=True)
    assert "training" in capsys.readouterr().err


def test_no_progress_means_no_output(capsys):
    train([], [1.0], progress=False)
    assert capsys.readouterr() == ("", "")


# ---- the guard of time


def steps_of(seconds, **setting):
    """A guard over 101 steps of ``seconds`` each (the first: a hundred times that)."""
    said, now = [], iter(itertools.accumulate([100 * seconds, *[seconds] * 200]))
    guard = TimeGuard(say=said.append, clock=lambda: next(now), **setting)
    train([guard], [1.0] * 101)
    return guard, said


def test_the_guard_says_how_long_it_will_take_without_the_first_step():
    guard, said = steps_of(7.2)
    assert guard.minutes == pytest.approx(99 * 7.2 / 60)
    (sentence,) = said
    where = r"On this machine \(CPU, \d+ threads?\)"
    message = rf"{where} this will take about 12 minutes: 99 steps of 7.2 s\."
    assert re.fullmatch(message, sentence), sentence


def test_the_guard_times_more_steps_where_they_are_short_and_keeps_quiet_of_little():
    guard, said = steps_of(0.3)
    assert guard.minutes == pytest.approx((101 - 5) * 0.3 / 60)
    assert said == []
    guard, said = steps_of(0.001)
    assert guard.minutes == pytest.approx((101 - 11) * 0.001 / 60)


def test_the_guard_stops_a_run_that_would_take_too_long():
    with pytest.raises(TooLongError, match=r"about 12 minutes.*limit=10 minutes.*fewer epochs"):
        steps_of(7.2, limit=10)
    steps_of(7.2, limit=15)


def test_times_in_words():
    minutes = [0.001, 0.75, 1.2, 1.6, 95.2, 150]
    wanted = ["1 second", "45 seconds", "1 minute", "2 minutes", "95 minutes", "2.5 hours"]
    assert [in_words(value) for value in minutes] == wanted
    long_ = [95 * 60, 10 * 24 * 60, 3 * 525_960, 236_503 * 60]
    assert [in_words(value) for value in long_] == [
        "95.0 hours",
        "10 days",
        "3.0 years",
        "27.0 years",
    ]


# ---- TensorBoard


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads from a folder."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = reading.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(e.step, e.value) for e in result.Scalars(tag)] for tag in result.Tags()["scalars"]
    }


def test_tensorboard_reads_the_records_also_after_an_interruption(tmp_path):
    class Cut(Callback):
        def step(self, run):
            if run.step == 5:
                raise InterruptedError

    saves = Checkpoints(tmp_path / "run", steps=3)
    board = TensorBoard(tmp_path / "board", every=1)
    values = [0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    with pytest.raises(InterruptedError):
        train([board, Cut()], values, checkpoint=saves)
    _, history = train([board], values[3:], checkpoint=saves, epochs=6)
    result = points(tmp_path / "board")
    steps = list(range(1, 7))
    assert [step for step, _ in result["step/loss"]] == steps, "step 4 was struck out and redone"
    assert [value for _, value in result["epoch/found"]] == pytest.approx(values)
    assert [value for _, value in result["epoch/loss"]] == pytest.approx(history["loss"])
    assert [value for _, value in result["step/lr"]] == pytest.approx([0.1] * 6)


def test_without_tensorboard_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "torch.utils.tensorboard":
            raise ImportError("No module named 'tensorboard'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'm6rec-lite\[tensorboard\]'"):
        TensorBoard(tmp_path)
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        TensorBoard(tmp_path, every=0)


# ---- the live plot


def test_outside_a_notebook_the_plot_is_a_line_of_text():
    said = []
    train([LivePlot(say=said.append)], [1.0, 3.0, 2.0])
    assert len(said) == 3
    assert re.fullmatch(r"epoch 3: loss [\d.e-]+ █▃▁   found 2 ▁█▅", said[-1]), said[-1]
    with pytest.raises(KeyError, match=r"watches \['ndcg'\]; the records hold"):
        train([LivePlot(["ndcg"])], [1.0])


def test_in_a_notebook_one_figure_is_drawn_over_and_over(monkeypatch):
    shown = []

    class Handle:
        def update(self, data, **how):
            shown.append(("again", data, how))

    def display(data, **how):
        shown.append(("new", data, how))
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(plots, "in_notebook", lambda: True)
    said = []
    train([LivePlot(say=said.append)], [1.0, 3.0, 2.0])
    assert said == []
    assert [kind for kind, _, _ in shown] == ["new", "again", "again"]
    for _, data, how in shown:
        assert data["image/png"].startswith(b"\x89PNG")
        assert data["text/plain"] == how["metadata"]["image/png"]["alt"]
    assert "found 2 ▁█▅" in shown[-1][1]["text/plain"]


def test_the_picture_has_a_panel_a_curve_and_is_the_same_each_time():
    from PIL import Image

    curves = {"loss": [3.0, 2.0, 1.5], "ndcg@10": [0.1, 0.2, 0.25]}
    picture = png(curves)
    assert picture == png(curves)
    assert Image.open(io.BytesIO(picture)).size == (700, 260)
    assert picture != png({**curves, "loss": [3.0, 2.0, 2.5]})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_blocks_follow_the_values(values):
    blocks = sparkline(values)
    last = values[-24:]
    assert len(blocks) == len(last)
    for (value, block), (other, another) in itertools.pairwise(
        sorted(zip(last, blocks, strict=True))
    ):
        assert value <= other
        assert block <= another
    assert blocks[last.index(min(last))] == "▁"
    if max(last) - min(last) > 1e-3:
        assert blocks[last.index(max(last))] == "█"


def test_what_is_no_number_shows_as_such():
    assert sparkline([1.0, float("nan"), 2.0, float("inf")]) == "▁!█!"
    assert sparkline([float("nan")]) == "!"
