"""Estimation of n-gram language models: settings, counting, smoothing and pruning."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from typing import Self

import numpy as np

from m6rec_lite.language.ngrams import pruning
from m6rec_lite.language.ngrams.counts import Counts, count_ngrams
from m6rec_lite.language.ngrams.discounting import SMOOTHINGS
from m6rec_lite.language.ngrams.smoothing import Estimate, Smoothing
from m6rec_lite.language.ngrams.vocabulary import Sentences, Vocabulary, flatten


class NGramEstimator:
    """Base class of ``NGram`` with its settings, ``fit`` and ``prune``; arguments: see there."""

    counts_: Counts
    estimate_: Estimate

    def __init__(
        self,
        order: int = 3,
        smoothing: str | Smoothing = "modified-kneser-ney",
        *,
        vocabulary: Iterable[Hashable] | None = None,
        min_count: int = 1,
        unknown: Hashable | None = "<unk>",
        edges: tuple[Hashable, Hashable] | None = ("<s>", "</s>"),
        skips: int = 0,
        skip_weight: float = 0.5,
    ) -> None:
        if isinstance(smoothing, str) and smoothing not in SMOOTHINGS:
            raise ValueError(f"smoothing {smoothing!r} is none of {', '.join(SMOOTHINGS)}")
        if not isinstance(smoothing, str | Smoothing):
            raise TypeError(f"smoothing must be a name or a Smoothing, got {smoothing!r}")
        if edges is not None and (len(edges) != 2 or edges[0] == edges[1] or unknown in edges):
            raise ValueError(f"edges must be two tokens, neither {unknown!r}, got {edges!r}")
        if not 0 < skip_weight <= 1:
            raise ValueError(f"skip_weight must be above 0 and at most 1, got {skip_weight!r}")
        self.order = check_integer("order", order, 1, " (1 uses no context)")
        self.smoothing = SMOOTHINGS[smoothing]() if isinstance(smoothing, str) else smoothing
        self.min_count = check_integer("min_count", min_count, 1)
        if self.min_count > 1 and unknown is None:
            raise ValueError("min_count above 1 needs an unknown token to count rare tokens as")
        self.skips, self.skip_weight = check_integer("skips", skips, 0), float(skip_weight)
        self.unknown, self.edges = unknown, edges
        self._fixed_words = None if vocabulary is None else Vocabulary(vocabulary, unknown, edges)
        self.words = self._fixed_words

    @property
    def vocabulary(self) -> list[Hashable]:
        """The V tokens that can be predicted, in the order of the columns of ``next_probs``.

        The tokens given or seen in training, then the end of a sentence, then the unknown token.
        """
        return [] if self.words is None else self.words.tokens

    def __repr__(self) -> str:
        size = f", {len(self.vocabulary):,} tokens" if self.vocabulary else ""
        grams = " + ".join(f"{n:,}" for n in self.sizes) if self.is_fitted else "not fitted"
        return f"NGram(order={self.order}, {self.smoothing!r}{size}, {grams})"

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` was called."""
        return hasattr(self, "estimate_")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of distinct n-grams of order 1, 2, …"""
        self._require_fitted()
        return (
            int(np.count_nonzero(self.counts_.values[0])),
            *(len(keys) for keys in self.counts_.keys),
        )

    def fit(
        self,
        sentences: Sentences,
        *,
        held_out: Sentences | None = None,
        weights: Iterable[Sequence[float]] | None = None,
        progress: bool = True,
    ) -> Self:
        """Count n-grams and estimate probabilities.

        Args:
            sentences: lists of tokens; a single text is a list of one list.
            held_out: other sentences, for smoothings that estimate weights from them.
            weights: for each sentence the weights of its tokens, above 0, such as lower weights for
                older tokens; an n-gram has the weight of its last token.
            progress: show a progress bar if counting takes longer than two seconds.

        Returns:
            The model itself.

        Raises:
            ValueError: if there are no tokens, or a token is outside a closed vocabulary.
            TypeError: if a sentence is a string, or a token cannot be hashed.
        """
        tokens, lengths = flatten(sentences)
        self.words = self._fixed_words or Vocabulary.from_text(
            tokens, self.min_count, self.unknown, self.edges
        )
        flat = None
        if weights is not None:
            flat, weight_lengths = flatten(weights, "weights")
            if not np.array_equal(weight_lengths, lengths):
                raise ValueError("weights must have one number for each token of each sentence")
        held = None
        if held_out is not None:
            held_tokens, held_lengths = flatten(held_out, "held_out")
            held = (self.words.encode(held_tokens), held_lengths)
        return self.fit_ids(
            self.words.encode(tokens), lengths, held_out=held, weights=flat, progress=progress
        )

    def fit_ids(
        self,
        ids: np.ndarray,
        lengths: np.ndarray,
        *,
        held_out: tuple[np.ndarray, np.ndarray] | None = None,
        weights: np.ndarray | Sequence[float] | None = None,
        progress: bool = True,
    ) -> Self:
        """Fit arrays of token ids; requires ``vocabulary``.

        Args:
            ids: ``(total,)`` indices into ``vocabulary``, sentence after sentence.
            lengths: ``(n,)`` number of tokens of each sentence.
            held_out: ``(ids, lengths)`` of other sentences.
            weights: ``(total,)`` weight of each token.
            progress: see ``fit``.
        """
        if self.words is None:
            raise ValueError("fit_ids needs NGram(…, vocabulary=tokens): ids are indices into it")
        lengths = np.asarray(lengths, dtype=np.int64)
        sequence = self.words.sequence(ids, lengths)
        if lengths.sum() == 0:
            raise ValueError("no tokens to learn from: every sentence is empty, or there is none")
        counts = count_ngrams(
            sequence,
            len(self.words),
            self.order,
            weights=None if weights is None else self.words.weights(weights, lengths),
            skips=self.skips,
            skip_weight=self.skip_weight,
            progress=progress,
        )
        held = None if held_out is None else counts.match(self.words.sequence(*held_out))
        estimate = self.smoothing.estimate(counts, held)
        self.counts_, self.estimate_ = counts, estimate
        return self

    def prune(self, min_count: float = 1, min_gain: float = 0.0) -> Self:
        """Remove n-grams of at least two tokens; shorter contexts receive their probability.

        Args:
            min_count: keep n-grams with at least this count.
            min_gain: keep n-grams that add at least this to the log-likelihood of the training
                text, in nats (see ``pruning.gains``).

        Returns:
            The model itself; its probabilities still sum to one.
        """
        self._require_fitted()
        if self.estimate_.floor == 0 and not self.estimate_.recursive:
            raise ValueError('with MaximumLikelihood("zero") no shorter context can take over')
        keep = []
        for order in range(2, self.order + 1):
            mask = self.counts_.values[order - 1] >= min_count
            if min_gain > 0:
                mask &= pruning.gains(self.counts_, self.estimate_, order) >= min_gain
            keep.append(mask)
        self.counts_, self.estimate_ = pruning.prune(self.counts_, self.estimate_, keep)
        return self

    def _require_fitted(self) -> Vocabulary:
        """Return the vocabulary; raise ``RuntimeError`` before ``fit``."""
        if not self.is_fitted or self.words is None:
            raise RuntimeError(f"{self!r}: call fit(sentences) first")
        return self.words


def check_integer(name: str, value: int, least: int, hint: str = "") -> int:
    """Return a setting as an int; raise ``ValueError`` unless it is one of at least ``least``."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from error
    if number < least:
        raise ValueError(f"{name} must be at least {least}{hint}, got {number}")
    return number
