"""Each card's code prints what the card says; that of language models is plain transformers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


NAMES = (
    "bazaar-bert", "bazaar-gpt", "bazaar-m6rec", "bazaar-large-m6rec", "bazaar-joint-m6rec",
    "bazaar-retriever",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_card_prints_what_the_card_says(name: str) -> None:
    card = (ROOT / "checkpoints" / name / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    said = re.search(r"```text\n(.*?)```", card, re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == said
    assert said.strip()
