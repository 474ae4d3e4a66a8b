"""HSTU: attention without a softmax, with gates, and with biases for steps and time.

Source: Zhai et al., *Actions speak louder than words: trillion-parameter sequential transducers for
generative recommendations*, 2024, section 3.2. Published rows of HSTU read the time of the target:
in Meta's code the query of a position is at the time of the *next* event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import RelativeTime
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches, Window, questions
from m6rec_lite.training import Epoch


class HSTUBlock(nn.Module):
    """One block: project to four parts, mix the values by pointwise attention, gate, add.

    With ``U, V, Q, K = silu(W x)`` of the normalised input, query i and key j ≤ i::

        weight(i, j) = silu(q_i · k_j + bias(i, j)) / max_length
        y_i = x_i + W_out (norm(sum_j weight(i, j) v_j) * u_i)

    The weights of a query need not sum to 1: the more events resemble the query, the larger the
    sum, so that the strength of an interest is kept. The gate ``u`` takes the place of a
    feed-forward network.

    Args:
        hidden_size: d of inputs and outputs.
        n_heads: number of heads; must divide ``hidden_size``.
        max_length: number of step biases, and the divisor of the weights.
        dropout: rate before the output projection.
    """

    def __init__(self, hidden_size: int, n_heads: int, max_length: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.max_length = n_heads, max_length
        self.norm_input = nn.LayerNorm(hidden_size)
        self.uvqk = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.bias = RelativeTime(n_heads, max_length + 1)  # a query may be one step ahead
        self.norm_output = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden_size, hidden_size)
        nn.init.normal_(self.uvqk.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(
        self, x: Tensor, packing: Packing, times: Sequence[Tensor], query_time: bool
    ) -> Tensor:
        """Apply the block to packed rows.

        Args:
            x: ``(tokens, hidden_size)``.
            packing: layout of the rows.
            times: for each group of the packing ``(rows, time + 1)`` int64 seconds: of the events,
                then of the target.
            query_time: whether each query is at the time of the next event.
        """
        u, v, q, k = F.silu(self.uvqk(self.norm_input(x))).chunk(4, dim=-1)
        groups = zip(*(packing.pad(part) for part in (q, k, v)), times, strict=True)
        mixed = [self.attend(q, k, v, self._bias(at, query_time)) for q, k, v, at in groups]
        return x + self.out(self.dropout(self.norm_output(packing.unpad(mixed)) * u))

    def _bias(self, times: Tensor, query_time: bool) -> Tensor:
        """Return ``(rows, heads, time, time)`` biases; queries are one event ahead or not."""
        if query_time:
            return self.bias(times)[:, :, 1:, :-1]
        return self.bias(times[:, :-1])

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Mix the values of each row by causal pointwise attention.

        Args:
            q: ``(rows, time, hidden_size)``.
            k: likewise.
            v: likewise.
            bias: ``(rows, heads, time, time)``.

        Returns:
            ``(rows, time, hidden_size)``.
        """
        q, k, v = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (q, k, v))
        weights = F.silu(q @ k.transpose(-2, -1) + bias).tril() / self.max_length
        return (weights @ v).transpose(1, 2).flatten(2)


