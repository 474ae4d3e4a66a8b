"""Early exit: a classifier after several layers; a row leaves at the first that is sure enough.

Training minimizes the weighted losses of all exits, ``sum_k w_k L_k``; k counts layers from 1 to L:

    printed     w_k = 2k / (k (k + 1)) = 2 / (k + 1)   falls with depth
    normalized  w_k = 2k / (L (L + 1))                 grows with depth; sums to 1 over all layers

Notes on M6-Rec print the first; in the second the factor k does not cancel. Which of the two was
used is not known. Source: M6-Rec (Cui et al., 2022, section 4); exits by confidence:
Teerapittayanon et al., *BranchyNet*, 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.m6rec.compress.blocks import embed, row_mask, run_blocks, task_arguments
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.scoring import FEATURE_GROUPS, Scoring, correct_for_sampling
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch, TaskBatches
from m6rec_lite.nn.decoding import inference_mode

Weighting = Literal["printed", "normalized"]


def exit_weights(n_layers: int, weighting: Weighting = "normalized") -> np.ndarray:
    """Return w_1 … w_L, ``(n_layers,)``."""
    if n_layers < 1 or weighting not in ("printed", "normalized"):
        wanted = "n_layers must be at least 1, and weighting 'printed' or 'normalized'"
        raise ValueError(f"{wanted}; got {n_layers!r} and {weighting!r}")
    k = np.arange(1, n_layers + 1, dtype=np.float64)
    return 2 * k / (k * (k + 1)) if weighting == "printed" else 2 * k / (n_layers * (n_layers + 1))


class ExitAnswers(NamedTuple):
    """Answers of a model with early exits."""

    probability: np.ndarray  # (n,) of class 1, corrected for sampling
    layers: np.ndarray  # (n,) number of layers that each row ran through


class EarlyExitScoring(Scoring):
    """Scoring of two classes with a classifier after several layers.

    Args:
        hidden_size: see ``Scoring``, also for the next five arguments; ``classes`` must be 2.
        exits: layers after which rows may leave, from 1, below the last; the last is always one.
        weighting: of the losses, see ``exit_weights``.
        threshold: a row leaves once its larger class probability reaches it, above .5 and at most
            1; None runs all layers.

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
        exits: Sequence[int] = (1,),
        weighting: Weighting = "normalized",
        threshold: float | None = None,
    ) -> None:
        super().__init__(hidden_size, classes, feature_groups, events, negatives, negative_share)
        if classes != 2:
            raise ValueError(f"early exit decides between 2 classes, got classes={classes!r}")
        if list(exits) != sorted(set(exits)) or not exits or min(exits) < 1:
            raise ValueError(f"exits must be increasing layers from 1, got {tuple(exits)}")
        exit_weights(1, weighting)
        self.exits, self.weighting = tuple(exits), weighting
        self.threshold = _check_threshold(threshold)
        self.exit_heads = nn.ModuleDict()
        for k in self.exits:
            parts = nn.LayerNorm(hidden_size), nn.Linear(hidden_size, 2)
            self.exit_heads[str(k)] = nn.Sequential(*parts)

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"exits": list(self.exits), "weighting": self.weighting, "threshold": self.threshold}
        return super().settings() | own

    def exit_logits(self, model: M6RecModel, batch: TaskBatch) -> dict[int, Tensor]:
        """Return the logits of every exit, ``(batch, 2)`` each, by its layer."""
        last = self._last(model)
        layers: list[Tensor] = []  # layers[k] is the output of layer k, for k below the last
        states = model.states(batch.ids, batch.mask, batch.prefix, layers=layers)
        logits = {k: self.exit_heads[str(k)](batch.last(layers[k])) for k in self.exits}
        return logits | {last: self.head(batch.last(states))}

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return ``sum_k w_k L_k`` over the exits, with the cross-entropy L_k of exit k."""
        weights = exit_weights(len(model.blocks), self.weighting).tolist()
        exits = self.exit_logits(model, batch).items()
        losses = [weights[k - 1] * F.cross_entropy(logits, batch.target) for k, logits in exits]
        return torch.stack(losses).sum()

    def predict(
        self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        """Return the probability of class 1, ``(n,)``, with the task's ``threshold``."""
        return self.predict_early(model, examples, self.threshold, batch_tokens=batch_tokens)[0]

    @torch.no_grad()
    def predict_early(
        self,
        model: M6RecModel,
        examples: Examples,
        threshold: float | None = None,
        *,
        exit: int | None = None,
        batch_tokens: int = 16_384,
    ) -> ExitAnswers:
        """Return the probability and the number of layers of each row; see ``predict``.

        Args:
            threshold: see the class; None leaves at ``exit`` only.
            exit: the layer at which all rows leave that have not before; None is the last.

        Raises:
            ValueError: if ``exit`` was not trained as one, or the threshold is out of range.
        """
        last, threshold = self._last(model, exit), _check_threshold(threshold)
        probability, layers = np.zeros(len(examples)), np.zeros(len(examples), dtype=np.int64)
        if len(examples):
            with inference_mode(model):
                for batch in TaskBatches(examples, batch_tokens, shuffle=False).epoch(0, 0):
                    rows, batch = batch.rows.numpy(), batch.to(self.head.weight.device)
                    p, n = self._leave(model, batch, last, threshold)
                    probability[rows], layers[rows] = p.cpu().numpy(), n.cpu().numpy()
        return ExitAnswers(correct_for_sampling(probability, self.negative_share), layers)

    def _leave(
        self, model: M6RecModel, batch: TaskBatch, last: int, threshold: float | None
    ) -> tuple[Tensor, Tensor]:
        """Return probabilities and numbers of layers of a batch, ``(batch,)`` each."""
        n, time = batch.ids.shape
        probability, layers = batch.ids.new_zeros(n).double(), batch.ids.new_zeros(n)
        index = torch.arange(n, device=batch.ids.device)  # of the rows that have not left
        x, rotary = embed(model, batch.ids, torch.arange(time, device=index.device).expand(n, time))
        mask, ends = row_mask(batch), batch.lengths - 1
        for k, block in enumerate(list(model.blocks)[:last], start=1):
            x = run_blocks([block], x, mask, rotary)  # (left, time, hidden_size)
            if k < last and (threshold is None or k not in self.exits):
                continue
            state = x[torch.arange(len(x), device=x.device), ends]
            is_top = k == len(model.blocks)
            logits = self.head(model.norm(state)) if is_top else self.exit_heads[str(k)](state)
            p = logits.double().softmax(dim=1)
            leaves = p.max(dim=1).values >= (threshold if k < last else 0.0)
            probability[index[leaves]], layers[index[leaves]] = p[leaves, 1], k
            if leaves.all():
                break
            x, mask, ends, index = (part[~leaves] for part in (x, mask, ends, index))
            rotary = None if rotary is None else rotary[~leaves]
        return probability, layers

    def _last(self, model: M6RecModel, exit: int | None = None) -> int:
        """Return the last layer to run; refuse one without a trained classifier."""
        trained = (*self.exits, len(model.blocks))
        if self.exits[-1] >= trained[-1]:
            raise ValueError(
                f"exits={self.exits} must be below the model's last layer, {trained[-1]}, which is "
                "always an exit and is not named"
            )
        if exit is not None and exit not in trained:
            raise ValueError(
                f"layer {exit!r} was not trained as an exit; those of this model are "
                f"{', '.join(map(str, trained))}: choose one, or train with exits= that name it"
            )
        return trained[-1] if exit is None else exit


def _check_threshold(threshold: float | None) -> float | None:
    if threshold is not None and not 0.5 < threshold <= 1:
        wanted = "threshold must be above .5, below which no larger of two probabilities is"
        raise ValueError(f"{wanted}, and at most 1; or None for all layers. Got {threshold!r}")
    return threshold


@dataclass(eq=False)
class EarlyExitCTR(M6RecCTR):
    """``M6RecCTR`` with the task ``EarlyExitScoring``, whose last three arguments it takes."""

    exits: Sequence[int] = (1,)
    weighting: Weighting = "normalized"
    threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.exits = tuple(self.exits)

    def _scoring(self, model: M6RecModel) -> EarlyExitScoring:
        scoring = EarlyExitScoring(
            **task_arguments(self, model),
            exits=self.exits,
            weighting=self.weighting,
            threshold=self.threshold,
        )
        scoring._last(model)  # refuses a model with too few layers
        return scoring
