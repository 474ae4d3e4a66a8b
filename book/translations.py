"""Update the Chinese catalogues from the English pages: ``python -m book.translations``.

Strings that are new or changed are left empty or marked fuzzy; ``status`` counts them, and a test
wants none in ``COMPLETE``. The catalogues are plain gettext files, for any editor of translations.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = ROOT / "book" / "locale" / "zh_CN" / "LC_MESSAGES"

#: Pages whose Chinese is complete.
COMPLETE = (
    "README",
    "book/index",
    "book/leaderboards",
    "book/open_in",
    "book/try_it",
    "docs/glossary",
    "notebooks/00_welcome",
    "notebooks/01_first_recommenders",
    "notebooks/16_m6_rec_behaviour_as_text",
    "notebooks/17_m6_rec_scoring_and_retrieval",
    "notebooks/18_m6_rec_writing",
    "notebooks/19_m6_rec_zero_shot_and_new_domains",
)


def extract(out: Path) -> None:
    """Write a template of the strings of each complete page.

    Raises:
        CalledProcessError: if Sphinx fails.
    """
    paths = [path for page in COMPLETE for path in ROOT.glob(f"{page}.*") if path.suffix != ".py"]
    patterns = ",".join(str(path.relative_to(ROOT)) for path in paths)
    command = [sys.executable, "-m", "sphinx", "-Q", "-b", "gettext", "-c", "book"]
    command += ["-d", str(out / "doctrees"), "-D", f"include_patterns={patterns}", ".", str(out)]
    subprocess.run(command, cwd=ROOT, check=True)


def read_catalogue(path: Path) -> Catalog:
    """Read a catalogue; a missing file is an empty one."""
    if not path.is_file():
        return Catalog(locale="zh_CN")
    with path.open("rb") as file:
        return read_po(file, locale="zh_CN")


def update(page: str, out: Path) -> Catalog:
    """Return the catalogue of a page with exactly the strings of its template."""
    catalogue = read_catalogue(CATALOGUES / f"{page}.po")
    catalogue.update(read_catalogue(out / f"{page}.pot"), no_fuzzy_matching=False)
    return catalogue


def status(catalogue: Catalog) -> tuple[int, int]:
    """Return how many strings are translated, and how many there are."""
    strings = [message for message in catalogue if message.id]
    return sum(bool(message.string) and not message.fuzzy for message in strings), len(strings)


def main() -> None:
    """Update all catalogues, and print the share of each."""
    out = ROOT / "build" / "gettext"
    extract(out)
    for page in COMPLETE:
        catalogue = update(page, out)
        path = CATALOGUES / f"{page}.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, catalogue, width=0, ignore_obsolete=True, omit_header=False)
        done, strings = status(catalogue)
        print(f"{page}: {done} of {strings}")


if __name__ == "__main__":
    main()
