"""GRU4Rec: a recurrent network that predicts the next item of a history.

Source: Hidasi et al., *Session-based recommendations with recurrent neural networks*, 2016
(session-parallel batches); Hidasi and Karatzoglou, *Recurrent neural networks with top-k gains for
session-based recommendations*, 2018 (BPR-max, TOP1-max, negatives by popularity).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.rnn import Recurrent
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches


class GRU4RecNetwork(NextItemNetwork):
    """The network of GRU4Rec: embeddings, GRU layers, and a projection to the embedding size.

    Args:
        n_items: size of the catalogue.
        embedding_size: size of the item embeddings.
        hidden_size: size of the GRU states.
        n_layers: number of GRU layers.
        dropout: dropout on the embeddings, between layers, and on the last states.
        fused: use ``torch.nn.GRU`` instead of ``nn.rnn.Recurrent``.
        lanes: number of lanes of session-parallel batches, whose states are kept between batches.
    """

    carried: Tensor

    def __init__(
        self,
        n_items: int,
        embedding_size: int,
        hidden_size: int,
        n_layers: int,
        dropout: float,
        fused: bool,
        lanes: int = 0,
    ) -> None:
        super().__init__(n_items, embedding_size)
        if fused:
            between = dropout if n_layers > 1 else 0.0  # torch warns about dropout in one layer
            self.rnn: nn.Module = nn.GRU(
                embedding_size, hidden_size, n_layers, dropout=between, batch_first=True
            )
        else:
            self.rnn = Recurrent("gru", embedding_size, hidden_size, n_layers, dropout=dropout)
        nn.init.normal_(self.items.weight, std=embedding_size**-0.5)
        self.fused = fused
        same = embedding_size == hidden_size
        self.back = nn.Identity() if same else nn.Linear(hidden_size, embedding_size)
        self.dropout = Dropout(dropout)
        self.bias = nn.Parameter(torch.zeros(n_items))
        # A buffer, so that checkpoints contain the states that are carried between batches.
        self.register_buffer("carried", torch.zeros(n_layers, lanes, hidden_size))

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """Map ``(tokens,)`` items to ``(tokens, embedding_size)`` states."""
        x = packing.to_steps(self.dropout(self.items(items)))
        states = packing.from_steps(self.rnn(x)[0])
        return self.back(self.dropout(states))

    def carry_on(self, items: Tensor, starts: Tensor) -> Tensor:
        """Run ``forward`` from the final states of the previous batch.

        Args:
            items: ``(lanes, time)`` item indices.
            starts: ``(lanes, time)`` bool, True at the start of a session.

        Returns:
            ``(lanes * time, embedding_size)`` states.
        """
        x = self.dropout(self.items(items))
        initial = self.carried[:, : len(items)]
        states, (final,) = self.rnn(x, (initial,), starts=starts)
        self.carried[:, : len(items)] = final.detach()  # no gradient between batches
        return self.back(self.dropout(states)).flatten(0, 1)

    @property
    def output_bias(self) -> Tensor:
        """``(n_items,)`` bias of the scores."""
        return self.bias


@dataclass(eq=False, repr=False)
class RecurrentShape:
    """Size of the GRU, and how it reads the histories.

    Args:
        hidden_size: size of the embeddings.
        state_size: size of the GRU states; None is ``hidden_size``.
        n_layers: number of GRU layers.
        steps: length of session-parallel batches; None reads whole histories.
        fused: use ``torch.nn.GRU`` instead of ``nn.rnn.Recurrent``, with the same results: faster
            on a GPU, slower on a CPU. Session-parallel batches always use ``nn.rnn.Recurrent``,
            which can reset the state within a row.
    """

    hidden_size: int = 64
    state_size: int | None = None
    n_layers: int = 1
    steps: int | None = None
    fused: bool = False


@dataclass(eq=False, repr=False)
class GRU4Rec(NextItemRecommender, RecurrentShape):
    """Predict the next item from the last state of a GRU over the latest items.

    With ``steps`` the batches are session-parallel: ``batch_size`` lanes of concatenated histories
    are read ``steps`` items at a time. The state is passed from batch to batch, the gradient is not
    (truncated backpropagation through time). Without ``steps`` a batch contains whole histories.

    The arguments are those of ``RecurrentShape`` and ``NextItemRecommender``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "state_size", "n_layers", "steps"):
            value = getattr(self, name)
            if value is not None or name in ("hidden_size", "n_layers"):
                setattr(self, name, check_whole(name, value))

    def _build(self, n_items: int) -> GRU4RecNetwork:
        return GRU4RecNetwork(
            n_items,
            self.hidden_size,
            self.state_size or self.hidden_size,
            self.n_layers,
            self.dropout,
            self.fused and self.steps is None,
            lanes=self.batch_size if self.steps else 0,
        )

    def _batches(self, histories: Histories) -> NextItemBatches | ParallelBatches:
        if self.steps is None:
            return super()._batches(histories)
        return ParallelBatches(
            histories,
            lanes=self.batch_size,
            steps=self.steps,
            negatives=self._draws(),
            shared=self.shared_negatives,
        )

    def _states(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        if self.steps is None:
            return super()._states(network, batch)
        assert isinstance(network, GRU4RecNetwork)
        return network.carry_on(batch["items"], batch["starts"])[batch["target_indices"]]

    def _history(self, batch: Batch) -> Excluded:
        if self.steps is None:
            return super()._history(batch)
        starts = batch["starts"].clone()
        starts[:, 0] = True  # items of earlier batches are not excluded
        index = torch.arange(starts.numel(), device=starts.device)
        targets = batch["target_indices"]
        first = torch.where(starts.flatten(), index, 0).cummax(0).values[targets]
        return Excluded(batch["items"].flatten(), first, targets - first + 1)
