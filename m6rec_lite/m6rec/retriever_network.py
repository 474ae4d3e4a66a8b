"""The network of the retriever: a pooled vector for each item, and M6-Rec's blocks over events.

To encode the whole text of a history for every predicted event is too slow on a CPU. So the text of
each item is pooled into one vector, and the blocks run over the vectors of events instead of
tokens, with causal attention: each event's state predicts the next event.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.retriever_parts import AttributeEmbeddings, LinearPath, LongMemory
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.m6rec.user_attributes import UserAttributes
from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.bags import DecayedBags
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import rotary_angles
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch, questions

#: Boundaries of the classes of time gaps between events, in seconds. Short gaps are finely divided:
#: events within seconds, as of a list that is clicked through, say more about the next event than
#: the difference between days and weeks.
GAPS = (0, 5, 15, 60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)

#: Initial standard deviation of the embeddings of time gaps.
SPREAD = 0.02


class RetrieverNetwork(ScoringNetwork):
    """Two towers over one vector for each item.

    Args:
        model: supplies the embeddings of tokens and the blocks over events.
        retrieval: the linear maps to user and item vectors.
        words: ``(n_items, vocab_size)`` weights of each item's tokens, rows of length 1; None to
            use no text.
        ids: also use an embedding of each item's id.
        gaps: embed the time between each event and the previous one.
        now: embed the time between each event and the next one, or the query.
        dropout: of the inputs of the blocks.
        long_memory: add a map of all events of the history to the user vector, see ``LongMemory``.
        attributes: add embeddings of the user's attributes to the user vector; None for none.
        linear: ``(n_items, n_items)`` weights of ``LinearPath``; None for none.
    """

    tokens: Tensor
    starts: Tensor
    shares: Tensor

    def __init__(
        self,
        model: M6RecModel,
        retrieval: Retrieval,
        words: sparse.csr_array | None,
        ids: bool,
        gaps: bool,
        now: bool,
        dropout: float,
        *,
        long_memory: bool = False,
        attributes: UserAttributes | None = None,
        linear: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        d, n_items = model.config.hidden_size, retrieval.n_items
        self.model, self.retrieval = model, retrieval
        self.has_words = words is not None
        if words is not None:
            self.register_buffer("tokens", torch.from_numpy(words.indices.astype(np.int64)))
            self.register_buffer("starts", torch.from_numpy(words.indptr.astype(np.int64)))
            self.register_buffer("shares", torch.from_numpy(words.data.astype(np.float32)))
        self.ids = nn.Embedding(n_items, d) if ids else None
        if self.ids is not None:
            # With text, ids start at 0, so that an item without training rows has its text only.
            nn.init.normal_(self.ids.weight, std=0.0 if self.has_words else SPREAD)
        names = [name for name, used in (("before", gaps), ("after", now)) if used]
        tables = {name: nn.Embedding(len(GAPS) + 2, d) for name in names}
        for table in tables.values():
            nn.init.normal_(table.weight, std=SPREAD)
        self.times = nn.ModuleDict(tables)
        self.dropout = Dropout(dropout)
        self.memory = LongMemory(d, retrieval.dimensions) if long_memory else None
        self.attributes = attributes
        self.profile: AttributeEmbeddings | None = None
        if attributes is not None:
            self.profile = AttributeEmbeddings(attributes.sizes, retrieval.dimensions)
        self.linear = LinearPath(linear) if linear is not None else None

    def catalogue(self) -> Tensor:
        """Return the vector of each item, from text and id, ``(n_items, hidden_size)``."""
        vectors = None
        if self.has_words:
            vectors = F.embedding_bag(
                self.tokens,
                self.model.embedding.weight,
                self.starts,
                mode="sum",
                per_sample_weights=self.shares.to(self.model.embedding.weight.dtype),
                include_last_offset=True,
            )
        if self.ids is None:
            assert vectors is not None  # an item has text or an id
            return vectors
        return self.ids.weight if vectors is None else vectors + self.ids.weight

    def forward(self, vectors: Tensor, batch: Batch, packing: Packing) -> Tensor:
        """Return the state after each event, ``(tokens, hidden_size)``.

        Args:
            vectors: of the items, from ``catalogue``.
            batch: ``items`` ``(tokens,)``, and the ``before`` and ``after`` of ``gap_codes``.
            packing: of the rows.
        """
        model = self.model
        x = vectors[batch["items"]]
        for name, table in self.times.items():
            x = x + table(batch[name])
        x = x * math.sqrt(vectors.shape[1])
        rotary, back = None, packing.steps_back
        if model.positions is not None:
            x = x + model.positions(back.clamp_max(model.config.max_position_embeddings - 1))
        else:
            head = model.config.blocks().head_dim
            rotary = rotary_angles(-back, head, base=model.config.rotary_base)
        x = self.dropout(x)
        context = AttentionContext(causal=True, rotary=rotary, packing=packing)
        for block in model.blocks:
            x = block(x, context)
        return model.norm(x)

    def loss(self, batch: Batch, *, mask_history: bool = True) -> Tensor:
        """Return the in-batch softmax loss of the next item, at every event.

        Args:
            batch: as for ``forward``, with the ``targets`` ``(tokens,)``, and what the optional
                parts read, see ``EventBatches``.
            mask_history: leave the items of the row up to each event out of the softmax.
        """
        vectors, packing = self.catalogue(), Packing(batch["lengths"])
        states = self(vectors, batch, packing)
        used, right = torch.unique(batch["targets"], return_inverse=True)
        memory, added = None, None
        if self.memory is not None or self.linear is not None:
            bags = DecayedBags(batch["items"], packing, batch["earlier"], batch["n_earlier"])
            memory = None if self.memory is None else self.memory.after_each(vectors, bags)
            added = None if self.linear is None else self.linear.after_each(bags, used)
        profile = None
        if self.profile is not None:
            profile = self.profile(batch["profiles"]).repeat_interleave(packing.lengths, dim=0)
        people = self.retrieval.people(states, _sum(memory, profile))
        items = self.retrieval.items(vectors[used])
        history = Excluded.history(batch["items"], packing) if mask_history else None
        return self.retrieval.contrast(people, items, used, right, history, added)

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Return the score of every item as the next of each history: the cosine over tau.

        With a linear path, its score is added.

        Args:
            histories: of this catalogue.
            max_length: number of latest events that the blocks read; the long memory and the linear
                path read all.

        Returns:
            ``(n, n_items)`` float32; rows without a history are 0.
        """
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        vectors = self.catalogue()
        items = self.retrieval.items(vectors).T / self.retrieval.tau
        before, after = gap_codes(histories)
        numbered = replace(histories, items=np.arange(len(histories.items)))
        for rows, batch in questions(numbered, max_length):
            at = batch["items"].numpy()
            inputs = {
                "items": torch.from_numpy(histories.items[at].astype(np.int64)),
                "before": torch.from_numpy(before[at]),
                "after": torch.from_numpy(after[at]),
                "lengths": batch["lengths"],
            }
            inputs = {key: value.to(vectors.device) for key, value in inputs.items()}
            packing = Packing(inputs["lengths"])
            states = self(vectors, inputs, packing)[packing.ends]
            whole = histories[rows]
            events = torch.from_numpy(whole.items.astype(np.int64)).to(vectors.device)
            lengths = torch.from_numpy(whole.lengths).to(vectors.device)
            memory, profile = None, None
            if self.memory is not None:
                memory = self.memory.after_all(vectors, events, lengths)
            if self.profile is not None and self.attributes is not None:
                codes = torch.from_numpy(self.attributes.profiles(whole.user_ids))
                profile = self.profile(codes.to(vectors.device))
            found = self.retrieval.people(states, _sum(memory, profile)) @ items
            if self.linear is not None:
                found = found + self.linear.after_all(events, lengths)
            scores[rows] = found.float().cpu().numpy()
        return scores


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the sum of the tensors that are not None."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


def gap_codes(histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of the times between each event and its neighbours.

    Returns:
        ``(total,)`` int64 for the previous event, and for the next event or the query: 0 for none,
        else indices into ``GAPS``, from 1; all 0 if the histories have no times.
    """
    if not histories.has_time:
        unknown = np.zeros(len(histories.items), dtype=np.int64)
        return unknown, unknown
    when, rows = histories.timestamps, histories.rows
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    last = np.append(rows[1:] != rows[:-1], True)[: len(rows)]
    gap = np.diff(when, prepend=when[:1])
    before = np.where(first, 0, 1 + np.searchsorted(GAPS, gap))
    following = np.append(when[1:], 0)[: len(when)]
    until = np.where(last, histories.at[rows], following) - when
    return before.astype(np.int64), 1 + np.searchsorted(GAPS, until).astype(np.int64)
