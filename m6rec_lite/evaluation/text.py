"""How good generated texts are: BLEU, ROUGE, distinct-n, perplexity.

All compare tokens, so a score depends on how texts are cut into them: name the tokens beside the
score. ``tokens`` cuts English into words and marks, and Chinese into characters, since Chinese has
no spaces between words and a whole sentence would count as one word.

Overlap with a reference says whether a text is *like* it, not whether it is true or good: "cheap
and sturdy" and "sturdy and cheap" share all words and no pair; a fluent lie scores well. So read
several together, and for reasons given also ``explanations``. Scores of overlap lie in [0, 1];
papers often print them times 100.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Tokens = Sequence[str]

#: Chinese characters, CJK marks, kana and full-width forms: each is a token of its own.
_CJK = (
    "\u2e80-\u2fdf\u2ff0-\u303f\u3040-\u30ff\u3100-\u312f\u31a0-\u31ef\u3200-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003134f"
)
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’\-.,][^\W_{_CJK}]+)*|[^\w\s]|_")


def tokens(text: str, *, lower: bool = True) -> list[str]:
    """Cut a text into words, marks and Chinese characters.

    Words keep what binds letters or digits: ``don't``, ``two-day``, ``3.5``.

    >>> tokens("Don't wait: 防水 boots, 3.5 km!")
    ["don't", 'wait', ':', '防', '水', 'boots', ',', '3.5', 'km', '!']

    Args:
        text: any; an empty one has no tokens.
        lower: whether case is ignored.
    """
    return _TOKEN.findall(text.lower() if lower else text)


def ngrams(sequence: Tokens, n: int) -> Counter[tuple[str, ...]]:
    """How often each run of ``n`` neighbouring tokens occurs."""
    return Counter(tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1))


@dataclass(frozen=True)
class Bleu:
    """BLEU and what it is made of.

    Attributes:
        score: in [0, 1].
        precisions: of 1-grams, 2-grams, ..., as smoothed.
        brevity: the penalty for texts shorter than their references, 1 for none.
        length: tokens of all texts.
        reference_length: tokens of all closest references.
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
    """How many runs of 1 to ``n`` tokens of the texts occur in their references (BLEU-n).

    Over the whole corpus: ``p_k`` is the share of k-grams that a reference has (each counted at
    most as often as it occurs in the reference where it occurs most), and

        BLEU-n = B (p_1 p_2 ... p_n)^(1/n),    B = min(1, exp(1 - r / c)),

    with c the tokens of the texts and r those of the closest references by length (the shorter of
    two equally close). A corpus figure is not the mean of its sentences' figures.

    Source: Papineni et al., *BLEU*, 2002, section 2.3. ``smooth``: of a k without a match, p_k is
    ``1 / (2^m total)`` for the m-th such k (Chen and Cherry, 2014, method 3; sacrebleu's default,
    with which this agrees, as it does where no text is as long as ``n`` tokens: 0).

    Args:
        texts: each as tokens.
        references: for each text one or more references, each as tokens.
        n: longest runs counted.
        smooth: see above; without it one p_k = 0 makes the score 0.

    Raises:
        ValueError: on no texts, unequal numbers, a text without a reference, or ``n`` below 1.
    """
    check_pairs(texts, references)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}")
    matches, totals, length, reference_length = [0] * n, [0] * n, 0, 0
    for row, (text, several) in enumerate(zip(texts, references, strict=True)):
        if isinstance(several, str) or not len(several) or isinstance(several[0], str):
            raise ValueError(
                f"text {row} needs a list of references, each a list of tokens; got {several!r:.80}"
            )
        length += len(text)
        reference_length += min((abs(len(r) - len(text)), len(r)) for r in several)[1]
        for k in range(1, n + 1):
            allowed: Counter[tuple[str, ...]] = Counter()
            for reference in several:
                allowed |= ngrams(reference, k)  # the most of any one reference
            found = ngrams(text, k)
            matches[k - 1] += (found & allowed).total()
            totals[k - 1] += found.total()
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
    """ROUGE-n or ROUGE-L, averaged over the texts (each text's own F1 first, then the mean).

    ROUGE-n counts shared runs of n tokens: recall is their share of the reference's, precision of
    the text's. ROUGE-L counts the longest common subsequence, whose tokens need not be neighbours
    but must keep their order. A pair without any token in common, one of them empty perhaps, has 0.

    Source: Lin, *ROUGE*, 2004, sections 2 and 3.1, with beta = 1.

    Args:
        texts: each as tokens.
        references: one for each text, as tokens.
        kind: n, or ``"L"``.

    Raises:
        ValueError: on no texts, unequal numbers, or another kind.
    """
    check_pairs(texts, references)
    if kind != "L" and (not isinstance(kind, int) or kind < 1):
        raise ValueError(f"kind must be n of the n-grams, such as 1 or 2, or 'L'; got {kind!r}")
    rows = []
    for text, reference in zip(texts, references, strict=True):
        if kind == "L":
            shared, a, b = longest_common_subsequence(text, reference), len(text), len(reference)
        else:
            found, wanted = ngrams(text, kind), ngrams(reference, kind)
            shared, a, b = (found & wanted).total(), found.total(), wanted.total()
        precision, recall = shared / max(a, 1), shared / max(b, 1)
        both = precision + recall
        rows.append((precision, recall, 2 * precision * recall / both if both else 0.0))
    return Rouge(*np.mean(rows, axis=0).tolist())


