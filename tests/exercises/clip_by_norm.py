"""Right answers to ``clip_by_norm``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.clip_by_norm import Arrays, _clip


def _flat(gradients: Arrays, limit: float) -> Arrays:
    """All entries in one vector, scaled, and cut up again."""
    parts = [np.asarray(g, dtype=float) for g in gradients]
    line = np.concatenate([g.ravel() for g in parts])
    line = line * min(1.0, limit / max(np.linalg.norm(line), 1e-300))
    cuts = np.split(line, np.cumsum([g.size for g in parts])[:-1])
    return [cut.reshape(g.shape) for cut, g in zip(cuts, parts, strict=True)]


CORRECT = (_clip, _flat)

EQUIVALENT = {
    "share = limit / norm if norm >= limit else 1.0": "limit / norm is 1 where both are equal",
}
