"""Optimizers written to be read: each takes the gradients of a loss and moves the parameters.

All of them work on numpy arrays, in place, and take the gradients of *all* parameters at once: the
factors U and V of a matrix factorization are then moved from the same old values, as the formula
says. Each equals its namesake in ``torch.optim`` step by step.

The letters: theta a parameter, g the gradient of the loss at theta, eta the learning rate, lambda
the weight decay; squares, roots and quotients are taken entry by entry.

A learning rate that is too large does not end in NaN here: ``step`` and ``descend`` raise
``DivergenceError``, which says where and what to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from tqdm.auto import tqdm

#: A loss and its gradients at the given parameters: ``loss, [one array a parameter]``.
Objective = Callable[..., tuple[float, Sequence[np.ndarray]]]


class DivergenceError(FloatingPointError):
    """The loss or the parameters run away: most often the learning rate is too large."""


def _check(name: str, value: float, *, below: float = np.inf, zero: bool = True) -> float:
    """``value`` if it is in ``[0, below)``, or in ``(0, below)`` without ``zero``."""
    if not (value >= 0 if zero else value > 0) or not value < below:
        upper = "finite" if below == np.inf else f"below {below:g}"
        raise ValueError(f"{name} must be {'0 or more' if zero else 'above 0'} and {upper}, "
                         f"got {value!r}")  # fmt: skip
    return float(value)


class Optimizer(ABC):
    """Base of the optimizers; subclasses say how one parameter moves in ``_move``.

    Args:
        parameters: float arrays; ``step`` changes them in place.
        lr: learning rate eta, above 0. It may be changed between steps (``optimizer.lr = ...``).
        weight_decay: lambda; adds ``lambda theta`` to the gradient, which is the gradient of
            ``lambda / 2 |theta|^2``. (``AdamW`` decays the parameters themselves instead.)

    Attributes:
        steps: steps taken so far.

    Raises:
        ValueError: on a setting out of range.
        TypeError: if a parameter is not an array of floats.
    """

    #: Names of the arrays, shaped as the parameter and zero at first, that are kept between steps.
    memory: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, parameters: Sequence[np.ndarray], lr: float, *, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to move")
        for place, theta in enumerate(self.parameters):
            if not isinstance(theta, np.ndarray) or theta.dtype.kind != "f":
                kind = getattr(theta, "dtype", type(theta).__name__)
                raise TypeError(
                    f"parameters[{place}] must be a numpy array of floats (it is changed in "
                    f"place), got {kind}; pass np.array(x, dtype=float)"
                )
        self.lr = _check("lr", lr, zero=False)
        self.weight_decay = _check("weight_decay", weight_decay)
        self.steps = 0
        self._memory = [
            {name: np.zeros_like(theta) for name in self.memory} for theta in self.parameters
        ]

    def step(self, gradients: Sequence[np.ndarray]) -> None:
        """Move every parameter once.

        Args:
            gradients: one array a parameter, of its shape, in the order of ``parameters``.

        Raises:
            ValueError: on a number or a shape of gradients that does not fit.
            DivergenceError: if a gradient is not finite (then nothing has moved), or a parameter
                is not finite after the step.
        """
        if len(gradients) != len(self.parameters):
            raise ValueError(f"{len(gradients)} gradients for {len(self.parameters)} parameters")
        for place, (theta, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            if np.shape(g) != theta.shape:
                raise ValueError(
                    f"gradients[{place}] has shape {np.shape(g)}, its parameter {theta.shape}"
                )
            self._require_finite(g, f"the gradient of parameters[{place}]")
        self.steps += 1
        with np.errstate(over="ignore", invalid="ignore"):  # told below, with more to say
            for theta, g, kept in zip(self.parameters, gradients, self._memory, strict=True):
                self._decayed_move(theta, np.asarray(g, dtype=theta.dtype), kept)
        for place, theta in enumerate(self.parameters):
            self._require_finite(theta, f"parameters[{place}]")

    def _decayed_move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        self._move(theta, g + self.weight_decay * theta if self.weight_decay else g, kept)

    @abstractmethod
    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        """Change ``theta`` in place, and the arrays of ``memory`` in ``kept``."""

    def _require_finite(self, array: np.ndarray, what: str) -> None:
        if not np.isfinite(array).all():
            raise DivergenceError(
                f"{type(self).__name__} diverged: {what} is not finite at step {self.steps} with "
                f"lr={self.lr:g}. Lower the learning rate (try {self.lr / 10:g}), and check the "
                "sign of the gradient and the data for NaN"
            )


class SGD(Optimizer):
    """``theta <- theta - eta g``.

    With g of the whole loss this is gradient descent (Cauchy, 1847); with g of a random part of
    it, stochastic gradient descent (Robbins and Monro, 1951). The rule is the same.
    """

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        theta -= self.lr * g


class Momentum(Optimizer):
    """``b <- mu b + g``, then ``theta <- theta - eta b``: a heavy ball (Polyak, 1964).

    Args:
        parameters: see ``Optimizer``.
        lr: see ``Optimizer``.
        momentum: mu in [0, 1), the share of the velocity b that is kept.
        weight_decay: see ``Optimizer``.
    """

    memory = ("b",)

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay=weight_decay)
        self.momentum = _check("momentum", momentum, below=1)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        b = kept["b"]
        b *= self.momentum
        b += g
        theta -= self.lr * self._direction(g, b)

    def _direction(self, g: np.ndarray, b: np.ndarray) -> np.ndarray:
        return b


class Nesterov(Momentum):
    """``b <- mu b + g``, then ``theta <- theta - eta (g + mu b)``: look where the ball will be.

    Source: Nesterov, 1983, in the form of Sutskever et al., 2013, section 2, written for the
    parameters after the look ahead, as torch does.
    """

    def _direction(self, g: np.ndarray, b: np.ndarray) -> np.ndarray:
        return g + self.momentum * b


class AdaGrad(Optimizer):
    """``s <- s + g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    Every entry gets a rate of its own, which falls as its gradients add up: rare features keep a
    high one. Source: Duchi, Hazan and Singer, 2011.

    Args:
        parameters: see ``Optimizer``.
        lr: see ``Optimizer``.
        eps: keeps the quotient finite.
        weight_decay: see ``Optimizer``.
    """

    memory = ("s",)

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float = 1e-2,
        *,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay=weight_decay)
        self.eps = _check("eps", eps)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        s = kept["s"]
        s += g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


class RMSProp(Optimizer):
    """``s <- alpha s + (1 - alpha) g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    AdaGrad that forgets: s is a running mean, so that the rate need not fall for ever. Source:
    Tieleman and Hinton, *Neural networks for machine learning*, lecture 6.5, 2012.

    Args:
        parameters: see ``Optimizer``.
        lr: see ``Optimizer``.
        alpha: in [0, 1), how much of the running mean is kept.
        eps: keeps the quotient finite.
        weight_decay: see ``Optimizer``.
    """

    memory = ("s",)

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay=weight_decay)
        self.alpha = _check("alpha", alpha, below=1)
        self.eps = _check("eps", eps)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        s = kept["s"]
        s *= self.alpha
        s += (1 - self.alpha) * g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """Momentum and RMSProp together, both corrected for having started at zero.

    ``m <- beta1 m + (1 - beta1) g`` and ``v <- beta2 v + (1 - beta2) g^2``; after t steps
    ``m_hat = m / (1 - beta1^t)`` and ``v_hat = v / (1 - beta2^t)``; then
    ``theta <- theta - eta m_hat / (sqrt(v_hat) + eps)``. Note where eps stands: outside the root.
    Source: Kingma and Ba, 2015, algorithm 1.

    Args:
        parameters: see ``Optimizer``.
        lr: see ``Optimizer``.
        betas: beta1 and beta2, each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: see ``Optimizer``.
    """

    memory = ("m", "v")

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay=weight_decay)
        self.betas = _check("beta1", betas[0], below=1), _check("beta2", betas[1], below=1)
        self.eps = _check("eps", eps)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        (beta1, beta2), t, m, v = self.betas, self.steps, kept["m"], kept["v"]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """Adam whose weight decay shrinks theta itself: ``theta <- (1 - eta lambda) theta``, then Adam.

    In Adam the decay is divided by ``sqrt(v_hat)`` like any gradient, so that entries with large
    gradients hardly decay. Source: Loshchilov and Hutter, 2019, algorithm 2. Note that torch's
    default is ``weight_decay=0.01``, as here.
    """

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _decayed_move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        theta *= 1 - self.lr * self.weight_decay
        self._move(theta, g, kept)


@dataclass(frozen=True, eq=False)
class Descent:
    """What ``descend`` saw on its way.

    Attributes:
        losses: ``(steps + 1,)`` float64, before the first step and after each.
        path: copies of the parameters at the same moments, ``(steps + 1, *shape)`` each; None
            unless asked for.
    """

    losses: np.ndarray
    path: list[np.ndarray] | None


def descend(
    objective: Objective,
    optimizer: Optimizer,
    steps: int,
    *,
    schedule: Callable[[int], float] | None = None,
    keep_path: bool = False,
    progress: bool = False,
) -> Descent:
    """Take ``steps`` steps down an objective, watching that it goes down.

    Args:
        objective: called with the optimizer's parameters; returns the loss and its gradients.
        optimizer: moves its parameters in place.
        steps: how many.
        schedule: share of the optimizer's rate at step 0, 1, ... (see ``nn.schedules``); the rate
            is put back at the end.
        keep_path: keep copies of the parameters, for a picture of the way.
        progress: show a bar.

    Returns:
        the losses, and the path if asked for.

    Raises:
        DivergenceError: if the loss is not finite or has grown a millionfold above the first.
    """
    base, losses = optimizer.lr, []
    path: list[list[np.ndarray]] = [[] for _ in optimizer.parameters]
    try:
        for t in tqdm(range(steps + 1), "descend", disable=not progress, leave=False):
            loss, gradients = objective(*optimizer.parameters)
            losses.append(float(loss))
            if keep_path:
                for points, theta in zip(path, optimizer.parameters, strict=True):
                    points.append(theta.copy())
            if not np.isfinite(loss) or abs(loss) > 1e6 * max(abs(losses[0]), 1.0):
                raise DivergenceError(
                    f"{type(optimizer).__name__} diverged: the loss went from {losses[0]:.4g} to "
                    f"{loss:.4g} in {t} steps with lr={base:g}. Lower the learning rate (try "
                    f"{base / 10:g}), and check the sign of the gradient with check_gradient"
                )
            if t < steps:
                optimizer.lr = base * (schedule(t) if schedule else 1.0)
                optimizer.step(gradients)
    finally:
        optimizer.lr = base
    return Descent(np.array(losses), [np.array(p) for p in path] if keep_path else None)
