"""Build the site: ``python -m book.build``, or ``make book``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from book.lessons import folder

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "book"

#: Pages whose spelling is checked.
PAGES = ("*.md", "book/*.md", "docs/*.md", "results/*.md", "notebooks/*.ipynb", "exercises/*.ipynb")


def check_spelling() -> int:
    """List common misspellings; returns an exit code."""
    paths = [
        str(path.relative_to(ROOT)) for pattern in PAGES for path in sorted(ROOT.glob(pattern))
    ]
    return subprocess.run([sys.executable, "-m", "codespell_lib", *paths], cwd=ROOT).returncode


def build(language: str) -> int:
    """Build the site in one language; a warning, such as a broken link, is an error."""
    out = OUT / folder(language)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "book", "--quiet", "-W"]
    command += ["--keep-going", "-d", f"build/doctrees/{language}", ".", str(out)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"BOOK_LANGUAGE": language}
    ).returncode


def main(arguments: list[str] | None = None) -> int:
    """Check the spelling and build the site in each language; returns an exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.build", description=__doc__)
    parser.add_argument("--languages", nargs="+", default=["en"], choices=["en", "zh_CN"])
    options = parser.parse_args(arguments)
    code = check_spelling()
    for language in options.languages:
        code = code or build(language)
    if not code:
        print(f"Open {OUT / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
