"""Show an experiment as the HTML output of a cell, which works without a kernel.

The output holds its data, its style and its script, and asks nothing of a network::

    course.try_it("privacy", {"items": titles, "counts": counts})

Readers without JavaScript, as on GitHub, see a table of the settings at the start.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m6rec_lite.course.widgets.experiments import EXPERIMENTS

FOLDER = Path(__file__).parent

#: Most characters of an output.
LONGEST = 40_000

NEEDS_SCRIPT = "The settings can be moved in JupyterLab and on the course's site (JavaScript)."


def try_it(name: str, data: Mapping[str, Any]) -> None:
    """Show an experiment whose settings a reader can move without a kernel.

    A ``Series`` of names has ids as its index, which replace missing names.

    Args:
        name: of the experiment; each needs its own data:

            - ``"decay"``: names of ``events``, the latest last, and of ``items``; ``weights``
              ``(events, items)`` of EASE.
            - ``"sampling"``: ``prompts``, each with its ``text``, and ``tokens`` and ``logits`` of
              the next token ``(vocabulary,)``.
            - ``"smoothing"``: ``words``, the vocabulary; ``once``, the count of each; ``after``, a
              mapping from a context to the count of each word after it.
            - ``"attention"``: names of ``events``; ``weights`` ``(layers, heads, events, events)``.
            - ``"privacy"``: names of ``items``; ``counts``, how many people took each.
        data: these values.

    Raises:
        ValueError: if there is no such experiment, a value is missing or has a wrong shape, or the
            output would be too long for a notebook.
    """
    from IPython.display import display

    page, text = experiment_html(name, data)
    display({"text/html": page, "text/plain": text}, raw=True)


def experiment_html(name: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the HTML of an experiment, and its alternative text; arguments as of ``try_it``."""
    if name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    if missing := [key for key in experiment.keys if key not in data]:
        raise ValueError(f"the experiment {name!r} needs data[{missing[0]!r}]")
    values = experiment.prepare(data)
    sentence, rows = experiment.still(values)
    # a title may hold "</script>" or "<!--"
    stored = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    table = "".join(
        f"<tr><td>{html.escape(row)}</td><td>{html.escape(value)}</td></tr>" for row, value in rows
    )
    style, script = (
        (FOLDER / file).read_text(encoding="utf-8") for file in ("widgets.css", "widgets.js")
    )
    page = (
        f'<div class="try-it" data-name="{name}" role="group" '
        f'aria-label="{html.escape(experiment.title)}">\n<style>\n{style}</style>\n'
        f'<div class="still"><p>{html.escape(sentence)}</p>\n<table><tbody>{table}</tbody></table>'
        f'\n<p>{NEEDS_SCRIPT}</p></div>\n<script type="application/json">{stored}</script>\n'
        f"<script>\n{script}</script>\n</div>"
    )
    if len(page) > LONGEST:
        raise ValueError(
            f"the experiment {name!r} would have {len(page):,} characters of output, at most "
            f"{LONGEST:,}; give it fewer rows"
        )
    text = "; ".join(f"{row}: {value}" for row, value in rows)
    return page, f"{experiment.title} {sentence} {text}."


def stored_experiment(notebook: Mapping[str, Any], name: str) -> str | None:
    """Return the HTML of an experiment in the outputs of a notebook, None if there is none.

    Args:
        notebook: a notebook as JSON.
        name: of the experiment.
    """
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if page.startswith(f'<div class="try-it" data-name="{name}"'):
                return page
    return None
