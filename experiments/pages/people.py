"""NDCG@10 by the number of people trained on: the figure ``people.png``, and its tables.

Everything is computed from the records of the experiment ``people`` and their ranks. The models are
evaluated on the same questions, so two of them are compared by their difference for each person.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.compare import user_metric
from experiments.pages.filter_tables import FILTER, inferred_filter
from experiments.records import METRICS, RANKS, REPORT, Records, RunKey, read_history
from m6rec_lite.course.comparison import TEXT_ID_RETRIEVER, display_name
from m6rec_lite.course.figures import PALETTE, style
from m6rec_lite.course.leaderboard import ORACLE
from m6rec_lite.data.files import png_bytes
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import PairedTest, bootstrap_interval, paired_test
from m6rec_lite.evaluation.report import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = Path("results") / "people.png"
EXPERIMENT, DATASET = "people", "bazaar"
#: Models in the order of the tables; others that are recorded follow.
ORDER = ("Bigram", "Markov", "ItemKNN", "EASE", "SASRec", TEXT_ID_RETRIEVER)
#: The model that is compared, the one whose curve it crosses, and a network of the same kind.
OURS, BASELINE, NETWORK = TEXT_ID_RETRIEVER, "EASE", "SASRec"


@dataclass(frozen=True, eq=False)
class Point:
    """A model trained on the rows of a number of people.

    Attributes:
        name: name of the model in tables.
        people: number of people.
        variant: settings.
        seeds: number of seeds.
        ndcg: NDCG@10 of each test user, the mean over the seeds.
        epochs: best and last epoch of the first seed, such as ``9 of 12``; "" if not a network.
        seconds: mean seconds to fit.
    """

    name: str
    people: int
    variant: str
    seeds: int
    ndcg: pd.Series
    epochs: str
    seconds: float

    @property
    def mean(self) -> float:
        """NDCG@10."""
        return float(self.ndcg.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of NDCG@10 over users."""
        low, high = bootstrap_interval(self.ndcg.to_numpy())
        return float(low), float(high)


def read_points(results: Path) -> list[Point]:
    """Return one point for each model and number of people that is recorded.

    If several settings are recorded, those with the highest validation NDCG@10 are shown (the mean
    over seeds); if it is not recorded for all of them, those of the newest run.
    """
    records = Records(results)
    frame = records.frame()
    if len(frame):
        frame = frame[(frame["experiment"] == EXPERIMENT) & (frame["dataset"] == DATASET)]
        frame = frame[frame["ranks"] == "kept"]
    rows = []
    for row in frame.to_dict("records"):
        folder = records.runs / row["id"]
        report = read_json(folder / REPORT)
        people = int(report["people"])
        settings = row["variant"].removeprefix(f"{people} people").strip()
        history = read_history(folder / METRICS) if (folder / METRICS).is_file() else None
        metric = None if history is None else history["ndcg@10"]
        row |= {"people": people, "variant": settings, "folder": folder}
        row |= {"name": display_name(row["model"], settings)}
        row |= {"validation": np.nan if metric is None else metric.max()}
        row |= {"epochs": "" if metric is None else f"{metric.argmax() + 1} of {len(metric)}"}
        rows.append(row | {"seconds": report["costs"]["fit_seconds"]})
    points = []
    groups = pd.DataFrame(rows).groupby(["name", "people"]) if rows else ()
    for (name, people), group in groups:
        group = _chosen(group).sort_values("seed")
        values = pd.concat([user_metric(folder) for folder in group["folder"]], axis=1)
        first = group.iloc[0]
        points.append(
            Point(
                name, people, first["variant"], len(group), values.mean(axis=1), first["epochs"],
                float(group["seconds"].mean()),
            )
        )  # fmt: skip
    names = [*ORDER, *sorted({point.name for point in points} - set(ORDER))]
    return sorted(points, key=lambda point: (names.index(point.name), point.people))


