"""Right answers to ``loss_shares``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.loss_shares import Weights, _shares


def _shares_by_names(
    alpha: float, beta: float, tasks: Weights, finetune: Weights
) -> dict[str, float]:
    several, one = sum(tasks.values()) or 1.0, sum(finetune.values()) or 1.0
    names = dict.fromkeys([*tasks, *finetune])
    shares = {
        name: alpha * tasks.get(name, 0.0) / several + finetune.get(name, 0.0) / one
        for name in names
    }
    return shares | {"adapt": beta}


CORRECT = (_shares, _shares_by_names)

EQUIVALENT = {
    "for part, among in ((1.0, finetune), (alpha, tasks)):": "the order of a sum",
}
