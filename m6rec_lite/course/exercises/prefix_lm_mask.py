"""Exercise ``prefix_lm_mask``: the prefix mask of a packed line."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _mask(document: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The right answer: (time, time) bool."""
    i, j = np.indices((len(document), len(document)))
    same = (document[i] == document[j]) & (document[j] > 0)
    return same & (known[j] | (j <= i))


def _within(document: np.ndarray, seen: np.ndarray | bool) -> np.ndarray:
    """What is seen, within each document and without the padding."""
    return (document[:, None] == document) & (document > 0)[None] & seen


def _before(document: np.ndarray) -> np.ndarray:
    return np.tri(len(document), dtype=bool)


def _mask_cases() -> tuple[Case, ...]:
    inputs = (
        ([1, 1, 1, 1, 1], [1, 1, 1, 0, 0], "one document, three tokens known"),
        ([1, 1, 1, 2, 2, 2, 2, 0, 0], [1, 1, 0, 1, 1, 0, 0, 0, 0], "two documents and two pads"),
        ([1, 1, 1], [0, 0, 0], "nothing is known"),
    )
    rows = [(np.array(a), np.array(b, dtype=bool), note) for a, b, note in inputs]
    return tuple(Case((a, b), _mask(a, b), note=note) for a, b, note in rows)


EXERCISE = Exercise(
    id="prefix_lm_mask",
    title="The prefix mask of a packed line",
    cases=_mask_cases,
    known_wrong=(
        KnownWrong(
            lambda document, known: _within(document, _before(document)),
            "That is causal everywhere: the user region does not see itself both ways.",
        ),
        KnownWrong(
            lambda document, known: _within(document, True),
            "That is both ways everywhere: the candidate region sees what it is to write.",
        ),
        KnownWrong(
            lambda document, known: known[None, :] | _before(document),
            "Documents see each other: tokens of the same document only, and no padding.",
        ),
        KnownWrong(
            lambda document, known: (
                (document[:, None] == document) & (known[None, :] | _before(document))
            ),
            "Padding sees padding: it has the same number, 0, and is no document.",
        ),
        KnownWrong(
            lambda document, known: _within(document, known[:, None] | _before(document)),
            "The user region sees the candidate region. It counts who is *looked at*: known[j], "
            "not known[i].",
        ),
        KnownWrong(
            lambda document, known: _mask(document, known).T,
            "Rows and columns are exchanged: row i says whom token i looks at.",
        ),
        KnownWrong(
            lambda document, known: _within(
                document, known[None, :] | np.tri(len(document), k=-1, dtype=bool)
            ),
            "A written token does not see itself. Its own state may: it predicts the next one.",
        ),
        KnownWrong(
            lambda document, known: _mask(document, known).astype(int),
            "The mask holds numbers. Attention adds a mask of numbers to the scores; a mask of "
            "bool says what may be seen.",
        ),
        KnownWrong(
            lambda document, known: ~_mask(document, known),
            "The mask is inverted: True is what may be seen, as in scaled_dot_product_attention.",
        ),
        KnownWrong(
            lambda document, known: _within(document, known[None, :]) | _before(document),
            "`&` binds more tightly than `|`: put what is joined by `|` in brackets, then `&` it "
            "with the same document.",
        ),
        KnownWrong(
            lambda document, known: _within(
                document, (np.arange(len(known)) < known.sum())[None] | _before(document)
            ),
            "known.sum() counts the known tokens of all documents of the line. Each document has a "
            "user region of its own: use known[j].",
        ),
        KnownWrong(
            lambda document, known: _within(
                document, (known[:, None] & known) | (_before(document) & ~known)
            ),
            "The candidate region does not see the user region. What is written sees all that is "
            "known: known[j], whoever looks.",
        ),
        KnownWrong(
            lambda document, known: (
                (document[:, None] == document)
                & ((document > 0)[None] | np.eye(len(document), dtype=bool))
                & (known[None] | _before(document))
            ),
            "A pad sees itself. Padding is no document: its rows and columns are all False.",
        ),
    ),
    hints=(
        "Three conditions: the same document, no padding, and: known or not behind.",
        "document[:, None] == document[None, :] compares all pairs; rows look, columns are seen.",
        "np.tri(n, dtype=bool) is True where j <= i.",
    ),
    notice="The batches of the package use this mask for every line. Padding's rows see nothing "
    "at all, and attention must then give 0 rather than NaN: no one reads it, but NaN would "
    "spread through the gradient.",
)
