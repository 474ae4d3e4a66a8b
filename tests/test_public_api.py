"""The public names of the package, and what may be imported without torch."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import m6rec_lite

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "audit", "course", "ctr", "data", "evaluation", "feedback", "language", "m6rec", "multimodal",
    "nn", "recommenders", "serving", "training", "trust",
)  # fmt: skip
NOTEBOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("solutions/*.ipynb")])
PAGES = sorted([ROOT / "README.md", ROOT / "datasets" / "README.md", *ROOT.glob("docs/*.md")])


def public(package: str) -> set[str]:
    return set(importlib.import_module(package).__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(f"m6rec_lite.{package}")
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        assert type(value).__name__ != "module", f"{package}.{name} is hidden by a file of its name"
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_the_most_used_names_are_at_the_top() -> None:
    for name in m6rec_lite.__all__:
        assert getattr(m6rec_lite, name) is not None
    assert m6rec_lite.EASE is m6rec_lite.recommenders.EASE
    assert set(PACKAGES) <= set(m6rec_lite.__all__)


def not_public(source: str) -> list[str]:
    """Imports of a cell that name a file inside a package, or a name that is not public."""
    source = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)
    faults = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("m6rec_lite.") and alias.name[11:] not in PACKAGES:
                    faults.append(f"import {alias.name}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("m6rec_lite"):
            inside = node.module.removeprefix("m6rec_lite").removeprefix(".")
            if inside and inside not in PACKAGES:
                faults.append(f"from {node.module} import …")
                continue
            for alias in node.names:
                if alias.name not in public(node.module):
                    faults.append(f"from {node.module} import {alias.name}")
    return faults


def test_the_check_finds_what_is_not_public() -> None:
    assert not_public("from m6rec_lite.recommenders import EASE\nimport m6rec_lite") == []
    assert not_public("from m6rec_lite.recommenders.ease import EASE")
    assert not_public("from m6rec_lite.data import Nothing")
    assert not_public("import m6rec_lite.data.ids")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebooks_import_public_names_alone(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [fault for source in code for fault in not_public(source)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_import_public_names_alone(path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [fault for source in blocks for fault in not_public(source)] == []


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, m6rec_lite; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    assert run(code).strip() == "set()"


WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "tokenizers", "accelerate"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, NoTorch())
from m6rec_lite import data, evaluation, recommenders
for package in (data, evaluation):
    for name in package.__all__:
        getattr(package, name)
dataset = data.load_dataset("bazaar")
split = data.leave_one_out(dataset)
models = [recommenders.Popularity(), recommenders.EASE(), recommenders.Markov(),
          recommenders.ItemKNN(), recommenders.IALS(iterations=1), recommenders.BPR(epochs=1),
          recommenders.ContentBased()]
for model in models:
    model.fit(split.train, items=dataset.items, progress=False)
    report = evaluation.evaluate(model, split, bootstrap=0, progress=False)
    print(model.name, len(model.recommend(split.test.histories[:3], k=2)), report["ndcg@10"] > 0)
try:
    recommenders.SASRec
except ImportError as error:
    print(error)
"""


def test_classical_models_work_where_torch_is_not_installed() -> None:
    lines = run(WITHOUT_TORCH).splitlines()
    assert len(lines) == 8
    assert all(line.endswith("6 True") for line in lines[:-1])
    assert lines[-1] == "torch is not installed"


#: Public callables that hand further arguments on to another library, or take fields of a record.
OPEN = {
    "Cache.update", "CausalLM.from_pretrained", "Leaderboard.add", "M6RecConfig.of_size",
    "M6RecModel.forward", "M6RecModel.from_pretrained", "M6RecModel.save_pretrained",
    "Plan.of_size", "largest_size_that_fits", "load_config", "load_model", "load_tokenizer",
}  # fmt: skip


def public_callables() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        module = importlib.import_module(f"m6rec_lite.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.isclass(value):
                yield name, value
                continue
            if not getattr(value, "_is_protocol", False):
                yield name, value
            for key, method in vars(value).items():
                if not key.startswith("_") and key != "set_params":
                    method = getattr(method, "__func__", method)
                    yield f"{name}.{key}", method


def test_public_signatures_are_explicit() -> None:
    """Tab completion shows the real parameters: no ``**options``."""
    loose = set()
    for name, value in public_callables():
        if callable(value) and not (inspect.isclass(value) and issubclass(value, BaseException)):
            kinds = {each.kind for each in inspect.signature(value).parameters.values()}
            if inspect.Parameter.VAR_KEYWORD in kinds:
                loose.add(name)
    assert loose <= OPEN, f"**options in {sorted(loose - OPEN)}"


@pytest.mark.parametrize("stub", sorted((ROOT / "m6rec_lite").rglob("__init__.pyi")), ids=str)
def test_a_name_is_not_hidden_by_the_module_that_defines_it(stub: Path) -> None:
    """Importing a module binds it in its package: a function of its name would be lost."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            assert node.module not in names or names == {node.module}
