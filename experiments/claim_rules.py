"""The rule language of registered claims, and the verdict of a rule on recorded runs.

A claim is a file ``claims/NAME.toml``::

    claim = "On bazaar, the network ranks above the bigram."
    datasets = ["bazaar"]
    seeds = [0, 1, 2]
    recorded_before = []        # seeds whose runs are older than this file
    note = ""                   # what a reader of the verdict must know

    [[conditions]]              # the claim holds if every condition holds
    comparison = "paired_ndcg"  # or "mean_ndcg" (without a rival), "difference", "ratio"
    metric = "ndcg@10"          # a metric or cost of report.json
    threshold = 0.0
    side = "above"              # the side of the threshold on which the interval must lie
    ours = { experiment = "long_runs", model = "SASRec", variant = "epochs=12 *" }
    rival = { experiment = "simple_models", model = "Bigram", variant = "", seed = 0 }

``model`` and ``variant`` are patterns (``*`` stands for any text) that match one recorded run of a
data set and seed. A rival without seeds of its own gives ``seed``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.compare import paired_values, user_metric
from experiments.records import RANKS, REPORT, Records
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.significance import paired_test

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "fails", "undecided", "not run"

COMPARISONS = ("paired_ndcg", "mean_ndcg", "difference", "ratio")
#: Comparisons over users, each seed by itself; the others are over seeds.
OVER_USERS = ("paired_ndcg", "mean_ndcg")


@dataclass(frozen=True)
class RunPattern:
    """Patterns of the recorded runs of one model.

    Attributes:
        experiment: name of the experiment that records the runs.
        model: pattern of the model.
        variant: pattern of its settings.
        seed: the only seed; None if each seed of the claim has a run.
    """

    experiment: str
    model: str
    variant: str = ""
    seed: int | None = None

    def find(self, frame: pd.DataFrame, dataset: str, seed: int) -> str:
        """Return the id of the run of a data set and seed.

        Args:
            frame: rows of ``Records.frame``.
            dataset: name of the data set.
            seed: seed of the claim.

        Raises:
            LookupError: if no recorded run matches.
            ValueError: if several match.
        """
        seed = seed if self.seed is None else self.seed
        what = f"{self.experiment}, {dataset}, {self.model!r}, {self.variant!r}, seed {seed}"
        rows = frame.to_dict("records")
        matching = [
            row["id"]
            for row in rows
            if (row["experiment"], row["dataset"], row["seed"]) == (self.experiment, dataset, seed)
            and fnmatchcase(row["model"], self.model)
            and fnmatchcase(row["variant"], self.variant)
        ]
        if not matching:
            raise LookupError(f"no record of {what}")
        if len(matching) > 1:
            raise ValueError(f"{', '.join(matching)} match {what}: make the patterns narrower")
        return str(matching[0])


@dataclass(frozen=True)
class Condition:
    """A comparison of two models, or of a model and a published value; where its interval must lie.

    Attributes:
        ours: runs of the model that the claim is about.
        comparison: ``paired_ndcg``: the mean difference over users, each seed by itself, from the
            recorded ranks. ``mean_ndcg``: our mean over users, each seed by itself.
            ``difference``: ours minus rival. ``ratio``: ours divided by rival. The last two are
            means over seeds.
        threshold: value that the interval must not contain.
        rival: runs of the model that it is compared with; None for ``mean_ndcg``.
        metric: a name in ``metrics`` or ``costs`` of ``report.json``.
        side: ``above`` or ``below``.
        chance: value of a random model, subtracted from both sides of a ratio.

    Raises:
        ValueError: if a value is not one of those named.
    """

    ours: RunPattern
    comparison: str
    threshold: float
    rival: RunPattern | None = None
    metric: str = "ndcg@10"
    side: str = "above"
    chance: float = 0.0

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise ValueError(f"comparison must be one of {COMPARISONS}; got {self.comparison!r}")
        if self.side not in ("above", "below"):
            raise ValueError(f"side must be 'above' or 'below'; got {self.side!r}")
        if self.comparison in OVER_USERS and not self.metric.startswith("ndcg@"):
            raise ValueError(f"{self.comparison} reads ndcg@k; got the metric {self.metric!r}")
        if (self.rival is None) != (self.comparison == "mean_ndcg"):
            raise ValueError("mean_ndcg has no rival, and every other comparison needs one")
        if self.chance and self.comparison != "ratio":
            raise ValueError(f"chance is subtracted in a ratio only, not in {self.comparison!r}")

    def __str__(self) -> str:
        def name(run: RunPattern) -> str:
            variant = "" if run.variant in ("", "*") else f" ({run.variant})"
            return f"`{run.model}{variant}`"

        if self.rival is None:
            return f"{self.metric}: {name(self.ours)}"
        sign = "/" if self.comparison == "ratio" else "-"
        less = f", each less {self.chance:g}" if self.chance else ""
        return f"{self.metric}: {name(self.ours)} {sign} {name(self.rival)}{less}"

    def outcome(self, low: float, high: float) -> str:
        """Return ``holds``, ``fails`` or ``undecided`` for the ends of an interval."""
        is_above, is_below = low > self.threshold, high < self.threshold
        if is_above or is_below:
            return HOLDS if is_above == (self.side == "above") else FAILS
        return UNDECIDED


@dataclass(frozen=True)
class Claim:
    """A registered claim; see the module's docstring for its file.

    Raises:
        ValueError: if a list is empty, or a mean over seeds would have a single seed.
    """

    name: str
    claim: str
    datasets: list[str]
    seeds: list[int]
    conditions: list[Condition]
    recorded_before: list[int]
    note: str = ""

    def __post_init__(self) -> None:
        for field in ("datasets", "seeds", "conditions"):
            if not getattr(self, field):
                raise ValueError(f"{field} must not be empty")
        if late := set(self.recorded_before) - set(self.seeds):
            raise ValueError(f"recorded_before has {sorted(late)}, which are not among the seeds")
        if not set(self.seeds) - set(self.recorded_before):
            raise ValueError("every seed was recorded before; add a seed that has no record yet")
        over_seeds = any(c.comparison not in OVER_USERS for c in self.conditions)
        if over_seeds and len(self.seeds) < 2:
            raise ValueError("an interval over seeds needs at least two seeds, such as [0, 1, 2]")


@dataclass(frozen=True)
class Result:
    """A condition on one data set.

    Attributes:
        condition: the condition.
        dataset: name of the data set.
        seeds: the seeds, as text.
        outcome: ``holds``, ``fails``, ``undecided`` or ``not run``.
        estimate: mean with interval, or what is missing, as text.
        ours: ids of our runs by seed.
        rival: ids of the rival's runs.
    """

    condition: Condition
    dataset: str
    seeds: str
    outcome: str
    estimate: str
    ours: Mapping[int, str]
    rival: tuple[str, ...]

    def row(self) -> dict[str, str]:
        """Return the row of a page's table."""
        return {
            "condition": str(self.condition),
            "data": self.dataset,
            "seeds": self.seeds,
            "must be": f"{self.condition.side} {self.condition.threshold:g}",
            "estimate": self.estimate,
            "outcome": self.outcome,
        }


