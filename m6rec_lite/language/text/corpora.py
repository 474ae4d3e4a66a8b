"""What language models are trained on: documents, divided by user, and batches of their tokens.

The documents come from a split's training rows, and from nothing that happened later: no
validation or test target is in them, and no search that led to one.

Users are divided once, by their id alone: those held out are held out in every corpus of the same
``seed``, so that a perplexity is that of people the model has not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from m6rec_lite.data import DataError, Dataset, Interactions, Split
from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.document import Document, clean
from m6rec_lite.nn.packing import Packing
from m6rec_lite.training.batches import Epoch, rng


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents to learn from and documents to judge by.

    Attributes:
        train: documents of the users (or items) to learn from.
        held_out: documents of the others.
    """

    train: list[Document]
    held_out: list[Document]

    def __add__(self, other: Corpus) -> Corpus:
        return Corpus(self.train + other.train, self.held_out + other.held_out)

    def __repr__(self) -> str:
        sizes = (f"{len(part):,}" for part in (self.train, self.held_out))
        return "Corpus({} documents, {} held out)".format(*sizes)


def held_out(ids: Iterable[Id], share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Which ids are held out: a draw by each id's own hash, the same in whatever company.

    Args:
        ids: ``(n,)`` whole numbers or text.
        share: how many of all, from 0 up to below 1.
        seed: of the draw.

    Returns:
        ``(n,)`` bool.
    """
    if not 0 <= share < 1:
        raise ValueError(f"held_out must be a share from 0 up to below 1, got {share!r}")
    x = as_ids(ids, "ids")
    x = x.astype(np.uint64) if x.dtype.kind == "i" else pd.util.hash_array(x.astype(object))
    x = x + np.uint64((0x9E3779B97F4A7C15 * (2 * seed + 1)) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53 < share


def behaviour_documents(
    split: Split | Interactions, text: BehaviourText, *, share: float = 0.1, seed: int = 0
) -> Corpus:
    """A document for each user: their training rows, as ``text`` puts them.

    Now is a second after a user's last training row. With ``queries="now"`` or ``"history"`` the
    searches end there too.

    Args:
        split: its ``train`` is read and nothing else; or rows that may all be learnt from.
        text: how behaviour is put into words. ``times="later"`` suits models that learn from every
            event: "ago" would tell how long the history goes on.
        share: of the users, held out.
        seed: of the draw of users.

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
    """A document for each item with all its parts; items are held out as users are, by id."""
    ids = text.items.ids
    documents = [Document((("[ITEM]", text.item(i, parts=ALL_PARTS)),)) for i in ids]
    return _divide(documents, ids, share, seed)


def review_documents(
    dataset: Dataset, split: Split, text: BehaviourText, *, share: float = 0.1, seed: int = 0
) -> Corpus:
    """A document for each review: the item, ``[SEP]``, what was said of it.

    Only reviews of what their writer met in the split's training rows, so that none tells a target.
    """
    table = _there(dataset, "reviews")
    train = split.train
    met = set(
        zip(train.user_ids[train.users].tolist(), train.item_ids[train.items].tolist(), strict=True)
    )
    users, documents = [], []
    for user, item, said in table[["user_id", "item_id", "text"]].itertuples(index=False):
        if (user, item) in met:
            about = ("[ITEM]", text.item(item))
            documents.append(Document((about, ("[SEP]", clean(said, "reviews, text")))))
            users.append(user)
    return _divide(documents, users, share, seed)


def dialogue_documents(dataset: Dataset, *, share: float = 0.1, seed: int = 0) -> Corpus:
    """A document for each dialogue: ``[SEP]`` and who speaks before every turn."""
    table = _there(dataset, "dialogues").sort_values(["dialogue_id", "turn"])
    numbers, documents = [], []
    for number, turns in table.groupby("dialogue_id", sort=False):
        lines = zip(turns["speaker"], turns["text"], strict=True)
        pieces = tuple(("[SEP]", f"{who}: {clean(said, 'dialogues, text')}") for who, said in lines)
        documents.append(Document(pieces))
        numbers.append(number)
    return _divide(documents, numbers, share, seed)


def distinct_texts(documents: Iterable[Document]) -> list[str]:
    """Each text that occurs in some documents, once: what a tokenizer is trained on.

    An item's words occur in every history that it is in. A tokenizer that counted them so often
    would spend its vocabulary on whole titles of the popular.
    """
    return list(dict.fromkeys(text for document in documents for _, text in document.pieces))


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows of tokens laid end to end, the longest first, and what comes after each token.

    Attributes:
        ids: ``(tokens,)`` int64.
        targets: ``(tokens,)`` int64, the token after each.
        lengths: ``(rows,)`` int64, falling.
    """

    ids: Tensor
    targets: Tensor
    lengths: Tensor

    @property
    def packing(self) -> Packing:
        """How the rows lie: no token looks at another row's."""
        return Packing(self.lengths)

    def to(self, device: torch.device | str, **options: Any) -> TokenBatch:
        """The batch on a device."""
        parts = (self.ids, self.targets, self.lengths)
        return TokenBatch(*(part.to(device, **options) for part in parts))


def next_tokens(rows: Sequence[np.ndarray], draw: np.random.Generator) -> TokenBatch:
    """Rows of ``n + 1`` tokens as ``n`` tokens and the ``n`` that follow them."""
    rows = sorted(rows, key=len, reverse=True)
    ids, targets = (np.concatenate([row[part] for row in rows]) for part in _SHIFTED)
    lengths = torch.tensor([len(row) - 1 for row in rows])
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(targets), lengths)


