"""Exercise ``written_share``: what share of a row's tokens does infilling train on?"""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _parts(rate: float, mean_span: float, n: int) -> tuple[int, int]:
    """Return the masked tokens and the spans of a document of n tokens, as ``Infilling`` does."""
    masked = min(n, max(1, round(rate * n)))
    spans = min(masked, max(1, round(masked / mean_span)))
    return masked, min(spans, n - masked + 1)


def _row(rate: float, mean_span: float, n: int) -> int:
    """Return the tokens of the whole row."""
    return n + 2 * _parts(rate, mean_span, n)[1] + 3


def _share(rate: float, mean_span: float, n: int) -> float:
    """The right answer: masked tokens, a [MASK] between spans and [EOS], of the whole row."""
    return sum(_parts(rate, mean_span, n)) / _row(rate, mean_span, n)


_CASES = (
    (0.3, 3.0, 100, "the lesson's setting: 30 tokens in 10 spans"),
    (0.3, 1.0, 100, "spans of one token"),
    (0.3, 10.0, 100, "spans of ten tokens"),
    (0.6, 3.0, 100, "twice the share"),
    (0.3, 3.0, 7, "a short document: 2 tokens in one span"),
)

EXERCISE = Exercise(
    id="written_share",
    title="The share of a row that is trained on",
    cases=tuple(Case((r, s, n), _share(r, s, n), note=note) for r, s, n, note in _CASES),
    known_wrong=(
        KnownWrong(
            lambda rate, mean_span, n: _parts(rate, mean_span, n)[0] / n,
            "That is the share of the document that is masked. A row also has [BOS'], [EOS'], "
            "[BOS], [EOS] and a [MASK] for each span.",
        ),
        KnownWrong(
            lambda *setting: _parts(*setting)[0] / _row(*setting),
            "Only tokens of the text are counted. The [MASK] between two written spans and [EOS] "
            "are predicted too.",
        ),
        KnownWrong(
            lambda *setting: (sum(_parts(*setting)) + 1) / _row(*setting),
            "[BOS] is counted. It opens the candidate region and is not predicted.",
        ),
        KnownWrong(
            lambda *setting: 1 - _share(*setting),
            "That is the share that is not predicted: the user region and [BOS].",
        ),
        KnownWrong(
            lambda *setting: sum(_parts(*setting)) / (_row(*setting) - sum(_parts(*setting)) - 1),
            "That divides by the tokens of the user region. Divide by all tokens of the row.",
        ),
        KnownWrong(
            lambda *setting: sum(_parts(*setting)) / (sum(_parts(*setting)) + 1),
            "That divides by the candidate region. Divide by all tokens of the row.",
        ),
        KnownWrong(
            lambda rate, mean_span, n: _share(0.3, 3.0, n),
            "The settings are not passed on: rate and mean_span are those of the lesson whatever "
            "is asked for.",
        ),
    ),
    hints=(
        "to_rows(...) gives `lengths`, the tokens of the row, and `known`, those of its user "
        "region.",
        "After the user region stands [BOS]; everything behind it is predicted.",
        "(lengths - known - 1) / lengths, as a number.",
    ),
    notice="Shorter spans add a [MASK] for each on both sides: more of the row is predicted, and "
    "more of what is predicted is structure. Compare with your prediction: which of the two "
    "settings moved the share more?",
)
