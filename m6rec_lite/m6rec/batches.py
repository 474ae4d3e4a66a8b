"""Pack rows of documents into batches of one shape, with little padding.

A document's row (``infilling``) is usually shorter than the model's sequence length, so several
rows are packed into one sequence of the batch. An attention mask separates them, and the positions
of each start at 0. All batches have the same shape ``(batch_size, seq_len)``, which a compiled
model needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec.infilling import Objective, to_rows
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.nn.masks import causal_mask
from m6rec_lite.training.batches import Epoch, rng

#: Number of sequences that are filled at a time; a row goes where the least space remains.
OPEN_LINES = 16

#: A batch: tensors and other values by name, see ``PretrainingBatches``.
Batch = dict[str, Any]


def packed_prefix_mask(segment_ids: Tensor, is_prefix: Tensor) -> Tensor:
    """Return the attention mask of sequences that hold several documents.

    Args:
        segment_ids: ``(batch, time)`` number of a token's document, unique in the sequence; 0 is
            padding.
        is_prefix: ``(batch, time)`` bool: whether a token is in the user region.

    Returns:
        ``(batch, 1, time, time)`` bool: a token attends to the user region of its own document,
        and to the tokens before it there. Padding attends to nothing and is not attended to.
    """
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    same &= (segment_ids > 0)[:, None, :]
    visible = is_prefix[:, None, :] | causal_mask(segment_ids.shape[1], device=segment_ids.device)
    return (same & visible)[:, None]


class PretrainingBatches:
    """Batches for ``training.fit`` from a file of tokens, drawn again in every pass.

    The documents of a pass are shuffled and assigned to the objectives in turn, in equal numbers.
    A sequence holds documents of one objective; sequences of the objectives alternate, so that
    every batch has some of each.

    A batch is a dict of ``ids``, ``segment_ids``, ``position_ids`` (int64) and ``is_prefix``
    (bool), each ``(batch_size, seq_len)``, for ``packed_prefix_mask``; of ``targets``, which holds
    for each objective the positions ``(k,)`` in the flattened batch that predict a token and
    these tokens ``(k,)``; of ``source``, the indices of these tokens in the file (-1: none); and
    of ``tokens`` and ``pairs``, the numbers of real tokens and of pairs that attend.

    Args:
        file: documents; long ones are split into windows, at special tokens where possible.
        objectives: by their names in the logs.
        tokenizer: of the file.
        batch_size: sequences in a batch; at least 2 for each objective.
        seq_len: tokens in a sequence.
        rounds: parts of a pass; ``training.fit`` treats each as an epoch, after which it
            validates. A pass's last batch is dropped if it is not full.

    Raises:
        ValueError: if a setting is out of range, or ``seq_len`` is too short for any document.
    """

    def __init__(
        self,
        file: TokenFile,
        objectives: Mapping[str, Objective],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        seq_len: int,
        rounds: int = 1,
    ) -> None:
        if not objectives:
            raise ValueError("there must be at least one objective")
        least = 2 * len(objectives)
        if batch_size < least or rounds < 1 or seq_len < 8:
            raise ValueError(
                f"batch_size must be at least {least} (2 an objective), rounds at least 1 and "
                f"seq_len at least 8, got {batch_size!r}, {rounds!r} and {seq_len!r}"
            )
        self.file, self.objectives, self.tokenizer = file, dict(objectives), tokenizer
        self.batch_size, self.seq_len, self.rounds = batch_size, seq_len, rounds
        lengths = np.arange(1, seq_len + 1)
        sizes = np.max([each.sizes(lengths) for each in self.objectives.values()], axis=0)
        self.longest = int(np.searchsorted(np.maximum.accumulate(sizes), seq_len, side="right"))
        self.starts, self.lengths = _windows(file, self.longest)
        self._plan = lru_cache(maxsize=1)(self._make_plan)

    @property
    def files(self) -> list[TokenFile]:
        """The file of tokens that ``source`` indexes."""
        return [self.file]

    def epoch(self, seed: int, epoch: int) -> Epoch[Batch]:
        """Return the batches of a round."""
        number, part = divmod(epoch, self.rounds)
        plan = self._plan(seed, number)
        full = plan.n_lines // self.batch_size or 1
        first, last = (full * (part + i) // self.rounds for i in (0, 1))
        if full < self.rounds:  # fewer batches than rounds: rounds share them
            first, last = part % full, part % full + 1
        return Epoch(last - first, lambda i: self._build(plan, seed, number, first + i))

    def _make_plan(self, seed: int, number: int) -> _Plan:
        order = rng(seed, number).permutation(len(self.starts))
        kind = (np.arange(len(order)) + number) % len(self.objectives)  # in turn
        line, column = np.empty_like(order), np.empty_like(order)
        due: list[np.ndarray] = []  # position of each line in the pass, from 0 to 1
        for k, objective in enumerate(self.objectives.values()):
            rows = np.flatnonzero(kind == k)
            if len(rows):
                sizes = objective.sizes(self.lengths[order[rows]])
                line[rows], column[rows] = _pack(sizes, self.seq_len)
                n_lines = int(line[rows].max()) + 1
                line[rows] += sum(map(len, due))
                due.append((np.arange(n_lines) + 0.5) / n_lines)
        line = np.argsort(np.argsort(np.concatenate(due), kind="stable"))[line]
        by_line = np.argsort(line, kind="stable")
        n_lines = int(line.max()) + 1
        firsts = np.searchsorted(line[by_line], np.arange(n_lines + 1))
        return _Plan(order[by_line], kind[by_line], line[by_line], column[by_line], firsts)

    def _build(self, plan: _Plan, seed: int, number: int, i: int) -> Batch:
        lines = min(self.batch_size, plan.n_lines)
        window = slice(plan.firsts[i * lines], plan.firsts[min((i + 1) * lines, plan.n_lines)])
        draw = rng(seed, number, i)
        cells = lines * self.seq_len
        fields = ("ids", "segment_ids", "position_ids")
        grid = {name: np.zeros(cells, dtype=np.int64) for name in fields}
        grid["ids"][:] = self.tokenizer.pad
        is_prefix, targets, tokens, pairs = np.zeros(cells, dtype=bool), {}, 0, 0
        source = {}
        for k, (name, objective) in enumerate(self.objectives.items()):
            rows = window.start + np.flatnonzero(plan.kind[window] == k)
            at, line = plan.window[rows], plan.line[rows] - i * lines
            ids, indices = self._read(at)
            masked = objective.take(ids, self.lengths[at], draw) if len(at) else ids > 0
            packed = to_rows(ids, self.lengths[at], masked, self.tokenizer)
            step = positions_in_rows(packed.lengths)  # position of each token in its row
            cell = np.repeat(line * self.seq_len + plan.column[rows], packed.lengths) + step
            before = np.repeat(packed.known, packed.lengths)
            grid["ids"][cell], grid["position_ids"][cell] = packed.ids, step
            # Numbers that are unique within a sequence: the columns where documents begin.
            grid["segment_ids"][cell] = np.repeat(plan.column[rows] + 1, packed.lengths)
            is_prefix[cell] = step < before
            writes = np.flatnonzero(step > before)  # predicted, from the position before it
            targets[name] = (
                torch.from_numpy(cell[writes] - 1),
                torch.from_numpy(packed.ids[writes]),
            )
            source[name] = np.where(packed.source >= 0, indices[packed.source], -1)[writes]
            tokens += len(packed.ids)
            p, c = packed.known, packed.lengths - packed.known
            pairs += int((p * p + p * c + c * (c + 1) // 2).sum())
        batch = {name: torch.from_numpy(values) for name, values in grid.items()}
        batch["is_prefix"] = torch.from_numpy(is_prefix)
        batch = {name: values.view(lines, self.seq_len) for name, values in batch.items()}
        return batch | {"targets": targets, "tokens": tokens, "pairs": pairs, "source": source}

    def _read(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the concatenated tokens of windows, and their indices in the file."""
        lengths = self.lengths[windows]
        indices = np.repeat(self.starts[windows], lengths) + positions_in_rows(lengths)
        parts = [
            self.file.tokens[start : start + n]
            for start, n in zip(self.starts[windows].tolist(), lengths.tolist(), strict=True)
        ]
        ids = np.concatenate(parts) if parts else np.zeros(0)
        return ids.astype(np.int64), indices


