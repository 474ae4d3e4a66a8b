"""Export of a notebook as an HTML page that needs no network: MathML instead of MathJax.

Browsers render MathML without a script (Firefox, Safari, Chromium since version 109).
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

#: nbconvert's page without the scripts that it loads from a server.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""

#: An escaped character of TeX.
ESCAPED = re.compile(r"\\([%&#$_{}])")


def mathml(formula: str, *, block: bool = False) -> str:
    """Convert a TeX formula to MathML.

    Args:
        formula: the formula without its dollar signs.
        block: whether it is a displayed formula.

    Returns:
        A ``math`` element, or the formula as code if it cannot be converted.
    """
    try:
        element = convert(formula, display="block" if block else "inline")
    except Exception:  # the converter raises exceptions of many types
        return f"<code>{escape(formula)}</code>"
    return ESCAPED.sub(r"\1", element)


class MathRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        """Return an inline formula."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """Return a displayed formula."""
        return mathml(body, block=True)

    def latex_environment(self, name: str, body: str) -> str:
        """Return an environment such as ``align``."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)


class PageExporter(HTMLExporter):
    """nbconvert's HTML with formulas as MathML."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Convert Markdown to HTML."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = MathRenderer(escape=False, attachments=attachments)
        return MarkdownWithMath(renderer=renderer).render(source)


def page_exporter() -> HTMLExporter:
    """Return the exporter of the course's pages."""
    return PageExporter(raw_template=TEMPLATE)
