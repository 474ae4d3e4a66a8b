"""``make results``: measure everything that the project claims, and write it where it is claimed.

Chapters run at laptop scale on the bazaar, and on MovieLens 100K where it is present; what they
add to the leaderboard is copied to ``results/leaderboard/``. The published rows of MovieLens are
measured again beside ours (``anchors``), and the claims of M6-Rec beside what its runs found
(``paper``). The bazaar's card and the marked regions of the README are written from these figures.
What cannot be measured here, for want of data, is left as it was.
"""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

import pandas as pd

from m6rec_lite.course import anchors, exact_times, paper
from m6rec_lite.course.anchors_page import EXACT_USERS, INTERPOLATED, NO_RANKS
from m6rec_lite.course.comparison import as_markdown, beside, tie_caveat
from m6rec_lite.course.datacards import write_card
from m6rec_lite.course.documents import fill, table
from m6rec_lite.course.figures import ladder, ladder_alt, png, style
from m6rec_lite.course.files import read_notebook
from m6rec_lite.course.freshness import METADATA
from m6rec_lite.course.leaderboard import ORACLE, Leaderboard
from m6rec_lite.course.places import chapters, project_root
from m6rec_lite.course.published import QUERY_TIME
from m6rec_lite.course.runner import run
from m6rec_lite.course.store import FACTS
from m6rec_lite.data import DataError, load_dataset

logger = logging.getLogger(__name__)

LADDER = "results/ladder.png"
SCALE = "laptop"


def write_results(root: Path | None = None) -> int:
    """Measure, then write ``results/``, the data card and the README's figures.

    Returns:
        0 if all that could be measured was; 1 if a chapter failed, and then its rows are not kept.
    """
    root = root or project_root()
    board = Leaderboard(root / "results" / "leaderboard")
    failed = 0
    for name in ("bazaar", "ml-100k"):
        if not _present(name):
            continue
        out = root / "runs" / f"results-{name}"
        code = run(scale=SCALE, dataset=name, out=out, root=root)
        failed |= code
        if code == 0:
            for row in Leaderboard(out / "leaderboard").frame(name, scale=SCALE).to_dict("records"):
                board.add(row)
    for name in ("ml-100k", "ml-1m"):
        if _present(name):
            anchors.main(["--dataset", name])
    if _present("ml-1m"):
        exact_times.main([])
    paper.write_page(root / "results")
    write_card(load_dataset("bazaar"), root / "datasets" / "README.md")
    write_readme(root)
    return failed


def write_readme(root: Path) -> None:
    """Draw the ladder, run the course at smoke scale, and fill the README's regions."""
    board = Leaderboard(root / "results" / "leaderboard")
    rows = board.latest("bazaar", scale=SCALE)
    style()
    (root / LADDER).write_bytes(png(ladder(rows, title="The bazaar")))
    picture = f"![{ladder_alt(rows)}]({LADDER})"
    columns = ["model", "variant", "hr@10", "ndcg@10", "fit_seconds"]
    best = rows.sort_values("ndcg@10", ascending=False)[columns]
    top = float(best.loc[best["model"] == ORACLE, "ndcg@10"].iloc[0])
    best["share of the oracle"] = (best["ndcg@10"] / top).map("{:.0%}".format)
    best = best.rename(columns={"fit_seconds": "seconds to fit"})
    best = best.round({"hr@10": 3, "ndcg@10": 3, "seconds to fit": 1})
    fill(root / "README.md", "ladder", f"{picture}\n\n{table(best)}")
    fill(root / "README.md", "real", real_table(root / "results"))
    fill(root / "README.md", "chapters", table(chapter_table(root)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(scale="smoke", quick_models=True, root=root)
    fill(root / "README.md", "run", f"```\n{printed.getvalue().strip()}\n```")


def real_table(results: Path) -> str:
    """Ours beside the published networks on MovieLens-1M, grouped by protocol, best first."""
    rows = beside(results, "ml-1m")
    shown = as_markdown(rows[rows["NDCG@10"].notna()])
    exact = " ".join(filter(None, [INTERPOLATED, exact_note(results), NO_RANKS]))
    return "\n\n".join([shown, tie_caveat(results, "ml-1m"), exact])


def exact_note(results: Path) -> str:
    """A sentence on the time-aware simple model by users with exact timestamps, if measured."""
    path = results / "anchors" / EXACT_USERS
    if not path.is_file():
        return ""
    rows = pd.read_csv(path)
    aware = rows[rows["knows"] == QUERY_TIME]
    figures = [
        f"{row['ndcg@10']:.4f} over {row['n_users']:,} users ({row['users']})"
        for _, row in aware.iterrows()
    ]
    return (
        f"NDCG@10 of {aware['model'].iloc[0].lower()} that knows the {QUERY_TIME}: "
        f"{', '.join(figures)} ([more models](results/anchors.md))."
    )


def chapter_table(root: Path) -> pd.DataFrame:
    """The chapters there are: title, minutes to read, seconds to run, memory, as stored in them."""
    rows = []
    for path in chapters(root / "notebooks"):
        notebook = read_notebook(path)
        facts = notebook.metadata[METADATA][FACTS]
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
        rows.append(
            {
                "chapter": f"[{title}](notebooks/{path.name})",
                "minutes to read": facts["minutes"],
                "seconds at smoke scale": facts["seconds"]["smoke"],
                "seconds at laptop scale": facts["seconds"][SCALE],
                "peak MiB": max(facts["peak_mib"].values()),
                "exercises": f"[exercises](exercises/{path.name})",
            }
        )
    return pd.DataFrame(rows)


def _present(name: str) -> bool:
    """Whether a data set can be read without a download."""
    try:
        load_dataset(name, download=False)
    except DataError as error:
        logger.warning("%s is left out: %s", name, error)
        return False
    return True
