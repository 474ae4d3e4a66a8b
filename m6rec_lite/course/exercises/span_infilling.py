"""Exercise ``span_infilling``: take spans out."""

from __future__ import annotations

from collections.abc import Sequence

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Spans = Sequence[tuple[int, int]]


def _taken_out(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    """The right answer."""
    reads, writes, at = ["[BOS']"], ["[BOS]"], 0
    for number, (start, stop) in enumerate(spans):
        reads += [*tokens[at:start], "[MASK]"]
        writes += (["[MASK]"] if number else []) + tokens[start:stop]
        at = stop
    return [*reads, *tokens[at:], "[EOS']"], [*writes, "[EOS]"]


def _each_token_masked(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    gone = {position for start, stop in spans for position in range(start, stop)}
    reads = ["[MASK]" if position in gone else token for position, token in enumerate(tokens)]
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


def _by_value(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    shifted = [(tokens.index(tokens[a]), tokens.index(tokens[a]) + b - a) for a, b in spans]
    return _taken_out(tokens, shifted)


def _from_first_span(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    spans[0]  # raises where there is none
    return _taken_out(tokens, spans)


def _without_tail(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    end = spans[-1][1] if spans else len(tokens)
    return _taken_out(tokens[:end], spans)


def _mask_behind_each(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads, writes = _taken_out(tokens, spans)
    return reads, [*writes[:-1], *(["[MASK]"] if spans else []), writes[-1]]


def _while_it_moves(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    reads = list(tokens)
    for start, stop in spans:
        reads[start:stop] = ["[MASK]"]
    return ["[BOS']", *reads, "[EOS']"], _taken_out(tokens, spans)[1]


_AGAIN = ["good", "boots", ",", "very", "good", "boots"]
_WORDS = ["A", "woman", ",", "Oslo", ".", "clicked", "Alpine", "Trek", "Boots"]

EXERCISE = Exercise(
    id="span_infilling",
    title="Take spans out",
    cases=lambda: tuple(
        Case((words, spans), _taken_out(words, spans), note=note)
        for words, spans, note in (
            (_WORDS, [(2, 4), (6, 8)], "two spans within"),
            (_WORDS, [(0, 1), (7, 9)], "one at either end"),
            (_WORDS, [(5, 6)], "one token"),
            (_WORDS, [(0, 9)], "all of it: nothing is left"),
            (_AGAIN, [(1, 2), (4, 6)], "words that come twice"),
            (_AGAIN, [(5, 6)], "the second of two equal words"),
            (_WORDS, [], "no span"),
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
            "Where something was taken out a [MASK] stands; else its position is lost.",
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
        KnownWrong(
            _by_value,
            "A span is looked for by its first word, and found where that word stands first. "
            "Words come again: go by the numbers in `spans`.",
        ),
        KnownWrong(
            _from_first_span,
            "Without a span there is nothing to take the first of: all is read, and only [BOS] "
            "and [EOS] are written.",
        ),
        KnownWrong(
            _without_tail,
            "What stands behind the last span is lost: tokens[at:] is read, too.",
        ),
        KnownWrong(
            _mask_behind_each,
            "A [MASK] stands behind the last written span. It stands *between* two; [EOS] ends the "
            "last.",
        ),
        KnownWrong(
            _while_it_moves,
            "The list was shortened while its numbers were in use: behind the first span all later "
            "positions have moved. Read from the tokens as they were.",
        ),
    ),
    hints=(
        "Walk over the spans and keep the position up to which you have read.",
        "Before a span: tokens[at:start], then one [MASK]. Behind the last one: tokens[at:].",
        'Written are "[BOS]", the spans with "[MASK]" between two, and "[EOS]".',
    ),
    notice="Sentence generation is the same with one span. Two objectives, one format, one loss.",
)
