"""Exercises of chapter 08 about rows: who sees whom, what is taken out, what foretells what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 08.1 The prefix mask of a packed line


def _mask(document: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The right answer: (time, time) bool."""
    i, j = np.indices((len(document), len(document)))
    same = (document[i] == document[j]) & (document[j] > 0)
    return same & (known[j] | (j <= i))


def _mask_by_loops(document: np.ndarray, known: np.ndarray) -> list[list[bool]]:
    rows = []
    for i in range(len(document)):
        own = [document[j] == document[i] != 0 for j in range(len(document))]
        rows.append([bool(own[j] and (j <= i or known[j])) for j in range(len(document))])
    return rows


def _within(document: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What is seen, within each document and without the padding."""
    return (document[:, None] == document) & (document > 0)[None] & seen


def _before(document: np.ndarray) -> np.ndarray:
    return np.tri(len(document), dtype=bool)


def _mask_cases() -> tuple[Case, ...]:
    inputs = (
        ([1, 1, 1, 1, 1], [1, 1, 1, 0, 0], "one document, three tokens known"),
        ([1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 0, 1, 1, 0, 0, 0], "two documents and a pad"),
        ([1, 1, 1], [0, 0, 0], "nothing is known"),
    )
    rows = [(np.array(a), np.array(b, dtype=bool), note) for a, b, note in inputs]
    return tuple(Case((a, b), _mask_by_loops(a, b), note=note) for a, b, note in rows)


PACKED_MASK = Exercise(
    id="08.1",
    title="The prefix mask of a packed line",
    answer="sees",
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
            "A written token does not see itself. Its own state may: it foretells the next one.",
        ),
    ),
    correct_alternatives=(_mask, _mask_by_loops),
    hints=(
        "Three conditions: the same document, no padding, and: known or not behind.",
        "document[:, None] == document[None, :] compares all pairs; rows look, columns are seen.",
        "np.tri(n, dtype=bool) is True where j <= i.",
    ),
    notice="The batches of the package use this mask for every line. Padding's rows see nothing at "
    "all, and attention must then give 0 rather than NaN: nobody reads it, but a gradient would.",
)


# 08.2 Take spans out

Spans = Sequence[tuple[int, int]]


def _taken_out(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    """The right answer."""
    reads, writes, at = ["[BOS']"], ["[BOS]"], 0
    for number, (start, stop) in enumerate(spans):
        reads += [*tokens[at:start], "[MASK]"]
        writes += (["[MASK]"] if number else []) + tokens[start:stop]
        at = stop
    return [*reads, *tokens[at:], "[EOS']"], [*writes, "[EOS]"]


def _by_places(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    starts = {start for start, _ in spans}
    gone = {place for start, stop in spans for place in range(start, stop)}
    reads, writes = [], []
    for place, token in enumerate(tokens):
        if place in starts:
            reads.append("[MASK]")
            writes += ["[MASK]"] if writes else []
        (writes if place in gone else reads).append(token)
    return ["[BOS']", *reads, "[EOS']"], ["[BOS]", *writes, "[EOS]"]


def _each_token_masked(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    gone = {place for start, stop in spans for place in range(start, stop)}
    reads = ["[MASK]" if place in gone else token for place, token in enumerate(tokens)]
    return ["[BOS']", *reads, "[EOS']"], _taken_out(tokens, spans)[1]


def _without_masks(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads, writes = _taken_out(tokens, spans)
    return [token for token in reads if token != "[MASK]"], writes


def _run_together(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads, writes = _taken_out(tokens, spans)
    return reads, [token for token in writes if token != "[MASK]"]


def _mask_before_each(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads, writes = _taken_out(tokens, spans)
    return reads, [writes[0], "[MASK]", *writes[1:]]


def _without_end(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads, writes = _taken_out(tokens, spans)
    return reads, writes[:-1]


_WORDS = ["A", "woman", ",", "Oslo", ".", "clicked", "Alpine", "Trek", "Boots"]

TAKE_OUT = Exercise(
    id="08.2",
    title="Take spans out",
    answer="take_out",
    cases=lambda: tuple(
        Case((_WORDS, spans), _taken_out(_WORDS, spans), note=note)
        for spans, note in (
            ([(2, 4), (6, 8)], "two spans within"),
            ([(0, 1), (7, 9)], "one at either end"),
            ([(5, 6)], "one token"),
            ([(0, 9)], "all of it: nothing is left"),
        )
    ),
    known_wrong=(
        KnownWrong(
            _each_token_masked,
            "That is a [MASK] for each token. A span has one: how long it is, is part of the "
            "question.",
        ),
        KnownWrong(
            _without_masks,
            "Where something was taken out a [MASK] stands; else nobody knows where it belongs.",
        ),
        KnownWrong(
            _run_together,
            "The written spans run together: a [MASK] between two says where the first one ends.",
        ),
        KnownWrong(
            _mask_before_each,
            "The first written span needs no [MASK] before it: [BOS] opens it. The [MASK] stands "
            "*between* spans.",
        ),
        KnownWrong(
            _without_end,
            "[EOS] is missing: a model that never saw an end writes on and on.",
        ),
        KnownWrong(
            lambda tokens, spans: (_taken_out(tokens, spans)[0], ["[BOS]", *tokens, "[EOS]"]),
            "Written is the whole document. That is BART's way; here only what was taken out is.",
        ),
        KnownWrong(
            lambda tokens, spans: _taken_out(tokens, [(a, b + 1) for a, b in spans]),
            "`stop` is the first token that stays, as in tokens[start:stop].",
        ),
    ),
    correct_alternatives=(_taken_out, _by_places),
    hints=(
        "Walk over the spans and keep the place up to which you have read.",
        "Before a span: tokens[at:start], then one [MASK]. Behind the last one: tokens[at:].",
        'Written are "[BOS]", the spans with "[MASK]" between two, and "[EOS]".',
    ),
    notice="Sentence generation is the same with one span. Two objectives, one format, one loss.",
)


# 08.5 Error hunt: labels that let the model copy


def _targets(ids: np.ndarray, n: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The right answer: places that foretell, and the tokens that come."""
    tokens = np.flatnonzero((np.arange(len(ids)) > n) & (ids != pad))
    return tokens - 1, ids[tokens]


def _targets_by_loop(ids: np.ndarray, n: int, pad: int) -> tuple[list[int], list[int]]:
    pairs = [(t, int(ids[t + 1])) for t in range(n, len(ids) - 1) if ids[t + 1] != pad]
    return [t for t, _ in pairs], [token for _, token in pairs]


def _real(ids: np.ndarray, first: int, pad: int) -> np.ndarray:
    return np.flatnonzero((np.arange(len(ids)) >= first) & (ids != pad))


_ROW = np.array([1, 21, 22, 5, 23, 2, 3, 31, 32, 33, 4, 0, 0])  # 6 known, then [BOS] … [EOS]

PREFIX_TARGETS = Exercise(
    id="08.5",
    title="Labels that let the model copy",
    answer="targets",
    cases=(
        Case((_ROW, 6, 0), ([6, 7, 8, 9], [31, 32, 33, 4]), note="two pads behind"),
        Case((_ROW[:11], 6, 0), ([6, 7, 8, 9], [31, 32, 33, 4]), note="no padding"),
        Case((np.array([1, 2, 3, 41, 4]), 2, 0), ([2, 3], [41, 4]), note="an empty user region"),
        Case(
            (np.array([1, 21, 5, 22, 5, 2, 3, 31, 32, 5, 33, 8, 9, 9]), 6, 9),
            ([6, 7, 8, 9, 10], [31, 32, 5, 33, 8]),
            note="two spans with [MASK] (5) between; [EOS] is 8, and 9 is padding",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n, pad), ids[_real(ids, n, pad)]),
            "The token at t is asked of the state at t, which has read it: copying is enough. Ask "
            "the state before.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n, pad) - 1, ids[_real(ids, n, pad)]),
            "[BOS] is asked for too. It always follows [EOS'], and the model never has to write "
            "it: a token that costs nothing makes the mean look better.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, 1, pad) - 1, ids[_real(ids, 1, pad)]),
            "The user region is asked for. Each of its states has seen the next token already, "
            "since it reads both ways.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n + 1, pad), ids[_real(ids, n + 1, pad) - 1]),
            "Shifted the wrong way: the state at t is asked for what stood at t - 1.",
        ),
        KnownWrong(
            lambda ids, n, pad: (_real(ids, n + 1, pad)[:-1] - 1, ids[_real(ids, n + 1, pad)[:-1]]),
            "[EOS] is not asked for: the model will not know where to stop.",
        ),
        KnownWrong(
            lambda ids, n, pad: tuple(
                part[_targets(ids, n, pad)[1] != 5] for part in _targets(ids, n, pad)
            ),
            "The [MASK] between two written spans is not asked for. The model must write it: it "
            "says where a span ends.",
        ),
        KnownWrong(
            lambda ids, n, pad: _targets(ids, n, 0),
            "Padding is taken to be 0. Its number is `pad`.",
        ),
        KnownWrong(
            lambda ids, n, pad: tuple(
                part[: list(_targets(ids, n, pad)[1]).index(4) + 1]
                if 4 in _targets(ids, n, pad)[1]
                else part[:0]
                for part in _targets(ids, n, pad)
            ),
            "The end is looked for as token 4. Which number [EOS] has is up to the tokenizer: "
            "stop at the padding.",
        ),
        KnownWrong(
            lambda ids, n, pad: (np.arange(n, len(ids) - 1), ids[n + 1 :]),
            "Padding is asked for. It is no text, and cheap to foretell.",
        ),
    ),
    correct_alternatives=(_targets, _targets_by_loop),
    hints=(
        "Which state is the first that has something to foretell? And the last?",
        "The first token that is asked for stands at n + 1, behind [BOS]; [EOS] is asked for too.",
        "With t the places of the tokens asked for, return t - 1 and ids[t].",
    ),
    notice="A loss near 0 after minutes is never good news. Replace the token that is asked for by "
    "another: if the state that foretells it moves, the answer is in the question.",
)
