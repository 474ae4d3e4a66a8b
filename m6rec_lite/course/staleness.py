"""Whether stored outputs belong to today's code: a hash of all that they depend on.

The hash covers the notebook's code cells, the modules of ``m6rec_lite`` that it uses (with the
tables of words that lie beside them), and the embedded data. Modules are followed by name: a
chapter that imports ``EASE`` from ``m6rec_lite.recommenders`` depends on the module that defines it
and on what that imports, not on the whole family, so that adding a model leaves older chapters as
they are. Comments, docstrings and blank lines do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import re
import tokenize
from pathlib import Path
from typing import Any

PACKAGE = "m6rec_lite"

#: Hashes of a notebook are kept under this key of its metadata.
METADATA = "m6rec"

#: How a notebook calls an exercise: by a name written out.
EXERCISE_CALL = re.compile(r"\bexercise\(\s*[\"'](\w+)[\"']")


def freshness(notebook: Any, root: Path) -> str:
    """Sixteen hex digits for all that a notebook's outputs depend on.

    Args:
        notebook: an ``nbformat`` notebook.
        root: the project's folder, which holds ``m6rec_lite`` and ``datasets``.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(b"\0cell\0" + _bare(source).encode())
    modules = used_modules("\n".join(map(_no_magics, sources)), root)
    for module in modules:
        digest.update(f"\0{module.relative_to(root).as_posix()}\0".encode())
        digest.update(_bare(module.read_text(encoding="utf-8")).encode())
    beside = sorted({path for module in modules for path in module.parent.glob("*.json")})
    for path in [*beside, *_data_files(root)]:
        digest.update(f"\0{path.name}\0".encode() + _file_hash(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:16]


def used_modules(code: str, root: Path) -> list[Path]:
    """Files of the package that some code uses, those included that these use; sorted.

    Of the exercises, those whose names the code calls.
    """
    if not code.strip():
        return []
    seen: set[Path] = set()
    waiting = _imported(ast.parse(code), None, root)
    folder = root / PACKAGE / "course" / "exercises"
    called = {folder / f"{name}.py" for name in EXERCISE_CALL.findall(code)}
    waiting |= {path for path in called if path.is_file()}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= _imports_of(path, path.stat().st_mtime_ns, root) - seen
    return sorted(seen)


@functools.cache
def _imports_of(path: Path, _modified: int, root: Path) -> frozenset[Path]:
    """Files of the package that a file imports from, by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(_imported(tree, path, root) - {path})


def _imported(tree: ast.AST, path: Path | None, root: Path) -> set[Path]:
    """Files behind the imports in a syntax tree."""
    found: set[Path] = set()
    for node in _outside_type_checking(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == PACKAGE:
                    found |= _whole(_file(alias.name, root), root)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, root)
            if module and module.partition(".")[0] == PACKAGE:
                for alias in node.names:
                    used = _attributes(tree, alias.asname or alias.name)
                    found |= _behind(module, alias.name, used, root)
        elif isinstance(node, ast.Attribute) and _loaded(node.value):
            found |= _behind(_loaded(node.value), node.attr, None, root)
    return found


def _loaded(node: ast.AST) -> str:
    """The module that ``import_module("…")`` loads, if it is one of the package; else ""."""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0]
    if name != "import_module" or not isinstance(first, ast.Constant):
        return ""
    module = str(first.value)
    return module if module.partition(".")[0] == PACKAGE else ""


def _behind(module: str, name: str, used: set[str] | None, root: Path) -> set[Path]:
    """Files behind one imported name; for a package, behind the attributes of it that are used."""
    inner = _file(f"{module}.{name}", root)
    if inner is not None:
        if inner.name != "__init__.py" or used is None:
            return _whole(inner, root)
        files: set[Path] = set()
        for attribute in used:
            files |= _behind(f"{module}.{name}", attribute, None, root)
        return files
    path = _file(module, root)
    if path is None:
        return set()
    if path.name == "__init__.py":
        exports = path.with_suffix(".pyi")  # lazy exports are declared there
        exports = exports if exports.is_file() else path
        for node in ast.walk(ast.parse(exports.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        source = _absolute(node, exports, root)
                        return _behind(source, alias.name, None, root) if source else set()
    return {path}


def _whole(path: Path | None, root: Path) -> set[Path]:
    """A file, none where there is none."""
    return set() if path is None else {path}


def _file(module: str, root: Path) -> Path | None:
    """The file of a dotted module name, or None if it names no module."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _absolute(node: ast.ImportFrom, path: Path | None, root: Path) -> str | None:
    """The dotted name that ``from … import`` names, relative ones resolved."""
    if not node.level:
        return node.module
    if path is None:
        return None
    parts = path.relative_to(root).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _attributes(tree: ast.AST, name: str) -> set[str] | None:
    """Attributes that are taken of ``name``; None if it is also used bare."""
    taken: set[str] = set()
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == name:
                taken.add(node.attr)
            inside.add(node.value)
    bare = any(
        isinstance(node, ast.Name) and node.id == name and node not in inside
        for node in ast.walk(tree)
    )
    return None if bare else taken


def _outside_type_checking(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    nodes: list[ast.AST] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        nodes.append(node)
        waiting += ast.iter_child_nodes(node)
    return nodes


def _no_magics(source: str) -> str:
    """A cell without its IPython lines, which are not Python."""
    return "\n".join("" if re.match(r"\s*[%!?]", line) else line for line in source.split("\n"))


def _bare(source: str) -> str:
    """The source without comments, docstrings, blank lines and trailing spaces.

    It is cut by position, not written anew from the tree, so that every Python gives the same.
    """
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return source  # IPython magics: every character counts
    lines = source.split("\n")
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            for row in range(first.lineno, (first.end_lineno or first.lineno) + 1):
                lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _data_files(root: Path) -> list[Path]:
    """The embedded data set's files, without what describes it."""
    folder = root / "datasets" / "bazaar"
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".md", ".txt"})


@functools.cache
def _file_hash(path: Path, _modified: int) -> bytes:
    """SHA-256 of a file, computed once while it does not change."""
    return hashlib.sha256(path.read_bytes()).digest()
