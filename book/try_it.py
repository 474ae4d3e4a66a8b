"""The directive ``experiment``: an experiment of ``static/try_it.js`` with its data in the page."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

DATA = Path(__file__).parent / "data"


class ExperimentDirective(SphinxDirective):
    """Place the experiment of a name, such as ``decay``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return its data, and the element that the script fills."""
        name = self.arguments[0]
        path = DATA / f"{name}.json"
        self.env.note_dependency(str(path))
        data = path.read_text(encoding="utf-8").strip().replace("</", "<\\/")
        html = (
            f'<div class="experiment" data-name="{name}" role="group" aria-label="{name}">'
            f'<script type="application/json">{data}</script></div>'
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("experiment", ExperimentDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
