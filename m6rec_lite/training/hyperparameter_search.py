"""Search for hyperparameters, by six strategies at equal budget.

The budget is counted in epochs of training, and every strategy starts each trial from the
beginning. A strategy is a generator: it yields the parameters and the epochs of a trial, and
receives the score. ``search`` runs the trials, records them, and stops when the budget is spent.

Sources: Bergstra and Bengio, *Random search for hyper-parameter optimization*, 2012 (grid and
random); Jamieson and Talwalkar, *Non-stochastic best arm identification*, 2016 (successive
halving); Snoek et al., 2012 (Gaussian process); Real et al., *Regularized evolution for image
classifier architecture search*, 2019 (evolution).
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from m6rec_lite.training.gaussian_process import expected_improvement, gp_posterior

Strategy = Literal["grid", "random", "halving", "bayes", "evolution", "optuna"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Uniform:
    """A parameter between two bounds.

    Args:
        low: lower bound.
        high: upper bound.
        log: whether the logarithm is uniform, as for learning rates.

    Raises:
        ValueError: if the bounds are not in order, or ``log`` has a bound that is not positive.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            more = " and above 0, since log=True" if self.log else ""
            raise ValueError(f"the bounds must be in order{more}, got {self.low} and {self.high}")

    def at(self, u: float) -> float:
        """Return the value at ``u`` in [0, 1]."""
        if self.log:
            return float(self.low * (self.high / self.low) ** u)
        return float(self.low + u * (self.high - self.low))


@dataclass(frozen=True)
class Choice:
    """A parameter with a few values.

    Args:
        values: at least one value.
    """

    values: Sequence[Any]

    def __post_init__(self) -> None:
        if not len(self.values):
            raise ValueError("a Choice needs at least one value")

    def at(self, u: float) -> Any:
        """Return the value at ``u`` in [0, 1], which is divided into equal parts."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


Space = Mapping[str, Uniform | Choice]

#: Maps the parameters and the epochs of a trial to its validation score; higher is better.
Objective = Callable[[dict[str, Any], int], float]

#: Yields parameters and epochs of trials, and receives their scores.
Proposals = Generator[tuple[dict[str, Any], int], float, None]


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        params: the parameters.
        epochs: epochs of training.
        score: validation score; NaN if the objective raised ``FloatingPointError`` or gave NaN.
        seconds: seconds of the processor.
        spent: epochs spent by all trials up to this one.
    """

    params: dict[str, Any]
    epochs: int
    score: float
    seconds: float
    spent: int


