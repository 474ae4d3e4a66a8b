"""N-gram language models of any order, with any hashable tokens and any smoothing.

Tokens can be words of sentences or items of histories. The next token depends only on the last
``order - 1`` tokens (Markov, 1913). Training is in ``fitting``: ``counts`` stores counts in sorted
arrays, and ``smoothing`` and ``discounting`` convert them to probabilities.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from m6rec_lite.language.ngrams.counts import NO_CONTEXT, TokenSequence
from m6rec_lite.language.ngrams.discounting import SMOOTHINGS
from m6rec_lite.language.ngrams.fitting import NGramEstimator, check_integer
from m6rec_lite.language.ngrams.storage import (
    pack,
    read_arrays,
    token_from_json,
    token_to_json,
    unpack,
    write_arrays,
)
from m6rec_lite.language.ngrams.vocabulary import Sentences, Vocabulary, flatten


class NGram(NGramEstimator):
    """N-gram language model: predicts a token from the last ``order - 1`` tokens.

    Args:
        order: n, at least 1; an n-gram has ``order - 1`` tokens of context.
        smoothing: a name of ``SMOOTHINGS`` or an object such as ``AddK(0.1)``.
        vocabulary: the tokens that can occur; None takes those of the training text.
        min_count: without ``vocabulary``, tokens that occur less often in training are replaced by
            the unknown token.
        unknown: token that replaces tokens outside the vocabulary; None for a closed vocabulary, in
            which they are an error.
        edges: tokens for the start and the end of a sentence. The start is context only and never
            predicted; the end is predicted as other tokens are. None adds no such tokens.
        skips: also count n-grams with up to this number of tokens left out before the last one.
        skip_weight: factor of such a count per skipped token, above 0 and at most 1.

    Attributes:
        words: the vocabulary, see ``Vocabulary``; None before the first fit, unless given.
        counts_: count tables, see ``Counts``.
        estimate_: smoothed parameters; its ``details`` hold discounts or weights.

    Raises:
        ValueError: if a setting is out of range.
    """

    # Queries

    def count(self, ngram: Sequence[Hashable]) -> float:
        """Return how often an n-gram of 1 to ``order`` tokens occurred in training."""
        ids = self._require_fitted().encode(ngram, marks=True)
        if not 1 <= len(ids) <= self.order:
            raise ValueError(f"an n-gram here has 1 to {self.order} tokens, got {len(ids)}")
        entry = ids[:1]
        for k in range(2, len(ids) + 1):
            entry = self.counts_.find(k, entry, ids[k - 1 : k])
        return self.counts_.values[len(ids) - 1][entry[0]].item() if entry[0] >= 0 else 0

    def prob(self, token: Hashable, context: Sequence[Hashable] = ()) -> float:
        """Return ``P(token | context)``.

        Args:
            token: a token; tokens outside the vocabulary are replaced by ``unknown``.
            context: the tokens before it, oldest first; only the last ``order - 1`` are used. At
                the start of a sentence it must contain the start token; a shorter context without
                it is taken from the middle of a sentence.

        Raises:
            ValueError: if a token is unknown and the vocabulary is closed, or ``token`` is the
                start of a sentence, which is never predicted.
        """
        words = self._require_fitted()
        if isinstance(context, str):
            raise TypeError(f"a context is a list of tokens, got the string {context!r}")
        ids = words.encode([*context, token], marks=True)[-self.order :]
        if ids[-1] == len(words):
            raise ValueError(f"{token!r} marks the start of a sentence: it is never predicted")
        sequence = TokenSequence(ids, np.arange(len(ids)))
        return float(self.estimate_.probs(self.counts_.match(sequence))[-1])

    def token_logprobs(self, sentences: Sentences, *, skip_unknown: bool = False) -> np.ndarray:
        """Return the natural log-probabilities of all tokens, sentence after sentence.

        Args:
            sentences: lists of tokens.
            skip_unknown: leave out tokens that are not in the vocabulary.

        Returns:
            ``(tokens,)``; with ``edges`` the end of each sentence is included.
        """
        words = self._require_fitted()
        tokens, lengths = flatten(sentences)
        matches = self.counts_.match(words.sequence(words.encode(tokens), lengths))
        with np.errstate(divide="ignore"):
            logprobs = np.log(self.estimate_.probs(matches))
        if skip_unknown and self.unknown is not None:
            logprobs = logprobs[matches.entries[0] != words[self.unknown]]
        return logprobs

    def perplexity(self, sentences: Sentences, *, skip_unknown: bool = False) -> float:
        """Return the perplexity, ``exp`` of the mean of ``-token_logprobs``.

        It is infinite if a token has probability 0. Compare only models with the same vocabulary:
        more unknown tokens make a text easier to predict.

        Raises:
            ValueError: if there is no token.
        """
        logprobs = self.token_logprobs(sentences, skip_unknown=skip_unknown)
        if len(logprobs) == 0:
            raise ValueError("no tokens to judge by: the sentences are empty, or all unknown")
        return float(np.exp(-logprobs.mean()))

    def next_probs(self, contexts: Sequence[Sequence[Hashable]]) -> np.ndarray:
        """Return the probabilities of all tokens after each context.

        Args:
            contexts: ``n`` lists of tokens, each as in ``prob``.

        Returns:
            ``(n, V)`` float64 in the order of ``vocabulary``; each row sums to one.
        """
        words = self._require_fitted()
        rows = [words.encode(context, marks=True)[-self.order :] for context in contexts]
        table = np.full((len(rows), self.order), NO_CONTEXT)
        for row, ids in enumerate(rows):
            table[row, table.shape[1] - len(ids) :] = ids
        return self.next_probs_ids(table)

    def next_probs_ids(self, contexts: np.ndarray) -> np.ndarray:
        """Return ``next_probs`` for arrays of token ids.

        Args:
            contexts: ``(n, width)`` indices into ``vocabulary``, oldest first; shorter contexts are
                padded with -1 on the left.
        """
        n_tokens = len(self._require_fitted()) + (self.edges is not None)
        contexts = np.asarray(contexts, dtype=np.int64)
        contexts = np.where(contexts < 0, NO_CONTEXT, contexts)
        if contexts.size and contexts.max() >= n_tokens:
            raise ValueError(f"contexts hold {contexts.max()}, beyond the {n_tokens} tokens")
        return self.estimate_.rows(self.counts_, self.counts_.contexts(contexts))

    def generate(
        self,
        n_tokens: int = 30,
        context: Sequence[Hashable] | None = None,
        *,
        seed: int | np.random.Generator,
        temperature: float = 1.0,
    ) -> list[Hashable]:
        """Sample tokens one after another from ``next_probs``.

        Args:
            n_tokens: maximum number of tokens; the end of a sentence stops earlier.
            context: tokens to continue; None starts a sentence.
            seed: seed or generator of the draws.
            temperature: above 0; below 1 favours probable tokens, above 1 improbable ones.

        Returns:
            The sampled tokens, without context and sentence marks; never the unknown token.
        """
        words = self._require_fitted()
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature must be above 0 and finite, got {temperature!r}")
        rng = np.random.default_rng(seed)
        start = [] if self.edges is None else [self.edges[0]]
        text = list(start if context is None else context)
        drawn: list[Hashable] = []
        for _ in range(check_integer("n_tokens", n_tokens, 0)):
            p = self.next_probs([text[-self.order :]])[0]
            if self.unknown is not None:
                p[words[self.unknown]] = 0.0
            if p.max() <= 0:
                raise ValueError(
                    f"after {text[-self.order + 1 :]!r} every known token has probability 0"
                )
            p = (p / p.max()) ** (1 / temperature)
            token = words.tokens[rng.choice(len(p), p=p / p.sum())]
            if self.edges is not None and token == self.edges[1]:
                break
            drawn.append(token)
            text.append(token)
        return drawn

    # Files

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the complete model as arrays of numbers and bytes, without pickle."""
        words = self._require_fitted()
        names = [name for name, kind in SMOOTHINGS.items() if kind is type(self.smoothing)]
        if not names:
            raise TypeError(f"{self.smoothing!r} is none of the package's own: it cannot be saved")
        settings = {
            "order": self.order,
            "smoothing": {"name": names[0], **asdict(self.smoothing)},
            "vocabulary": token_to_json(tuple(words.tokens)),
            "given": self._fixed_words is not None,
            "min_count": self.min_count,
            "unknown": token_to_json(self.unknown),
            "edges": token_to_json(self.edges),
            "skips": self.skips,
            "skip_weight": self.skip_weight,
        }
        return pack(settings, self.counts_, self.estimate_)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Restore a model from the output of ``to_arrays``.

        Raises:
            ValueError: if the arrays are not those of a model.
        """
        settings, counts, estimate = unpack(arrays)
        try:
            options = dict(settings.pop("smoothing"))
            smoothing = SMOOTHINGS[options.pop("name")](**options)
            tokens: Any = token_from_json(settings.pop("vocabulary"))
            has_vocabulary = settings.pop("given")
            for name in ("unknown", "edges"):
                settings[name] = token_from_json(settings[name])
            model = cls(smoothing=smoothing, **settings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"these arrays are not an n-gram model's: {error!r}") from error
        model.words = Vocabulary(tokens, model.unknown, model.edges)
        model._fixed_words = model.words if has_vocabulary else None
        model.counts_, model.estimate_ = counts, estimate
        return model

    def save(self, path: str | Path) -> Path:
        """Write the model to one ``.npz`` file, atomically.

        Raises:
            TypeError: if a token is not a str, int, float, bool, None or tuple of them.
        """
        return write_arrays(Path(path), self.to_arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load a model that ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, or not an n-gram model.
        """
        return cls.from_arrays(read_arrays(Path(path)))