class HSTUNetwork(NextItemNetwork):
    """The network of HSTU: item embeddings, then blocks; positions enter by the biases only.

    Args:
        n_items: size of the catalogue.
        shape: sizes of the blocks.
        max_length: largest number of events of a row.
        dropout: of the embeddings and in the blocks.
        query_time: whether queries are at the time of the next event.
    """

    def __init__(
        self, n_items: int, shape: HSTUShape, max_length: int, dropout: float, query_time: bool
    ) -> None:
        super().__init__(n_items, shape.hidden_size)
        self.query_time = query_time
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            HSTUBlock(shape.hidden_size, shape.n_heads, max_length, dropout)
            for _ in range(shape.n_layers)
        )
        self.norm = nn.LayerNorm(shape.hidden_size)

    def forward(self, items: Tensor, packing: Packing, times: Tensor | None = None) -> Tensor:
        """Map packed items to the ``(tokens, hidden_size)`` states after each.

        Args:
            items: ``(tokens,)``.
            packing: layout of the rows.
            times: ``(tokens, 2)`` int64 seconds of each event, and of the next event or the query;
                None sets all to 0.
        """
        if times is None:
            times = items.new_zeros(len(items), 2)
        extended = [
            torch.cat([part[:, :1, 0], part[:, :, 1]], dim=1) for part in packing.pad(times)
        ]
        x = self.dropout(self.items(items) * self.items.embedding_dim**0.5)
        for block in self.blocks:
            x = block(x, packing, extended, self.query_time)
        return self.norm(x)

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Score every item as the next item of each history; see ``NextItemNetwork.score``."""
        weight, times = self.items.weight, event_times(histories)
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        numbered = replace(histories, items=np.arange(len(histories.items)))
        for rows, batch in questions(numbered, max_length):
            events = batch["items"].numpy()
            items = torch.from_numpy(histories.items[events].astype(np.int64)).to(weight.device)
            packing = Packing(batch["lengths"].to(weight.device))
            at = torch.from_numpy(times[events]).to(weight.device)
            states = self(items, packing, at)[packing.ends]
            scores[rows] = (states @ weight.t()).float().cpu().numpy()
        return scores


def event_times(histories: Histories) -> np.ndarray:
    """Return the time of each event, and that of the next event, or of the query after the last.

    Returns:
        ``(total, 2)`` int64 unix seconds; 0 if the histories have no times.
    """
    if not histories.has_time:
        return np.zeros((len(histories.items), 2), dtype=np.int64)
    following = np.append(histories.timestamps[1:], 0)[: len(histories.items)]
    following[histories.steps_back == 0] = histories.at[histories.lengths > 0]
    return np.stack([histories.timestamps, following], axis=1)


class TimedBatches(NextItemBatches):
    """``NextItemBatches`` with the ``times`` of ``event_times``, ``(tokens, 2)`` int64.

    Args:
        histories: see ``NextItemBatches``, also for the other arguments.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        batch_size: int,
        max_length: int,
        window: Window = "latest",
        negatives: Negatives | None = None,
        shared: bool = True,
    ) -> None:
        super().__init__(
            histories,
            batch_size=batch_size,
            max_length=max_length,
            window=window,
            negatives=negatives,
            shared=shared,
        )
        self._items, self._times = torch.from_numpy(self.items), event_times(histories)
        self.items = np.arange(len(self.items))  # batches of event indices, replaced by items

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch: all sequences in a new random order."""
        plan = super().epoch(seed, epoch)
        return Epoch(len(plan), lambda i: self._with_times(plan[i]))

    def _with_times(self, batch: Batch) -> Batch:
        events, targets = batch["items"], batch["targets"]
        times = torch.from_numpy(self._times[events.numpy()])
        return batch | {
            "items": self._items[events],
            "targets": self._items[targets],
            "times": times,
        }


@dataclass(eq=False, repr=False)
class HSTUShape:
    """Size of HSTU, and the times that it uses.

    Args:
        hidden_size: size of the embeddings and the states.
        n_layers: number of blocks.
        n_heads: number of attention heads; must divide ``hidden_size``.
        use_time_gaps: add a bias for the time between events; False leaves that for steps.
        use_query_time: measure the time to each event from the next event, or the query, instead
            of from the last event. The model is then *time-aware*: compare it with other
            time-aware models. Needs ``use_time_gaps``.
    """

    hidden_size: int = 64
    n_layers: int = 2
    n_heads: int = 1
    use_time_gaps: bool = True
    use_query_time: bool = False


@dataclass(eq=False, repr=False)
class HSTU(NextItemRecommender, HSTUShape):
    """Predict the next item by HSTU's blocks over the latest events.

    The arguments are those of ``HSTUShape`` and ``NextItemRecommender``. Differences from the
    published code: the loss is cross-entropy over the whole catalogue by default, states are not
    normalised to length 1, and there are no absolute positions.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "n_layers", "n_heads"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        if self.hidden_size % self.n_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} cannot be split among {self.n_heads} heads"
            )
        if self.use_query_time and not self.use_time_gaps:
            raise ValueError(
                "use_query_time=True measures time gaps from the query: set use_time_gaps=True too"
            )

    def _build(self, n_items: int) -> HSTUNetwork:
        return HSTUNetwork(n_items, self, self.max_length, self.dropout, self.use_query_time)

    def _batches(self, histories: Histories) -> TimedBatches:
        return TimedBatches(
            self._timed(histories),
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
            negatives=self._draws(),
            shared=self.shared_negatives,
        )

    def _timed(self, histories: Histories) -> Histories:
        """Return the histories without their times if the model does not use them."""
        return histories if self.use_time_gaps else replace(histories, has_time=False)

    def _states(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        assert isinstance(network, HSTUNetwork)
        return network(batch["items"], Packing(batch["lengths"]), batch["times"])

    def _score(self, histories: Histories) -> np.ndarray:
        return super()._score(self._timed(histories))
