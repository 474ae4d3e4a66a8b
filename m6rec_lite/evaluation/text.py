"""Metrics of generated texts: BLEU, ROUGE, distinct-n, perplexity.

All depend on the tokenization: report it with the score. ``tokens`` splits English into words and
punctuation marks, and Chinese, which has no spaces between words, into characters.

Overlap with a reference measures similarity, not truth or quality: "cheap and sturdy" and "sturdy
and cheap" share all words and no bigram, and a fluent false text can score well. Report several
metrics together, and for explanations also those of ``explanations``. Overlap scores are in
[0, 1]; papers often print them times 100.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Tokens = Sequence[str]

#: Chinese characters, CJK punctuation, kana and full-width forms: each is one token.
_CJK = (
    "\u2e80-\u2fdf\u2ff0-\u303f\u3040-\u30ff\u3100-\u312f\u31a0-\u31ef\u3200-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003134f"
)
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’\-.,][^\W_{_CJK}]+)*|[^\w\s]|_")


def tokens(text: str, *, lower: bool = True) -> list[str]:
    """Split a text into words, punctuation marks and Chinese characters.

    Words keep apostrophes, hyphens, points and commas between letters or digits: ``don't``,
    ``two-day``, ``3.5``.

    >>> tokens("Don't wait: 防水 boots, 3.5 km!")
    ["don't", 'wait', ':', '防', '水', 'boots', ',', '3.5', 'km', '!']

    Args:
        text: any text.
        lower: whether to convert it to lower case.
    """
    return _TOKEN.findall(text.lower() if lower else text)


def ngrams(sequence: Tokens, n: int) -> Counter[tuple[str, ...]]:
    """Count the n-grams of a token sequence."""
    return Counter(tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1))


@dataclass(frozen=True)
class Bleu:
    """BLEU and its components.

    Attributes:
        score: BLEU in [0, 1].
        precisions: smoothed precisions of 1-grams, 2-grams, ....
        brevity: brevity penalty for texts shorter than their references; 1 for none.
        length: number of tokens of all texts.
        reference_length: number of tokens of all closest references.
    """

    score: float
    precisions: tuple[float, ...]
    brevity: float
    length: int
    reference_length: int


def bleu(
    texts: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    *,
    n: int = 4,
    smooth: bool = True,
) -> Bleu:
    """Compute BLEU-n, the precision of the texts' 1- to ``n``-grams in their references.

    Over the whole corpus, ``p_k`` is the share of k-grams that occur in a reference (each counted
    at most as often as in the reference with most of them), and

        BLEU-n = B (p_1 p_2 ... p_n)^(1/n),    B = min(1, exp(1 - r / c)),

    with c the tokens of the texts and r those of the closest references by length (the shorter of
    two equally close). The score of a corpus is not the mean of the scores of its sentences.

    Source: Papineni et al., *BLEU*, 2002, section 2.3. With ``smooth``, p_k is
    ``1 / (2^m total)`` for the m-th k without a match (Chen and Cherry, 2014, method 3). This is
    the default of sacrebleu, with which the result agrees; it is 0 if no text has ``n`` tokens.

    Args:
        texts: token sequences.
        references: for each text one or more token sequences.
        n: length of the longest n-grams.
        smooth: whether to smooth; without it one p_k = 0 makes the score 0.

    Raises:
        ValueError: if there is no text, the numbers differ, a text has no reference, or ``n`` is
            below 1.
    """
    check_pairs(texts, references)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}")
    matches, totals, length, reference_length = [0] * n, [0] * n, 0, 0
    for row, (text, refs) in enumerate(zip(texts, references, strict=True)):
        if isinstance(refs, str) or not len(refs) or isinstance(refs[0], str):
            raise ValueError(
                f"text {row} needs a list of references, each a list of tokens; got {refs!r:.80}"
            )
        length += len(text)
        reference_length += min((abs(len(r) - len(text)), len(r)) for r in refs)[1]
        for k in range(1, n + 1):
            allowed: Counter[tuple[str, ...]] = Counter()
            for reference in refs:
                allowed |= ngrams(reference, k)  # maximum over the references
            counts = ngrams(text, k)
            matches[k - 1] += (counts & allowed).total()
            totals[k - 1] += counts.total()
    brevity = 1.0 if length >= reference_length else 0.0
    if 0 < length < reference_length:
        brevity = math.exp(1 - reference_length / length)
    precisions, missed = [0.0] * n, 0
    if any(matches):
        for k, (match, total) in enumerate(zip(matches, totals, strict=True)):
            if match:
                precisions[k] = match / total
            elif total and smooth:
                missed += 1
                precisions[k] = 1 / (2**missed * total)
    score = 0.0
    if all(precisions):
        score = brevity * math.exp(sum(map(math.log, precisions)) / n)
    return Bleu(score, tuple(precisions), brevity, length, reference_length)


@dataclass(frozen=True)
class Rouge:
    """Overlap of texts with their references: precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def rouge(texts: Sequence[Tokens], references: Sequence[Tokens], kind: int | str) -> Rouge:
    """Compute ROUGE-n or ROUGE-L as means over the texts (F1 is computed per text).

    ROUGE-n counts common n-grams: recall divides by the n-grams of the reference, precision by
    those of the text. ROUGE-L uses the length of the longest common subsequence, whose tokens need
    not be consecutive but must keep their order. Without common tokens the value is 0.

    Source: Lin, *ROUGE*, 2004, sections 2 and 3.1, with beta = 1.

    Args:
        texts: token sequences.
        references: one token sequence for each text.
        kind: n, or ``"L"``.

    Raises:
        ValueError: if there is no text, the numbers differ, or the kind is invalid.
    """
    check_pairs(texts, references)
    if kind != "L" and (not isinstance(kind, int) or kind < 1):
        raise ValueError(f"kind must be n of the n-grams, such as 1 or 2, or 'L'; got {kind!r}")
    rows = []
    for text, reference in zip(texts, references, strict=True):
        if isinstance(kind, int):
            in_text, in_reference = ngrams(text, kind), ngrams(reference, kind)
            common = (in_text & in_reference).total()
            n_text, n_reference = in_text.total(), in_reference.total()
        else:
            common = longest_common_subsequence(text, reference)
            n_text, n_reference = len(text), len(reference)
        precision, recall = common / max(n_text, 1), common / max(n_reference, 1)
        total = precision + recall
        rows.append((precision, recall, 2 * precision * recall / total if total else 0.0))
    return Rouge(*np.mean(rows, axis=0).tolist())


