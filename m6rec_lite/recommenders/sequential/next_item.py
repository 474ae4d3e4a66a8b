"""Losses and negatives of networks that predict the next item: GRU4Rec, SASRec and BERT4Rec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn import losses
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches

#: Names of the losses; see ``nn.losses``.
LossName = Literal["ce", "sampled", "gbce", "bce", "bpr-max", "top1-max"]
LOSSES: tuple[LossName, ...] = ("ce", "sampled", "gbce", "bce", "bpr-max", "top1-max")


@dataclass(eq=False, repr=False)
class NextItemRecommender(SequenceRecommender):
    """Base of GRU4Rec, SASRec and BERT4Rec: the loss and its negatives.

    Args:
        loss: ``ce`` (cross-entropy over the whole catalogue), or a loss with negatives: ``sampled``
            (sampled softmax), ``gbce``, ``bce``, ``bpr-max``, ``top1-max``; see ``nn.losses``.
        negatives: number of negatives; not used by ``ce``.
        shared_negatives: draw negatives once per batch (much faster) instead of once per token.
        popularity_power: exponent of the popularity in the distribution of the negatives: 0 is
            uniform, 1 is the distribution of the data.
        gbce_t: parameter t of ``gbce``, from 0 to 1.

    The other arguments are those of ``SequenceRecommender``.
    """

    loss: LossName = "ce"
    negatives: int = 256
    shared_negatives: bool = True
    popularity_power: float = 0.0
    gbce_t: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        check_in_range("popularity_power", self.popularity_power, 0)
        check_in_range("gbce_t", self.gbce_t, 0, 1)
        self.negatives = check_whole("negatives", self.negatives)

    def _draws(self) -> Negatives | None:
        """Return the distribution of the negatives; None for a loss without negatives."""
        if self.loss == "ce":
            return None
        return Negatives(self.popularity_, self.negatives, self.popularity_power)

    def _batches(self, histories: Histories) -> Any:
        return NextItemBatches(
            histories,
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
            negatives=self._draws(),
            shared=self.shared_negatives,
        )

    def _states(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """Return the ``(tokens, hidden_size)`` states that predict the targets of the batch."""
        return network(batch["items"], Packing(batch["lengths"]))

    @property
    def _masks_history(self) -> bool:
        return self.mask_history and self.loss == "ce"

    def _history(self, batch: Batch) -> Excluded:
        """Return for each target of a batch the items that the network has read."""
        return Excluded.history(batch["items"], Packing(batch["lengths"]))

    def _loss(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """Compute the mean loss over the tokens of a batch."""
        states = self._states(network, batch)
        weight, bias, targets = network.items.weight, network.output_bias, batch["targets"]
        if self.loss == "ce":
            excluded = self._history(batch) if self._masks_history else None
            return losses.linear_cross_entropy(
                states, weight, targets, bias=bias, excluded=excluded
            )
        negatives = batch["negatives"]
        positive, negative = losses.pair_scores(states, weight, targets, negatives, bias=bias)
        if self.loss == "sampled":
            return losses.sampled_softmax(positive, negative, batch["log_expected"])
        if self.loss == "gbce":
            t = self.gbce_t
            return losses.gbce(positive, negative, n_items=len(weight), t=t, centred=True)
        if self.loss == "bce":
            return losses.bce(positive, negative, centred=True)
        if self.loss == "bpr-max":
            return losses.bpr_max(positive, negative)
        return losses.top1_max(positive, negative)