@dataclass(frozen=True)
class _Plan:
    """The position of each window of a pass; all ``(n_windows,)``, in the order of lines."""

    window: np.ndarray
    kind: np.ndarray  # index of its objective
    line: np.ndarray
    column: np.ndarray  # of its first token
    firsts: np.ndarray  # (n_lines + 1,) index of each line's first window

    @property
    def n_lines(self) -> int:
        return len(self.firsts) - 1


def _pack(sizes: np.ndarray, time: int) -> tuple[np.ndarray, np.ndarray]:
    """Pack rows of these sizes into lines of ``time`` tokens, roughly in order.

    Returns:
        ``(n,)`` line and ``(n,)`` column of each.
    """
    open_lines: list[list[int]] = []  # free tokens, number of the line
    line, column, n_lines = np.empty(len(sizes), np.int64), np.empty(len(sizes), np.int64), 0
    for i, size in enumerate(sizes.tolist()):
        best = min((free for free in open_lines if free[0] >= size), default=None)
        if best is None:
            if len(open_lines) == OPEN_LINES:
                open_lines.remove(min(open_lines))
            best = [time, n_lines]
            open_lines.append(best)
            n_lines += 1
        line[i], column[i] = best[1], time - best[0]
        best[0] -= size
    return line, column


def _windows(file: TokenFile, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and lengths of windows of the documents, of at most ``longest`` tokens."""
    lengths = np.asarray(file.lengths)
    starts = np.asarray(file.ends) - lengths
    short = lengths <= longest
    extra_starts, extra_lengths = [], []
    for i in np.flatnonzero(~short).tolist():
        ids, at = file[i], 0
        while at < len(ids):
            end = min(at + longest, len(ids))
            if end < len(ids):  # the last special token opens the next window
                opened = np.flatnonzero(ids[at + 1 : end + 1] < len(SPECIALS))
                end = at + 1 + int(opened[-1]) if len(opened) else end
            extra_starts.append(starts[i] + at)
            extra_lengths.append(end - at)
            at = end
    return (
        np.concatenate([starts[short], np.array(extra_starts, dtype=np.int64)]),
        np.concatenate([lengths[short], np.array(extra_lengths, dtype=np.int64)]),
    )
