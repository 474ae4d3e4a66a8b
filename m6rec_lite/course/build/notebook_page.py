"""A notebook as the lint rules read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Page:
    """A notebook with its path and the project's folder."""

    path: Path
    root: Path
    notebook: Any

    @property
    def is_chapter(self) -> bool:
        """Whether it is in ``notebooks/``."""
        return self.path.parent.name == "notebooks"

    def code(self) -> Iterator[tuple[int, Any]]:
        """Yield number (from 1) and cell of the code cells that are not empty."""
        for number, cell in enumerate(self.notebook.cells, 1):
            if cell.cell_type == "code" and cell.source.strip():
                yield number, cell

    def prose(self) -> Iterator[tuple[int, str]]:
        """Yield number (from 1) and text of the markdown cells, without code."""
        for number, cell in enumerate(self.notebook.cells, 1):
            if cell.cell_type == "markdown":
                text = re.sub(r"```.*?```|~~~.*?~~~", "", cell.source, flags=re.DOTALL)
                yield number, re.sub(r"`[^`\n]*`", "", text)
