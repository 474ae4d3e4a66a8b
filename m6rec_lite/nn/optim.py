"""Optimizers in numpy, written to be read.

They update numpy arrays in place and take the gradients of *all* parameters at once, so that the
factors U and V of a matrix factorization are both updated from their old values, as in the
formula. Each equals the optimizer of the same name in ``torch.optim`` step by step.

Notation: theta is a parameter, g the gradient of the loss at theta, eta the learning rate, lambda
the weight decay; squares, roots and quotients are element-wise.

A learning rate that is too large does not end in NaN: ``step`` and ``descend`` raise
``DivergenceError``, which names the parameter and suggests a remedy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import numpy as np

#: Returns a loss and its gradients at the given parameters: ``loss, [one array per parameter]``.
Objective = Callable[..., tuple[float, Sequence[np.ndarray]]]


#: Arrays of one parameter that are state between steps, by name.
State = dict[str, np.ndarray]


class DivergenceError(FloatingPointError):
    """The loss or the parameters diverged, usually because the learning rate is too large."""


def _check(name: str, value: float, *, below: float = np.inf, zero: bool = True) -> float:
    """Return ``value`` if it is in ``[0, below)``, or in ``(0, below)`` without ``zero``."""
    if not (value >= 0 if zero else value > 0) or not value < below:
        upper = "finite" if below == np.inf else f"below {below:g}"
        raise ValueError(f"{name} must be {'0 or more' if zero else 'above 0'} and {upper}, "
                         f"got {value!r}")  # fmt: skip
    return float(value)


#: Exclusive upper bounds of the optimizers' settings; the lower bound is 0.
_RANGES = {"weight_decay": np.inf, "eps": np.inf, "momentum": 1.0, "alpha": 1.0}


@dataclass(eq=False)
class Optimizer(ABC):
    """Base class of the optimizers; subclasses define the update of one parameter in ``_update``.

    Args:
        parameters: float arrays; ``step`` changes them in place.
        lr: learning rate eta, above 0; may be changed between steps (``optimizer.lr = ...``).
        weight_decay: lambda; adds ``lambda theta``, the gradient of ``lambda / 2 |theta|^2``, to
            the gradient. (``AdamW`` decays the parameters directly instead.)

    Attributes:
        steps: steps taken so far.

    Raises:
        ValueError: if a setting is out of range.
        TypeError: if a parameter is not an array of floats.
    """

    #: Names of the state arrays state between steps: shaped as the parameter, initially zero.
    memory: ClassVar[tuple[str, ...]] = ()

    parameters: Sequence[np.ndarray] = field(repr=False)
    lr: float
    _: KW_ONLY
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self.parameters = list(self.parameters)
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to update")
        for i, theta in enumerate(self.parameters):
            if not isinstance(theta, np.ndarray) or theta.dtype.kind != "f":
                kind = getattr(theta, "dtype", type(theta).__name__)
                raise TypeError(
                    f"parameters[{i}] must be a numpy array of floats (it is changed in "
                    f"place), got {kind}; pass np.array(x, dtype=float)"
                )
        self.lr = _check("lr", self.lr, zero=False)
        for name, below in _RANGES.items():
            if hasattr(self, name):
                setattr(self, name, _check(name, getattr(self, name), below=below))
        self.steps = 0
        self._states = [
            {name: np.zeros_like(theta) for name in self.memory} for theta in self.parameters
        ]

    def step(self, gradients: Sequence[np.ndarray]) -> None:
        """Update every parameter once.

        Args:
            gradients: one array per parameter, of its shape, in the order of ``parameters``.

        Raises:
            ValueError: if the number or a shape of the gradients does not match the parameters.
            DivergenceError: if a gradient is not finite (then no parameter has changed), or a
                parameter is not finite after the step.
        """
        if len(gradients) != len(self.parameters):
            raise ValueError(f"{len(gradients)} gradients for {len(self.parameters)} parameters")
        for i, (theta, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            if np.shape(g) != theta.shape:
                raise ValueError(
                    f"gradients[{i}] has shape {np.shape(g)}, its parameter {theta.shape}"
                )
            self._require_finite(g, f"the gradient of parameters[{i}]")
        self.steps += 1
        with np.errstate(over="ignore", invalid="ignore"):  # reported below in detail
            for theta, g, state in zip(self.parameters, gradients, self._states, strict=True):
                self._decay_and_update(theta, np.asarray(g, dtype=theta.dtype), state)
        for i, theta in enumerate(self.parameters):
            self._require_finite(theta, f"parameters[{i}]")

    def _decay_and_update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        self._update(theta, g + self.weight_decay * theta if self.weight_decay else g, state)

    @abstractmethod
    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        """Update ``theta`` and the arrays of ``state`` in place."""

    def _require_finite(self, array: np.ndarray, what: str) -> None:
        if not np.isfinite(array).all():
            raise DivergenceError(
                f"{type(self).__name__} diverged: {what} is not finite at step {self.steps} with "
                f"lr={self.lr:g}. Lower the learning rate (try {self.lr / 10:g}), and check the "
                "sign of the gradient and the data for NaN"
            )


class SGD(Optimizer):
    """``theta <- theta - eta g``.

    If g is the gradient over all data, this is gradient descent (Cauchy, 1847); if it is the
    gradient over a random batch, stochastic gradient descent (Robbins and Monro, 1951).
    """

    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        theta -= self.lr * g


@dataclass(eq=False)
class Momentum(Optimizer):
    """``b <- mu b + g``, then ``theta <- theta - eta b`` (heavy ball; Polyak, 1964).

    Args:
        momentum: mu in [0, 1), the fraction of the velocity b state at each step.
    """

    memory = ("b",)

    momentum: float = field(default=0.9, kw_only=True)

    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        b = state["b"]
        b *= self.momentum
        b += g
        theta -= self.lr * self._direction(g, b)

    def _direction(self, g: np.ndarray, b: np.ndarray) -> np.ndarray:
        return b


class Nesterov(Momentum):
    """``b <- mu b + g``, then ``theta <- theta - eta (g + mu b)``.

    The gradient is taken at the position that the momentum step leads to. Source: Nesterov, 1983,
    in the form of Sutskever et al., 2013, section 2, rewritten in the look-ahead parameters, as in
    torch.
    """

    def _direction(self, g: np.ndarray, b: np.ndarray) -> np.ndarray:
        return g + self.momentum * b


@dataclass(eq=False)
class AdaGrad(Optimizer):
    """``s <- s + g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    Each element has its own learning rate, which falls as its squared gradients accumulate; rare
    features keep a high one. Source: Duchi, Hazan and Singer, 2011.

    Args:
        eps: prevents division by zero.
    """

    memory = ("s",)

    lr: float = 1e-2
    eps: float = field(default=1e-10, kw_only=True)

    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        s = state["s"]
        s += g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


@dataclass(eq=False)
class RMSProp(Optimizer):
    """``s <- alpha s + (1 - alpha) g^2``, then ``theta <- theta - eta g / (sqrt(s) + eps)``.

    AdaGrad with a running mean s in place of the sum, so that the rate does not fall without
    bound. Source: Tieleman and Hinton, *Neural networks for machine learning*, lecture 6.5, 2012.

    Args:
        alpha: in [0, 1), the fraction of the running mean state at each step.
        eps: prevents division by zero.
    """

    memory = ("s",)

    lr: float = 1e-2
    alpha: float = field(default=0.99, kw_only=True)
    eps: float = field(default=1e-8, kw_only=True)

    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        s = state["s"]
        s *= self.alpha
        s += (1 - self.alpha) * g**2
        theta -= self.lr * g / (np.sqrt(s) + self.eps)


@dataclass(eq=False)
class Adam(Optimizer):
    """Momentum and RMSProp combined, both corrected for their initial value of zero.

    ``m <- beta1 m + (1 - beta1) g`` and ``v <- beta2 v + (1 - beta2) g^2``; after t steps
    ``m_hat = m / (1 - beta1^t)`` and ``v_hat = v / (1 - beta2^t)``; then
    ``theta <- theta - eta m_hat / (sqrt(v_hat) + eps)``. Note that eps is outside the root.
    Source: Kingma and Ba, 2015, algorithm 1.

    Args:
        betas: beta1 and beta2, each in [0, 1).
        eps: prevents division by zero.
    """

    memory = ("m", "v")

    lr: float = 1e-3
    betas: tuple[float, float] = field(default=(0.9, 0.999), kw_only=True)
    eps: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        beta1, beta2 = self.betas
        self.betas = _check("beta1", beta1, below=1), _check("beta2", beta2, below=1)

    def _update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        (beta1, beta2), t, m, v = self.betas, self.steps, state["m"], state["v"]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


@dataclass(eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: ``theta <- (1 - eta lambda) theta``, then a step of Adam.

    In Adam the decay is divided by ``sqrt(v_hat)`` like the gradient, so that elements with large
    gradients hardly decay. Source: Loshchilov and Hutter, 2019, algorithm 2. Note that torch's
    default is ``weight_decay=0.01``, as here.
    """

    weight_decay: float = field(default=1e-2, kw_only=True)

    def _decay_and_update(self, theta: np.ndarray, g: np.ndarray, state: State) -> None:
        theta *= 1 - self.lr * self.weight_decay
        self._update(theta, g, state)
