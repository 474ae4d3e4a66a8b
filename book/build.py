"""Build the site: ``python -m book.build``, or ``make book``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "book"


def main(arguments: list[str] | None = None) -> int:
    """Build the site in each language; returns an exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.build", description=__doc__)
    parser.add_argument("--languages", nargs="+", default=["en"])
    options = parser.parse_args(arguments)
    for language in options.languages:
        out = OUT if language == "en" else OUT / language.replace("_", "-")
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "book", "--quiet", "-W"]
        command += ["--keep-going", "-d", f"build/doctrees/{language}", ".", str(out)]
        environment = os.environ | {"BOOK_LANGUAGE": language}
        if code := subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            return code
    print(f"Open {OUT / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
