"""Classification of texts by n-gram language models, one for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Self

import numpy as np

from m6rec_lite.data.tables import NotFittedError
from m6rec_lite.language.ngrams.ngram import NGram
from m6rec_lite.language.ngrams.smoothing import Smoothing
from m6rec_lite.language.ngrams.vocabulary import Vocabulary, flatten


class NGramClassifier:
    """Choose the class under which a text is most probable: Bayes' rule with n-gram models.

    ``P(class | text)`` is proportional to ``P(class) * P(text | class)``. With ``order=1`` and
    additive smoothing this is naive Bayes; a higher order reads words together, such as "not rise".
    Source: Peng, Schuurmans and Wang, *Augmenting naive Bayes classifiers with statistical language
    models*, 2004.

    Args:
        order: of the n-gram models.
        smoothing: as in ``NGram``. Choose it on validation texts: the best language model need not
            be the best classifier.

    Attributes:
        classes_: the classes, in alphabetical order.
        models_: the ``NGram`` of each class; all have the same vocabulary.
        log_priors_: ``(n_classes,)`` log of the share of each class.
    """

    classes_: list[str]
    models_: list[NGram]
    log_priors_: np.ndarray

    def __init__(self, order: int = 2, smoothing: str | Smoothing = "add-k") -> None:
        self.order, self.smoothing = order, smoothing

    def fit(self, sentences: Sequence[Sequence[Hashable]], labels: Sequence[str]) -> Self:
        """Fit a model to the sentences of each class.

        Args:
            sentences: ``n`` lists of tokens.
            labels: their classes.

        Raises:
            ValueError: if the lengths differ, or there is no sentence.
        """
        if len(sentences) != len(labels) or not len(labels):
            raise ValueError(
                f"wanted one label for each sentence, at least one; got {len(sentences)} sentences "
                f"and {len(labels)} labels"
            )
        sizes = Counter(labels)
        self.classes_ = sorted(sizes)
        words = Vocabulary.from_text(flatten(sentences)[0]).tokens
        self.models_ = [
            NGram(self.order, self.smoothing, vocabulary=words).fit(
                [s for s, label in zip(sentences, labels, strict=True) if label == name],
                progress=False,
            )
            for name in self.classes_
        ]
        shares = np.array([sizes[name] for name in self.classes_]) / len(labels)
        self.log_priors_ = np.log(shares)
        return self

    def log_probs(self, sentences: Sequence[Sequence[Hashable]]) -> np.ndarray:
        """Return ``(n, n_classes)``: the log probability of each class, given each sentence.

        Raises:
            NotFittedError: before ``fit``.
        """
        if not hasattr(self, "models_"):
            raise NotFittedError(f"{type(self).__name__} is not fitted: call fit first")
        lengths = np.array([len(sentence) + 1 for sentence in sentences])  # and the end
        starts = np.cumsum(lengths) - lengths
        joint = np.empty((len(lengths), len(self.classes_)))
        for column, model in enumerate(self.models_):
            tokens = model.token_logprobs(sentences)
            joint[:, column] = np.add.reduceat(tokens, starts) if len(lengths) else 0.0
        joint += self.log_priors_
        return joint - np.logaddexp.reduce(joint, axis=1, keepdims=True)

    def predict(self, sentences: Sequence[Sequence[Hashable]]) -> np.ndarray:
        """Return the ``(n,)`` most probable classes; of equal ones the first in ``classes_``."""
        best = self.log_probs(sentences).argmax(axis=1)
        return np.array(self.classes_, dtype=object)[best]
