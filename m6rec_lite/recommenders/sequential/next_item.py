"""Networks that are trained to predict the next item with a loss over the catalogue or a sample.

GRU4Rec, SASRec and BERT4Rec share these losses and the way negatives are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn import losses
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches

#: What may be minimised; see ``nn.losses``.
LossName = Literal["ce", "sampled", "gbce", "bce", "bpr-max", "top1-max"]
LOSSES: tuple[LossName, ...] = ("ce", "sampled", "gbce", "bce", "bpr-max", "top1-max")


@dataclass(eq=False, repr=False)
class NextItemRecommender(SequenceRecommender):
    """Base of GRU4Rec, SASRec and BERT4Rec: the loss and its negatives.

    Args:
        loss: ``ce`` (cross-entropy over the whole catalogue), or with negatives ``sampled``
            (softmax), ``gbce``, ``bce``, ``bpr-max``, ``top1-max``: see ``nn.losses``.
        negatives: items drawn for each comparison; ``ce`` draws none.
        shared_negatives: draw once for all tokens of a batch (much faster), or for each.
        popularity_power: negatives come by the power of their popularity: 0 evenly, 1 as in the
            data.
        gbce_t: t of ``gbce``, from 0 to 1.

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
        """The distribution of negatives, for a loss that has some."""
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
        """``(tokens, hidden_size)``: states that predict the targets of the batch."""
        return network(batch["items"], Packing(batch["lengths"]))

    def _loss(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """The mean loss over the batch's tokens."""
        states = self._states(network, batch)
        weight, bias, targets = network.items.weight, network.output_bias, batch["targets"]
        if self.loss == "ce":
            return losses.linear_cross_entropy(states, weight, targets, bias=bias)
        drawn = batch["negatives"]
        right, wrong = losses.pair_scores(states, weight, targets, drawn, bias=bias)
        if self.loss == "sampled":
            return losses.sampled_softmax(right, wrong, batch["log_expected"])
        if self.loss == "gbce":
            t = self.gbce_t
            return losses.gbce(right, wrong, n_items=len(weight), t=t, centred=True)
        if self.loss == "bce":
            return losses.bce(right, wrong, centred=True)
        return {"bpr-max": losses.bpr_max, "top1-max": losses.top1_max}[self.loss](right, wrong)
