"""A slate environment over live requests: answers of shoppers, true values, the Gymnasium API.

``SlateEnvironment`` works without gymnasium. ``gymnasium_environment`` wraps it as a
``gymnasium.Env`` for agents of other libraries (extra ``feedback``). Source of the interface: Ie et
al., *RecSim: a configurable simulation platform for recommender systems*, 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from m6rec_lite.feedback.requests import CLIP, Requests
from m6rec_lite.feedback.satisfaction import SATISFACTIONS, Feedback
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.ranking import top_k

if TYPE_CHECKING:
    import gymnasium


class SlateEnvironment:
    """Shoppers who answer slates, one request after another.

    ``reset`` and ``step`` follow the Gymnasium API: an observation is the ``(m, d)`` features of a
    request, an action is a slate of ``k`` different candidates (indices, top position first), and
    the reward is the number of accepted items. The other methods take many requests at once.

    Args:
        requests: who opens a page, and what may be shown.
        slate_size: k, the number of items of a slate.
        satisfaction: when an item counts as accepted, see ``SATISFACTIONS``.

    Attributes:
        examination: ``(k,)`` probability that each position is examined.
        acceptance: ``(n, m)`` true probability that each candidate is accepted, once examined.
    """

    def __init__(
        self, requests: Requests, *, slate_size: int = 5, satisfaction: str = "clicks"
    ) -> None:
        self.requests, self.slate_size = requests, check_whole("slate_size", slate_size)
        self.n_candidates = len(requests.item_ids)
        if slate_size > self.n_candidates:
            raise ValueError(f"a slate of {slate_size} items, but {self.n_candidates} candidates")
        if satisfaction not in SATISFACTIONS:
            known = ", ".join(SATISFACTIONS)
            raise ValueError(f"satisfaction must be one of {known}; got {satisfaction!r}")
        self.satisfaction = SATISFACTIONS[satisfaction]
        self.examination = requests.oracle.examination(np.arange(slate_size))
        once_clicked = {"purchases": requests.purchase, "ratings": requests.wanted}
        self.acceptance = requests.click * once_clicked.get(satisfaction, 1.0)
        self._row, self._rng = 0, np.random.default_rng()

    def __len__(self) -> int:
        return len(self.requests)

    def respond(self, rows: np.ndarray, slates: np.ndarray, rng: np.random.Generator) -> Feedback:
        """Draw the answers of shoppers; the draws are those of ``Oracle.respond``.

        Args:
            rows: ``(n,)`` indices of requests.
            slates: ``(n, k)`` indices of different candidates, top position first.
            rng: source of randomness.
        """
        slates = check_slates(slates, self.n_candidates)
        at = np.asarray(rows)[:, None], slates
        probability = self.requests.click[at] * self.examination[: slates.shape[1]]
        clicked = rng.random(slates.shape) < probability
        purchased = clicked & (rng.random(slates.shape) < self.requests.purchase[at])
        return Feedback(clicked, purchased, clicked & self.requests.wanted[at])

    def expected(self, rows: np.ndarray, slates: np.ndarray) -> np.ndarray:
        """Return ``(n,)``: the true expected number of accepted items of each slate."""
        slates = check_slates(slates, self.n_candidates)
        value = self.acceptance[np.asarray(rows)[:, None], slates]
        return value @ self.examination[: slates.shape[1]]

    def best_slates(self, rows: np.ndarray) -> np.ndarray:
        """Return ``(n, k)``: the slate of each request with the highest expected acceptance."""
        return top_k(self.acceptance[np.asarray(rows)], self.slate_size)

    def best_fixed_slate(self) -> np.ndarray:
        """Return ``(k,)``: the one slate that is best if all requests get the same."""
        return top_k(self.acceptance.mean(axis=0)[None], self.slate_size)[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin at the first request; return its ``(m, d)`` features, and its user and time.

        ``seed`` is that of the answers; ``options`` are not used.
        """
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._row = 0
        return self.requests.features[0].copy(), self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Show a slate, ``(k,)`` indices of different candidates, and go to the next request.

        Returns:
            Features of the next request, number of accepted items, whether that was the last
            request, False, and a dict with ``accepted`` ``(k,)``, ``user_id`` and ``at``.

        Raises:
            ValueError: if the slate has another size, repeats a candidate or has an unknown one.
            RuntimeError: after the last request.
        """
        if self._row >= len(self):
            raise RuntimeError("the last request was answered; call reset() before step()")
        if np.shape(action) != (self.slate_size,):
            raise ValueError(f"a slate holds {self.slate_size} items; got {np.shape(action)}")
        feedback = self.respond(np.array([self._row]), np.asarray(action)[None], self._rng)
        accepted = self.satisfaction(feedback)[0]
        self._row += 1
        is_last = self._row == len(self)
        features = self.requests.features[self._row - is_last].copy()  # the last one twice
        info = self._info() | {"accepted": accepted}
        return features, float(accepted.sum()), is_last, False, info

    def _info(self) -> dict[str, Any]:
        """Return user and time of the current request; of the last one after the end."""
        row = min(self._row, len(self) - 1)
        return {"user_id": self.requests.user_ids[row], "at": int(self.requests.at[row])}


def check_slates(slates: np.ndarray, n_candidates: int) -> np.ndarray:
    """Return ``(n, k)`` slates, or raise ``ValueError`` that says why they cannot be shown."""
    slates = np.asarray(slates)
    if slates.ndim != 2 or slates.shape[1] == 0:
        raise ValueError(f"slates must have the shape (n, k), k at least 1; got {slates.shape}")
    if slates.dtype.kind not in "iu":
        raise ValueError(f"slates hold indices of candidates, not {slates.dtype}")
    if slates.size and (slates.min() < 0 or slates.max() >= n_candidates):
        unknown = np.unique(slates[(slates < 0) | (slates >= n_candidates)])[:5].tolist()
        raise ValueError(f"candidates are 0 to {n_candidates - 1}; unknown in a slate: {unknown}")
    ordered = np.sort(slates, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("a slate shows each candidate once; a slate repeats one")
    return slates


def gymnasium_environment(environment: SlateEnvironment) -> gymnasium.Env:
    """Return the environment as a ``gymnasium.Env``, for agents of other libraries.

    An action is ``(m,)`` scores, of which the k highest make the slate.

    Raises:
        ImportError: if gymnasium is not installed.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise ImportError(
            'gymnasium is not installed: pip install "m6rec-lite[feedback]", or use '
            "SlateEnvironment, which has the same reset and step"
        ) from error

    class GymnasiumSlates(gymnasium.Env):
        def __init__(self) -> None:
            shape, m = environment.requests.features.shape[1:], environment.n_candidates
            self.observation_space = gymnasium.spaces.Box(-CLIP, CLIP, shape, np.float32)
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (m,), np.float32)

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            return environment.reset(seed=seed, options=options)

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            return environment.step(top_k(action[None], environment.slate_size)[0])

    return GymnasiumSlates()
