"""Base class of networks that predict the next item, and their validation metrics.

A network maps packed sequences of items to states; the score of an item is the dot product of a
state and the item's embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.evaluation.ranking import TargetRanks, hr, ndcg
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.sequential.sequences import questions

#: Maximum number of questions of a validation during training.
VALIDATION_QUESTIONS = 5000


class ScoringNetwork(nn.Module):
    """Base of networks that score every item as the next item of a history."""

    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Return ``(n, n_items)`` scores; ``max_length`` latest items of a history are read."""
        raise NotImplementedError


class NextItemNetwork(ScoringNetwork):
    """Base of next-item networks, with item embeddings shared between input and output.

    Args:
        n_items: size of the catalogue.
        hidden_size: size of the embeddings.
    """

    def __init__(self, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, hidden_size)
        nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """Map ``(tokens,)`` item indices to the ``(tokens, hidden_size)`` states after each."""
        raise NotImplementedError

    @property
    def output_bias(self) -> Tensor | None:
        """``(n_items,)`` bias of the scores, or None."""
        return None

    def predict_state(self, items: Tensor, packing: Packing) -> Tensor:
        """Return the ``(rows, hidden_size)`` states that predict the next item of each row."""
        return self(items, packing)[packing.ends]

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Score every item as the next item of each history.

        Args:
            histories: ``n`` histories with the catalogue of the network.
            max_length: maximum number of latest items to read.

        Returns:
            ``(n, n_items)`` float32; 0 for empty histories.
        """
        weight, bias = self.items.weight, self.output_bias
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        for rows, batch in questions(histories, max_length):
            packing = Packing(batch["lengths"].to(weight.device))
            states = self.predict_state(batch["items"].to(weight.device), packing)
            logits = states @ weight.t() if bias is None else states @ weight.t() + bias
            scores[rows] = logits.float().cpu().numpy()
        return scores


def validator(
    train: Interactions, validation: Holdout, max_length: int, progress: bool = True
) -> Callable[[ScoringNetwork], dict[str, float]]:
    """Return a function that computes the validation metrics of a network, as ``evaluate`` does.

    Of more than ``VALIDATION_QUESTIONS`` questions, that many are drawn once, so that every epoch
    is judged by the same ones.

    Args:
        train: training rows, whose catalogue is ranked.
        validation: validation set.
        max_length: maximum number of latest items of a history to read.
        progress: show a progress bar after two seconds.

    Returns:
        ``validate(network)`` for ``training.fit``, which gives HR@10 and NDCG@10.
    """
    queries = Questions(Split("validation", "", train, validation, validation), "validation")
    queries.draw(VALIDATION_QUESTIONS)

    def validate(network: ScoringNetwork) -> dict[str, float]:
        metrics: list[tuple[np.ndarray, np.ndarray]] = []
        with tqdm(
            total=len(queries), desc="validate", unit="user", delay=2, leave=False,
            disable=not progress,
        ) as bar:  # fmt: skip
            for batch in queries.batches():
                scores = network.score(batch.histories, max_length)
                scores[batch.out] = -np.inf
                ranks = TargetRanks.from_scores(scores, batch.rows, batch.targets)
                metrics.append((hr(ranks, 10), ndcg(ranks, 10)))
                bar.update(len(batch.histories))
        hrs, ndcgs = (np.concatenate(parts) for parts in zip(*metrics, strict=True))
        return {"hr@10": float(hrs.mean()), "ndcg@10": float(ndcgs.mean())}

    return validate
