"""Right answers to ``span_infilling``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.span_infilling import Spans, _taken_out


def _by_places(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    starts = {start for start, _ in spans}
    gone = {position for start, stop in spans for position in range(start, stop)}
    reads, writes = [], []
    for position, token in enumerate(tokens):
        if position in starts:
            reads.append("[MASK]")
            writes += ["[MASK]"] if writes else []
        (writes if position in gone else reads).append(token)
    return ["[BOS']", *reads, "[EOS']"], ["[BOS]", *writes, "[EOS]"]


def _by_words(tokens: list[str], spans: Spans) -> tuple[list[str], list[str]]:
    """Looks for the words of a span in what is left, which finds an earlier copy first."""
    reads = list(tokens)
    for start, stop in spans:
        words = tokens[start:stop]
        at = next(i for i in range(len(reads)) if reads[i : i + len(words)] == words)
        reads[at : at + len(words)] = ["[MASK]"]
    return ["[BOS']", *reads, "[EOS']"], _taken_out(tokens, spans)[1]


CORRECT = (_taken_out, _by_places)

WRONG = ((_by_words, "found where that word stands first"),)

EQUIVALENT = {
    "writes += ['[MASK]'] if at else []": "the two conditions agree, as no span is empty",
    "writes += ['[MASK]'] if len(writes) > 1 else []": (
        "the two conditions agree, as no span is empty"
    ),
    "writes += ['[MASK]'] if at and len(writes) > 1 else []": (
        "the two conditions agree, as no span is empty"
    ),
    "writes += ['[MASK]'] if at or len(writes) < 1 else []": (
        "the two conditions agree, as no span is empty"
    ),
    "writes += ['[MASK]'] if at or len(writes) > 2 else []": (
        "the two conditions agree, as no span is empty"
    ),
}
