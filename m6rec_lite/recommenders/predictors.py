"""Base class of models that predict a number (a rating, a probability) instead of a ranking.

Their input differs from that of a ``Recommender`` (pairs, rows of features), but they are saved and
loaded in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import NotFittedError
from m6rec_lite.recommenders.params import Params
from m6rec_lite.recommenders.storage import read_model, write_model


class Predictor(Params):
    """Base of predictors; the names of the fitted attributes end in an underscore.

    Attributes:
        fit_call: the call that fits the model, for the message of ``NotFittedError``.
    """

    fit_call: ClassVar[str] = "fit(train)"

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to a folder atomically: ``config.json`` and ``arrays.npz``.

        Raises:
            NotFittedError: before ``fit``.
            FileExistsError: if ``path`` exists and is not a saved model.
        """
        self._require_fitted()
        return write_model(
            Path(path), type(self).__name__, self.get_params(deep=False), self._state()
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no folder at ``path``.
            DataError: if the folder is damaged, or contains a model of another class.
        """
        path = Path(path)
        name, settings, state = read_model(path)
        if name != cls.__name__:
            raise DataError(
                f"{path} holds a {name}, not a {cls.__name__}; read it with {name}.load"
            )
        try:
            model = cls(**settings)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path / 'config.json'} does not fit {name}: {error}") from error
        model._restore(state)
        return model

    def _state(self) -> dict[str, Any]:
        """Return the fitted attributes, whose names end in ``_``."""
        return {key: value for key, value in vars(self).items() if key.endswith("_")}

    def _restore(self, state: dict[str, Any]) -> None:
        """Set the attributes from the result of ``_state``."""
        for key, value in state.items():
            setattr(self, key, value.item() if value.ndim == 0 else value)

    def _require_fitted(self) -> None:
        if not any(key.endswith("_") for key in vars(self)):
            raise NotFittedError(f"{type(self).__name__} is not fitted: call {self.fit_call} first")
