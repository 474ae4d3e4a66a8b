"""Commands of the course: ``python -m m6rec_lite.course <command> --help``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from m6rec_lite.course.paths import project_root
from m6rec_lite.course.scale import SCALE_VARIABLE, SCALES, check_scale, default_scale
from m6rec_lite.data.run_config import USER_ERRORS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m m6rec_lite.course", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="execute lessons and report on them")
    run.add_argument("--scale", help=f"one of {', '.join(SCALES)} (default: {SCALE_VARIABLE})")
    run.add_argument("--dataset", default="bazaar", help="bazaar, ml-100k, ml-1m, … or a folder")
    run.add_argument(
        "--columns",
        help='column names of your own file: "user_id=customer item_id=sku"; further options go '
        "into course.toml in its folder",
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--chapters", help="numbers such as 00,01 (default: all)")
    run.add_argument("--out", type=Path, help="folder to write (default: runs/DATASET-SCALE)")
    run.add_argument("--resume", action="store_true", help="skip lessons that have finished")
    run.add_argument("--jobs", type=int, default=1, help="lessons at the same time (default: 1)")

    commands.add_parser("exercises", help="write exercises/ from solutions/")

    nbgrader = commands.add_parser("nbgrader", help="write a course folder of nbgrader")
    nbgrader.add_argument("folder", type=Path, help="folder to write, made if it is missing")
    nbgrader.add_argument("--chapters", help="numbers such as 00,02 (default: all)")

    store = commands.add_parser("store", help="execute notebooks and store their outputs in place")
    store.add_argument("paths", nargs="*", type=Path, help="(default: those with stale outputs)")
    store.add_argument("--scale", default="laptop", choices=SCALES)

    check = commands.add_parser("check", help="check notebooks against the lint rules")
    check.add_argument("paths", nargs="*", type=Path, help="(default: lessons and solutions)")

    mutate = commands.add_parser(
        "mutate", help="list wrong answers that an exercise's check accepts"
    )
    mutate.add_argument("exercises", nargs="+", metavar="EXERCISE", help="names such as hit_rate")

    commands.add_parser("check-machine", help="print what a bug report needs")

    options = parser.parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except USER_ERRORS as error:
        sys.stderr.write(f"{parser.prog} {options.command}: {error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    from m6rec_lite.course.build.runner import run
    from m6rec_lite.course.lesson_data import COLUMNS_VARIABLE, parse_columns

    if options.columns:
        parse_columns(options.columns)  # raises here, not in every lesson
        os.environ[COLUMNS_VARIABLE] = options.columns
    scale = check_scale(options.scale, source="--scale") if options.scale else default_scale()
    return run(
        scale=scale,
        dataset=options.dataset,
        seed=options.seed,
        numbers=options.chapters,
        out=options.out,
        resume=options.resume,
        jobs=options.jobs,
        quick_models=scale == "smoke" and options.chapters is None,
    )


def _exercises(_: argparse.Namespace) -> int:
    from m6rec_lite.course.build.exercise_stubs import generate
    from m6rec_lite.data.files import write_text

    root = project_root()
    for path, text in generate(root):
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        if changed:
            write_text(path, text)
        print(f"{path.relative_to(root)}: {'written' if changed else 'unchanged'}")
    return 0


def _nbgrader(options: argparse.Namespace) -> int:
    from m6rec_lite.course.build.nbgrader_course import write_course

    written = write_course(options.folder, project_root(), options.chapters)
    for path, points in written.items():
        print(f"{path}: {points} points")
    name = next(iter(written)).stem
    print(f"Next: cd {options.folder}, then nbgrader generate_assignment {name}")
    return 0


def _notebooks(paths: list[Path], root: Path) -> list[Path]:
    """Return the named notebooks; all lessons and solutions if there are none."""
    from m6rec_lite.course.build.notebooks import stored_notebooks

    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no such notebook: {', '.join(map(str, missing))}")
    return paths or stored_notebooks(root)


def _store(options: argparse.Namespace) -> int:
    from m6rec_lite.course.build.execute_in_place import facts_line, is_fresh, store

    root = project_root()
    for path in _notebooks(options.paths, root):
        if not options.paths and is_fresh(path, root):
            print(f"{path.name}: fresh")
            continue
        facts = store(path.resolve(), root, scale=options.scale)
        print(f"{path.name}: {facts_line(facts).strip('*')}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from m6rec_lite.course.build.notebook_lint import faults

    root = project_root()
    total = 0
    for path in _notebooks(options.paths, root):
        found = faults(path.resolve(), root)
        total += len(found)
        print(f"{path.name}: {'good' if not found else ''}")
        for fault in found:
            print(f"  - {fault}")
    return 1 if total else 0


def _mutate(options: argparse.Namespace) -> int:
    from m6rec_lite.course.build.mutation import mutate

    return mutate(options.exercises, project_root())


def _check_machine(_: argparse.Namespace) -> int:
    from m6rec_lite.course.build.check_machine import check_machine

    return check_machine()


COMMANDS = {
    "run": _run,
    "exercises": _exercises,
    "nbgrader": _nbgrader,
    "store": _store,
    "check": _check,
    "mutate": _mutate,
    "check-machine": _check_machine,
}

if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    sys.exit(main())
