"""Exercise ``training_memory``: predict the memory of base."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _step_bytes(
    V: int,
    d: int,
    L: int,
    lines: int,
    time: int,
    w: int,
    *,
    embeddings: int = 1,
    weight: int = 4,
    moments: int = 2,
    stream: int = 4,
    mask: int = 1,
    wide: int = 4,
    blocks: int | None = None,
    cells: int | None = None,
) -> dict[str, int]:
    """The right answer; what is behind the star makes the known mistakes."""
    n = embeddings * V * d + L * (12 * d * d + 13 * d) + 2 * d
    a_cell = (2 * stream + 7 * w + 2 * wide * w) * d + mask * w * time
    cells = lines * time if cells is None else cells
    return {
        "weights": weight * n,
        "moments": 4 * moments * n,
        "activations": (L if blocks is None else blocks) * cells * a_cell,
    }


BASE, SMALL = (4096, 1024, 24, 64, 1024, 2), (300, 8, 2, 3, 5, 4)

EXERCISE = Exercise(
    id="training_memory",
    title="Predict the memory of base",
    cases=(
        Case(SMALL, _step_bytes(*SMALL), note="a tiny model in float32"),
        Case(BASE, _step_bytes(*BASE), note="`base` in bf16, 64 lines"),
    ),
    known_wrong=(
        KnownWrong(
            lambda *a: _step_bytes(*a, weight=a[-1]),
            "Weights are counted with w bytes. Only copies for products have 16 bits; the weights "
            "themselves, which small updates must move, stay at 4 bytes.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, moments=1),
            "Adam keeps two moments of every weight, m and v, of 4 bytes each.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, embeddings=2),
            "The embedding is counted twice: the head shares it.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, blocks=1),
            "The activations are those of one block. All L blocks keep theirs until the backward "
            "pass.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, cells=a[3]),
            "The activations are those of one token a line: a batch has lines * time of them.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, wide=1),
            "What is before and behind the bend of the feed-forward net is 4 d wide, twice.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, stream=a[-1]),
            "The residual stream itself is counted with w bytes; it stays in float32, twice a "
            "block.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, mask=0),
            "The mask is forgotten: w * time bytes a token in each block.",
        ),
        KnownWrong(
            lambda *a: _step_bytes(*a, stream=2),
            "The residual stream is kept twice in each block, before and after attention: 2 d "
            "numbers.",
        ),
        KnownWrong(
            lambda *a: (
                _step_bytes(*a, mask=0)
                | {
                    "activations": _step_bytes(*a, mask=0)["activations"]
                    + a[3] * a[4] * a[4] * a[5]
                }
            ),
            "The mask is counted once for the network. Each of the L blocks keeps one.",
        ),
    ),
    hints=(
        "N = V d + L (12 d^2 + 13 d) + 2 d; the weights take 4 N bytes, the moments 8 N.",
        "A block keeps, a token: 2 d numbers of 4 bytes, 7 d and 2 * 4 d of w bytes, and w * time.",
        "Times the tokens of a batch, lines * time, times the L blocks.",
    ),
    notice="Half the lines halve the activations and leave the rest: that, with accumulation, is "
    "how a large model comes to fit. `m6rec.budget` adds the small parts, and a margin.",
)
