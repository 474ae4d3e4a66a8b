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
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import numpy as np

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


#: What the settings of the optimizers must stay below; all are 0 or more.
_RANGES = {"weight_decay": np.inf, "eps": np.inf, "momentum": 1.0, "alpha": 1.0}


@dataclass(eq=False)
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

    parameters: Sequence[np.ndarray] = field(repr=False)
    lr: float
    _: KW_ONLY
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self.parameters = list(self.parameters)
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to move")
        for place, theta in enumerate(self.parameters):
            if not isinstance(theta, np.ndarray) or theta.dtype.kind != "f":
                kind = getattr(theta, "dtype", type(theta).__name__)
                raise TypeError(
                    f"parameters[{place}] must be a numpy array of floats (it is changed in "
                    f"place), got {kind}; pass np.array(x, dtype=float)"
                )
        self.lr = _check("lr", self.lr, zero=False)
        for name, below in _RANGES.items():
            if hasattr(self, name):
                setattr(self, name, _check(name, getattr(self, name), below=below))
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


@dataclass(eq=False)
class Momentum(Optimizer):
    """``b <- mu b + g``, then ``theta <- theta - eta b``: a heavy ball (Polyak, 1964).

    Args:
        momentum: mu in [0, 1), the share of the velocity b that is kept.
    """

    memory = ("b",)

    momentum: float = field(default=0.9, kw_only=True)

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


@dataclass(eq=False)
class AdaGrad(Optimizer):
    """``s <- s + g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    Every entry gets a rate of its own, which falls as its gradients add up: rare features keep a
    high one. Source: Duchi, Hazan and Singer, 2011.

    Args:
        eps: keeps the quotient finite.
    """

    memory = ("s",)

    lr: float = 1e-2
    eps: float = field(default=1e-10, kw_only=True)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        s = kept["s"]
        s += g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


@dataclass(eq=False)
class RMSProp(Optimizer):
    """``s <- alpha s + (1 - alpha) g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    AdaGrad that forgets: s is a running mean, so that the rate need not fall for ever. Source:
    Tieleman and Hinton, *Neural networks for machine learning*, lecture 6.5, 2012.

    Args:
        alpha: in [0, 1), how much of the running mean is kept.
        eps: keeps the quotient finite.
    """

    memory = ("s",)

    lr: float = 1e-2
    alpha: float = field(default=0.99, kw_only=True)
    eps: float = field(default=1e-8, kw_only=True)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        s = kept["s"]
        s *= self.alpha
        s += (1 - self.alpha) * g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


@dataclass(eq=False)
class Adam(Optimizer):
    """Momentum and RMSProp together, both corrected for having started at zero.

    ``m <- beta1 m + (1 - beta1) g`` and ``v <- beta2 v + (1 - beta2) g^2``; after t steps
    ``m_hat = m / (1 - beta1^t)`` and ``v_hat = v / (1 - beta2^t)``; then
    ``theta <- theta - eta m_hat / (sqrt(v_hat) + eps)``. Note where eps stands: outside the root.
    Source: Kingma and Ba, 2015, algorithm 1.

    Args:
        betas: beta1 and beta2, each in [0, 1).
        eps: keeps the quotient finite.
    """

    memory = ("m", "v")

    lr: float = 1e-3
    betas: tuple[float, float] = field(default=(0.9, 0.999), kw_only=True)
    eps: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        beta1, beta2 = self.betas
        self.betas = _check("beta1", beta1, below=1), _check("beta2", beta2, below=1)

    def _move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        (beta1, beta2), t, m, v = self.betas, self.steps, kept["m"], kept["v"]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


@dataclass(eq=False)
class AdamW(Adam):
    """Adam whose weight decay shrinks theta itself: ``theta <- (1 - eta lambda) theta``, then Adam.

    In Adam the decay is divided by ``sqrt(v_hat)`` like any gradient, so that entries with large
    gradients hardly decay. Source: Loshchilov and Hutter, 2019, algorithm 2. Note that torch's
    default is ``weight_decay=0.01``, as here.
    """

    weight_decay: float = field(default=1e-2, kw_only=True)

    def _decayed_move(self, theta: np.ndarray, g: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        theta *= 1 - self.lr * self.weight_decay
        self._move(theta, g, kept)
