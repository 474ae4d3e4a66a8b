"""Apply the rules of the registered claims to the recorded runs, and write ``docs/claims.md``.

    python -m experiments claims

reads ``claims/*.toml`` (``experiments.claim_rules``) and ``results/runs``. A claim counts only if
its file was committed, and last changed, before our runs were: with git's history at hand, the
command names each run that is older and returns 1. In ``docs/claims.csv``, which has a row for
every cell of a lesson tagged ``claim:ID``, it fills the seeds of the records, and the records and
the verdict of registered claims.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments.claim_rules import Claim, Result, judge, read_claim, verdict
from experiments.records import CONFIG, REPORT, Records
from m6rec_lite.course.build.lesson_form import CLAIM_ROWS, read_claim_rows
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

FOLDER, PAGE = "claims", Path("docs") / "claims.md"

_INTRODUCTION = """# Registered claims

A claim is a file of [claims/](../claims): the models compared, the threshold and the seeds. It is
committed before its runs; this page is written by code (`python -m experiments claims`) from the
recorded runs. Seeds named under *recorded before* are older than the claim and show nothing new.

A condition is judged by a paired 95 % interval (Student's t). `paired_ndcg`: over the users of the
test set, each seed by itself. `difference` and `ratio`: over the seeds, so they do not contain the
variation between test sets. A condition **holds** if the interval lies on the side of the threshold
that it states, **fails** if it lies on the other side, and is **undecided** if the threshold is
inside. A claim holds if all of its conditions hold, and fails if one fails. It is **not run** while
a record is missing. There is no correction for the number of claims.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no option: every claim is judged."""


def run(options: argparse.Namespace) -> int:
    """Write the page and the records of claims; return 1 if a run is older than its claim."""
    judged = judge_claims(options.root)
    write_page(options.root, judged)
    for claim, results in judged:
        print(f"{claim.name}: {verdict(results)}")
    late = [
        fault for claim, results in judged for fault in late_claims(options.root, claim, results)
    ]
    for fault in late:
        sys.stderr.write(f"{fault}\n")
    return 1 if late else 0


def judge_claims(root: Path) -> list[tuple[Claim, list[Result]]]:
    """Return every claim with the results of its conditions."""
    records = Records(root / "results")
    claims = [read_claim(path) for path in sorted((root / FOLDER).glob("*.toml"))]
    return [(claim, judge(claim, records)) for claim in claims]


def write_page(root: Path, judged: list[tuple[Claim, list[Result]]]) -> None:
    """Write ``docs/claims.md``, and what the records say to ``docs/claims.csv``."""
    (root / PAGE).parent.mkdir(exist_ok=True)
    write_text(root / PAGE, page(judged))
    rows = read_claim_rows(root)
    if len(rows):
        found = {claim.name: " ".join(_records(results)) for claim, results in judged}
        rows["records"] = rows["id"].map(found).fillna(rows["records"])
        index = Records(root / "results").frame()
        seeds = dict(zip(index["id"], index["seed"], strict=True)) if len(index) else {}
        rows["seeds"] = [_seeds(records.split(), seeds) for records in rows["records"]]
        verdicts = {claim.name: verdict(results) for claim, results in judged}
        rows["verdict"] = rows["id"].map(verdicts).fillna("not registered")
        write_text(root / CLAIM_ROWS, rows.to_csv(index=False))


def _seeds(records: list[str], seeds: Mapping[str, int]) -> str:
    """Return the seeds of some runs in words."""
    if not records:
        return "those of the lesson"
    return " ".join(map(str, sorted({seeds[run] for run in records if run in seeds})))


def page(judged: list[tuple[Claim, list[Result]]]) -> str:
    """Return the page of all claims."""
    parts = [_INTRODUCTION]
    for claim, results in judged:
        parts.append(f"## {claim.name}: {verdict(results)}\n\n{claim.claim}\n")
        if claim.recorded_before:
            seeds = ", ".join(map(str, claim.recorded_before))
            parts.append(f"Recorded before: seed {seeds}.\n")
        if claim.note:
            parts.append(f"{claim.note}\n")
        rows = [result.row() | {"records": " ".join(_records([result]))} for result in results]
        parts.append(markdown_table(pd.DataFrame(rows)) + "\n")
    return "\n".join(parts)


def _records(results: list[Result]) -> list[str]:
    """Return the ids of all runs of some results, each once."""
    return list(
        dict.fromkeys(i for result in results for i in (*result.ours.values(), *result.rival))
    )


def late_claims(root: Path, claim: Claim, results: list[Result]) -> Iterator[str]:
    """Yield a sentence for each of our runs that was committed before its claim.

    A change of the claim's file counts as a new registration. A record that was removed and made
    again counts from the first commit in which it had today's settings. A run that is not
    committed yet, or a project without git's whole history, yields nothing.
    """
    if _git(root, "rev-parse", "--is-shallow-repository") != ["false"]:
        return
    changed = _git(root, "log", "-1", "--format=%ct", "--", f"{FOLDER}/{claim.name}.toml")
    for seed, run_id in sorted({pair for result in results for pair in result.ours.items()}):
        recorded = _first_recorded(root, run_id)
        if seed in claim.recorded_before or recorded is None:
            continue
        if not changed or int(changed[0]) >= recorded:
            yield (
                f"claims/{claim.name}.toml was not committed before run {run_id} (seed {seed}): "
                "list the seed in recorded_before, and register seeds that have no record yet"
            )


def _first_recorded(root: Path, run_id: str) -> int | None:
    """Return the time of the first commit of a run with today's settings, or None without one.

    If the settings were renamed since, it is the last commit that added the run.
    """
    folder = f"results/runs/{run_id}"
    if not _git(root, "ls-tree", "--name-only", "HEAD", f"{folder}/{REPORT}"):
        return None
    added = _git(root, "log", "--diff-filter=A", "--format=%ct %H", "--", f"{folder}/{REPORT}")
    commits = [line.split() for line in reversed(added)]
    now = json.loads((root / folder / CONFIG).read_text(encoding="utf-8"))
    for time, commit in commits:
        then = "\n".join(_git(root, "show", f"{commit}:{folder}/{CONFIG}"))
        if then and json.loads(then).get("settings") == now.get("settings"):
            return int(time)
    return int(commits[-1][0])


def _git(root: Path, *arguments: str) -> list[str]:
    """Return the lines that a git command prints; none if there is no git or no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except OSError:
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
