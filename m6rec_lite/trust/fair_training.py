"""A penalty in the training objective that moves probability between groups of items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.params import check_in_range
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sasrec import SASRec
from m6rec_lite.recommenders.sequential.sequences import Batch


@dataclass(eq=False, repr=False)
class FairSASRec(SASRec):
    """SASRec with a penalty on the shares of groups of items in its predictions.

    The loss is cross-entropy plus ``penalty * KL(p, q)``: p is each group's share of the catalogue,
    and q its share of the predicted probability, averaged over the users of a batch.

    Args:
        group: column of the items table that names the group of each item.
        penalty: weight of the penalty, at least 0; 0 is SASRec.

    The other arguments are those of ``SASRec``, with ``loss="ce"``.
    """

    group: str = "creator"
    penalty: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in_range("penalty", self.penalty, 0)
        if self.loss != "ce":
            raise ValueError(f"FairSASRec needs loss='ce', got {self.loss!r}")

    def _fit(
        self, train: Interactions, *, items: pd.DataFrame | None = None, **extras: Any
    ) -> None:
        if items is None or self.group not in items:
            raise DataError(f"FairSASRec needs fit(items=…) with a column {self.group!r}")
        labels = items.set_index("item_id")[self.group].reindex(train.item_ids)
        if labels.isna().any():
            raise DataError(f"some items have no value of {self.group!r}; give each a group")
        codes = torch.from_numpy(pd.factorize(labels)[0].copy())
        self._members = torch.nn.functional.one_hot(codes).float()  # (n_items, n_groups)
        super()._fit(train, items=items, **extras)

    def _loss(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy over the tokens of a batch, plus the penalty."""
        kept: list[Tensor] = []
        hook = network.register_forward_hook(lambda module, inputs, output: kept.append(output))
        try:
            loss = super()._loss(network, batch)
        finally:
            hook.remove()
        states = kept[0][Packing(batch["lengths"]).ends]
        probability = (states @ network.items.weight.T).softmax(dim=1).mean(dim=0)
        members = self._members.to(probability.device)
        wanted = members.mean(dim=0)
        return loss + self.penalty * (wanted * (wanted / (probability @ members)).log()).sum()
