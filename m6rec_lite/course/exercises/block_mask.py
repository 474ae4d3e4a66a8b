"""Exercise ``block_mask``: a mask for packed documents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Answer = tuple[np.ndarray, np.ndarray]


def _packed(lengths: list[int]) -> Answer:
    document = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(document))
    mask = (document[:, None] == document) & (position[:, None] >= position)
    starts = np.cumsum(lengths) - lengths
    return mask, position - np.repeat(starts, lengths)


def _looks_back(lengths: list[int]) -> Answer:
    """Each first token sees the last one of the document before."""
    mask, positions = _packed(lengths)
    for start in np.cumsum(lengths)[:-1]:
        if 0 < start < len(mask):
            mask[start, start - 1] = True
    return mask, positions


def _changed(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[list[int]], Answer]:
    """The right positions, and a mask that went wrong."""

    def answer(lengths: list[int]) -> Answer:
        mask, positions = _packed(lengths)
        return change(mask), positions

    return answer


def _causal_only(mask: np.ndarray) -> np.ndarray:
    return np.tri(len(mask), dtype=bool)


def _window(n: int) -> Callable[[np.ndarray], np.ndarray]:
    """Hide what is more than n tokens back."""
    return lambda mask: mask & ~np.tri(len(mask), k=-n - 1, dtype=bool)


EXERCISE = Exercise(
    id="block_mask",
    title="A mask for packed documents",
    cases=tuple(
        Case(args=(lengths,), expected=_packed(lengths), note=note)
        for lengths, note in (
            ([2, 3], "two documents"),
            ([4], "one alone: the causal mask"),
            ([1, 1, 2], "documents of one token"),
            ([2, 0, 1], "an empty one between"),
            ([12, 2], "a long one"),
        )
    ),
    known_wrong=(
        KnownWrong(
            _changed(_causal_only),
            "The second document sees the first: this is the causal mask alone. Both must belong "
            "to the same document too.",
        ),
        KnownWrong(
            _changed(lambda mask: mask | mask.T),
            "Inside a document each token sees all others, later ones included: such a model reads "
            "the answer.",
        ),
        KnownWrong(
            _changed(lambda mask: ~mask),
            "Inverted: True is what may be looked at (as in scaled_dot_product_attention).",
        ),
        KnownWrong(
            _changed(lambda mask: mask & ~np.eye(len(mask), dtype=bool)),
            "A token does not see itself, and the first of each document sees nothing at all: its "
            "softmax is over an empty set, which gives NaN.",
        ),
        KnownWrong(
            _changed(np.transpose),
            "Rows and columns are swapped: the row is who looks, the column is what is looked at.",
        ),
        KnownWrong(
            _looks_back,
            "The first token of a document sees the last one of the document before: the boundary "
            "is off by one.",
        ),
        KnownWrong(
            lambda lengths: (_packed(lengths)[0], np.arange(sum(lengths))),
            "The mask is right, but positions run on across the boundary. Each document starts at "
            "0, as if it stood alone; else the same text has other vectors behind another.",
        ),
        KnownWrong(
            _changed(lambda mask: mask.astype(int)),
            "The mask holds numbers. Attention reads a mask of numbers as something to add to the "
            "scores: a mask of bool says what may be looked at.",
        ),
        *(
            KnownWrong(
                _changed(_window(n)),
                f"A token sees no further than {n} back. It sees all that came before it in its "
                "document, however long that is.",
            )
            for n in range(1, 11)
        ),
    ),
    hints=(
        "Give every token the number of its document: np.repeat(np.arange(n), lengths).",
        "May look = same document, and not later: two comparisons of a column with a row, and &.",
        "Position = index minus the index at which its document starts.",
    ),
    notice="One row of 5 tokens instead of two padded ones of 3. Real kernels never build this "
    "square: they get the boundaries (`cu_seqlens`), or rows of like length are put together, "
    "as `nn.packing` does.",
)
