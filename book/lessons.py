"""Prepare stored lessons for the site, and give each page what its template needs."""

import json
import re
from itertools import takewhile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

LANGUAGES = {"en": "English", "zh_CN": "中文"}

#: Chinese of what no catalogue holds: HTML, and facts whose numbers change with each stored run.
PHRASES = {
    r"<summary>Answer</summary>": "<summary>答案</summary>",
    r"([\d.]+) min to read": r"阅读约 \1 分钟",
    r"runs in ([\d.]+ \w+) at smoke scale": r"smoke 规模运行 \1",
    r"([\d.]+ \w+) at laptop scale": r"laptop 规模运行 \1",
    r"\(two CPU cores\)": "(两个 CPU 核心)",
    r"([\d.]+ \w+) of memory at most": r"内存最多 \1",
    r"a GPU is not used": "不使用 GPU",
    r"a GPU is used where there is one": "有 GPU 时使用 GPU",
}

#: What `course.record` leaves in a notebook for the runner.
RECORD = "application/vnd.m6rec.record+json"


def prepare(notebook: dict[str, Any], language: str) -> dict[str, Any]:
    """Change a stored notebook in place so that its page is complete and accessible.

    Pictures receive the alternative text that the lesson stored, and empty header cells of tables
    become ordinary cells.

    Args:
        notebook: the notebook as JSON.
        language: of the site, such as ``"en"``.

    Returns:
        The same notebook.
    """
    for cell in notebook["cells"]:
        if "facts" in cell["metadata"].get("tags", []):
            cell["source"] = f"```{{container}} facts\n{''.join(cell['source'])}\n```"
        if language != "en" and cell["cell_type"] == "markdown":
            cell["source"] = in_chinese("".join(cell["source"]))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(RECORD, None)
            picture = output.get("metadata", {}).get("image/png", {})
            if "alt" in picture:
                cell["metadata"]["mystnb"] = {"image": {"alt": picture["alt"]}}
            if "text/html" in data:
                html = "".join(data["text/html"])
                data["text/html"] = re.sub(r"<th>\s*</th>", "<td></td>", html)
    return notebook


def in_chinese(text: str) -> str:
    """Return text with the phrases that no catalogue holds in Chinese."""
    for english, chinese in PHRASES.items():
        text = re.sub(english, chinese, text)
    return text


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Prepare a page when Sphinx reads it; its repository's host shows folders."""
    repository = app.config.html_theme_options["repository_url"]
    source[0] = source[0].replace("](../claims)", f"]({repository}/tree/main/claims)")
    source[0] = source[0].replace("git clone --depth 1 REPOSITORY", f"git clone {repository}")
    if docname.startswith(("notebooks/", "exercises/")):
        notebook = prepare(json.loads(source[0]), app.config.language)
        source[0] = json.dumps(notebook)


#: Pages whose tables sort.
SORTABLE = ("results/", "docs/results", "docs/claims")


class Tables(SphinxTransform):
    """Mark the tables of result pages, and fill empty headings."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        """Add the class that ``book.js`` looks for, and a dash, which a screen reader reads."""
        for table in self.document.findall(nodes.table):
            if self.env.docname.startswith(SORTABLE):
                table["classes"].append("sortable")
            for head in table.findall(nodes.thead):
                for entry in head.findall(nodes.entry):
                    if not entry.astext().strip():
                        entry.children = []
                        entry += nodes.paragraph(text="–")


class Untranslated(SphinxTransform):
    """Keep what code writes out of the catalogues: it changes with each stored run.

    These are the outputs and the facts of lessons, tables between ``<!-- name: begin -->`` and
    ``<!-- name: end -->``, text without letters, and the glossary's terms.
    """

    default_priority = 5

    def apply(self, **_: Any) -> None:
        """Mark such elements as not translatable."""
        for container in self.document.findall(nodes.container):
            if {"cell_output", "facts"} & set(container["classes"]):
                self.keep(container)
        for begin in self.document.findall(lambda node: is_mark(node, "begin")):
            siblings = begin.parent.children[begin.parent.index(begin) :]
            for node in takewhile(lambda node: not is_mark(node, "end"), siblings):
                self.keep(node)
        for text in self.document.findall(nodes.TextElement):
            if isinstance(text, nodes.Inline):
                continue
            parts = text.findall(nodes.Text)
            prose = (
                part for part in parts if not isinstance(part.parent, nodes.literal | nodes.math)
            )
            if isinstance(text, nodes.math_block) or not any(map(has_letter, prose)):
                text["translatable"] = False
        for item in self.document.findall(nodes.definition_list_item):
            if self.env.docname == "docs/glossary":
                paragraphs = list(item.findall(nodes.paragraph))
                for node in (*item.findall(nodes.term), *paragraphs[1:]):
                    self.keep(node)

    def keep(self, part: nodes.Node) -> None:
        """Mark an element and all inside it."""
        for node in part.findall(nodes.Element):
            if not isinstance(node, nodes.Inline):
                node["translatable"] = False
            elif isinstance(node, nodes.image) and self.app.builder.name == "gettext":
                node["alt"] = ""


def has_letter(text: str) -> bool:
    """Return whether there is anything to translate in a text."""
    return any(map(str.isalpha, text))


def is_mark(node: nodes.Node, which: str) -> bool:
    """Return whether a node is the comment ``<!-- name: which -->``."""
    is_comment = isinstance(node, nodes.comment | nodes.raw)
    return is_comment and node.astext().strip(" <>!-\n").endswith(f": {which}")


def page_context(
    app: Sphinx, pagename: str, _: str, context: dict[str, Any], __: nodes.document | None
) -> None:
    """Give a page the address of its translations."""
    up = "../" * pagename.count("/")
    here = app.config.language
    top = up if here == "en" else f"{up}../"
    context["translations"] = [
        {
            "code": code.replace("_", "-"),
            "name": name,
            "here": code == here,
            "address": f"{top}{folder(code)}{pagename}.html",
        }
        for code, name in LANGUAGES.items()
    ]


def folder(language: str) -> str:
    """Return the folder of a language below that of the site."""
    return "" if language == "en" else f"{language.replace('_', '-')}/"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the hooks."""
    app.connect("source-read", read)
    app.connect("html-page-context", page_context)
    app.add_transform(Tables)
    app.add_transform(Untranslated)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