def read_claim(path: Path) -> Claim:
    """Read a claim.

    Raises:
        ValueError: if the file is not TOML, a field is missing or unknown, or a value is wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        conditions = values.pop("conditions", [])
        values["conditions"] = [_condition(number, c) for number, c in enumerate(conditions, 1)]
        values.setdefault("recorded_before", [])
        return _build(Claim, values | {"name": path.stem}, "the claim")
    except (ValueError, TypeError) as error:
        raise ValueError(f"claims/{path.name}: {error}") from error


def _condition(number: int, values: dict[str, Any]) -> Condition:
    where = f"condition {number}"
    runs = {
        name: _build(RunPattern, values[name], f"{where}, {name}")
        for name in ("ours", "rival")
        if name in values
    }
    return _build(Condition, values | runs, where)


def _build(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    """Return an instance of a dataclass, or say which fields are wrong."""
    known = {field.name: field.default is MISSING for field in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{where} has no field {', '.join(unknown)}; there are {', '.join(known)}")
    if missing := [name for name, needed in known.items() if needed and name not in values]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def judge(claim: Claim, records: Records) -> list[Result]:
    """Apply each condition of a claim to each data set.

    Raises:
        ValueError: if a pattern matches several runs, or a record lacks what is compared.
    """
    frame = records.frame()
    return [
        result
        for condition in claim.conditions
        for dataset in claim.datasets
        for result in _results(condition, dataset, claim.seeds, records, frame)
    ]


def verdict(results: list[Result]) -> str:
    """Return the verdict: not run, fails and undecided come before holds."""
    outcomes = {result.outcome for result in results}
    return next(v for v in (NOT_RUN, FAILS, UNDECIDED, HOLDS) if v in outcomes)


def _results(
    condition: Condition, dataset: str, seeds: list[int], records: Records, frame: pd.DataFrame
) -> Iterator[Result]:
    """Yield one result for each seed of a test over users, else one for all seeds."""
    by_seed = condition.comparison in OVER_USERS
    for group in [[seed] for seed in seeds] if by_seed else [seeds]:
        names = ", ".join(map(str, group))
        try:
            rival = [r.find(frame, dataset, s) for r in (condition.rival,) if r for s in group]
            ours = {seed: condition.ours.find(frame, dataset, seed) for seed in group}
        except LookupError as error:
            yield Result(condition, dataset, names, NOT_RUN, str(error.args[0]), {}, ())
            continue
        without = [i for i in (*ours.values(), *rival) if not (records.runs / i / RANKS).is_file()]
        if by_seed and without:  # a run older than the file of ranks
            why = f"run {without[0]} has no ranks; its command with --again keeps them"
            yield Result(condition, dataset, names, NOT_RUN, why, {}, ())
            continue
        pairs = list(zip(ours.values(), rival or ours.values(), strict=True))
        if not by_seed:
            first, second = _over_seeds(condition, pairs, records)
        elif rival:
            _, first, second = paired_values(records, *pairs[0], condition.metric)
        else:
            first = user_metric(records.runs / pairs[0][0], condition.metric).to_numpy()
            second = np.zeros_like(first)
        test = paired_test(first, second)
        text = f"{test.mean_difference:.4f} [{test.low:.4f}, {test.high:.4f}]"
        outcome = condition.outcome(test.low, test.high)
        yield Result(condition, dataset, names, outcome, text, ours, tuple(dict.fromkeys(rival)))


def _over_seeds(
    condition: Condition, pairs: list[tuple[str, str]], records: Records
) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays, one value a seed, whose difference is the condition's quantity."""
    values = [[_metric(records, run_id, condition.metric) for run_id in pair] for pair in pairs]
    ours, rival = np.array(values).T
    if condition.comparison == "difference":
        return ours, rival
    ours, rival = ours - condition.chance, rival - condition.chance
    if not (rival > 0).all():
        raise ValueError(f"a ratio needs a rival above {condition.chance:g}: {condition}")
    return ours / rival, np.zeros(len(ours))


def _metric(records: Records, run_id: str, metric: str) -> float:
    """Return a metric or a cost of a recorded run."""
    report = read_json(records.runs / run_id / REPORT)
    known = report.get("costs", {}) | report.get("metrics", {})
    if known.get(metric) is None:
        raise ValueError(f"run {run_id} has no {metric!r}; it has {', '.join(known) or 'nothing'}")
    return float(known[metric])
