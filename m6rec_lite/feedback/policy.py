"""Policy gradient: REINFORCE with a baseline on a softmax policy over slates.

A softmax policy draws the items of a slate one after another, each in proportion to ``exp(logit)``
among those that are left (the Plackett-Luce model). Its parameters move along

    sum over positions p of  (G_p - b_p) * gradient of ln P(item at p | items above)

where G_p is the sum of the rewards from position p on, and b_p a baseline that does not depend on
the slate. The mean of this estimate is the gradient of the expected reward for any baseline; a good
one lowers its variance. Sources: Williams, *Simple statistical gradient-following algorithms for
connectionist reinforcement learning*, 1992; Chen et al., *Top-K off-policy correction for a
REINFORCE recommender system*, 2019.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.feedback.bandits import Answers
from m6rec_lite.recommenders.params import check_in_range
from m6rec_lite.recommenders.ranking import top_k


class CandidateScores(nn.Module):
    """Linear logits ``w x + bias of the candidate``, which start from one feature.

    Args:
        n_features: d, the number of features.
        n_candidates: m, the number of candidates.
        start: index of the feature that ranks at the start, such as a recommender's score.
        scale: initial weight of that feature: the higher, the less random the first slates.
    """

    def __init__(
        self, n_features: int, n_candidates: int, start: int = 0, scale: float = 0.0
    ) -> None:
        super().__init__()
        weights = torch.zeros(n_features)
        weights[start] = scale
        self.weights = nn.Parameter(weights)
        self.bias = nn.Parameter(torch.zeros(n_candidates))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(n, m)`` logits of ``(n, m, d)`` features."""
        return features @ self.weights + self.bias


def slate_log_probs(logits: Tensor, slates: Tensor) -> Tensor:
    """Return the log-probability of each item of a slate, given the items above it.

    ``logits`` are ``(n, m)``; ``slates`` and the result ``(n, k)``, top position first.
    """
    log_probs, left = [], logits
    for item in slates.T.unsqueeze(2):  # (n, 1)
        log_probs.append(left.log_softmax(dim=1).gather(1, item))
        left = left.scatter(1, item, -torch.inf)
    return torch.cat(log_probs, dim=1)


def reward_to_go(rewards: np.ndarray) -> np.ndarray:
    """Return ``(n, k)``: the sum of each row of rewards from each position on."""
    return np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1].copy()


class PolicyGradient:
    """Softmax policy over slates, trained by REINFORCE.

    Args:
        network: maps ``(n, m, d)`` features to ``(n, m)`` logits; it is trained in place.
        lr: learning rate of Adam.
        use_baseline: subtract the running mean of each position's reward-to-go.
        decay: share of the running mean that is kept at an update.
        greedy: show the highest logits instead of drawing; then nothing is learned.

    Attributes:
        baseline: ``(k,)`` running means; None before the first update.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 0.01,
        use_baseline: bool = True,
        decay: float = 0.98,
        greedy: bool = False,
    ) -> None:
        check_in_range("lr", lr, 0, open_low=True)
        check_in_range("decay", decay, 0, 1)
        self.network, self.lr, self.decay, self.greedy = network, lr, decay, greedy
        self.use_baseline = use_baseline
        self.baseline: np.ndarray | None = None
        self._optimizer = torch.optim.Adam(network.parameters(), lr=lr)

    @torch.no_grad()
    def select(self, features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``(n, k)`` slates, see ``Policy``.

        The k highest of logit + Gumbel noise are a draw from the Plackett-Luce model.
        """
        logits = self.network(torch.from_numpy(features)).double().numpy()
        return top_k(logits if self.greedy else logits + rng.gumbel(size=logits.shape), k)

    def update(self, answers: Answers) -> None:
        """Take one step of Adam along the REINFORCE gradient, see ``Policy``."""
        if self.greedy:
            return
        self._optimizer.zero_grad()
        self.loss(answers).backward()
        self._optimizer.step()
        gain = reward_to_go(answers.rewards).mean(axis=0)
        old = gain if self.baseline is None else self.baseline
        self.baseline = self.decay * old + (1 - self.decay) * gain

    def loss(self, answers: Answers) -> Tensor:
        """Return the scalar whose gradient is minus the mean REINFORCE estimate of the slates."""
        advantage = reward_to_go(answers.rewards)
        if self.use_baseline and self.baseline is not None:
            advantage = advantage - self.baseline
        logits = self.network(torch.from_numpy(answers.features))
        log_probs = slate_log_probs(logits, torch.from_numpy(answers.slates))
        return -(torch.from_numpy(advantage) * log_probs).sum(dim=1).mean()
