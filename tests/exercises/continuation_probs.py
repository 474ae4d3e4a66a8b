"""Right answers to ``continuation_probs``, written in other ways."""

from __future__ import annotations

from collections import defaultdict

from m6rec_lite.course.exercises.continuation_probs import Sentences, _continuation


def _before_each(sentences: Sentences) -> dict[str, float]:
    """The right answer written otherwise: sets of the words before each word."""
    before = defaultdict(set)
    for sentence in sentences:
        for i in range(1, len(sentence)):
            before[sentence[i]].add(sentence[i - 1])
    kinds = sum(map(len, before.values()))
    return {word: len(words) / kinds for word, words in before.items()}


CORRECT = (_continuation, _before_each)
