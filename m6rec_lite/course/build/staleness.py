"""Detect stale outputs with a hash of everything that a notebook's outputs depend on.

The hash covers the notebook's code cells, the modules of ``m6rec_lite`` that it uses (with the
JSON, CSV, CSS and JavaScript files in their folders), and the embedded data. Imports are followed
by name: a lesson that imports ``EASE`` from ``m6rec_lite.recommenders`` depends on the module that
defines it and on its imports, not on the whole package, so adding a model does not make older
lessons stale. Comments, docstrings and blank lines are ignored.
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

#: Key of a notebook's metadata under which its hash is stored.
METADATA = "m6rec"

#: A call of an exercise by its name.
EXERCISE_CALL = re.compile(r"\bexercise\(\s*[\"'](\w+)[\"']")


def freshness(notebook: Any, root: Path) -> str:
    """Return the hash of everything that a notebook's outputs depend on: 16 hex digits.

    Args:
        notebook: an ``nbformat`` notebook.
        root: the project's folder, with ``m6rec_lite`` and ``datasets``.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(b"\0cell\0" + _strip_comments(source).encode())
    modules = used_modules("\n".join(map(_no_magics, sources)), root)
    for module in modules:
        digest.update(f"\0{module.relative_to(root).as_posix()}\0".encode())
        digest.update(_strip_comments(module.read_text(encoding="utf-8")).encode())
    folders = {module.parent for module in modules}
    files = (path for folder in folders for path in folder.iterdir())
    resources = sorted(path for path in files if path.suffix in {".json", ".csv", ".css", ".js"})
    for path in [*resources, *_data_files(root)]:
        digest.update(f"\0{path.name}\0".encode() + _file_hash(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:16]


def stored_freshness(notebook: Any) -> str | None:
    """Return the hash that was stored with a notebook's outputs, None if there is none."""
    return notebook.metadata.get(METADATA, {}).get("freshness")


def used_modules(code: str, root: Path) -> list[Path]:
    """Return the sorted files of the package that some code uses, directly or indirectly.

    Exercises are included if the code calls them by name.
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
    """Return the files of the package that a file imports from."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(_imported(tree, path, root) - {path})


def _imported(tree: ast.AST, path: Path | None, root: Path) -> set[Path]:
    """Return the files that the imports of a syntax tree refer to."""
    files: set[Path] = set()
    for node in _outside_type_checking(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                path_of_name = _file(alias.name, root)
                if path_of_name and alias.name.partition(".")[0] == PACKAGE:
                    files.add(path_of_name)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, root)
            if module and module.partition(".")[0] == PACKAGE:
                for alias in node.names:
                    used = _attributes(tree, alias.asname or alias.name)
                    files |= _definitions(module, alias.name, used, root)
        elif isinstance(node, ast.Attribute) and (module := _loaded(node.value)):
            files |= _definitions(module, node.attr, None, root)
    return files


def _loaded(node: ast.AST) -> str:
    """Return the module of the package that ``import_module("…")`` loads; else ""."""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0]
    if name != "import_module" or not isinstance(first, ast.Constant):
        return ""
    module = str(first.value)
    return module if module.partition(".")[0] == PACKAGE else ""


def _definitions(module: str, name: str, used: set[str] | None, root: Path) -> set[Path]:
    """Return the files that define one imported name, or the used attributes of a package."""
    inner = _file(f"{module}.{name}", root)
    if inner is not None:
        if inner.name != "__init__.py" or used is None:
            return {inner}
        files: set[Path] = set()
        for attribute in used:
            files |= _definitions(f"{module}.{name}", attribute, None, root)
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
                        return _definitions(source, alias.name, None, root) if source else set()
    return {path}


def _file(module: str, root: Path) -> Path | None:
    """Return the file of a dotted module name, None if there is none."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _absolute(node: ast.ImportFrom, path: Path | None, root: Path) -> str | None:
    """Return the absolute module name of a ``from … import``."""
    if not node.level:
        return node.module
    if path is None:
        return None
    parts = path.relative_to(root).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _attributes(tree: ast.AST, name: str) -> set[str] | None:
    """Return the attributes of ``name`` that are used; None if ``name`` is also used alone."""
    attributes: set[str] = set()
    owners: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == name:
                attributes.add(node.attr)
            owners.add(node.value)
    used_alone = any(
        isinstance(node, ast.Name) and node.id == name and node not in owners
        for node in ast.walk(tree)
    )
    return None if used_alone else attributes


def _outside_type_checking(tree: ast.AST) -> list[ast.AST]:
    """Return all nodes except those under ``if TYPE_CHECKING``."""
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
    """Replace IPython magics, which are not Python, with empty lines."""
    return "\n".join("" if re.match(r"\s*[%!?]", line) else line for line in source.split("\n"))


def _strip_comments(source: str) -> str:
    """Remove comments, docstrings, blank lines and trailing spaces.

    Text is removed by position, not unparsed from the tree, so that all versions of Python agree.
    """
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return source  # IPython magics
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
    """Return the files of the embedded data set, except its documentation."""
    folder = root / "datasets" / "bazaar"
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".md", ".txt"})


@functools.cache
def _file_hash(path: Path, _modified: int) -> bytes:
    """Return the SHA-256 of a file, cached by its modification time."""
    return hashlib.sha256(path.read_bytes()).digest()
