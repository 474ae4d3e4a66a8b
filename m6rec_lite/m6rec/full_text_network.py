"""The network of the full-text retriever: one M6-Rec reads the text of users and of items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.data.interactions import Histories
from m6rec_lite.m6rec.full_text_regions import EncodedHistories, RegionBuilder
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch
from m6rec_lite.training import Epoch
from m6rec_lite.training.batches import rng

#: Rows are sorted by length within a pool of this many batches.
POOL = 8

#: The items of a batch are encoded in this many groups of similar length, with less padding.
ITEM_GROUPS = 4


class FullTextBatches:
    """Batches for ``training.fit``: histories cut before a random event, which is the target.

    A batch is a dict of the padded tokens ``users`` ``(n, time)`` and ``items`` ``(m, time)`` of
    the distinct targets, with ``user_lengths`` and ``item_lengths``; ``used`` ``(m,)``, the items'
    catalogue indices; ``targets`` ``(n,)``, indices into these; and ``history`` with
    ``history_lengths`` ``(n,)``, the catalogue indices of all items before the target.

    Args:
        histories: ``n_users`` rows; those of less than two events have no target.
        encoded: the same rows as tokens.
        written: the region of every item.
        batch_size: users in a batch.
        targets_per_user: targets of each user in an epoch, drawn anew in each.
    """

    def __init__(
        self,
        histories: Histories,
        encoded: EncodedHistories,
        written: Sequence[np.ndarray],
        *,
        batch_size: int,
        targets_per_user: int = 1,
    ) -> None:
        self.histories, self.encoded, self.written = histories, encoded, written
        self.batch_size, self.targets_per_user = batch_size, targets_per_user
        self._rows = np.flatnonzero(histories.lengths >= 2)

    def __len__(self) -> int:
        return len(self._rows)

    def epoch(self, seed: int, epoch: int) -> Epoch[Batch]:
        """Return the batches of an epoch, in which every user has the same number of targets."""
        draw = rng(seed, epoch)
        rows = draw.permutation(np.repeat(self._rows, self.targets_per_user))
        cuts = 1 + (draw.random(len(rows)) * (self.histories.lengths[rows] - 1)).astype(np.int64)
        sizes = self.encoded.sizes(rows, cuts)
        pool = POOL * self.batch_size
        parts: list[np.ndarray] = []
        for start in range(0, len(rows), pool):
            order = start + np.argsort(sizes[start : start + pool], kind="stable")
            parts += [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        parts = [parts[i] for i in draw.permutation(len(parts))]
        return Epoch(len(parts), lambda i: self._build(rows[parts[i]], cuts[parts[i]]))

    def _build(self, rows: np.ndarray, cuts: np.ndarray) -> Batch:
        first = self.histories.offsets[rows]
        used, targets = np.unique(self.histories.items[first + cuts], return_inverse=True)
        known = [
            self.encoded.known(*pair) for pair in zip(rows.tolist(), cuts.tolist(), strict=True)
        ]
        before = self.histories.first_events(rows, cuts, self.histories.at[rows])
        users, user_lengths = pad(known)
        items, item_lengths = pad([self.written[i] for i in used])
        arrays = {"used": used, "targets": targets, "history": before.items}
        arrays |= {"history_lengths": cuts}
        tensors = {key: torch.from_numpy(value.astype(np.int64)) for key, value in arrays.items()}
        return tensors | {
            "users": users,
            "user_lengths": user_lengths,
            "items": items,
            "item_lengths": item_lengths,
        }


def pad(rows: Sequence[np.ndarray], value: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows of tokens as ``(n, time)`` int64, padded on the right, and their lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = np.full((len(rows), int(lengths.max())), value, dtype=np.int64)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(ids), lengths


class FullTextNetwork(ScoringNetwork):
    """Two towers of one model over the whole text of users and items.

    Args:
        model: encodes both regions, each alone.
        retrieval: the linear maps to user and item vectors, and the loss.
        regions: puts users and items into tokens.
    """

    def __init__(self, model: M6RecModel, retrieval: Retrieval, regions: RegionBuilder) -> None:
        super().__init__()
        self.model, self.retrieval, self.regions = model, retrieval, regions

    def loss(self, batch: Batch, *, mask_history: bool = True) -> Tensor:
        """Return the in-batch softmax loss of the targets.

        Args:
            batch: of ``FullTextBatches``.
            mask_history: leave the items before the target out of the softmax.
        """
        people = self.retrieval.people(
            self._last(batch["users"], batch["user_lengths"], batch["user_lengths"])
        )
        items = self.retrieval.items(self._last_of_items(batch["items"], batch["item_lengths"]))
        history = None
        if mask_history:
            n = batch["history_lengths"]
            history = Excluded(batch["history"], n.cumsum(0) - n, n)
        return self.retrieval.contrast(people, items, batch["used"], batch["targets"], history)

    def _last_of_items(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the state at the last token of each item, ``(m, hidden_size)``."""
        order = lengths.argsort()
        states = []
        for rows in order.chunk(ITEM_GROUPS):
            n = lengths[rows]
            states.append(self._last(ids[rows, : int(n.max())], n, torch.zeros_like(n)))
        return torch.cat(states)[order.argsort()]

    def _last(self, ids: Tensor, lengths: Tensor, prefix: Tensor) -> Tensor:
        """Return the state at the last token of each row, ``(n, hidden_size)``."""
        rows = torch.arange(len(ids), device=ids.device)
        batch = TaskBatch(ids, lengths, prefix, rows, rows)
        return batch.last(self.retrieval.states(self.model, batch))

    def item_vectors(self) -> np.ndarray:
        """Encode the whole catalogue, ``(n_items, dimensions)`` float32 of unit length."""
        return self.retrieval.item_vectors(self.model, list(self.regions.written))

    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Return the score of every item as the next of each history: the cosine over tau.

        The catalogue is encoded once.

        Args:
            histories: of this catalogue.
            max_length: maximum number of latest events to read; at most that of the regions.

        Returns:
            ``(n, n_items)`` float32; rows without a history are 0.
        """
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        rows = np.flatnonzero(histories.lengths)
        if not len(rows):
            return scores
        # One event more than is read, for the time gap before the first one that is.
        latest = histories[rows].last(max_length + 1)
        encoded = self.regions.encode(latest)
        known = [encoded.known(row, cut) for row, cut in enumerate(latest.lengths.tolist())]
        none = [np.zeros(0, dtype=np.int32)] * len(known)
        examples = Examples(known, none, np.zeros(len(known), dtype=np.int64))
        people = self.retrieval.user_vectors(self.model, examples)
        scores[rows] = people @ self.item_vectors().T / self.retrieval.tau
        return scores
