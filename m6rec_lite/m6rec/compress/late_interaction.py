"""Late interaction: the parts of a row run through most layers alone, so that they can be cached.

    [BOS'] | [USER]A woman … | [USER]Saturday. | [EVENT]clicked … | [SEP] 2 hours ago | … | [EOS']
    [BOS][ITEM]a product … | [SEP]shown first … [EOS]

A row is cut into segments: an attribute, an event, the candidate. Each begins at position 0 (the
paper counts from 1) and runs through the first L' of L layers without the others. Its states then
depend on its own tokens alone, and a cache keeps them: an item's text is computed once, for all
requests that contain it. Afterwards the states are concatenated, a learned segment embedding is
added, and the last L - L' layers, at most 3, run on the whole row.
Source: M6-Rec (Cui et al., 2022, section 4).

Ours: the time of an event is a segment of its own, so that the same event at another time, or of
another user, is found in the cache. Segment embeddings are counted from the end of the user region,
so that the latest event always has the same one.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.data import Histories
from m6rec_lite.language.text.document import Document, Piece
from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.m6rec.compress.blocks import embed, last_state, row_mask, run_blocks, task_arguments
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.scoring import FEATURE_GROUPS, Scoring, correct_for_sampling
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch, collate
from m6rec_lite.nn.decoding import inference_mode
from m6rec_lite.nn.masks import causal_mask

#: Largest number of joint layers, and number of embeddings; earlier segments share the last.
MOST_JOINT, SEGMENT_EMBEDDINGS = 3, 64
#: Ids of the special tokens that open a segment.
OPENING = tuple(map(SPECIALS.index, ("[BOS']", "[USER]", "[EVENT]", "[SEP]", "[EOS']", "[BOS]")))
#: A segment: fingerprint of the weights, whether it is of the written region, its tokens.
Key = tuple[str, bool, bytes]
_SENTENCE = re.compile(r"(?<=[.。]) ")


class SegmentPrompts(PromptBuilder):
    """Prompts in which each attribute, each event and each event's time opens with its own token.

    The tokens that this adds are not counted in ``max_tokens``.
    """

    def known(self, documents: Iterable[Document]) -> list[np.ndarray]:
        """Encode documents as known regions."""
        pieces = (chain.from_iterable(map(_cut_piece, each.pieces)) for each in documents)
        return super().known(Document(tuple(part)) for part in pieces)


def _cut_piece(piece: Piece) -> list[Piece]:
    name, text = piece
    if name == "[USER]":
        return [("[USER]", sentence) for sentence in _SENTENCE.split(text)]
    return [("[SEP]", text)] if name is None else [piece]


class SegmentCache:
    """States of segments by weights and tokens; the least recently used one is dropped.

    ``hits`` and ``misses`` count the segments that were found, and computed.

    Args:
        capacity: maximum number of segments, at least 1.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 segment, got {capacity!r}")
        self.capacity, self.hits, self.misses = capacity, 0, 0
        self._states: OrderedDict[Key, Tensor] = OrderedDict()
        self._versions: list[tuple[int, int]] = []
        self._fingerprint = ""

    def __len__(self) -> int:
        return len(self._states)

    def states(self, key: Key, compute: Callable[[], Tensor]) -> Tensor:
        """Return the states of a segment, from the cache or from ``compute``."""
        if key in self._states:
            self.hits += 1
            self._states.move_to_end(key)
        else:
            self.misses += 1
            self._states[key] = compute()
            if len(self._states) > self.capacity:
                self._states.popitem(last=False)
        return self._states[key]

    def fingerprint(self, model: M6RecModel) -> str:
        """Return the SHA-256 of the weights, hashed again only if torch has counted a change."""
        weights = chain(model.parameters(), model.buffers())
        versions = [(weight.data_ptr(), weight._version) for weight in weights]
        if versions != self._versions:
            digest = hashlib.sha256()
            for name, value in sorted(model.state_dict().items()):
                digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
            self._versions, self._fingerprint = versions, digest.hexdigest()
        return self._fingerprint


