"""One n-gram language model: any order, any hashable tokens, any smoothing.

Words of a sentence or items of a history are the same to it: a token is known by its place in the
vocabulary, and what comes next depends on the last ``order - 1`` tokens alone (Markov, 1913). The
counts lie in sorted arrays (``counts``), the ways to smooth them in ``smoothing`` and
``discounting``.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np

from m6rec_lite.language.ngrams import pruning
from m6rec_lite.language.ngrams.counts import NONE, Stream, count_ngrams
from m6rec_lite.language.ngrams.discounting import SMOOTHINGS
from m6rec_lite.language.ngrams.smoothing import Smoothing
from m6rec_lite.language.ngrams.storage import (
    pack,
    read_arrays,
    token_from_json,
    token_to_json,
    unpack,
    write_arrays,
)
from m6rec_lite.language.ngrams.vocabulary import Sentences, Vocabulary, flatten


class NGram:
    """An n-gram language model: what comes next, given the last ``order - 1`` tokens.

    Args:
        order: n, at least 1; 1 looks at no context, 2 at one token.
        smoothing: a name of ``SMOOTHINGS`` or an object such as ``AddK(0.1)``.
        vocabulary: the tokens that can occur; None takes those of the training text.
        min_count: without ``vocabulary``, rarer tokens are left out of it. Training then meets the
            unknown token, and learns where unknown words stand.
        unknown: the token that stands for all that the vocabulary lacks; None for a closed
            vocabulary, where an unknown token is an error.
        edges: marks of a sentence's start and end. The start is context only, never foretold; the
            end is a token like others, so that a model knows when to stop. None reads the tokens
            as they are.
        skips: count also n-grams with up to so many tokens left out before the last one.
        skip_weight: what each token left out multiplies such a count by, above 0, at most 1.

    Attributes:
        words: numbers of tokens, see ``Vocabulary``; None before the first fit, unless given.
        counts_: the tables, see ``Counts``.
        estimate_: the numbers of the smoothing; its ``details`` hold discounts or weights.

    Raises:
        ValueError: if a setting is out of range.
    """

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
        self.order = _whole("order", order, 1, " (1 looks at no context)")
        self.smoothing = SMOOTHINGS[smoothing]() if isinstance(smoothing, str) else smoothing
        self.min_count = _whole("min_count", min_count, 1)
        if self.min_count > 1 and unknown is None:
            raise ValueError("min_count above 1 needs an unknown token to count rare tokens as")
        self.skips, self.skip_weight = _whole("skips", skips, 0), float(skip_weight)
        self.unknown, self.edges = unknown, edges
        self._given = None if vocabulary is None else Vocabulary(vocabulary, unknown, edges)
        self.words = self._given

    @property
    def vocabulary(self) -> list[Hashable]:
        """The V tokens that can come next, in the order of ``next_probs``'s columns.

        Those given or met in training, then the end of a sentence, then the unknown token.
        """
        return [] if self.words is None else self.words.tokens

    def __repr__(self) -> str:
        size = f", {len(self.words):,} tokens" if self.vocabulary else ""
        grams = " + ".join(f"{n:,}" for n in self.sizes) if self.is_fitted else "not fitted"
        return f"NGram(order={self.order}, {self.smoothing!r}{size}, {grams})"

    @property
    def is_fitted(self) -> bool:
        """Whether the model can be asked."""
        return hasattr(self, "estimate_")

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many different n-grams it keeps, of order 1, 2, …"""
        self._require_fitted()
        return (
            int(np.count_nonzero(self.counts_.values[0])),
            *(len(keys) for keys in self.counts_.keys),
        )

    # Learning

    def fit(
        self,
        sentences: Sentences,
        *,
        held_out: Sentences | None = None,
        weights: Iterable[Sequence[float]] | None = None,
        progress: bool = True,
    ) -> Self:
        """Count and estimate.

        Args:
            sentences: lists of tokens; one long text is a list of one list.
            held_out: other sentences, where the smoothing learns weights from them.
            weights: for each sentence, what each of its tokens counts (above 0), such as less for
                what is long ago; an n-gram counts as its last token does.
            progress: show a bar where counting takes longer than two seconds.

        Returns:
            The model itself.

        Raises:
            ValueError: if there are no tokens, or a token is outside a closed vocabulary.
            TypeError: if a sentence is a string, or a token cannot be hashed.
        """
        tokens, lengths = flatten(sentences)
        self.words = self._given or Vocabulary.from_text(
            tokens, self.min_count, self.unknown, self.edges
        )
        flat = None
        if weights is not None:
            flat, theirs = flatten(weights, "weights")
            if not np.array_equal(theirs, lengths):
                raise ValueError("weights must have one number for each token of each sentence")
        held = None
        if held_out is not None:
            others, their_lengths = flatten(held_out, "held_out")
            held = (self.words.encode(others), their_lengths)
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
        """``fit`` for those who have arrays already, and gave the vocabulary.

        Args:
            ids: ``(total,)`` places in ``vocabulary``, sentence after sentence.
            lengths: ``(n,)`` tokens of each sentence.
            held_out: ``(ids, lengths)`` of other sentences.
            weights: ``(total,)`` what each token counts.
            progress: show a bar where counting takes longer than two seconds.
        """
        if self.words is None:
            raise ValueError("fit_ids needs NGram(…, vocabulary=tokens): ids are places in it")
        lengths = np.asarray(lengths, dtype=np.int64)
        stream = self.words.stream(ids, lengths)
        if lengths.sum() == 0:
            raise ValueError("no tokens to learn from: every sentence is empty, or there is none")
        counts = count_ngrams(
            stream,
            len(self.words),
            self.order,
            weights=None if weights is None else self.words.weights(weights, lengths),
            skips=self.skips,
            skip_weight=self.skip_weight,
            progress=progress,
        )
        held = None if held_out is None else counts.match(self.words.stream(*held_out))
        estimate = self.smoothing.estimate(counts, held)
        self.counts_, self.estimate_ = counts, estimate
        return self

    def prune(self, min_count: float = 1, min_gain: float = 0.0) -> Self:
        """Forget n-grams of two tokens and more; shorter contexts take over what they had.

        Args:
            min_count: keep what occurred at least so often.
            min_gain: keep what adds at least so much to the log-likelihood of the training text,
                in nats (see ``pruning.gains``).

        Returns:
            The model itself; its probabilities still sum to one.
        """
        self._require_fitted()
        if self.estimate_.floor == 0 and not self.estimate_.recursive:
            raise ValueError('with MaximumLikelihood("zero") no shorter context can take over')
        keep = []
        for order in range(2, self.order + 1):
            enough = self.counts_.values[order - 1] >= min_count
            if min_gain > 0:
                enough &= pruning.gains(self.counts_, self.estimate_, order) >= min_gain
            keep.append(enough)
        self.counts_, self.estimate_ = pruning.prune(self.counts_, self.estimate_, keep)
        return self

    # Asking

    def count(self, ngram: Sequence[Hashable]) -> float:
        """How often a list of 1 to ``order`` tokens occurred in training."""
        self._require_fitted()
        ids = self.words.encode(ngram, marks=True)
        if not 1 <= len(ids) <= self.order:
            raise ValueError(f"an n-gram here has 1 to {self.order} tokens, got {len(ids)}")
        entry = ids[:1]
        for k in range(2, len(ids) + 1):
            entry = self.counts_.find(k, entry, ids[k - 1 : k])
        return self.counts_.values[len(ids) - 1][entry[0]].item() if entry[0] >= 0 else 0

    def prob(self, token: Hashable, context: Sequence[Hashable] = ()) -> float:
        """``P(token | context)``.

        Args:
            token: a token; one that the vocabulary lacks is asked about as ``unknown``.
            context: the tokens before it, oldest first. Only the last ``order - 1`` matter. A
                shorter one stands in the middle of some sentence; at the start begin with the mark.

        Raises:
            ValueError: if a token is unknown and the vocabulary is closed, or the token is the mark
                of a start, which is never foretold.
        """
        self._require_fitted()
        ids = self.words.encode([*_listed(context), token], marks=True)[-self.order :]
        if ids[-1] == len(self.words):
            raise ValueError(f"{token!r} marks the start of a sentence: it is given, not foretold")
        stream = Stream(ids, np.arange(len(ids)))
        return float(self.estimate_.probs(self.counts_.match(stream))[-1])

    def token_logprobs(self, sentences: Sentences, *, skip_unknown: bool = False) -> np.ndarray:
        """Natural logarithms of the probabilities of all tokens, sentence after sentence.

        Args:
            sentences: lists of tokens.
            skip_unknown: leave out the tokens that the vocabulary lacks.

        Returns:
            ``(tokens,)``; with ``edges`` the end of each sentence is one of its tokens.
        """
        self._require_fitted()
        tokens, lengths = flatten(sentences)
        matches = self.counts_.match(self.words.stream(self.words.encode(tokens), lengths))
        with np.errstate(divide="ignore"):
            found = np.log(self.estimate_.probs(matches))
        if skip_unknown and self.unknown is not None:
            found = found[matches.entries[0] != self.words[self.unknown]]
        return found

    def perplexity(self, sentences: Sentences, *, skip_unknown: bool = False) -> float:
        """``exp`` of the mean of ``-token_logprobs``: among how many equals it feels to choose.

        Infinite if one token is impossible. Models are comparable on equal vocabularies only: the
        more tokens are unknown, the easier the text.

        Raises:
            ValueError: if there is no token.
        """
        found = self.token_logprobs(sentences, skip_unknown=skip_unknown)
        if len(found) == 0:
            raise ValueError("no tokens to judge by: the sentences are empty, or all unknown")
        return float(np.exp(-found.mean()))

    def next_probs(self, contexts: Sequence[Sequence[Hashable]]) -> np.ndarray:
        """Probabilities of all tokens after each context.

        Args:
            contexts: ``n`` lists of tokens, each as in ``prob``.

        Returns:
            ``(n, V)`` float64 in the order of ``vocabulary``; each row sums to one.
        """
        self._require_fitted()
        rows = [self.words.encode(context, marks=True)[-self.order :] for context in contexts]
        table = np.full((len(rows), self.order), NONE)
        for row, ids in enumerate(rows):
            table[row, table.shape[1] - len(ids) :] = ids
        return self.next_probs_ids(table)

    def next_probs_ids(self, contexts: np.ndarray) -> np.ndarray:
        """``next_probs`` for those who have arrays already.

        Args:
            contexts: ``(n, width)`` places in ``vocabulary``, oldest first; a shorter context has
                -1 on its left.
        """
        self._require_fitted()
        contexts = np.asarray(contexts, dtype=np.int64)
        contexts = np.where(contexts < 0, NONE, contexts)
        known = len(self.words) + (self.edges is not None)
        if contexts.size and contexts.max() >= known:
            raise ValueError(f"contexts hold {contexts.max()}, beyond the {known} tokens")
        return self.estimate_.rows(self.counts_, self.counts_.contexts(contexts))

    def generate(
        self,
        n_tokens: int = 30,
        context: Sequence[Hashable] | None = None,
        *,
        seed: int | np.random.Generator,
        temperature: float = 1.0,
    ) -> list[Hashable]:
        """Draw tokens one after another, each from ``next_probs`` of those before it.

        Args:
            n_tokens: at most so many; the end of a sentence stops earlier.
            context: what goes before; None starts a sentence.
            seed: of the draws.
            temperature: above 0; below 1 favours the likely, above 1 the unlikely.

        Returns:
            The tokens drawn, without context and marks; the unknown token is never drawn.
        """
        self._require_fitted()
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature must be above 0 and finite, got {temperature!r}")
        rng = np.random.default_rng(seed)
        start = [] if self.edges is None else [self.edges[0]]
        text = list(start if context is None else context)
        drawn: list[Hashable] = []
        for _ in range(_whole("n_tokens", n_tokens, 0)):
            p = self.next_probs([text[-self.order :]])[0]
            if self.unknown is not None:
                p[self.words[self.unknown]] = 0.0
            if p.max() <= 0:
                raise ValueError(
                    f"after {text[-self.order + 1 :]!r} every known token has probability 0"
                )
            p = (p / p.max()) ** (1 / temperature)
            token = self.vocabulary[rng.choice(len(p), p=p / p.sum())]
            if self.edges is not None and token == self.edges[1]:
                break
            drawn.append(token)
            text.append(token)
        return drawn

    # Keeping

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that the model is, as arrays of numbers and bytes: no pickle."""
        self._require_fitted()
        names = [name for name, kind in SMOOTHINGS.items() if kind is type(self.smoothing)]
        if not names:
            raise TypeError(f"{self.smoothing!r} is none of the package's own: it cannot be saved")
        settings = {
            "order": self.order,
            "smoothing": {"name": names[0], **asdict(self.smoothing)},
            "vocabulary": token_to_json(tuple(self.vocabulary)),
            "given": self._given is not None,
            "min_count": self.min_count,
            "unknown": token_to_json(self.unknown),
            "edges": token_to_json(self.edges),
            "skips": self.skips,
            "skip_weight": self.skip_weight,
        }
        return pack(settings, self.counts_, self.estimate_)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The model that ``to_arrays`` wrote down.

        Raises:
            ValueError: if the arrays are not such a model's.
        """
        settings, counts, estimate = unpack(arrays)
        try:
            chosen = dict(settings.pop("smoothing"))
            smoothing = SMOOTHINGS[chosen.pop("name")](**chosen)
            tokens, given = token_from_json(settings.pop("vocabulary")), settings.pop("given")
            for name in ("unknown", "edges"):
                settings[name] = token_from_json(settings[name])
            model = cls(smoothing=smoothing, **settings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"these arrays are not an n-gram model's: {error!r}") from error
        model.words = Vocabulary(tokens, model.unknown, model.edges)
        model._given = model.words if given else None
        model.counts_, model.estimate_ = counts, estimate
        return model

    def save(self, path: str | Path) -> Path:
        """Write the model to one ``.npz`` file, all or nothing.

        Raises:
            TypeError: if a token is none of str, int, float, bool, None and tuples of them.
        """
        return write_arrays(Path(path), self.to_arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, or not a model.
        """
        return cls.from_arrays(read_arrays(Path(path)))

    def _require_fitted(self) -> None:
        if not self.is_fitted:
            raise RuntimeError(f"{self!r}: call fit(sentences) first")


def _whole(name: str, value: int, least: int, hint: str = "") -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from error
    if number < least:
        raise ValueError(f"{name} must be at least {least}{hint}, got {number}")
    return number


def _listed(context: Sequence[Hashable]) -> Sequence[Hashable]:
    if isinstance(context, str):
        raise TypeError(f"a context is a list of tokens, got the string {context!r}")
    return context
