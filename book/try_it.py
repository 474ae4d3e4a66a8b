"""The directive ``experiment``: the output of a lesson's ``course.try_it`` in another page."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from m6rec_lite.course.paths import chapters
from m6rec_lite.course.widgets.output import stored_experiment

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


class ExperimentDirective(SphinxDirective):
    """Place the experiment of a lesson and a name, such as ``03 decay``."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the HTML that the lesson holds.

        Raises:
            DirectiveError: if the stored lesson has no such output.
        """
        number, name = self.arguments
        (path,) = chapters(NOTEBOOKS, number)
        self.env.note_dependency(str(path))
        html = stored_experiment(json.loads(path.read_text(encoding="utf-8")), name)
        if html is None:
            raise self.error(
                f"{path.name} holds no output of course.try_it({name!r}, …); "
                f"python -m m6rec_lite.course store notebooks/{path.name}"
            )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("experiment", ExperimentDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
