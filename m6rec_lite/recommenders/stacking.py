"""Stacking: a ranker that is learned over the scores of other recommenders.

Source: Wolpert, *Stacked generalization*, 1992; the loss is the list-wise softmax of Cao et al.,
*Learning to rank*, 2007, with one relevant item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import offsets_of
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.hybrid import Hybrid
from m6rec_lite.recommenders.params import check_in_range, check_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

RankerName = Literal["linear", "mlp", "cnn"]

#: Number of neighbouring candidates that the convolution reads.
KERNEL = 5


class Stacked(Hybrid):
    """Rank the best candidates of several recommenders by a learned function of their scores.

    The candidates of a history are the unseen items with the highest mean of the standardised
    scores. Each has two features a part: its standardised score, and the logarithm of its rank
    among the candidates. The output is that mean plus a learned correction:

    * ``linear``: a weighted sum of the features;
    * ``mlp``: a network with one hidden layer, for each candidate alone;
    * ``cnn``: the same, but the hidden layer is a convolution over the candidates in the order of
      the mean, so that it compares a candidate with its neighbours.

    The ranker must learn from questions whose answers the parts have not seen. With ``validation``
    these are the validation questions. Without it, the last item of each training history is held
    out, copies of the parts are fitted on the rest to provide the features, and the parts
    themselves on all rows.

    Args:
        recommenders: the parts. ``fit`` fits those that are not fitted yet, without validation.
        ranker: ``"linear"``, ``"mlp"`` or ``"cnn"``.
        candidates: number of candidates of each history; all other items stay below them.
        hidden_size: size of the hidden layer.
        epochs: passes over the questions.
        lr: learning rate of AdamW.
        weight_decay: weight decay of AdamW; a large value keeps the output close to the mean.
        seed: seed of the initial weights and the order of the questions.

    Attributes:
        ranker_: ``(n_weights,)`` float32, the weights of the ranker.
    """

    ranker_: np.ndarray

    def __init__(
        self,
        recommenders: Sequence[Recommender],
        ranker: RankerName = "linear",
        candidates: int = 100,
        hidden_size: int = 16,
        epochs: int = 30,
        lr: float = 0.01,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(recommenders)
        if ranker not in get_args(RankerName):
            raise ValueError(f"ranker must be one of {get_args(RankerName)}, got {ranker!r}")
        check_in_range("lr", lr, 0, open_low=True)
        check_in_range("weight_decay", weight_decay, 0)
        self.ranker = ranker
        self.candidates = check_whole("candidates", candidates)
        self.hidden_size = check_whole("hidden_size", hidden_size)
        self.epochs = check_whole("epochs", epochs)
        self.lr = lr
        self.weight_decay = weight_decay
        self.seed = seed

    @property
    def variant(self) -> str:
        """The ranker if it is not linear, and the parts."""
        ranker = "" if self.ranker == "linear" else f"{self.ranker} "
        return ranker + super().variant

    def _fit(
        self, train: Interactions, *, validation: Holdout | None = None, **extras: Any
    ) -> None:
        super()._fit(train, **extras)
        parts: Sequence[Recommender] = self.recommenders
        if validation is None:
            rest, validation = _hold_out_last(train)
            if len(validation):
                copies = [type(part)(**part.get_params(deep=False)) for part in parts]
                parts = [copy.fit(rest, **extras) for copy in copies]
        rows = validation.target_rows
        histories = validation.histories[rows]
        x, index, valid, _ = self._features(histories, parts)
        hit = valid & (index == validation.targets[:, None])
        reached = hit.any(axis=1)  # the other targets are no candidates
        self._train(x[reached], valid[reached], hit[reached].argmax(axis=1))

    def _train(self, x: np.ndarray, valid: np.ndarray, targets: np.ndarray) -> None:
        """Learn the ranker from ``(n, candidates, features)`` and the ``(n,)`` right columns."""
        import torch
        from torch.nn import functional as F
        from torch.nn.utils import parameters_to_vector

        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self._network()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        rng = np.random.default_rng(self.seed)
        features, right = torch.from_numpy(x), torch.from_numpy(targets)
        banned = torch.from_numpy(~valid)
        for _ in range(self.epochs if len(x) else 0):
            for batch in np.array_split(rng.permutation(len(x)), -(-len(x) // 64)):
                rows = torch.from_numpy(batch)
                logits = self._logits(network, features[rows]).masked_fill(banned[rows], -np.inf)
                loss = F.cross_entropy(logits, right[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.ranker_ = parameters_to_vector(network.parameters()).detach().numpy()

    def _score(self, histories: Histories) -> np.ndarray:
        import torch
        from torch.nn.utils import vector_to_parameters

        x, index, valid, mean = self._features(histories, self.recommenders)
        if not len(histories):
            return mean
        with torch.random.fork_rng(), torch.no_grad():
            network = self._network()
            vector_to_parameters(torch.from_numpy(self.ranker_), network.parameters())
            logits = self._logits(network, torch.from_numpy(x)).double().numpy()
        valid &= histories.lengths[:, None] > 0  # without a history there is nothing to correct
        low = np.where(valid, logits, np.inf).min(axis=1, keepdims=True)
        above = mean.max(axis=1, keepdims=True) + 1
        with np.errstate(invalid="ignore"):  # inf - inf of rows without a candidate
            scores = np.where(valid, above + logits - low, np.take_along_axis(mean, index, axis=1))
        np.put_along_axis(mean, index, scores, axis=1)
        return mean

    def _features(
        self, histories: Histories, parts: Sequence[Recommender]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the features of the candidates of each history.

        Returns:
            ``(n, m, 2 parts)`` float32 features; ``(n, m)`` indices of the candidates, the highest
            mean first; ``(n, m)`` bool, False for items that are no candidates; and the
            ``(n, n_items)`` mean of the standardised scores.
        """
        scaled = [self._scaled(part.score(histories).astype(np.float64)) for part in parts]
        mean = np.mean(scaled, axis=0)
        ranked = mean.copy()
        ranked[histories.rows, histories.items] = -np.inf
        m = min(self.candidates, histories.n_items)
        index = np.argsort(-ranked, axis=1, kind="stable")[:, :m]
        valid = np.take_along_axis(ranked, index, axis=1) > -np.inf
        channels = []
        for scores in scaled:
            own = np.take_along_axis(scores, index, axis=1)
            rank = np.argsort(np.argsort(-own, axis=1, kind="stable"), axis=1)
            channels += [own, -np.log1p(rank)]
        return np.stack(channels, axis=2).astype(np.float32), index, valid, mean

    def _network(self) -> nn.Module:
        """Return a ranker whose correction is 0; see ``_logits`` for its input."""
        from torch import nn

        features = 2 * len(self.recommenders)
        if self.ranker == "linear":
            last = nn.Linear(features, 1, bias=False)
            layers: list[nn.Module] = [last]
        else:
            width = KERNEL if self.ranker == "cnn" else 1
            last = nn.Linear(self.hidden_size, 1, bias=False)
            layers = [nn.Linear(features * width, self.hidden_size), nn.ReLU(), last]
        nn.init.zeros_(last.weight)
        return nn.Sequential(*layers)

    def _logits(self, network: nn.Module, x: Tensor) -> Tensor:
        """Map ``(n, m, features)`` to ``(n, m)``: the mean score plus the correction."""
        from torch.nn import functional as F

        read = x
        if self.ranker == "cnn":  # a convolution is a linear map of each window of candidates
            margin = KERNEL // 2
            read = F.pad(x, (0, 0, margin, margin)).unfold(1, KERNEL, 1).flatten(2)
        return x[..., ::2].mean(dim=2) + network(read)[..., 0]

    def _count_params(self) -> int:
        return super()._count_params() + int(np.count_nonzero(self.ranker_))

    def _settings(self) -> dict[str, Any]:
        return {key: value for key, value in super()._settings().items() if key != "weights"}


def _hold_out_last(train: Interactions) -> tuple[Interactions, Holdout]:
    """Divide rows into all but the last of each user with two or more, and these as questions."""
    lengths = np.bincount(train.users, minlength=train.n_users)
    users = np.flatnonzero(lengths > 1)
    last = np.cumsum(lengths)[users] - 1
    keep = np.ones(len(train), dtype=bool)
    keep[last] = False
    rest = train.select(keep)
    offsets = offsets_of(np.ones(len(users), dtype=np.int64))
    return rest, Holdout(rest.histories()[users], train.items[last], offsets)
