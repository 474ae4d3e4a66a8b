"""Build the site: ``python -m book.build``, or ``make book``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from book.figures import pages, size, strings
from book.lessons import folder

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "book"
DOCTREES = ROOT / "build" / "doctrees"

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
    command += ["--keep-going", "-d", str(DOCTREES / language), ".", str(out)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"BOOK_LANGUAGE": language}
    ).returncode


def figures(language: str, seconds: float) -> str:
    """Return a line with the pages, bytes and seconds of one language, and its strings."""
    site = OUT / folder(language)
    line = f"{language}: {len(pages(site))} pages, {size(site) / 1e6:.1f} MB, {seconds:.0f} s"
    if language != "en":
        translated, total = strings(DOCTREES / language)
        line += f", {translated:,} of {total:,} strings translated ({translated / total:.0%})"
    return line


def main(arguments: list[str] | None = None) -> int:
    """Check the spelling and build the site in each language; returns an exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.build", description=__doc__)
    parser.add_argument("--languages", nargs="+", default=["en"], choices=["en", "zh_CN"])
    options = parser.parse_args(arguments)
    code = check_spelling()
    for language in options.languages:
        begun = time.monotonic()
        code = code or build(language)
        if not code:
            print(figures(language, time.monotonic() - begun), flush=True)
    if not code:
        print(f"Open {OUT / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
