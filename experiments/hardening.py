"""Cause faults on purpose and count what survives: kills, full disks, flipped bits, bad input.

    python -m experiments hardening
    python -m experiments hardening --only kill_sasrec two_leaderboards --tries 5
    python -m experiments hardening --only offline --lessons 00,04

A trial repeats one fault at random moments or places in child processes and a temporary folder. Its
record has the number of tries, of those survived, and every outcome; ``docs/reliability.md`` is
written from the records. A trial that is recorded with the same settings is skipped. Needs POSIX.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.faults import (
    courses,
    files,
    hostile,
    hostile_pages,
    kills,
    malformed,
    numbers,
    pairs,
)
from experiments.faults.bench import Bench, scratch
from experiments.pages import reliability
from experiments.records import Records, RunKey


@dataclass(frozen=True)
class Trial:
    """One fault.

    Attributes:
        about: what is done, and what survives it.
        run: yields the outcome of each try; one that begins with "lost" was not survived.
        tries: default number of tries.
    """

    about: str
    run: Callable[[Bench], Iterator[str]]
    tries: int


def _kills() -> Iterator[tuple[str, Trial]]:
    for name, (about, program) in kills.PROGRAMS.items():
        for how, (signal, tries) in kills.SIGNALS.items():
            text = f"{about}, ended by {signal} at a random moment and started again"
            run = partial(kills.interrupted, program, signal)
            yield (
                f"{how}_{name}",
                Trial(f"{text}; survived: the weights are bitwise equal", run, tries),
            )


TRIALS: dict[str, Trial] = {
    **dict(_kills()),
    "kill_course": Trial(
        "`course run` of two lessons, ended by SIGKILL and resumed; survived: no kernel is left, "
        "each lesson ran to its end, each row of the leaderboard is there once",
        courses.killed_course, 10,
    ),
    "offline": Trial(
        "a lesson at smoke scale with every connection outside this machine refused and no "
        "downloaded data; survived: it finished without an attempt to connect",
        courses.offline, 1,
    ),
    "full_disk": Trial(
        "each kind of files written over an older one when no file may grow beyond a random size; "
        "survived: the error names the path and what to do, the old files are unchanged, and the "
        "next try with room works",
        files.full_disk, 20,
    ),
    "full_disk_download": Trial(
        "a download that does not fit; survived: the error names the path and what to do, no file "
        "has the final name, and the next try with room works",
        pairs.full_disk_download, 20,
    ),
    "bits_checked": Trial(
        "one flipped bit in each file of each kind that has checksums; survived: refused by name, "
        "or the values are the same",
        partial(files.flipped_bits, True), 20,
    ),
    "bits_unchecked": Trial(
        "one flipped bit in each file of the other kinds; survived: refused by name, or the values "
        "are the same",
        partial(files.flipped_bits, False), 20,
    ),
    "malformed": Trial(
        "malformed files (CSV, JSON lines, Parquet; plain, gz, bz2) read by `load_dataset` and "
        "`load_corpus`; survived: read, or an error that names the file",
        malformed.malformed, 1000,
    ),
    "hostile_prompts": Trial(
        "hostile titles and reviews in M6-Rec's documents; survived: the special tokens are those "
        "of the document's structure, and no control character is left",
        hostile.hostile_prompts, 10_000,
    ),
    "hostile_pages": Trial(
        "hostile texts in every page that is written: index of a run, page of a lesson with titles "
        "and reviews as a table, report of an audit, certificate; survived: the elements of the "
        "page are those of plain texts",
        hostile_pages.hostile_pages, 10_000,
    ),
    "hostile_serving": Trial(
        "hostile titles in the server's lists, searches and reasons; survived: JSON that gives the "
        "title back",
        hostile.hostile_serving, 10_000,
    ),
    "two_leaderboards": Trial(
        "two processes that add ten rows each to one leaderboard; survived: 20 rows",
        pairs.two_leaderboards, 20,
    ),
    "two_downloads": Trial(
        "two processes that need one file of a cache; survived: both read it whole, and it was "
        "downloaded once",
        pairs.two_downloads, 20,
    ),
    "two_fits": Trial(
        "two runs in one folder of checkpoints; survived: one ends in the weights of an unbroken "
        "run, the other does too or is refused",
        pairs.two_fits, 20,
    ),
    "two_courses": Trial(
        "two `course run` of different lessons in one folder; survived: the table has both",
        courses.two_courses, 3,
    ),
    "numbers": Trial(
        "the same models under other numbers of threads and instruction sets; survived: they run "
        "to the end; the differences are in the table of numbers",
        numbers.numbers, len(numbers.SETTINGS),
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=[*TRIALS], metavar="TRIAL")
    parser.add_argument("--tries", type=int, help="tries of each trial (default: its own)")
    parser.add_argument("--lessons", default="all", help="of the trial offline, such as 00,04")
    parser.add_argument("--seed", type=int, default=0, help="of moments, bits and texts")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="begin no trial after this time"
    )


def run(options: argparse.Namespace) -> int:
    """Run and record the trials that are not recorded; return 1 if something was lost."""
    records, begun, lost = Records(options.root / "results"), time.monotonic(), 0
    for i, name in enumerate(options.only, 1):
        tries = options.tries or TRIALS[name].tries
        variant = f"tries={tries}" + (f" lessons={options.lessons}" if name == "offline" else "")
        key = RunKey("hardening", "small world", name, variant, options.seed)
        if records.is_recorded(key) and not options.again:
            print(f"{name}: recorded")
            continue
        if time.monotonic() - begun > 60 * options.minutes:
            print(f"{name} and what follows: left for the next call (--minutes)")
            break
        print(f"trial {i} of {len(options.only)}: {name} ...", flush=True)
        records.start(key, command=options.command)
        report = measure(
            name, tries, options.seed, lessons=options.lessons, progress=not options.quiet
        )
        records.finish(key, report)
        lost += report["metrics"]["tried"] - report["metrics"]["survived"]
        print(f"  survived {report['headline']['survived']}: {report['outcomes']}", flush=True)
    reliability.write_page(options.root, {name: trial.about for name, trial in TRIALS.items()})
    return 1 if lost else 0


def measure(
    name: str, tries: int, seed: int = 0, *, lessons: str = "all", progress: bool = False
) -> dict[str, Any]:
    """Run one trial; return its report: metrics, each outcome with its number, and figures."""
    begun = time.monotonic()
    with scratch() as folder:
        bench = Bench(Path(folder), tries, seed, progress=progress, lessons=lessons)
        outcomes = Counter(TRIALS[name].run(bench))
    tried = outcomes.total()
    survived = sum(n for outcome, n in outcomes.items() if not outcome.startswith("lost"))
    return {
        "metrics": {"tried": tried, "survived": survived},
        "headline": {"survived": f"{survived} of {tried}"},
        "outcomes": dict(outcomes.most_common()),
        "figures": bench.figures,
        "seconds": round(time.monotonic() - begun, 1),
    }
