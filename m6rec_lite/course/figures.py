"""Style of the course's figures, and figures of the road map and the leaderboard.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish; lines differ
in dash pattern and marker too. ``show`` displays a figure in a notebook with alternative text::

    course.style()                       # once, after the imports
    fig, ax = plt.subplots()
    ax.plot(steps, loss, label="train")
    course.show(fig, alt="Training loss falls from 6.1 to 2.3 within 400 steps, then is flat.")

Write English inside figures: the default font has no Chinese glyphs.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pandas as pd
from cycler import cycler

from m6rec_lite.course.leaderboard import ORACLE, check_metric
from m6rec_lite.data.files import png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito (2008), "Color Universal Design"; dark colours first, for contrast on white.
PALETTE: dict[str, str] = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
    "yellow": "#F0E442",
}
LINES: tuple[str, ...] = ("-", "--", "-.", ":", "-", "--", "-.", ":")
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X", "*")
DPI = 100

#: Modules of the course, in their order: first and last number of the lessons -> topic.
MODULES: dict[tuple[int, int], str] = {
    (0, 3): "Recommenders, and how to judge them",
    (4, 7): "Counting and factorizing: n-grams, matrix factorization",
    (8, 11): "Sequences: recurrent networks, attention",
    (12, 15): "Language models: GPT, BERT, items as text",
    (16, 24): "M6-Rec: scoring, retrieval, writing, adapting, size",
    (25, 34): "In the world: feedback, pictures, trust, serving",
}


def style() -> None:
    """Set the course's matplotlib style for all following figures."""
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(PALETTE.values()))
            + cycler(linestyle=list(LINES))
            + cycler(marker=list(MARKERS)),
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": DPI,
            "figure.figsize": (7.0, 3.8),
            "font.size": 10,
            "grid.alpha": 0.3,
            "image.cmap": "cividis",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "savefig.dpi": DPI,
        }
    )


def show(fig: Figure, *, alt: str) -> None:
    """Display a figure in the notebook with alternative text, and close it.

    Args:
        fig: the figure.
        alt: what the figure shows and what to conclude, in a sentence or two: "Hit rate rises
            with k for all models; EASE stays above ItemKNN throughout", not "a line chart".

    Raises:
        ValueError: if ``alt`` has fewer than 15 characters.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    alt = " ".join(alt.split())
    if len(alt) < 15:
        raise ValueError(
            f"alt={alt!r} does not say what the figure shows; describe it in a sentence, as for "
            "a reader who cannot see it"
        )
    picture = png_bytes(fig)
    plt.close(fig)
    display(
        {"image/png": picture, "text/plain": alt}, raw=True, metadata={"image/png": {"alt": alt}}
    )


def plot_roadmap(here: str) -> tuple[Figure, str]:
    """Draw the modules of the course with the current one filled.

    Args:
        here: number of the current lesson, such as ``"10"``.

    Returns:
        The figure and its alternative text, for ``show(fig, alt=text)``.

    Raises:
        ValueError: if no module contains that lesson.
    """
    import matplotlib.pyplot as plt

    number = int(here) if here.isdigit() and len(here) == 2 else -1
    current = [module for module in MODULES if module[0] <= number <= module[1]]
    if not current:
        raise ValueError(f"no module holds lesson {here!r}; the lessons are 00 to 34")
    names = {module: "{:02d}–{:02d}".format(*module) for module in MODULES}
    fig, ax = plt.subplots(figsize=(7.4, 2.6))
    for y, (module, topic) in enumerate(MODULES.items()):
        fill, ink = (PALETTE["blue"], "white") if module in current else ("#E3EDF5", "black")
        left = 0.3 * y
        ax.barh(y, 10 - left, left=left, height=0.9, color=fill, edgecolor=PALETTE["blue"])
        ax.text(left + 0.15, y, names[module], va="center", color=ink, weight="bold")
        ax.text(left + 1.4, y, topic, va="center", color=ink)
    ax.set(xlim=(0, 10.1), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(f"Lesson {here} and the modules of the course")
    modules = "; ".join(f"{names[module]} {topic}" for module, topic in MODULES.items())
    return fig, f"A staircase, lowest step first: {modules}. You are in lesson {here}."


def plot_leaderboard(
    frame: pd.DataFrame,
    *,
    own: pd.DataFrame | None = None,
    metric: str = "ndcg@10",
    title: str | None = None,
) -> Figure:
    """Draw a leaderboard: one bar with its interval for each model, and a line for the oracle.

    Rows of several seeds are averaged. Each bar is labelled with its value.

    Args:
        frame: leaderboard rows of one data set, scale and split (``Leaderboard.latest``).
        own: rows of the current run on the same split, drawn hatched among those of ``frame``.
        metric: the column to draw.
        title: title of the figure; data set and scale if None.

    Returns:
        The figure, for ``show``.

    Raises:
        ValueError: if there are no rows, the metric is missing, or the rows are not comparable.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    rows = _leaderboard_bars(frame, own, metric)
    is_oracle = rows["model"] == ORACLE
    models, oracle = rows[~is_oracle], rows[is_oracle]
    width, size = (46, 8) if models["own"].any() else (36, 10)  # many bars: smaller labels
    names = [textwrap.fill(name, width, break_long_words=False) for name in models["name"]]

    lines = sum(1 + name.count("\n") for name in names)
    fig, ax = plt.subplots(figsize=(7.0, 1.3 + 0.17 * max(len(models) + lines, 4)))
    values = models[metric].to_numpy()
    styles = {False: (PALETTE["sky"], ""), True: (PALETTE["yellow"], "///")}
    colours, hatches = ([styles[bool(is_own)][i] for is_own in models["own"]] for i in (0, 1))
    edge = PALETTE["blue"]
    ax.barh(names, values, color=colours, hatch=hatches, edgecolor=edge, height=0.7)
    ax.tick_params(axis="y", labelsize=size)
    if models["own"].any():
        kinds = {"recorded by the project": styles[False], "this run": styles[True]}
        ax.legend(
            handles=[
                Patch(facecolor=colour, hatch=hatch, edgecolor=edge, label=label)
                for label, (colour, hatch) in kinds.items()
            ],
            loc="lower right",
        )
    tips, whiskers = values, f"{metric}_high" in models
    if whiskers:
        low, high = models[f"{metric}_low"].to_numpy(), models[f"{metric}_high"].to_numpy()
        spread = [(values - low).clip(0), (high - values).clip(0)]
        ax.errorbar(values, names, xerr=spread, fmt="none", color="black", capsize=3, lw=1.2)
        tips = pd.Series(high).fillna(pd.Series(values)).to_numpy()
    longest = max([*tips, *oracle[metric]]) if len(models) else float(oracle[metric].max())
    for y, (tip, value) in enumerate(zip(tips, values, strict=True)):
        ax.text(tip + 0.01 * longest, y, f"{value:.3f}", va="center", fontsize=9)
    if len(oracle):
        best = float(oracle[metric].iloc[0])
        ax.axvline(best, color=PALETTE["vermilion"], linestyle="--", marker="")
        middle = (len(models) - 1) / 2
        ax.text(
            best, middle, f"oracle {best:.3f}", rotation=90, ha="right", va="center", fontsize=9
        )
    first = frame.iloc[0]
    fig.suptitle(title or f"{first['dataset']}, {first['scale']} scale", fontsize=11)
    # centred on the figure, because the labels of the bars may take half of its width
    note = "; whiskers: 95 % interval over users" if whiskers else ""
    fig.supxlabel(f"{metric.upper()}, higher is better{note}", fontsize=10)
    ax.set_xlim(0, 1.12 * longest)
    ax.grid(visible=False, axis="y")
    return fig


