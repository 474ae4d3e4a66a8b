"""The page ``docs/reliability.md``: what was tried on purpose, and what survived it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.records import Records
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

PAGE = Path("docs") / "reliability.md"

_INTRODUCTION = """# Reliability

Faults caused on purpose, in child processes and temporary folders, on small worlds and models.
This page is written by code (`python -m experiments hardening`) from the records in
[runs.csv](../results/runs.csv); each record has its command. *Lost* lists every outcome that was
not survived, with its number.
"""
_NUMBERS = """
## Numbers on other processors

The same models, fitted and evaluated again with other numbers of threads and other instruction
sets. The first number is the largest difference of a score from those of one thread, as a share of
the range of the scores; the second is that of NDCG@10, where the model ranks items. All were
measured on one processor ({processor}, torch {torch}): a setting that it does not have cannot be
seen here.
"""
_NOT_RUN = """
## Not run

No record of these trials exists; `python -m experiments hardening --only NAME` runs one:
"""
_BEYOND = """
Not tried by any of them: loss of power, a disk that returns wrong data while it is written, several
machines on one network file system, a GPU, Windows.
"""


def write_page(root: Path, about: Mapping[str, str]) -> Path:
    """Write the page from the records; return its path.

    Args:
        root: the project's folder.
        about: what each trial does, by its name.
    """
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for _, config, report in Records(root / "results").finished("hardening"):
        known = found.get(config["model"])
        if known is None or report["metrics"]["tried"] >= known[1]["metrics"]["tried"]:
            found[config["model"]] = config, report
    rows = [row(about[name], *found[name]) for name in about if name in found]
    parts = [_INTRODUCTION, markdown_table(pd.DataFrame(rows)) if rows else "", _outcomes(found)]
    if "numbers" in found:
        config, report = found["numbers"]
        parts += [_NUMBERS.format(**config), markdown_table(number_table(report["figures"]))]
    missing = [f"- `{name}`: {text}" for name, text in about.items() if name not in found]
    parts += [_NOT_RUN, *missing] if missing else []
    path = root / PAGE
    write_text(path, "\n".join([*parts, _BEYOND]))
    return path


def row(about: str, config: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of one trial."""
    lost = {name: n for name, n in report["outcomes"].items() if name.startswith("lost")}
    return {
        "trial": f"`{config['model']}`: {about}",
        "tried": report["metrics"]["tried"],
        "survived": report["metrics"]["survived"],
        "lost": _listed(lost) or "–",
    }


def number_table(figures: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the differences from the first setting, one row for each of the others."""
    names, *settings = figures
    models = [key for key in figures[names] if "@" not in key]

    def cell(setting: str, model: str) -> str:
        metric = figures[setting].get(f"{model} NDCG@10")
        difference = f"{figures[setting][model]:.0e}"
        return difference if metric is None else f"{difference}, {metric:.4f}"

    return pd.DataFrame(
        [{"setting": name} | {model: cell(name, model) for model in models} for name in settings]
    )


def number_bound(results: Path) -> str:
    """Return a sentence with the largest differences of the trial ``numbers``; "" without one."""
    trials = [run for run in Records(results).finished("hardening") if run[1]["model"] == "numbers"]
    if not trials:
        return ""
    figures = max(trials, key=lambda run: run[2]["metrics"]["tried"])[2]["figures"]
    rows = [pair for setting in figures.values() for pair in setting.items()]
    score = max(value for name, value in rows if "@" not in name)
    metric = max(value for name, value in rows if "@" in name)
    models = sorted({name for name, _ in rows if "@" not in name})
    ranking = f"NDCG@10 by at most {metric:.0e}" if metric else "NDCG@10 not at all"
    return (
        "On one processor, other numbers of threads and other instruction sets changed a score of "
        f"small models ({', '.join(models)}) by at most {score:.0e} of the range of scores, and "
        f"{ranking} "
        "([each setting](reliability.md#numbers-on-other-processors))."
    )


def _outcomes(found: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Return one line for each trial with what else came out of it."""
    lines = []
    for name, (_, report) in found.items():
        held = {key: n for key, n in report["outcomes"].items() if not key.startswith("lost")}
        lines.append(f"- `{name}`: {_listed(held)}" if held else "")
    return "\n".join(["\nWhat the survived tries ended in:\n", *sorted(filter(None, lines))])


def _listed(outcomes: Mapping[str, int]) -> str:
    return "; ".join(f"{name.removeprefix('lost: ')} ({n:,})" for name, n in outcomes.items())
