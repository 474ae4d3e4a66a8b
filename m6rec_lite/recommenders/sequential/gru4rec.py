"""GRU4Rec: a recurrent network that reads a history and predicts the next item.

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
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.rnn import Recurrent
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches


class GRU4RecNetwork(NextItemNetwork):
    """Embeddings, GRU layers, and a map back to the size of the embeddings.

    Args:
        n_items: size of the catalogue.
        embedding_size: of the items.
        hidden_size: of the states.
        n_layers: of GRUs.
        dropout: on embeddings, between layers, and on what is scored.
        fused: torch's GRU; else ``nn.rnn.Recurrent``.
        lanes: of session-parallel batches, whose state is carried from one to the next.
    """

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
            between = dropout if n_layers > 1 else 0.0  # torch warns where there is no between
            self.rnn = nn.GRU(
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
        # A buffer: a checkpoint must hold what one batch leaves to the next.
        self.register_buffer("carried", torch.zeros(n_layers, lanes, hidden_size))

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """``(tokens,)`` to ``(tokens, embedding_size)``."""
        x = packing.to_steps(self.dropout(self.items(items)))
        states = packing.from_steps(self.rnn(x)[0])
        return self.back(self.dropout(states))

    def carry_on(self, items: Tensor, starts: Tensor) -> Tensor:
        """As ``forward`` on ``(lanes, time)`` whose rows go on where the last batch ended.

        Args:
            items: ``(lanes, time)``.
            starts: ``(lanes, time)`` bool, True where a new session begins.

        Returns:
            ``(lanes * time, embedding_size)``.
        """
        x = self.dropout(self.items(items))
        before = self.carried[:, : len(items)]
        states, (after,) = self.rnn(x, (before,), starts=starts)
        self.carried[:, : len(items)] = after.detach()  # gradients end where a batch does
        return self.back(self.dropout(states)).flatten(0, 1)

    @property
    def output_bias(self) -> Tensor:
        """An item's score before anything is known."""
        return self.bias


@dataclass(eq=False, repr=False)
class RecurrentShape:
    """How large a GRU is, and how it walks through the histories.

    Args:
        hidden_size: of embeddings, and of states unless ``state_size`` says otherwise.
        state_size: of the GRU's states; None is ``hidden_size``.
        n_layers: of GRUs.
        steps: length of session-parallel batches; None reads whole histories.
        fused: torch's own GRU in place of ``nn.rnn``'s, which is equal: for a GPU. On a processor
            it is the slower of the two, since its backward pass fills a table of all tokens with
            zeros at every step. Session-parallel batches run on ``nn.rnn``'s, whatever this says:
            it can forget in the middle of a row.
    """

    hidden_size: int = 64
    state_size: int | None = None
    n_layers: int = 1
    steps: int | None = None
    fused: bool = False


@dataclass(eq=False, repr=False)
class GRU4Rec(NextItemRecommender, RecurrentShape):
    """A GRU over the latest items; the last state scores the catalogue.

    With ``steps`` the batches are session-parallel: ``batch_size`` lanes of histories, each
    beginning where one ended, are read ``steps`` at a time; the state goes on from batch to batch
    and the gradient does not (truncated back-propagation through time). Without, a batch holds
    whole histories, and the gradient flows through all of each.

    Args: as of ``RecurrentShape``, then of ``NextItemRecommender``.
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

    def _states(self, network: GRU4RecNetwork, batch: Batch) -> Tensor:
        if self.steps is None:
            return super()._states(network, batch)
        return network.carry_on(batch["items"], batch["starts"])[batch["asked"]]
