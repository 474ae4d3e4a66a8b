"""Exercise ``count_parameters``: count the weights."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _weights(V: int, d: int, L: int, f: int, positions: int) -> int:
    """The right answer: 4d^2 + 4d, 2df + f + d and 4d a block."""
    block = 4 * (d * d + d) + (2 * d * f + f + d) + 2 * 2 * d
    return (V + positions) * d + L * block + 2 * d


EXERCISE = Exercise(
    id="count_parameters",
    title="Count the weights",
    cases=(
        Case((4096, 96, 2, 384, 128), 629_376),
        Case((100, 8, 1, 16, 10), 1_496),
        Case((50_000, 64, 3, 256, 512), 3_382_848),
    ),
    known_wrong=(
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) + V * d,
            "The table of tokens is counted twice. It reads and it scores, but it is one (tied).",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * (5 * d + f),
            "The biases of the linear maps are missing: 4d in attention, f + d in the net.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * 4 * d - 2 * d,
            "The norms are missing: each has a scale and a shift, 2d; two a block, one at the end.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - 2 * d,
            "The last norm, behind all blocks, is missing.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * (d * d + d),
            "Attention has four maps: queries, keys, values, and the one that leads out.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, 0),
            "The learned positions are missing: a vector of d numbers each.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, 1, f, positions),
            "That is one block's; there are L, each with weights of its own.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, 4 * d, positions),
            "f is taken to be 4d. The net between is f wide, whatever that is.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * 4 * d,
            "4d numbers a block are missing: the biases of attention, or the two norms.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * (f + d),
            "The biases of the net are missing: f behind the first map, d behind the second.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - (2 * L + 1) * d,
            "A norm has a scale and a shift, 2d in all: here it has one of them.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * d * f,
            "The net has two maps: one from d to f, and one back.",
        ),
    ),
    hints=(
        "Count a block first: four maps from d to d, one from d to f, one back, two norms.",
        "Each map has a bias as wide as what comes out.",
        "Around the blocks: the tokens' table (once), the positions' table, one norm.",
    ),
    notice="How many heads there are plays no part: they share out the same d. The package's model "
    "agrees with the count, as the cell below the check shows.",
)
