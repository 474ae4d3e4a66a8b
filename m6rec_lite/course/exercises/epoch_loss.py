"""Exercise ``epoch_loss``: the last batch's loss printed as the epoch's."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _epoch_loss(losses: list[float], sizes: list[int]) -> float:
    """The right answer."""
    return sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)


def _running(losses: list[float], sizes: list[int]) -> float:
    """Average with a factor of .9, as progress bars do."""
    average = losses[0]
    for loss in losses[1:]:
        average = 0.9 * average + 0.1 * loss
    return average


EXERCISE = Exercise(
    id="epoch_loss",
    title="The last batch printed as the epoch",
    cases=(
        Case(
            args=([1.0, 2.0, 6.0], [4, 4, 1]),
            expected=2.0,
            note="the last batch has one row; (4 + 8 + 6) / 9",
        ),
        Case(args=([0.9, 0.7, 0.8, 0.2], [64, 64, 64, 7]), expected=155.0 / 199),
        Case(args=([0.5], [3]), expected=0.5, note="one batch"),
    ),
    known_wrong=(
        KnownWrong(
            lambda losses, sizes: losses[-1],
            "That is the last batch's loss, the printed mistake: it is a sample of one batch, and "
            "here the smallest one.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.mean(losses)),
            "Every batch has the same weight, so a row of a small last batch counts more than "
            "others. Weigh each loss by the number of its rows.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.sum(losses)),
            "The losses are summed, so the value grows with the number of batches. Wanted is a "
            "mean over rows.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.dot(losses, sizes)),
            "That is the sum over all rows; divide it by the number of rows.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.dot(losses, sizes)) / len(losses),
            "The sum over rows is divided by the number of batches; divide by the number of rows.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.sum(losses)) / sum(sizes),
            "Each loss is already a mean over its batch: multiply it by the batch's rows before "
            "you divide by all rows.",
        ),
        KnownWrong(
            _running,
            "A moving average forgets the early batches; the epoch's loss is a mean over all rows.",
        ),
        KnownWrong(
            lambda losses, sizes: min(losses),
            "That is the lowest loss of a batch, which a lucky batch decides.",
        ),
        KnownWrong(
            lambda losses, sizes: float(np.median(losses)),
            "That is the median of the batches; wanted is the mean over rows.",
        ),
    ),
    hints=(
        "Each loss is a mean over the rows of its batch. What is their sum?",
        "loss * n is the sum of a batch. Add these up.",
        "sum(loss * n for loss, n in zip(losses, sizes)) / sum(sizes)",
    ),
    notice="Even this mean mixes weights of different moments, since each batch is measured before "
    "its own step. For the loss of one model, go through the data again in evaluation mode.",
)