def longest_common_subsequence(first: Tokens, second: Tokens) -> int:
    """Length of the longest sequence that both hold in order, gaps allowed.

    With L(i, j) for the first i and j tokens: ``L(i-1, j-1) + 1`` where token i equals token j,
    else the larger of ``L(i-1, j)`` and ``L(i, j-1)``. One row of the table is kept.

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
    """Share of different n-grams among all n-grams of the texts: 0 says the same thing for ever.

    Source: Li et al., *A diversity-promoting objective function for neural conversation models*,
    2016, section 5 (they divide by the number of tokens, which differs for n above 1; this is the
    form in common use, the one that can reach 1). It falls as texts get more, so compare equal
    numbers of texts only. NaN where no text has n tokens.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n!r}")
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(ngrams(text, n))
    return len(counts) / counts.total() if counts else float("nan")


def perplexity(log_likelihoods: Sequence[float], n_tokens: Sequence[int]) -> float:
    """``exp(-sum log P / number of tokens)``: as unsure as a die of so many sides, a token.

    All tokens weigh alike, so it is not the mean of the texts' perplexities. It depends on the
    tokens: models with different vocabularies cannot be compared by it, unless both count the same
    units (give ``n_tokens`` as words or characters for that).

    Args:
        log_likelihoods: of each text, the sum over its tokens, in nats.
        n_tokens: of each text, how many tokens those were; 0 for an empty text.

    Returns:
        at least 1 for probabilities; inf where a text has probability 0.

    Raises:
        ValueError: on unequal lengths, no token at all, a NaN, or a log-likelihood above 0.
    """
    scores, counts = np.asarray(log_likelihoods, np.float64), np.asarray(n_tokens)
    if scores.shape != counts.shape or scores.ndim != 1 or not counts.sum() > 0:
        raise ValueError(
            f"wanted a log-likelihood and a number of tokens for each text, and a token at least; "
            f"got shapes {scores.shape} and {counts.shape}, {int(counts.sum())} tokens"
        )
    wrong = np.flatnonzero(~(scores <= 1e-9) | (counts < 0))
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"text {row} has log-likelihood {scores[row]} over {counts[row]} tokens: the logarithm "
            "of a probability is at most 0, and a number of tokens at least 0"
        )
    with np.errstate(over="ignore"):
        return float(np.exp(-scores.sum() / counts.sum()))


def check_pairs(first: Sequence[object], second: Sequence[object]) -> None:
    """Raise ``ValueError`` unless there is one of the second for each of the first, and one text.

    Texts must have been cut: a string is a sequence too, of letters, and would be scored as such.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(
            f"wanted one reference for each text, and at least one text; got {len(first)} texts "
            f"and {len(second)} references"
        )
    for row, each in enumerate(first):
        if isinstance(each, str):
            raise ValueError(f"text {row} is a string, {each!r:.60}; cut it first: tokens(text)")
