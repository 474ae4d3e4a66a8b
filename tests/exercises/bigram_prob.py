"""Right answers to ``bigram_prob``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.bigram_prob import _bigram, _followed

CORRECT = (
    _bigram,
    lambda sentences, prefix, word: (
        sum(
            sentence[i + 1] == word
            for sentence in sentences
            for i in range(len(sentence) - 1)
            if sentence[i] == prefix
        )
        / max(_followed(sentences, prefix, word), 1)
    ),
)
