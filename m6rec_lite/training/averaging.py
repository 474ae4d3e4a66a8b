"""The average of a run's weights: less of the last steps' noise than the last weights have.

Source: Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992; with
weights that fade by powers it is the exponential moving average of most recipes since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from m6rec_lite.training.callbacks import Callback

if TYPE_CHECKING:
    from m6rec_lite.training.run import Run


class Averaging(Callback):
    """Follows the weights by ``a <- d a + (1 - d) w`` after each step, and has ``a`` judged.

    What is kept beside weights (buffers, such as bounds or counts) is taken as it is.
    Training goes on with w; validation, what other callbacks keep (``EarlyStopping``'s best), and
    the weights at the end are a. In the first steps d is at most ``(1 + t) / (10 + t)``, so that
    the weights at the start are soon forgotten. Name it before the callbacks that keep weights.

    Args:
        decay: d, above 0 and below 1; ``1 / (1 - d)`` steps are averaged, roughly.

    Raises:
        ValueError: if it is out of range.
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
        """Begin with the weights that there are, unless a checkpoint brought an average."""
        if run.step == 0 or not self._average:
            self._average = _copy(run.model)
        device = next(run.model.parameters()).device
        self._average = {name: value.to(device) for name, value in self._average.items()}

    @torch.no_grad()
    def step(self, run: Run) -> None:
        """Move the average towards the weights."""
        decay = min(self.decay, (1 + run.step) / (10 + run.step))
        learnt = {name for name, _ in run.model.named_parameters(remove_duplicate=False)}
        for name, weight in run.model.state_dict().items():
            average = self._average[name]
            if name in learnt:
                average.lerp_(weight.to(average.dtype), 1 - decay)
            else:
                average.copy_(weight)

    def judging(self, run: Run) -> None:
        """Put the average in the model."""
        self._weights = _copy(run.model)
        run.model.load_state_dict(self._average)

    def judged(self, run: Run) -> None:
        """Take the weights back."""
        run.model.load_state_dict(self._weights)
        self._weights = {}

    def end(self, run: Run) -> None:
        """Leave the average in the model; of a run that an error ended, too."""
        if self._average:
            run.model.load_state_dict(self._average)

    def settings(self) -> dict[str, Any]:
        """The decay."""
        return {"decay": self.decay}

    def state(self) -> dict[str, Any]:
        """The average."""
        return {"average": self._average}

    def load(self, state: dict[str, Any]) -> None:
        """Take the average back."""
        self._average = state["average"]


def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
