"""Networks that predict the next item: scores, and figures on validation questions.

It reads packed sequences of items and gives a state for each; items are scored by the product of a
state with their embedding. GRU4Rec, SASRec and BERT4Rec each fill in what lies between.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.evaluation.ranking import TargetRanks, hr, ndcg
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.sequential.sequences import questions


class NextItemNetwork(nn.Module):
    """Item embeddings that are read and scored alike, and whatever lies between.

    Args:
        n_items: size of the catalogue.
        hidden_size: length of the embeddings.
    """

    def __init__(self, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, hidden_size)
        nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """States after each token: ``(tokens,)`` places of items to ``(tokens, hidden_size)``."""
        raise NotImplementedError

    @property
    def output_bias(self) -> Tensor | None:
        """``(n_items,)`` added to the scores; None for none."""
        return None

    def predict_state(self, items: Tensor, packing: Packing) -> Tensor:
        """``(rows, hidden_size)``: the states that score what comes after each row."""
        return self(items, packing)[packing.ends]

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Every item's score as the next of each history.

        Args:
            histories: any; their ``item_ids`` are the network's items.
            max_length: the latest items of each that are read.

        Returns:
            ``(n, n_items)`` float32; rows without a history are 0.
        """
        weight, bias = self.items.weight, self.output_bias
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        for rows, batch in questions(histories, max_length):
            packing = Packing(batch["lengths"].to(weight.device))
            states = self.predict_state(batch["items"].to(weight.device), packing)
            found = states @ weight.t() if bias is None else states @ weight.t() + bias
            scores[rows] = found.float().cpu().numpy()
        return scores


def validator(
    train: Interactions, validation: Holdout, max_length: int
) -> Callable[[NextItemNetwork], dict[str, float]]:
    """A function that asks a network the validation questions, by the rules of ``evaluate``.

    Args:
        train: its catalogue is ranked.
        validation: the questions.
        max_length: the latest items of a history that are read.

    Returns:
        For ``training.fit``: gives HR@10 and NDCG@10 of the network as it is.
    """
    asked = Questions(Split("validation", "", train, validation, validation), "validation")

    def validate(network: NextItemNetwork) -> dict[str, float]:
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, len(asked), 2048):
            batch = asked.batch(start, min(start + 2048, len(asked)))
            scores = network.score(batch.histories, max_length)
            scores[batch.out] = -np.inf
            places = TargetRanks.from_scores(scores, batch.rows, batch.targets)
            found.append((hr(places, 10), ndcg(places, 10)))
        hits, gains = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return {"hr@10": float(hits.mean()), "ndcg@10": float(gains.mean())}

    return validate