class LateInteractionScoring(Scoring):
    """Scoring whose segments meet in the last layers only.

    Args:
        hidden_size: see ``Scoring``, also for the next five arguments.
        joint_layers: layers that run on the whole row: 1 to 3, and fewer than the model has.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        hidden_size: int,
        classes: int = 2,
        feature_groups: Sequence[str] = FEATURE_GROUPS,
        events: int = 5,
        negatives: float | None = 8.0,
        negative_share: float = 1.0,
        joint_layers: int = 1,
    ) -> None:
        super().__init__(hidden_size, classes, feature_groups, events, negatives, negative_share)
        if not 1 <= joint_layers <= MOST_JOINT:
            raise ValueError(
                f"joint_layers must be 1 to {MOST_JOINT}, got {joint_layers!r}: a cache saves the "
                "layers before them"
            )
        self.joint_layers = joint_layers
        self.segment_embedding = nn.Embedding(SEGMENT_EMBEDDINGS, hidden_size)
        nn.init.normal_(self.segment_embedding.weight, std=0.02)

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().settings() | {"joint_layers": self.joint_layers}

    def states(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the state of every token, ``(batch, time, hidden_size)``, without a cache.

        A mask keeps the segments apart in the first layers; this is how the model is trained.
        """
        alone, joint = self.split_layers(model)
        number, position, index = segment_layout(batch.ids, batch.prefix)
        mask = row_mask(batch)  # (batch, 1, time, time)
        same = (number[:, :, None] == number[:, None, :])[:, None]
        x, rotary = embed(model, batch.ids, position)
        x = run_blocks(alone, x, mask & same, rotary) + self.segment_embedding(index)
        return model.norm(run_blocks(joint, x, mask, rotary))

    @torch.no_grad()
    def answer(
        self,
        model: M6RecModel,
        known: np.ndarray,
        written: np.ndarray,
        cache: SegmentCache | None = None,
    ) -> float:
        """Return the probability of class 1 of one row, such as a request to a server.

        Each segment that the cache lacks is computed by itself, never in a batch with others:
        answers with and without a cache are equal to the last bit. ``known`` and ``written`` are
        the ``(tokens,)`` of ``encode``.
        """
        alone, joint = self.split_layers(model)
        cache = SegmentCache() if cache is None else cache
        batch = collate(Examples([known], [written], np.zeros(1)), np.zeros(1, dtype=np.int64))
        _, position, index = segment_layout(batch.ids, batch.prefix)
        with inference_mode(model):
            weights, parts = cache.fingerprint(model), []
            for region, causal in ((known, False), (written, True)):
                for tokens in cut_segments(region.astype(np.int64)):
                    run = partial(self._alone, model, alone, tokens, causal=causal)
                    parts.append(cache.states((weights, causal, tokens.tobytes()), run))
            x, rotary = torch.cat(parts, dim=1), embed(model, batch.ids, position)[1]
            x = run_blocks(joint[:-1], x + self.segment_embedding(index), row_mask(batch), rotary)
            state = model.norm(last_state(joint[-1], x, rotary))
            probability = self.head(state).double().softmax(dim=1)[:, 1].numpy()
        return float(correct_for_sampling(probability, self.negative_share)[0])

    def split_layers(self, model: M6RecModel) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the layers of the segments, and the joint ones; refuse a model without both."""
        blocks = list(model.blocks)
        if self.joint_layers >= len(blocks):
            raise ValueError(
                f"joint_layers={self.joint_layers} of a model of {len(blocks)} layers leave none "
                "to cache: take fewer joint layers, or a deeper model"
            )
        return blocks[: -self.joint_layers], blocks[-self.joint_layers :]

    def _alone(
        self, model: M6RecModel, blocks: list[nn.Module], tokens: np.ndarray, *, causal: bool
    ) -> Tensor:
        """Return the states of one segment after its own layers, ``(1, tokens, hidden_size)``."""
        ids, positions = torch.from_numpy(tokens)[None], torch.arange(len(tokens))[None]
        x, rotary = embed(model, ids, positions)
        return run_blocks(blocks, x, causal_mask(len(tokens)) if causal else None, rotary)

    def _regions(
        self, known: Histories, written: list[np.ndarray], prompts: PromptBuilder
    ) -> list[np.ndarray]:
        prompts = SegmentPrompts(prompts.text, prompts.tokenizer, prompts.max_tokens)
        return super()._regions(known, written, prompts)

    def _logits(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        return self.head(batch.last(self.states(model, batch)))


def segment_layout(ids: Tensor, prefix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each token's segment, its position there, and the index of its segment embedding.

    All have the shape of ``ids``, ``(batch, time)``; ``prefix`` has the lengths of the known
    regions. The written region has the indices 0 and 1, the known one 2, 3, … from its end.
    """
    opens = torch.isin(ids, torch.tensor(OPENING, device=ids.device))
    number = opens.cumsum(1) - 1
    time = torch.arange(ids.shape[1], device=ids.device)
    position = time - torch.where(opens, time, 0).cummax(1).values
    is_known = time < prefix[:, None]
    n_known = (opens & is_known).sum(1, keepdim=True)
    index = torch.where(is_known, 1 + n_known - number, (number - n_known).clamp_max(1))
    return number, position, index.clamp_max(SEGMENT_EMBEDDINGS - 1)


def cut_segments(region: np.ndarray) -> list[np.ndarray]:
    """Cut the tokens of a region where segments open."""
    return np.split(region, np.flatnonzero(np.isin(region, OPENING))[1:])


@dataclass(eq=False)
class LateInteractionCTR(M6RecCTR):
    """``M6RecCTR`` with the task ``LateInteractionScoring``, whose ``joint_layers`` it takes."""

    joint_layers: int = 1

    def _scoring(self, model: M6RecModel) -> LateInteractionScoring:
        task = LateInteractionScoring(**task_arguments(self, model), joint_layers=self.joint_layers)
        task.split_layers(model)  # refuses a model with too few layers
        return task