@dataclass(frozen=True)
class SearchResult:
    """All trials of a search.

    Attributes:
        strategy: the strategy.
        seed: its seed.
        trials: the trials in their order.
    """

    strategy: str
    seed: int
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The highest score among the trials of the most epochs.

        Raises:
            ValueError: if none of them has a score.
        """
        most = max(trial.epochs for trial in self.trials)
        able = [t for t in self.trials if t.epochs == most and not math.isnan(t.score)]
        if not able:
            raise ValueError("no trial has a score: look at what the objective returned")
        return max(able, key=lambda trial: trial.score)

    @property
    def spent(self) -> int:
        """Epochs of all trials."""
        return self.trials[-1].spent

    def frame(self) -> pd.DataFrame:
        """Return one row for each trial: its parameters, then the other attributes."""
        rows = [trial.params | asdict(trial) for trial in self.trials]
        return pd.DataFrame(rows).drop(columns="params")


def search(
    objective: Objective,
    space: Space,
    strategy: Strategy = "random",
    *,
    budget: int,
    epochs: int,
    seed: int = 0,
) -> SearchResult:
    """Search a space of parameters until the budget is spent.

    Args:
        objective: trains with the parameters for some epochs, and returns a score on
            *validation*; higher is better.
        space: parameters by name.
        strategy: ``grid``, ``random``, ``halving`` (successive halving), ``bayes`` (a Gaussian
            process and expected improvement), ``evolution``, or ``optuna`` (its TPE sampler).
        budget: epochs of all trials together; what is left may not suffice for a further trial.
        epochs: epochs of a full trial.
        seed: seed of the strategy.

    Raises:
        ImportError: if Optuna is wanted and not installed.
        ValueError: if an argument is out of range.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if not 1 <= epochs <= budget:
        raise ValueError(
            f"budget must allow one full trial: got {budget} epochs, and {epochs} for a trial"
        )
    if not space:
        raise ValueError("the space has no parameter")
    proposals = _PROPOSALS[strategy](space, epochs, budget // epochs, seed)
    trials: list[Trial] = []
    spent, proposal = 0, next(proposals, None)
    while proposal is not None and spent + proposal[1] <= budget:
        params, trial_epochs = proposal
        start = time.process_time()
        try:
            score = float(objective(dict(params), trial_epochs))
        except FloatingPointError:  # the training diverged
            score = math.nan
        spent += trial_epochs
        seconds = time.process_time() - start
        trials.append(Trial(params, trial_epochs, score, seconds, spent))
        try:
            proposal = proposals.send(-math.inf if math.isnan(score) else score)
        except StopIteration:
            proposal = None
    return SearchResult(strategy, seed, tuple(trials))


def _values(space: Space, point: np.ndarray) -> dict[str, Any]:
    """Return the parameters at a point of the unit cube, ``(d,)``."""
    return {name: part.at(float(u)) for (name, part), u in zip(space.items(), point, strict=True)}


def _grid(space: Space, epochs: int, trials: int, seed: int) -> Proposals:
    """Visit a grid of at most ``trials`` points, in random order.

    One parameter after the other gets one more level, as long as the grid is not too large.
    """
    most = [len(p.values) if isinstance(p, Choice) else trials for p in space.values()]
    levels = [1] * len(most)
    grown = True
    while grown:
        grown = False
        for axis, limit in enumerate(most):
            size = math.prod(levels) // levels[axis] * (levels[axis] + 1)
            if levels[axis] < limit and size <= trials:
                levels[axis] += 1
                grown = True
    points = np.array(list(itertools.product(*((np.arange(n) + 0.5) / n for n in levels))))
    for point in np.random.default_rng(seed).permutation(points):
        yield _values(space, point), epochs


def _random(space: Space, epochs: int, trials: int, seed: int) -> Proposals:
    """Draw every trial at random."""
    rng = np.random.default_rng(seed)
    while True:
        yield _values(space, rng.random(len(space))), epochs


def _halving(space: Space, epochs: int, trials: int, seed: int, eta: int = 3) -> Proposals:
    """Train many for few epochs; in each rung keep the best third, for three times the epochs."""
    rng = np.random.default_rng(seed)
    rungs = 1 + max(r for r in range(trials) if eta**r <= min(epochs, trials)) if trials > 1 else 1
    n = max(1, trials * epochs // (rungs * max(1, epochs // eta ** (rungs - 1))))
    alive = [_values(space, point) for point in rng.random((n, len(space)))]
    for rung in reversed(range(rungs)):
        scores = []
        for params in alive:
            scores.append((yield params, max(1, epochs // eta**rung)))
        order = np.argsort(-np.array(scores), kind="stable")
        alive = [alive[i] for i in order[: max(1, len(alive) // eta)]]


def _bayes(space: Space, epochs: int, trials: int, seed: int, start: int = 3) -> Proposals:
    """Take the point of the highest expected improvement among 512 random ones."""
    rng = np.random.default_rng(seed)
    points: list[np.ndarray] = []
    scores: list[float] = []
    while True:
        candidates = rng.random((512, len(space)))
        point = candidates[0]
        known = np.isfinite(scores)
        if len(scores) >= start and known.any():
            y = np.array(scores)
            y = np.where(known, y, y[known].min())  # a failed trial counts as the worst
            y = (y - y.mean()) / max(float(y.std()), 1e-12)
            mean, std = gp_posterior(np.array(points), y, candidates)
            point = candidates[np.argmax(expected_improvement(mean, std, float(y.max())))]
        points.append(point)
        scores.append((yield _values(space, point), epochs))


def _evolution(space: Space, epochs: int, trials: int, seed: int, step: float = 0.15) -> Proposals:
    """Change one parameter of the better of two living points; the oldest point dies."""
    rng = np.random.default_rng(seed)
    size = max(2, trials // 3)
    living: deque[tuple[np.ndarray, float]] = deque(maxlen=size)
    while True:
        if len(living) < size:
            point = rng.random(len(space))
        else:
            pair = [living[i] for i in rng.choice(size, 2, replace=False)]
            point = max(pair, key=lambda one: one[1])[0].copy()
            axis = rng.integers(len(space))
            is_choice = isinstance(list(space.values())[axis], Choice)
            moved = rng.random() if is_choice else point[axis] + step * rng.standard_normal()
            point[axis] = np.clip(moved, 0.0, 1.0)
        score = yield _values(space, point), epochs
        living.append((point, score))


def _optuna(space: Space, epochs: int, trials: int, seed: int) -> Proposals:
    """Let Optuna's tree-structured Parzen estimator propose."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('Optuna is missing: pip install "m6rec-lite[tuning]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=3)
    )
    distributions: dict[str, Any] = {
        name: optuna.distributions.CategoricalDistribution(part.values)
        if isinstance(part, Choice)
        else optuna.distributions.FloatDistribution(part.low, part.high, log=part.log)
        for name, part in space.items()
    }
    while True:
        trial = study.ask(distributions)
        score = yield dict(trial.params), epochs
        failed = optuna.trial.TrialState.FAIL if math.isinf(score) else None
        study.tell(trial, None if failed else score, state=failed)


_PROPOSALS: dict[str, Callable[[Space, int, int, int], Proposals]] = {
    "grid": _grid,
    "random": _random,
    "halving": _halving,
    "bayes": _bayes,
    "evolution": _evolution,
    "optuna": _optuna,
}
