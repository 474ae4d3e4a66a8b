"""Right answers to ``negatives_push``, written in other ways."""

from __future__ import annotations

import math

import numpy as np
import torch

from m6rec_lite.course.exercises.negatives_push import RIGHT


def _by_gradient(scores: np.ndarray, top: int) -> list[float]:
    """Differentiate both losses with respect to the scores of the wrong items."""
    shares = []
    for binary in (False, True):
        s = torch.tensor(scores, requires_grad=True)
        loss = torch.nn.functional.softplus(s).sum() if binary else s.logsumexp(0)
        loss.backward()
        assert s.grad is not None
        best = s.detach().topk(top).indices
        shares.append(float(s.grad[best].sum() / s.grad.sum()))
    return shares


def _in_loops(scores: np.ndarray, top: int) -> tuple[float, float]:
    ranked = sorted((float(s) for s in scores), reverse=True)
    full = [math.exp(s) for s in ranked]
    binary = [1 / (1 + math.exp(-s)) for s in ranked]
    return sum(full[:top]) / sum(full), sum(binary[:top]) / sum(binary)


CORRECT = (RIGHT, _by_gradient, _in_loops)

EQUIVALENT = {
    "full = np.exp(best)": "the share does not change by a constant; the scores are small",
    "full = np.exp(best + best[0])": "likewise",
    "full = np.exp(best - best[1])": "likewise",
    "full = np.exp(best - best[-1])": "likewise",
    "binary = 2 / (1 + np.exp(-best))": "the share does not change by a factor",
}
