"""Corpora for language models: documents divided by user, and batches of their tokens.

Documents contain only a split's training rows: no validation or test target, and no search that
led to one. The library of a simulated world contains no rows at all.

Users are divided by a hash of their id: a held-out user is held out in every corpus of the same
``seed``, so that perplexity is measured on users that are not in the training texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from m6rec_lite.data import DataError, Dataset, Interactions, Oracle, Split, library
from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.document import Document, clean
from m6rec_lite.nn.packing import Packing
from m6rec_lite.training.batches import Epoch, rng


@dataclass(frozen=True, eq=False)
class Corpus:
    """Training documents and held-out documents.

    Attributes:
        train: documents of training users (or items).
        held_out: documents of held-out users (or items).
    """

    train: list[Document]
    held_out: list[Document]

    def __add__(self, other: Corpus) -> Corpus:
        return Corpus(self.train + other.train, self.held_out + other.held_out)

    @property
    def fingerprint(self) -> str:
        """Hash of all documents and of their division: 16 hexadecimal digits."""
        marked = ([document.marked for document in part] for part in (self.train, self.held_out))
        return hashlib.sha256(json.dumps(list(marked)).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        sizes = (f"{len(part):,}" for part in (self.train, self.held_out))
        return "Corpus({} documents, {} held out)".format(*sizes)


def held_out(ids: Iterable[Id], share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Select held-out ids by a hash of each id, independent of the other ids.

    Args:
        ids: ``(n,)`` integers or strings.
        share: expected share of held-out ids, from 0 up to below 1.
        seed: seed of the hash.

    Returns:
        ``(n,)`` bool, True for held-out ids.
    """
    if not 0 <= share < 1:
        raise ValueError(f"held_out must be a share from 0 up to below 1, got {share!r}")
    seed = check_seed(seed)
    x = as_ids(ids, "ids")
    x = x.astype(np.uint64) if x.dtype.kind == "i" else pd.util.hash_array(x.astype(object))
    x = x + np.uint64((0x9E3779B97F4A7C15 * (2 * seed + 1)) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53 < share


def behaviour_documents(
    split: Split | Interactions, text: BehaviourText, *, share: float = 0.1, seed: int = 0
) -> Corpus:
    """Return one document per user with the user's training rows.

    The query time is one second after a user's last training row. With ``queries="now"`` or
    ``"history"`` searches end there too.

    Args:
        split: only its ``train`` is read; or training rows.
        text: verbalizer. Use ``times="later"`` for models that are trained on every event: "ago"
            reveals how long the history continues.
        share: share of held-out users.
        seed: seed of the selection.

    Raises:
        TypeError: if given a whole data set, whose rows hold the targets of every split.
    """
    rows = split.train if isinstance(split, Split) else split
    if not isinstance(rows, Interactions):
        raise TypeError(
            f"wanted a Split (such as leave_one_out(dataset)) or its train rows, got a "
            f"{type(split).__name__}: a data set's rows hold the targets that models are tested on"
        )
    histories = rows.histories()
    histories = histories[histories.lengths > 0]
    return _divide(text.documents(histories), histories.user_ids, share, seed)


def item_documents(text: BehaviourText, *, share: float = 0.1, seed: int = 0) -> Corpus:
    """Return one document per item with all its parts; items are held out by id."""
    ids = text.items.ids
    documents = [Document((("[ITEM]", text.item(i, parts=ALL_PARTS)),)) for i in ids]
    return _divide(documents, ids, share, seed)


def review_documents(
    dataset: Dataset, split: Split, text: BehaviourText, *, share: float = 0.1, seed: int = 0
) -> Corpus:
    """Return one document per review: the item, ``[SEP]`` and the review.

    Only reviews of pairs of user and item in the split's training rows are included, so that none
    reveals a target.
    """
    table = _require_table(dataset, "reviews")
    train = split.train
    pairs = set(
        zip(train.user_ids[train.users].tolist(), train.item_ids[train.items].tolist(), strict=True)
    )
    users, documents = [], []
    for user, item, review in table[["user_id", "item_id", "text"]].itertuples(index=False):
        if (user, item) in pairs:
            about = ("[ITEM]", text.item(item))
            documents.append(Document((about, ("[SEP]", clean(review, "reviews, text")))))
            users.append(user)
    return _divide(documents, users, share, seed)


def dialogue_documents(dataset: Dataset, *, share: float = 0.1, seed: int = 0) -> Corpus:
    """Return one document per dialogue: for each turn ``[SEP]``, the speaker and the text."""
    table = _require_table(dataset, "dialogues").sort_values(["dialogue_id", "turn"])
    ids, documents = [], []
    for dialogue_id, turns in table.groupby("dialogue_id", sort=False):
        lines = zip(turns["speaker"], turns["text"], strict=True)
        pieces = (("[SEP]", f"{who}: {clean(line, 'dialogues, text')}") for who, line in lines)
        documents.append(Document(tuple(pieces)))
        ids.append(dialogue_id)
    return _divide(documents, ids, share, seed)


def library_corpus(dataset: Dataset, *, shuffled: bool = False, seed: int = 0) -> Corpus:
    """Return one document per text of the world's library; see ``data.library``.

    Held-out documents state rules of training documents in other phrasings.

    Args:
        dataset: a simulated world.
        shuffled: state wrong rules in the same sentences, as a control.
        seed: seed of the phrasings and of the wrong rules.

    Raises:
        DataError: if the data set is not simulated, so that its rules are not known.
    """
    if not isinstance(dataset.oracle, Oracle):
        raise DataError(
            f"{dataset.name!r} has no library: only the rules of a simulated world are known; "
            "load_dataset('bazaar') has one"
        )
    corpus = Corpus([], [])
    for text in library(dataset.oracle.world, shuffled=shuffled, seed=seed):
        part = corpus.held_out if text.held_out else corpus.train
        part.append(Document((("[SEP]", text.text),)))
    return corpus


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Concatenated rows of tokens, the longest first, and their targets.

    Attributes:
        ids: ``(tokens,)`` int64.
        targets: ``(tokens,)`` int64; negative values are ignored by losses.
        lengths: ``(rows,)`` int64, in descending order.
    """

    ids: Tensor
    targets: Tensor
    lengths: Tensor

    @property
    def packing(self) -> Packing:
        """The packing of the rows, so that attention does not cross rows."""
        return Packing(self.lengths)

    def to(self, device: torch.device | str, **options: Any) -> TokenBatch:
        """Return the batch on a device."""
        parts = (self.ids, self.targets, self.lengths)
        return TokenBatch(*(part.to(device, **options) for part in parts))


def next_tokens(rows: Sequence[np.ndarray], draw: np.random.Generator) -> TokenBatch:
    """Build a batch from rows of ``n + 1`` tokens: ``n`` inputs and the ``n`` next tokens."""
    rows = sorted(rows, key=len, reverse=True)
    ids, targets = (np.concatenate([row[part] for row in rows]) for part in _SHIFTED)
    lengths = torch.tensor([len(row) - 1 for row in rows])
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(targets), lengths)


_SHIFTED = (slice(None, -1), slice(1, None))


class TokenBatches:
    """Batches of about the same number of tokens, for ``training.fit``.

    A row longer than ``window + 1`` tokens is cut into windows. Each starts with the last token of
    the previous one, so that every token except a row's first is a target exactly once; tokens at
    the start of a window have little context.

    Args:
        rows: token ids of each document, from ``encode_documents``; rows of less than two tokens
            have no target and are left out.
        window: maximum length of a row in tokens.
        tokens: approximate tokens per batch; a batch ends with the row that reaches it.
        shuffle: draw a new order in each epoch; else keep the order of the rows.
        build: ``build(rows, draw)`` returns a batch of rows of at most ``window + overlap`` int64
            tokens and may draw from the batch's own generator; by default ``next_tokens``.
        overlap: tokens shared by adjacent windows: 1 for ``next_tokens``, 0 for masked models.

    Attributes:
        n_cut: number of rows that were cut.
        n_empty: number of rows that were left out.

    Raises:
        ValueError: if no row has a target, or a setting is below 1.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int] | np.ndarray],
        *,
        window: int = 256,
        tokens: int = 4096,
        shuffle: bool = True,
        build: Callable[[list[np.ndarray], np.random.Generator], Any] = next_tokens,
        overlap: int = 1,
    ) -> None:
        if window < 1 or tokens < 1 or overlap not in (0, 1):
            raise ValueError(
                f"window and tokens must be at least 1 and overlap 0 or 1; got {window!r}, "
                f"{tokens!r} and {overlap!r}"
            )
        self.window, self.tokens, self.shuffle = window, tokens, shuffle
        self.overlap, self._build = overlap, build
        sizes = np.array([len(row) for row in rows], dtype=np.int64)
        if not (sizes > overlap).any():
            raise ValueError(
                f"none of the {len(sizes)} rows has more than {overlap} tokens: nothing to predict"
            )
        self._flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows])
        ends = np.cumsum(sizes)
        counts = np.maximum(-(-(sizes - overlap) // window), 0)  # windows of each row
        row = np.repeat(np.arange(len(sizes)), counts)
        number = positions_in_rows(counts)
        self._starts = (ends - sizes)[row] + number * window
        self._stops = np.minimum(self._starts + window + overlap, ends[row])
        self.n_cut, self.n_empty = int((counts > 1).sum()), int((counts == 0).sum())

    def __repr__(self) -> str:
        return (
            f"TokenBatches({self.n_windows:,} windows, {self.n_tokens:,} tokens; {self.n_cut:,} "
            f"rows cut into windows of {self.window}, {self.n_empty:,} left out)"
        )

    @property
    def n_windows(self) -> int:
        """Number of rows after cutting."""
        return len(self._starts)

    @property
    def n_tokens(self) -> int:
        """Tokens per epoch; with ``next_tokens`` the number of targets."""
        return int((self._stops - self._starts - self.overlap).sum())

    def epoch(self, seed: int, epoch: int) -> Epoch[Any]:
        """Return the batches of one epoch; the same arguments give the same batches."""
        order = np.arange(self.n_windows)
        if self.shuffle:
            order = rng(seed, epoch).permutation(self.n_windows)
        sizes = (self._stops - self._starts - self.overlap)[order]
        batch = (np.cumsum(sizes) - sizes) // self.tokens  # by the row's first token
        firsts = np.flatnonzero(np.diff(batch, prepend=-1))
        bounds = np.append(firsts, len(order))

        def build(i: int) -> Any:
            rows = order[bounds[i] : bounds[i + 1]]
            parts = [self._flat[self._starts[r] : self._stops[r]].astype(np.int64) for r in rows]
            return self._build(parts, rng(seed, epoch, i))

        return Epoch(len(firsts), build)


def _divide(documents: Sequence[Document], ids: Iterable[int], share: float, seed: int) -> Corpus:
    corpus = Corpus([], [])
    for document, is_held_out in zip(documents, held_out(ids, share, seed), strict=True):
        (corpus.held_out if is_held_out else corpus.train).append(document)
    return corpus


def _require_table(dataset: Dataset, name: str) -> pd.DataFrame:
    table = getattr(dataset, name)
    if table is None:
        raise DataError(f"{dataset.name!r} has no {name}; load_dataset('bazaar') has")
    return table