_SHIFTED = (slice(None, -1), slice(1, None))


class TokenBatches:
    """Batches of about equally many tokens, of rows no longer than a window, for ``training.fit``.

    A row longer than ``window + 1`` tokens is cut into windows; each begins with the last token of
    the one before, so that every token but a row's first is foretold exactly once, and those at a
    window's start with little before them. ``n_cut`` says how many rows were cut.

    Args:
        rows: tokens of each document, as ``encode_documents`` gives them; rows of less than two
            tokens foretell nothing and are left out (``n_empty`` of them).
        window: the longest row a model sees, in tokens.
        tokens: about how many tokens a batch holds; a batch ends with the row that reaches it.
        shuffle: draw a new order each epoch; else the rows come as they are.
        build: ``build(rows, draw)`` makes a batch of some rows of at most ``window + overlap``
            int64 tokens, with a generator of the batch's own; by default ``next_tokens``.
        overlap: tokens that neighbouring windows share; 1 for ``next_tokens``, 0 for a model that
            fills gaps.

    Raises:
        ValueError: if there is no row to learn from, or a setting is below 1.
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
                f"none of the {len(sizes)} rows has more than {overlap} tokens: nothing to foretell"
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
        """Rows after cutting."""
        return len(self._starts)

    @property
    def n_tokens(self) -> int:
        """Tokens of an epoch; with ``next_tokens``, those that are foretold."""
        return int((self._stops - self._starts - self.overlap).sum())

    def epoch(self, seed: int, epoch: int) -> Epoch[Any]:
        """The batches of one epoch, the same for the same arguments."""
        order = np.arange(self.n_windows)
        if self.shuffle:
            order = rng(seed, epoch).permutation(self.n_windows)
        sizes = (self._stops - self._starts - self.overlap)[order]
        batch = (np.cumsum(sizes) - sizes) // self.tokens  # by where a row begins
        firsts = np.flatnonzero(np.diff(batch, prepend=-1))
        bounds = np.append(firsts, len(order))

        def build(i: int) -> Any:
            rows = order[bounds[i] : bounds[i + 1]]
            parts = [self._flat[self._starts[r] : self._stops[r]].astype(np.int64) for r in rows]
            return self._build(parts, rng(seed, epoch, i))

        return Epoch(len(firsts), build)


def _divide(documents: Sequence[Document], ids: Iterable[int], share: float, seed: int) -> Corpus:
    out = held_out(ids, share, seed).tolist()
    pairs = list(zip(documents, out, strict=True))
    return Corpus([d for d, away in pairs if not away], [d for d, away in pairs if away])


def _there(dataset: Dataset, table: str) -> Any:
    found = getattr(dataset, table)
    if found is None:
        raise DataError(f"{dataset.name!r} has no {table}; load_dataset('bazaar') has")
    return found
