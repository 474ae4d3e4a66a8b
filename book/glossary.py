"""The table of ``docs/glossary.md`` as a glossary, and its terms as links in the lessons.

The first occurrence of a term on a page of a lesson links to the glossary, where a small script
shows its meaning beside it. In the lesson that introduces a term it is also an entry of the index.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

PAGE = "docs/glossary"

#: Terms that are everyday words too: they are linked where they are printed bold.
EVERYDAY = {"action", "head", "key", "policy", "query", "reward", "state", "value"}

#: Elements whose text is never linked.
CLOSED = (nodes.reference, nodes.literal, nodes.math, nodes.title, nodes.raw, addnodes.pending_xref)


@dataclass(frozen=True)
class Term:
    """A row of the glossary."""

    name: str
    other_names: tuple[str, ...]
    chinese: str
    meaning: str
    lesson: str

    def forms(self, language: str) -> tuple[str, ...]:
        """Return how the term is written in a language's text."""
        english = (self.name, *self.other_names)
        chinese = self.chinese.partition("（")[0]
        return english if language == "en" else (chinese, *english)


@cache
def read_terms(path: Path) -> tuple[Term, ...]:
    """Read the rows of the glossary."""
    terms = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1].isdigit():
            name, *others = (part.strip(" )") for part in cells[0].split(" ("))
            terms.append(Term(name, tuple(others), *cells[1:]))
    return tuple(terms)


def as_directive(text: str, terms: tuple[Term, ...], lessons: dict[str, str]) -> str:
    """Return the glossary's page with its table replaced by definitions.

    Args:
        text: of the page.
        terms: its rows.
        lessons: the file name of each lesson's number.
    """
    lines = ["```{glossary}", ":sorted:", ""]
    for term in terms:
        lines += [term.name, *term.other_names]
        place = lessons.get(term.lesson)
        number = f"[{term.lesson}](../notebooks/{place})" if place else term.lesson
        lines += [f"  {term.meaning}", "", f"  *{term.chinese}* · {number}", ""]
    lines.append("```")
    return re.sub(r"^\|.*\n?", "", text, flags=re.MULTILINE).rstrip() + "\n\n" + "\n".join(lines)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn the glossary's table into definitions when Sphinx reads it."""
    if docname == PAGE:
        folder = Path(app.srcdir)
        lessons = {path.name[:2]: path.name for path in (folder / "notebooks").glob("*.ipynb")}
        terms = read_terms(folder / f"{PAGE}.md")
        source[0] = as_directive(source[0], terms, lessons)


class LinkTerms(SphinxTransform):
    """Link the first occurrence of each term on the page of a lesson."""

    default_priority = 700  # after translation

    def apply(self, **_: Any) -> None:
        """Replace the terms in running text."""
        if self.app.builder.name == "gettext" or not self.env.docname.startswith("notebooks/"):
            return
        number = self.env.docname.removeprefix("notebooks/")[:2]
        terms = read_terms(Path(self.env.srcdir) / f"{PAGE}.md")
        terms = tuple(term for term in terms if term.lesson <= number)
        language = self.config.language
        names = {form.casefold(): term for term in terms for form in term.forms(language)}
        pattern = re.compile(
            "|".join(
                rf"\b{re.escape(name)}s?\b" if name.isascii() else re.escape(name)
                for name in sorted(names, key=len, reverse=True)
            ),
            re.IGNORECASE,
        )
        linked: set[Term] = set()
        for text in list(running_text(self.document)):
            pieces: list[nodes.Node] = []
            end = 0
            for match in pattern.finditer(text.astext()):
                found = match[0].casefold()
                term = names.get(found) or names.get(found.removesuffix("s"))
                if term is None or term in linked:
                    continue
                if term.name in EVERYDAY and not isinstance(text.parent, nodes.strong):
                    continue
                linked.add(term)
                pieces += [nodes.Text(text.astext()[end : match.start()])]
                pieces += self.link(match[0], term)
                end = match.end()
            if pieces:
                pieces.append(nodes.Text(text.astext()[end:]))
                text.parent.replace(text, pieces)

    def link(self, written: str, term: Term) -> list[nodes.Node]:
        """Return a link to a term, with an entry of the index where the term is introduced."""
        reference = addnodes.pending_xref(
            "",
            nodes.inline("", written, classes=["std", "std-term"]),
            refdomain="std",
            reftype="term",
            reftarget=term.name,
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        if not self.env.docname.startswith(f"notebooks/{term.lesson}"):
            return [reference]
        place = f"index-{nodes.make_id(term.name)}"
        entry = addnodes.index(entries=[("single", term.name, place, "", None)])
        target = nodes.target("", "", ids=[place])
        return [entry, target, reference]


def running_text(document: nodes.document) -> Iterator[nodes.Text]:
    """Yield the texts of paragraphs and lists, without code, outputs, links and titles."""
    for paragraph in document.findall(nodes.paragraph):
        if any("cell_output" in ancestor.get("classes", []) for ancestor in ancestors(paragraph)):
            continue
        for text in paragraph.findall(nodes.Text):
            if not any(isinstance(ancestor, CLOSED) for ancestor in ancestors(text)):
                yield text


def ancestors(node: nodes.Node) -> Iterator[nodes.Element]:
    """Yield the elements around a node, the closest first."""
    while node.parent is not None:
        node = node.parent
        yield node


def write_meanings(app: Sphinx, exception: Exception | None) -> None:
    """Write ``terms.js``: the meaning of each term by its anchor, in the site's language."""
    if exception or app.builder.format != "html":
        return
    meanings = {}
    for item in app.env.get_doctree(PAGE).findall(nodes.definition_list_item):
        meaning = next(item.findall(nodes.paragraph)).astext()
        for term in item.findall(nodes.term):
            meanings |= dict.fromkeys(term["ids"], meaning)
    text = json.dumps(meanings, ensure_ascii=False, indent=0)
    (Path(app.outdir) / "_static" / "terms.js").write_text(f"window.TERMS = {text};\n", "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the hooks."""
    app.connect("source-read", read)
    app.connect("build-finished", write_meanings)
    app.add_transform(LinkTerms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
