"""Run an experiment: ``python -m experiments NAME [options]``, ``python -m experiments --list``."""

from __future__ import annotations

import argparse
import ast
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.arguments import add_common_arguments
from m6rec_lite.data.run_config import USER_ERRORS

#: What a module must define to be an experiment.
INTERFACE = {"add_arguments", "run"}


def experiments() -> dict[str, str]:
    """Return the summary line of each experiment by name, read without importing the modules."""
    summaries = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if defined >= INTERFACE:
            summaries[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return summaries


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    ``run`` of the experiment gets its options, those of ``add_common_arguments``, and ``command``,
    the command line that is recorded with the run. It returns None or an exit code. An error of
    the input, of a file or of memory ends with one line on stderr and exit code 2.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    known = experiments()
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print one line for each experiment")
    parser.add_argument("name", nargs="?", choices=known, metavar="NAME", help="see --list")
    options = parser.parse_args(words[:1] or ["--help"])
    if options.list:
        width = max(map(len, known), default=0)
        print("\n".join(f"{name:<{width}}  {line}" for name, line in known.items()))
        return 0
    module = importlib.import_module(f"experiments.{options.name}")
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_common_arguments(common)
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments {options.name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    _, own_words = common.parse_known_args(words[1:])  # without the common options
    options = parser.parse_args(words[1:])
    options.command = f"{parser.prog} {shlex.join(own_words)}".strip()
    try:
        return module.run(options) or 0
    except (*USER_ERRORS, TypeError, KeyError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
