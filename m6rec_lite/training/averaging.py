"""Average the weights over the steps of a run, which reduces the noise of the last steps.

Source: Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992; here
with exponentially decaying weights (exponential moving average).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from m6rec_lite.training.callbacks import Callback

if TYPE_CHECKING:
    from m6rec_lite.training.run import Run


class Averaging(Callback):
    """Average the weights w by ``a <- d a + (1 - d) w`` after each step; validate and return a.

    Buffers are copied, not averaged. Training continues with w; validation, the weights that other
    callbacks store (such as the best of ``EarlyStopping``) and the final weights are a. In the
    first steps d is at most ``(1 + t) / (10 + t)``, so that the initial weights soon lose their
    influence. List it before callbacks that store weights.

    Args:
        decay: d, above 0 and below 1; about ``1 / (1 - d)`` steps are averaged.

    Raises:
        ValueError: if ``decay`` is out of range.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 < decay < 1:
            raise ValueError(
                f"decay must be above 0 and below 1, got {decay!r}: .998 averages 500 steps"
            )
        self.decay = decay
        self._average: dict[str, torch.Tensor] = {}
        self._weights: dict[str, torch.Tensor] = {}

    def start(self, run: Run) -> None:
        """Start with the current weights, unless a checkpoint provided an average."""
        if run.step == 0 or not self._average:
            self._average = _copy(run.model)
        device = next(run.model.parameters()).device
        self._average = {name: value.to(device) for name, value in self._average.items()}

    @torch.no_grad()
    def step(self, run: Run) -> None:
        """Move the average towards the weights."""
        decay = min(self.decay, (1 + run.step) / (10 + run.step))
        parameters = {name for name, _ in run.model.named_parameters(remove_duplicate=False)}
        for name, weight in run.model.state_dict().items():
            average = self._average[name]
            if name in parameters:
                average.lerp_(weight.to(average.dtype), 1 - decay)
            else:
                average.copy_(weight)

    def validation_start(self, run: Run) -> None:
        """Load the average into the model."""
        self._weights = _copy(run.model)
        run.model.load_state_dict(self._average)

    def validation_end(self, run: Run) -> None:
        """Restore the weights."""
        run.model.load_state_dict(self._weights)
        self._weights = {}

    def end(self, run: Run) -> None:
        """Load the average into the model, also after an error."""
        if self._average:
            run.model.load_state_dict(self._average)

    def settings(self) -> dict[str, Any]:
        """Return the decay."""
        return {"decay": self.decay}

    def state(self) -> dict[str, Any]:
        """Return the average."""
        return {"average": self._average}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the average."""
        self._average = state["average"]


def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
