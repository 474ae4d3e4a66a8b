"""Write a runnable example with its real output into a model card.

    python -m m6rec_lite.language.models.card_example checkpoints/bazaar-gpt

runs code that uses plain ``transformers`` and writes it with its output into ``README.md``.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

from m6rec_lite.data.files import write_text
from m6rec_lite.language.models.hub import load_config
from m6rec_lite.language.models.model_folder import quiet

# The prompts have one clearly most probable answer, so that the output is the same on every
# processor.
_FILL = """from transformers import pipeline

fill = pipeline("fill-mask", model="{folder}", device="cpu")
print(repr(fill("[USER] A user from Berlin.[MASK]")[0]["token_str"]))
"""
_GENERATE = """from transformers import AutoModelForCausalLM, AutoTokenizer
{register}
model = AutoModelForCausalLM.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
ids = tokenizer({prompt!r}, return_tensors="pt", add_special_tokens=False).input_ids
written = model.generate(ids, do_sample=False, max_new_tokens={n})
print(tokenizer.decode(written[0, ids.shape[1] :]))
"""
#: Example code by ``model_type``.
CODE = {
    "bert": _FILL,
    "gpt2": _GENERATE.format(register="", folder="{folder}", prompt="[BOS][USER]A man, 18", n=7),
    "m6rec": _GENERATE.format(
        register='\nfrom m6rec_lite.m6rec import M6RecModel  # its import makes "m6rec" known to '
        "transformers\n",
        folder="{folder}",
        prompt="[BOS'][USER] A user[EOS'][BOS][EVENT]clicked a product",
        n=2,
    ),
}
_USE = re.compile(r"## Use\n\n.*?(?=\nIt knows)", re.DOTALL)


def run_code(code: str) -> str:
    """Run Python code and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), quiet():
        exec(compile(code, "<card>", "exec"), {"__name__": "__card__"})
    return printed.getvalue()


def write_example(folder: Path) -> Path:
    """Write the example and its output into the section *Use* of a model card.

    Args:
        folder: the model's folder, as the example names it.

    Raises:
        ValueError: if there is no example for the model type, or no section *Use*.
    """
    kind, card = load_config(folder).model_type, folder / "README.md"
    if kind not in CODE:
        raise ValueError(f"{folder} is a {kind}; there are examples for {', '.join(CODE)}")
    code = CODE[kind].format(folder=folder.as_posix())
    text, n = _USE.subn(
        lambda match: f"## Use\n\n```python\n{code}```\n\nprints\n\n```text\n{run_code(code)}```\n",
        card.read_text(encoding="utf-8"),
    )
    if n != 1:
        raise ValueError(f"{card} has no section 'Use' to write the example into")
    write_text(card, text)
    return card


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write_example(Path(name)))
