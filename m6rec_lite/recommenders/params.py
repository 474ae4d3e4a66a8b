"""Constructor arguments of every model: get, set, copy and check them, as scikit-learn does."""

from __future__ import annotations

import inspect
import operator
from typing import Any, Self

import numpy as np


class Params:
    """Base of models whose constructor arguments are attributes of the same names.

    ``sklearn.base.clone(model)`` gives an unfitted copy.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments and their values.

        Args:
            deep: add the arguments of models among the values, as ``NAME__ARGUMENT``.
        """
        params = {key: getattr(self, key) for key in inspect.signature(type(self)).parameters}
        if deep:
            inner = {key: value for key, value in params.items() if isinstance(value, Params)}
            for name, model in inner.items():
                params |= {f"{name}__{key}": value for key, value in model.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments, with the checks of the constructor.

        What was fitted stays as it is until the next ``fit``.

        Args:
            params: values by name; ``NAME__ARGUMENT`` sets an argument of the model ``NAME``.

        Returns:
            The model itself.

        Raises:
            ValueError: if there is no such argument, or a value is out of range.
        """
        current = self.get_params(deep=False)
        inner: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, _, argument = key.partition("__")
            if name not in current:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(current)}"
                )
            if argument:
                inner.setdefault(name, {})[argument] = value
            else:
                current[name] = value
        checked = type(self)(**current)
        for name in current:
            setattr(self, name, getattr(checked, name))
        for name, changes in inner.items():
            current[name].set_params(**changes)
        return self

    @property
    def variant(self) -> str:
        """The arguments that differ from the defaults, such as ``k=50 decay=0.7``; may be empty."""
        defaults = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params(deep=False).items() if v != defaults[k].default}
        return " ".join(f"{key}={getattr(v, '__name__', v)}" for key, v in changed.items())

    def __repr__(self) -> str:
        params = ", ".join(f"{k}={v!r}" for k, v in self.get_params(deep=False).items())
        return f"{type(self).__name__}({params})"


def check_in_range(
    name: str, value: float, low: float, high: float = np.inf, *, open_low: bool = False
) -> None:
    """Raise ``ValueError`` unless ``low <= value <= high`` (``low < value`` if ``open_low``)."""
    if not (low < value if open_low else low <= value) or not value <= high:
        bounds = f"{'>' if open_low else '>='} {low:g}"
        bounds += f" and <= {high:g}" if np.isfinite(high) else ""
        raise ValueError(f"{name} must be {bounds}, got {value!r}")


def check_whole(name: str, value: int) -> int:
    """Return ``value`` as an int of at least 1, or raise a ``ValueError`` that names it."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}") from error
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return number
