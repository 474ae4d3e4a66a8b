"""A notebook as an HTML page that needs no network: formulas as MathML, no script from elsewhere.

MathML is drawn by the browser itself (Firefox, Safari, and Chromium since version 109).
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

#: nbconvert's own page without its scripts: MathJax, mermaid and require.js from a server.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""

#: A character that TeX text needs a backslash for.
ESCAPED = re.compile(r"\\([%&#$_{}])")


def mathml(formula: str, *, block: bool = False) -> str:
    """Return a TeX formula as MathML.

    Args:
        formula: without its dollar signs.
        block: on a line of its own.

    Returns:
        A ``math`` element; the formula as code where it cannot be converted.
    """
    try:
        element = convert(formula, display="block" if block else "inline")
    except Exception:  # the converter raises many kinds on TeX that it does not know
        return f"<code>{escape(formula)}</code>"
    return ESCAPED.sub(r"\1", element)


class MathRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        """Return a formula within a line."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """Return a formula on a line of its own."""
        return mathml(body, block=True)

    def latex_environment(self, name: str, body: str) -> str:
        """Return an environment such as ``align``."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)


class PageExporter(HTMLExporter):
    """nbconvert's HTML with formulas as MathML."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Return Markdown as HTML."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = MathRenderer(escape=False, attachments=attachments)
        return MarkdownWithMath(renderer=renderer).render(source)


def page_exporter() -> HTMLExporter:
    """Return the exporter of the course's pages."""
    return PageExporter(raw_template=TEMPLATE)