def _chosen(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the settings that validation selects, else the newest settings."""
    means = runs.groupby("variant", sort=False)["validation"].mean()
    newest = runs.sort_values("date", kind="stable")["variant"].iloc[-1]
    best = means.idxmax() if means.notna().all() else newest
    return runs[runs["variant"] == best]


def read_lines(results: Path) -> dict[str, float]:
    """Return NDCG@10 of the Bayes filter (shopper inferred, time unknown) and of the oracle."""
    records = Records(results)
    keys = {
        FILTER: inferred_filter(DATASET),
        "Oracle": RunKey("simple_models", DATASET, ORACLE),
    }
    folders = {name: records.folder(key) for name, key in keys.items()}
    return {
        name: float(user_metric(folder).mean())
        for name, folder in folders.items()
        if (folder / RANKS).is_file()
    }


def differences(points: Sequence[Point], rival: str = BASELINE) -> dict[int, PairedTest]:
    """Return ``OURS`` minus ``rival``, paired over users, by the number of people."""
    ours, baseline = (
        {point.people: point.ndcg for point in points if point.name == name}
        for name in (OURS, rival)
    )
    tests = {}
    for people in sorted(ours.keys() & baseline.keys()):
        first, second = ours[people].align(baseline[people], join="inner")
        tests[people] = paired_test(first.to_numpy(), second.to_numpy())
    return tests


def crossing(tests: dict[int, PairedTest]) -> tuple[int, int, float] | None:
    """Return where the mean difference becomes positive: two sizes, and a size between them.

    The size between is interpolated linearly in the logarithm of the number of people. None unless
    the difference changes its sign once, from negative to positive.
    """
    means = {people: tests[people].mean_difference for people in sorted(tests)}
    changes = [
        (fewer, more)
        for fewer, more in itertools.pairwise(means)
        if (means[fewer] < 0) != (means[more] < 0)
    ]
    if len(changes) != 1 or means[changes[0][0]] >= 0:
        return None
    ((fewer, more),) = changes
    share = means[fewer] / (means[fewer] - means[more])
    return fewer, more, float(fewer * (more / fewer) ** share)


def statement(tests: dict[int, PairedTest], rival: str = BASELINE) -> str:
    """Return in words at which numbers of people ``OURS`` is above ``rival``; "" if unknown."""
    if not tests:
        return ""
    groups: dict[str, list[str]] = {"below": [], "not told apart from": [], "above": []}
    for people, test in tests.items():
        outcome = "above" if test.low > 0 else "below" if test.high < 0 else "not told apart from"
        groups[outcome].append(f"{people:,}")
    parts = [
        f"{outcome} {rival} with {_and(sizes)} people" for outcome, sizes in groups.items() if sizes
    ]
    text = f"By the paired 95 % interval, {OURS} is {'; '.join(parts)}."
    where = crossing(tests)
    if where is None:
        return text
    fewer, more, between = where
    return (
        f"{text} The two curves cross between {fewer:,} and {more:,} people (interpolated on the "
        f"logarithmic axis: near {between:,.0f})."
    )


def headline(results: Path) -> str:
    """Return the models at the largest number of people with both, in a sentence; else ""."""
    points = read_points(results)
    tests = differences(points)
    if not tests:
        return ""
    most = max(tests)
    means = {point.name: point.mean for point in points if point.people == most}
    rivals = [f"{OURS} {means[OURS]:.3f}"]
    for name in (BASELINE, NETWORK):
        if (test := differences(points, name).get(most)) is not None:
            rivals.append(
                f"{name} {means[name]:.3f} (paired difference {test.mean_difference:+.4f}, "
                f"95 % interval {test.low:+.4f} to {test.high:+.4f})"
            )
    return f"Trained on {most:,} people and asked the same questions: {', '.join(rivals)}."


def section(results: Path) -> str:
    """Return the section of the page: figure, tables, and the crossing in words."""
    points, lines = read_points(results), read_lines(results)
    if not points:
        return ""
    pieces = [
        "## How many people it takes\n",
        f"Each model is trained on the rows of the first people of `bazaar-large` and answers the "
        f"same {len(points[0].ndcg):,} questions of the bazaar's own people (`python -m "
        "experiments people MODEL --people N`). The settings of a network were selected on the "
        "bazaar's validation set; intervals are 95 % bootstrap over users, for the given seeds.\n",
        f"![{alt_text(points, lines)}](../{PICTURE.as_posix()})\n",
        markdown_table(by_people(points)),
        "",
    ]
    for rival in (BASELINE, NETWORK):
        if tests := differences(points, rival):
            pieces += [
                f"{OURS} minus {rival}, paired over users:\n",
                markdown_table(difference_table(tests)),
                f"\n{statement(tests, rival)}\n",
            ]
    networks = settings_table(points)
    if len(networks):
        pieces += ["Settings of the networks:\n", markdown_table(networks), ""]
    return "\n".join(pieces)


def by_people(points: Sequence[Point]) -> pd.DataFrame:
    """Return NDCG@10 with intervals: one row for each model, one column for each size."""
    sizes = sorted({point.people for point in points})
    cells = {(point.name, point.people): _with_interval(point) for point in points}
    names = dict.fromkeys(point.name for point in points)
    return pd.DataFrame(
        [
            {"model": name} | {f"{n:,} people": cells.get((name, n), "") for n in sizes}
            for name in names
        ]
    )


def difference_table(tests: dict[int, PairedTest]) -> pd.DataFrame:
    """Return one row for each number of people: the difference and its interval."""
    return pd.DataFrame(
        {
            "people": [f"{people:,}" for people in tests],
            "difference": [f"{test.mean_difference:+.4f}" for test in tests.values()],
            "95 % interval": [f"{test.low:+.4f} to {test.high:+.4f}" for test in tests.values()],
        }
    )


def settings_table(points: Sequence[Point]) -> pd.DataFrame:
    """Return the settings, epochs and seconds of the networks."""
    return pd.DataFrame(
        [
            {
                "model": point.name,
                "people": f"{point.people:,}",
                "settings": point.variant,
                "seeds": point.seeds,
                "best epoch": point.epochs,
                "seconds to fit": round(point.seconds),
            }
            for point in points
            if point.epochs
        ]
    )


def draw(root: Path) -> None:
    """Draw the figure ``PICTURE``, if there are points."""
    points = read_points(root / "results")
    if points:
        fig = plot(points, read_lines(root / "results"))
        (root / PICTURE).write_bytes(png_bytes(fig))


def plot(points: Sequence[Point], lines: dict[str, float]) -> Figure:
    """Draw NDCG@10 by the number of people, with intervals, and the lines of ``read_lines``."""
    import matplotlib.pyplot as plt

    style()
    fig, ax = plt.subplots(figsize=(7.4, 4.8))
    names = list(dict.fromkeys(point.name for point in reversed(points)))
    for i, name in enumerate(names):  # the last model first, in the first colour
        own = [point for point in points if point.name == name]
        means = np.array([point.mean for point in own])
        low, high = np.array([point.interval for point in own]).T
        aside = 1.03 ** (i - len(names) / 2)  # so that intervals do not hide each other
        x = [point.people * aside for point in own]
        ax.errorbar(x, means, [means - low, high - means], label=name, lw=2.6 if i == 0 else 1.6)
    for name, value in lines.items():
        ax.axhline(value, color=PALETTE["black"], linestyle=":", marker="")
        ax.annotate(f"{name} {value:.3f}", (0.01, value), xycoords=("axes fraction", "data"),
                    xytext=(0, 3), textcoords="offset points", fontsize=9)  # fmt: skip
    where = crossing(differences(points))
    if where is not None:
        people = where[2]
        ax.axvline(people, color=PALETTE["black"], linestyle="--", lw=1, marker="")
        ax.annotate(f"the curves of M6-Rec\nand {BASELINE} cross", (people, 0.02),
                    xycoords=("data", "axes fraction"), xytext=(4, 0),
                    textcoords="offset points", fontsize=9)  # fmt: skip
    sizes = sorted({point.people for point in points})
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set(xlabel="people trained on (logarithmic axis)", ylabel="NDCG@10, same questions")
    ax.set_xlim(0.8 * sizes[0], 1.25 * sizes[-1])
    ax.set_title("Test NDCG@10 by the number of people; bars: 95 % interval over users")
    fig.legend(loc="outside lower center", ncols=2, fontsize=9)
    return fig


def alt_text(points: Sequence[Point], lines: dict[str, float]) -> str:
    """Return the alternative text of the figure: every curve and line."""
    curves = []
    for name in dict.fromkeys(point.name for point in points):
        own = (f"{p.mean:.3f} with {p.people:,}" for p in points if p.name == name)
        curves.append(f"{name} {', '.join(own)}")
    levels = "".join(f" Horizontal line: {name} {value:.3f}." for name, value in lines.items())
    text = f"NDCG@10 by the number of people trained on: {'; '.join(curves)}.{levels}"
    where = crossing(differences(points))
    if where is None:
        return text
    return f"{text} M6-Rec and {BASELINE} cross between {where[0]:,} and {where[1]:,} people."


def _with_interval(point: Point) -> str:
    low, high = point.interval
    seeds = f", {point.seeds} seeds" if point.seeds > 1 else ""
    return f"{point.mean:.4f} ({low:.4f} to {high:.4f}{seeds})"


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
