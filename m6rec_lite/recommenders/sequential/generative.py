"""Generative retrieval: a Transformer that generates the codes of the next item, one by one.

A causal Transformer reads the events; an event is the sum of the embeddings of its item's codes. A
second causal Transformer starts from the state after an event and reads the codes generated so far.
Its outputs give the probabilities of the next code, among those that lead to an item. The
probability of an item is the product over its codes.

Sources: Rajput et al., *Recommender systems with generative retrieval* (TIGER), 2023, for semantic
ids that are generated; Lee et al., *Autoregressive image generation using residual quantization*,
2022, section 3.2, for the two Transformers. TIGER reads one position for each code instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig
from m6rec_lite.recommenders.bag import text_factors
from m6rec_lite.recommenders.content import catalogue_table
from m6rec_lite.recommenders.ials import IALS
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork
from m6rec_lite.recommenders.sequential.sasrec import TransformerShape
from m6rec_lite.recommenders.sequential.semantic_ids import CodeTree, SemanticIds
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches, questions

#: What the item vectors are computed from, before they become codes.
IdsFrom = Literal["text", "events", "random"]
IDS_FROM: tuple[IdsFrom, ...] = ("text", "events", "random")

FACTORS = 128  #: length of the item vectors from texts; those from events have half of it
PREFIXES = 16_384  #: most prefixes in memory at once


class GenerativeNetwork(ScoringNetwork):
    """The network of ``GenerativeRetriever``.

    Args:
        codes: ``(n_items, n_codes)`` int64 codes of each item, distinct.
        max_length: number of positions.
        config: of the Transformer over events; the one over codes has a single block of this shape.
    """

    codes: Tensor
    paths: Tensor
    followers: Tensor
    nodes: Tensor
    candidates: Tensor

    def __init__(self, codes: np.ndarray, max_length: int, config: TransformerConfig) -> None:
        super().__init__()
        tree = CodeTree.build(codes)
        self.n_codes, self.k = codes.shape[1], tree.followers.shape[1]
        self.first = tree.first.tolist()
        self.register_buffer("codes", torch.from_numpy(codes))
        for name in ("paths", "followers", "nodes"):
            self.register_buffer(name, torch.from_numpy(getattr(tree, name)), persistent=False)
        # Followers that take part in the training softmax; see ``leave_out``.
        self.register_buffer("candidates", self.followers >= 0, persistent=False)
        self.embedding = nn.Embedding(self.n_codes * self.k, config.hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = LearnedPositions(max_length, config.hidden_size)
        self.depths = LearnedPositions(self.n_codes, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.over_events = Transformer(config)
        self.over_codes = Transformer(replace(config, n_layers=1))

    def leave_out(self, items: np.ndarray) -> None:
        """Leave codes that only these items have out of the training softmax.

        Args:
            items: ``(n_items,)`` bool.
        """
        nodes = self.nodes[torch.from_numpy(~items)]
        used = self.nodes.new_zeros(self.first[-1] + 1, dtype=torch.bool)  # the last is node -1
        used[nodes] = True
        self.candidates = used[self.followers]

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embeddings of the first ``m`` codes of items.

        Args:
            codes: ``(..., m)`` int64.

        Returns:
            ``(..., m, hidden_size)``.
        """
        level = torch.arange(codes.shape[-1], device=codes.device) * self.k
        return self.embedding(codes + level) * math.sqrt(self.embedding.embedding_dim)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """Map ``(tokens,)`` items to the ``(tokens, hidden_size)`` states after each."""
        events = self.embed(self.codes[items]).sum(dim=1)
        x = self.dropout(events + self.positions(packing.steps_back))
        return self.over_events(x, causal=True, packing=packing)

    def logits(self, states: Tensor, codes: Tensor) -> Tensor:
        """Return the logits of the first ``m + 1`` codes, given the first ``m``.

        Args:
            states: ``(n, hidden_size)`` after the last event of each history.
            codes: ``(n, m)`` int64, the first codes of the next item, ``m`` below ``n_codes``.

        Returns:
            ``(n, m + 1, k)``.
        """
        x = torch.cat([states[:, None], self.embed(codes)], dim=1)  # (n, m + 1, hidden_size)
        depth = torch.arange(x.shape[1], device=x.device)
        x = self.over_codes(self.dropout(x + self.depths(depth)), causal=True)
        table = self.embedding.weight.view(self.n_codes, self.k, -1)
        return torch.einsum("nmd,mkd->nmk", x, table[: x.shape[1]])

    def loss(self, items: Tensor, targets: Tensor, packing: Packing) -> Tensor:
        """Return the mean negative log-probability of the targets."""
        codes = self.codes[targets]  # (tokens, n_codes)
        logits = self.logits(self(items, packing), codes[:, :-1])  # (tokens, n_codes, k)
        allowed = self.candidates[self.nodes[targets, :-1]]
        logits = logits.masked_fill(~allowed, -torch.inf)
        loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="sum")
        return loss / len(targets)

    def next_codes(self, states: Tensor, nodes: Tensor, depth: int) -> Tensor:
        """Return the log-probabilities of the codes that follow prefixes.

        Args:
            states: ``(n, hidden_size)``.
            nodes: ``(n, b)`` int64 nodes of the code tree, all of one depth.
            depth: number of codes of these prefixes.

        Returns:
            ``(n, b, k)``; -inf for codes that lead to no item.
        """
        prefixes = self.paths[nodes, :depth].flatten(0, 1)  # (n * b, depth)
        logits = self.logits(states.repeat_interleave(nodes.shape[1], dim=0), prefixes)[:, -1]
        logits = logits.unflatten(0, nodes.shape).masked_fill(self.followers[nodes] < 0, -torch.inf)
        return torch.log_softmax(logits, dim=-1)

    def all_items(self, states: Tensor) -> Tensor:
        """Return the log-probabilities of all items: every prefix is computed once.

        Args:
            states: ``(n, hidden_size)``.

        Returns:
            ``(n, n_items)``; the probabilities of each row sum to 1.
        """
        total = states.new_zeros(len(states), 1)
        for depth in range(self.n_codes):
            nodes = torch.arange(self.first[depth], self.first[depth + 1], device=states.device)
            exists = self.followers[nodes] >= 0  # (nodes, k)
            steps = torch.where(exists, 0.0, -torch.inf).expand(len(states), -1, -1).clone()
            several = exists.sum(dim=1) > 1  # a single follower has probability 1
            if several.any():
                some = nodes[several].expand(len(states), -1)
                steps[:, several] = self.next_codes(states, some, depth).to(steps.dtype)
            # Followers in the order of their prefixes and codes: the order of the next nodes.
            total = (total[:, :, None] + steps)[:, exists]
        return total[:, self.nodes[:, -1] - self.first[-2]]

    def beam_search(self, states: Tensor, beams: int) -> tuple[Tensor, Tensor]:
        """Return the items that a beam search finds: it extends only the best prefixes.

        Args:
            states: ``(n, hidden_size)``.
            beams: number of prefixes that are kept of each length.

        Returns:
            ``(n, b)`` items and their log-probabilities, best first; ``b`` is at most ``beams``.
            Entries of -inf mean that a row has fewer.
        """
        total = states.new_zeros(len(states), 1)
        nodes = torch.zeros(len(states), 1, dtype=torch.long, device=states.device)
        for depth in range(self.n_codes):
            steps = self.next_codes(states, nodes, depth)  # (n, b, k)
            extended = (total[:, :, None] + steps).flatten(1)
            total, best = extended.topk(min(beams, extended.shape[1]))
            nodes = (
                self.followers[nodes].flatten(1).gather(1, best).clamp(min=self.first[depth + 1])
            )
        items = self.nodes[:, -1].argsort()  # by their node
        return items[nodes - self.first[-2]], total

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int, beams: int | None = None) -> np.ndarray:
        """Return the log-probability of every item as the next of each history.

        Args:
            histories: of this catalogue.
            max_length: number of latest events to read.
            beams: of a beam search, items that it does not find are -inf; None is exact.

        Returns:
            ``(n, n_items)`` float32; rows without a history are 0.
        """
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        widest = max(np.diff(self.first)[:-1]) if beams is None else beams
        size = max(1, PREFIXES // int(widest))
        for rows, batch in questions(histories, max_length):
            batch = {key: value.to(self.codes.device) for key, value in batch.items()}
            packing = Packing(batch["lengths"])
            states = self(batch["items"], packing)[packing.ends]
            for start in range(0, len(rows), size):
                part = states[start : start + size]
                if beams is None:
                    found = self.all_items(part)
                else:
                    found = part.new_full((len(part), histories.n_items), -torch.inf)
                    found.scatter_reduce_(1, *self.beam_search(part, beams), "amax")
                scores[rows[start : start + size]] = found.float().cpu().numpy()
        return scores


@dataclass(eq=False, repr=False)
class CodesShape:
    """The codes of the items.

    Args:
        ids_from: ``text``: vectors are a truncated SVD of the TF-IDF of the items' texts, from
            ``fit(items=...)``. ``events``: item factors of ``IALS``; items without training rows
            then have equal codes but the last. ``random``: vectors without meaning, as a control.
        levels: number of codes of each item, without the one that resolves collisions.
        n_codes: number of different codes of each level.
        beams: number of prefixes that a beam search keeps to score items; items that it does not
            find are scored -inf. None scores every item exactly.
        mask_unseen: leave codes that only items without training rows have out of the training
            softmax. False trains the network never to generate such items.
    """

    ids_from: IdsFrom = "text"
    levels: int = 3
    n_codes: int = 32
    beams: int | None = None
    mask_unseen: bool = True


@dataclass(eq=False, repr=False)
class GenerativeRetriever(SequenceRecommender, TransformerShape, CodesShape):
    """Generate the codes of the next item from the latest events; a score is a log-probability.

    The arguments are those of ``CodesShape``, ``TransformerShape`` and ``SequenceRecommender``.
    Training does not leave the items of the history out of its softmax (``mask_history`` has no
    effect): an item is not one entry of it, but a path of codes.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ids_from not in IDS_FROM:
            raise ValueError(
                f"ids_from must be one of {', '.join(IDS_FROM)}, got {self.ids_from!r}"
            )
        for name in ("hidden_size", "levels", "n_codes"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        if self.beams is not None:
            self.beams = check_whole("beams", self.beams)
        self.config()  # checks the arguments, such as heads that do not divide the size

    @property
    def _masks_history(self) -> bool:
        return False

    def config(self) -> TransformerConfig:
        """Return the configuration of the Transformer over events."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            ffn_size=self.ffn_size or self.hidden_size,
            dropout=self.dropout,
        )

    @property
    def codes(self) -> np.ndarray:
        """``(n_items, levels)`` or ``(n_items, levels + 1)`` codes of the items, after ``fit``."""
        self._require_fitted()
        return self._codes

    def _fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        vectors = self._vectors(train, items)
        ids = SemanticIds.fit(vectors, levels=self.levels, k=self.n_codes, seed=self.seed)
        self._codes = ids.codes
        super()._fit(train, validation=validation, progress=progress, **extras)

    def _vectors(self, train: Interactions, items: pd.DataFrame | None) -> np.ndarray:
        """Return the ``(n_items, d)`` vectors to compute the codes from."""
        if self.ids_from == "text":
            return text_factors(catalogue_table(items, train, self.name), FACTORS)
        if self.ids_from == "events":
            model = IALS(factors=FACTORS // 2, seed=self.seed).fit(train, progress=False)
            return model.item_factors_
        return np.random.default_rng(self.seed).normal(size=(train.n_items, FACTORS))

    def _build(self, n_items: int) -> GenerativeNetwork:
        return GenerativeNetwork(self._codes, self.max_length, self.config())

    def _batches(self, histories: Histories) -> NextItemBatches:
        network = self._network
        assert isinstance(network, GenerativeNetwork)
        if self.mask_unseen:
            rows = np.bincount(histories.items, minlength=histories.n_items)
            network.leave_out(self.popularity_ + rows == 0)
        return NextItemBatches(
            histories, batch_size=self.batch_size, max_length=self.max_length, window=self.window
        )

    def _loss(self, network: GenerativeNetwork, batch: Batch) -> Tensor:
        return network.loss(batch["items"], batch["targets"], Packing(batch["lengths"]))

    def _score(self, histories: Histories) -> np.ndarray:
        if not self._trained:
            return super()._score(histories)
        network = self._network
        assert isinstance(network, GenerativeNetwork)
        return network.score(histories, self._read_length, self.beams)

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        self._codes = weights["codes"].numpy()