def leaderboard_alt_text(
    frame: pd.DataFrame, *, own: pd.DataFrame | None = None, metric: str = "ndcg@10"
) -> str:
    """Return the alternative text of ``plot_leaderboard``: models and values, worst first."""
    rows = _leaderboard_bars(frame, own, metric)
    bars = [f"{name} {value:.3f}" for name, value in zip(rows["name"], rows[metric], strict=True)]
    return f"Bars of {metric.upper()}, worst to best: {', '.join(bars)}."


def _leaderboard_bars(frame: pd.DataFrame, own: pd.DataFrame | None, metric: str) -> pd.DataFrame:
    """Return the bars of ``plot_leaderboard``, worst first: means over seeds, with labels."""
    if not len(frame):
        raise ValueError("the leaderboard has no rows yet; add one with board.add(report, …)")
    own = frame.iloc[:0] if own is None else own
    for rows in (frame, own):
        if len(rows):
            check_metric(rows, metric)
    both = pd.concat([frame, own])
    for column, rows in (
        ("dataset", both), ("split_hash", both), ("scale", frame), ("scale", own),
    ):  # fmt: skip
        values = rows[column].unique().tolist()
        if len(values) > 1:
            raise ValueError(
                f"rows of several values of {column} ({values}) cannot be compared; pass "
                "board.latest(dataset, scale=SCALE)"
            )
    rows = pd.concat([frame.assign(own=False), own.assign(own=True)])
    rows["variant"] = rows["variant"].fillna("").astype(str)
    columns = [name for name in (metric, f"{metric}_low", f"{metric}_high") if name in rows]
    rows = rows.groupby(["model", "variant", "own"], sort=False)[columns].mean().reset_index()
    repeated = (rows["model"] == ORACLE).cumsum().gt(1) & (rows["model"] == ORACLE)
    rows = rows[~repeated].sort_values(metric, kind="stable").reset_index(drop=True)
    variant = rows["variant"].map(lambda text: f" ({text})" if text else "")
    rows["name"] = rows["model"] + variant + rows["own"].map({False: "", True: ", this run"})
    return rows
