"""Exercise ``eval_outputs``: ``no_grad`` taken for evaluation mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from m6rec_lite.course.exercises.engine import Exercise, Wrong

if TYPE_CHECKING:
    import torch

_MISTAKES = {
    "dropout": "Dropout is still on: torch.no_grad() stops the recording and leaves the layers in "
    "training mode. Call model.eval() first.",
    "recorded": "The output still holds the record of its operations, which costs memory. "
    "model.eval() does not switch that off; compute under torch.no_grad().",
    "left in eval": "The model was in training mode before and is in evaluation mode now: it would "
    "train on without dropout. Put it back.",
    "left in train": "The model was in evaluation mode before and is in training mode now. Store "
    "model.training first, and put that back.",
    "type": "Return the model's output itself, a tensor of shape (n, 1).",
    "no gradients": "Parameters no longer require gradients: the model cannot be trained any more. "
    "Use torch.no_grad() instead of requires_grad_(False).",
    "changed": "The parameters have changed. Evaluation must not take a step.",
    "probability": "The layers have lost their dropout probability: training would go on without "
    "dropout. Call model.eval() instead.",
}


def _network() -> torch.nn.Sequential:
    """Return a small network with dropout, in training mode."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Tanh(), nn.Linear(64, 1))


def _judge(eval_outputs: Callable[[Any, Any], Any]) -> None:
    """Raise ``Wrong`` with the first mistake."""
    import torch

    if not callable(eval_outputs):
        raise Wrong("Pass the function itself, without calling it.", output=eval_outputs)
    for training in (True, False):
        network, x = _network().train(training), torch.linspace(-1, 1, 30).reshape(5, 6)
        before = [parameter.detach().clone() for parameter in network.parameters()]
        output = eval_outputs(network, x)
        inputs = f"a network with dropout, in {'training' if training else 'evaluation'} mode"

        def wrong(name: str, inputs: str = inputs, **values: Any) -> Wrong:
            return Wrong(_MISTAKES[name], inputs=inputs, **values)

        if not isinstance(output, torch.Tensor) or output.shape != (5, 1):
            raise wrong("type", output=output, expected="a tensor of shape (5, 1)")
        mode, after = network.training, list(network.parameters())
        if not all(map(torch.equal, before, after)):
            raise wrong("changed")
        if not all(parameter.requires_grad for parameter in after):
            raise wrong("no gradients")
        if network[1].p != 0.5:
            raise wrong("probability", output=network[1].p, expected=0.5)
        with torch.no_grad():
            expected = network.eval()(x)
        if not torch.allclose(output, expected, atol=1e-6):
            raise wrong("dropout", output=output.detach().numpy(), expected=expected.numpy())
        if output.requires_grad:
            raise wrong("recorded", output="requires_grad=True", expected="requires_grad=False")
        if mode != training:
            raise wrong("left in train" if mode else "left in eval", output=f"training={mode}")
        if np.shares_memory(output.numpy(), x.numpy()):
            raise wrong("type")


EXERCISE = Exercise(
    id="eval_outputs",
    title="no_grad taken for evaluation mode",
    check=_judge,
    hints=(
        "Two switches: which one concerns the layers, which one the record?",
        "Store model.training, call model.eval(), compute under torch.no_grad().",
        "model.train(was) puts the mode back, whichever it was.",
    ),
    notice="Two calls now agree, and nothing of them stays in memory. Layers with another "
    "behaviour in training are rare, so the mistake shows in some networks only.",
)
