"""Figures of the site: pages, bytes, and the strings that are translated."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import extract_messages
from sphinx.util.typing import ExtensionMetadata

#: Written into the folder of the doctrees, which is not part of the site.
STRINGS = "strings.json"

#: Folders that hold no pages of the site in this language.
OTHERS = ("zh-CN",)


def pages(site: Path) -> list[Path]:
    """Return the pages of the site in one language, without those that packages ship."""
    found = sorted(site.rglob("*.html"))
    outside = {"_static", "_downloads", *OTHERS}
    return [path for path in found if not outside & set(path.relative_to(site).parts)]


def size(site: Path) -> int:
    """Return the bytes of all files of the site in one language."""
    files = (path for path in site.rglob("*") if path.is_file())
    return sum(
        path.stat().st_size for path in files if path.relative_to(site).parts[0] not in OTHERS
    )


def strings(doctrees: Path) -> tuple[int, int]:
    """Return how many strings of all pages are translated, and how many there are."""
    counts = json.loads((doctrees / STRINGS).read_text(encoding="utf-8"))
    return sum(done for done, _ in counts.values()), sum(total for _, total in counts.values())


def count_strings(app: Sphinx, doctree: nodes.document) -> None:
    """Keep the counts of a page: as Sphinx made them, or of all its strings without a catalogue."""
    progress = doctree.get("translation_progress", {"translated": 0, "total": 0})
    total = progress["total"] or len(list(extract_messages(doctree)))
    app.env.metadata[app.env.docname]["strings"] = [progress["translated"], total]


def write_strings(app: Sphinx, error: Exception | None) -> None:
    """Write the counts of all pages, also of those that this build did not read again."""
    if error is None:
        counts = {name: app.env.metadata[name].get("strings", [0, 0]) for name in app.env.all_docs}
        (Path(app.doctreedir) / STRINGS).write_text(json.dumps(counts), encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the hooks."""
    app.connect("doctree-read", count_strings)
    app.connect("build-finished", write_strings)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
