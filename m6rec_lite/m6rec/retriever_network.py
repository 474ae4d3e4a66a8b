"""The retriever's network: item texts pooled to a vector each, M6-Rec's blocks over the events.

To read the whole text of a history anew for every event that is to be foretold is more than a
processor can do. So the text of each item becomes one vector, the blocks run over vectors of events
instead of tokens, and they run causally: each event's state foretells the next one.
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
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import rotary_angles
from m6rec_lite.recommenders.sequential.sequences import Batch, questions

#: Ends of what lies between events, in seconds. Who ticks off a list leaves nothing between, and
#: that tells more of what comes next than whether a pause was of days or weeks.
GAPS = (0, 5, 15, 60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)

#: Of the embeddings of what lies between events, at the start.
SPREAD = 0.02


class RetrieverNetwork(nn.Module):
    """Two towers whose items are vectors.

    Args:
        model: its embeddings read words, its blocks read events.
        retrieval: the linear maps into the space of both.
        words: ``(n_items, vocab_size)`` weights of each item's tokens, rows of length 1; None
            reads no text.
        ids: give each item a vector of its own besides.
        gaps: say how long before each event the last one was.
        now: say how long after each event the next one was, or the question is.
        dropout: of the vectors that enter the blocks.
    """

    def __init__(
        self,
        model: M6RecModel,
        retrieval: Retrieval,
        words: sparse.csr_array | None,
        ids: bool,
        gaps: bool,
        now: bool,
        dropout: float,
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
            # Beside words an id is what they do not say: 0 until rows teach it, so that an item
            # without rows is what its words say.
            nn.init.normal_(self.ids.weight, std=0.0 if self.has_words else SPREAD)
        told = {"before": gaps, "after": now}
        names = [name for name, wanted in told.items() if wanted]
        self.times = nn.ModuleDict({name: nn.Embedding(len(GAPS) + 2, d) for name in names})
        for table in self.times.values():
            nn.init.normal_(table.weight, std=SPREAD)
        self.dropout = Dropout(dropout)

    def catalogue(self) -> Tensor:
        """``(n_items, hidden_size)``: each item's vector, of words and of its own."""
        found = 0.0
        if self.has_words:
            found = F.embedding_bag(
                self.tokens,
                self.model.embedding.weight,
                self.starts,
                mode="sum",
                per_sample_weights=self.shares.to(self.model.embedding.weight.dtype),
                include_last_offset=True,
            )
        return found if self.ids is None else found + self.ids.weight

    def forward(self, vectors: Tensor, batch: Batch, packing: Packing) -> Tensor:
        """``(tokens, hidden_size)`` states after each event.

        Args:
            vectors: what ``catalogue`` gives.
            batch: ``items`` ``(tokens,)``, and the ``before`` and ``after`` of ``gap_codes``.
            packing: how the rows lie.
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

    def loss(self, batch: Batch) -> Tensor:
        """In-batch softmax of the next item, at every event."""
        vectors = self.catalogue()
        states = self(vectors, batch, Packing(batch["lengths"]))
        used, right = torch.unique(batch["targets"], return_inverse=True)
        people, items = self.retrieval.people(states), self.retrieval.items(vectors[used])
        return self.retrieval.contrast(people, items, used, right)

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Every item's cosine over tau as the next of each history.

        Args:
            histories: any of this catalogue.
            max_length: the latest events of each that are read.

        Returns:
            ``(n, n_items)`` float32; rows without a history are 0.
        """
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        vectors = self.catalogue()
        items = self.retrieval.items(vectors).T / self.retrieval.tau
        before, after = gap_codes(histories)
        places = np.arange(len(histories.items))
        numbered = replace(histories, items=places)
        for rows, batch in questions(numbered, max_length):
            at = batch["items"].numpy()
            asked = {
                "items": torch.from_numpy(histories.items[at].astype(np.int64)),
                "before": torch.from_numpy(before[at]),
                "after": torch.from_numpy(after[at]),
                "lengths": batch["lengths"],
            }
            asked = {key: value.to(vectors.device) for key, value in asked.items()}
            packing = Packing(asked["lengths"])
            states = self(vectors, asked, packing)[packing.ends]
            scores[rows] = (self.retrieval.people(states) @ items).float().cpu().numpy()
        return scores


def gap_codes(histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """How long before each event the one before it was, and how long after it the next, or now.

    Returns:
        Two ``(total,)`` int64: 0 for none, then indices into ``GAPS``, from 1; all 0 where the
        histories have no times.
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