def longest_common_subsequence(first: Tokens, second: Tokens) -> int:
    """Return the length of the longest common subsequence of two token sequences.

    For the first i and j tokens, L(i, j) is ``L(i-1, j-1) + 1`` if token i equals token j, else the
    maximum of ``L(i-1, j)`` and ``L(i, j-1)``. Only one row of the table is stored.

    >>> longest_common_subsequence("a cosy warm tent".split(), "a warm and dry tent".split())
    3
    """
    row = [0] * (len(second) + 1)  # L(i - 1, .)
    for token in first:
        diagonal = 0
        for j, other in enumerate(second, 1):
            above = row[j]
            row[j] = diagonal + 1 if token == other else max(above, row[j - 1])
            diagonal = above
    return row[-1]


def distinct(texts: Iterable[Tokens], n: int) -> float:
    """Return the share of distinct n-grams among all n-grams of the texts.

    Source: Li et al., *A diversity-promoting objective function for neural conversation models*,
    2016, section 5 (they divide by the number of tokens, which differs for n above 1; this is the
    common form, whose maximum is 1). It falls with the number of texts, so compare only equal
    numbers of texts. NaN if no text has n tokens.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}")
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(ngrams(text, n))
    return len(counts) / counts.total() if counts else float("nan")


def perplexity(
    log_likelihoods: Sequence[float] | np.ndarray, n_tokens: Sequence[int] | np.ndarray
) -> float:
    """Return ``exp(-sum log P / number of tokens)``.

    All tokens have equal weight, so it is not the mean of the texts' perplexities. It depends on
    the tokenization: models with different vocabularies are comparable only if both count the same
    units (pass ``n_tokens`` as words or characters for that).

    Args:
        log_likelihoods: for each text the sum over its tokens, in nats.
        n_tokens: for each text its number of tokens; 0 for an empty text.

    Returns:
        A number of at least 1; inf if a text has probability 0.

    Raises:
        ValueError: if lengths differ, there is no token, or a log-likelihood is NaN or above 0.
    """
    scores, counts = np.asarray(log_likelihoods, np.float64), np.asarray(n_tokens)
    if scores.shape != counts.shape or scores.ndim != 1 or not counts.sum() > 0:
        raise ValueError(
            f"expected a log-likelihood and a number of tokens for each text, and at least one "
            f"token; got shapes {scores.shape} and {counts.shape}, {int(counts.sum())} tokens"
        )
    invalid = np.flatnonzero(~(scores <= 1e-9) | (counts < 0))
    if len(invalid):
        row = invalid[0]
        raise ValueError(
            f"text {row} has log-likelihood {scores[row]} over {counts[row]} tokens: the logarithm "
            "of a probability is at most 0, and a number of tokens at least 0"
        )
    with np.errstate(over="ignore"):
        return float(np.exp(-scores.sum() / counts.sum()))


def check_pairs(first: Sequence[object], second: Sequence[object]) -> None:
    """Raise ``ValueError`` unless both have the same length of at least 1 and texts are tokenized.

    A string is rejected, since it would be scored as a sequence of letters.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(
            f"expected one reference for each text, and at least one text; got {len(first)} texts "
            f"and {len(second)} references"
        )
    for row, text in enumerate(first):
        if isinstance(text, str):
            raise ValueError(f"text {row} is a string, {text!r:.60}; split it first: tokens(text)")
