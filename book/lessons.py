"""Prepare stored lessons for the site, and give each page what its template needs."""

import json
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

LANGUAGES = {"en": "English", "zh_CN": "中文"}

#: The Chinese of a lesson's line of facts, whose numbers change with each stored run.
FACTS = {
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
        if language != "en" and "facts" in cell["metadata"].get("tags", []):
            cell["source"] = chinese_facts("".join(cell["source"]))
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


def chinese_facts(text: str) -> str:
    """Return a lesson's line of facts in Chinese."""
    for english, chinese in FACTS.items():
        text = re.sub(english, chinese, text)
    return text


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Prepare a lesson when Sphinx reads it; folders are shown by the repository's host."""
    repository = app.config.html_theme_options["repository_url"]
    source[0] = source[0].replace("](../claims)", f"]({repository}/tree/main/claims)")
    if docname.startswith("notebooks/"):
        notebook = prepare(json.loads(source[0]), app.config.language)
        source[0] = json.dumps(notebook)


#: Pages whose tables sort.
SORTABLE = ("results/", "docs/results", "docs/claims")


class SortableTables(SphinxTransform):
    """Mark the tables of result pages."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        """Add the class that ``book.js`` looks for."""
        if self.env.docname.startswith(SORTABLE):
            for table in self.document.findall(nodes.table):
                table["classes"].append("sortable")


class UntranslatedOutputs(SphinxTransform):
    """Keep what code has computed out of the catalogues: it changes with each stored run."""

    default_priority = 5

    def apply(self, **_: Any) -> None:
        """Mark the text of outputs, facts and alternative texts as not translatable."""
        for container in self.document.findall(nodes.container):
            if {"cell_output", "tag_facts"} & set(container["classes"]):
                for node in container.findall(nodes.Element):
                    node["translatable"] = False


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
            "address": f"{top}{'' if code == 'en' else f'{code}/'}{pagename}.html",
        }
        for code, name in LANGUAGES.items()
    ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the hooks."""
    app.connect("source-read", read)
    app.connect("html-page-context", page_context)
    app.add_transform(SortableTables)
    app.add_transform(UntranslatedOutputs)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
