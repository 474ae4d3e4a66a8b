"""First-order mutants of a function: copies of its source with one small change each.

``mutants(source, name)`` yields them in a fixed order. Changed are operators, constants, indices
and slices, axes, the order of arguments and of indices, names of similar functions, and statements,
which are omitted. ``compile_mutant`` makes a function of a mutant, whose loops end after a limited
number of iterations.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Replacements of each operator: the boundary first, then the opposite.
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.MatMult: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}

#: Functions and methods that learners mix up.
_NAMES = {
    "min": ("max",),
    "max": ("min",),
    "minimum": ("maximum",),
    "maximum": ("minimum",),
    "mean": ("sum", "max"),
    "sum": ("mean",),
    "std": ("var",),
    "nunique": ("count",),
    "cumsum": ("asarray",),
    "unique": ("asarray",),
    "zeros": ("ones",),
    "zeros_like": ("ones_like",),
    "log": ("log2", "log1p"),
    "log2": ("log",),
    "exp": ("exp2", "expm1"),
    "argsort": ("argmax",),
    "append": ("extend",),
    "pairwise": ("combinations",),
    "logaddexp": ("add",),
    "set": ("list",),
}

#: Functions of which the order of arguments does not matter.
_SYMMETRIC = {"min", "max", "minimum", "maximum", "logaddexp"}

#: Functions of one argument that a mutant omits.
_OMITTED = {
    "sqrt", "exp", "log", "log2", "tanh", "sorted", "sort", "cumsum", "set", "copy", "len",
    "encode", "abs", "diff", "unique", "bf16",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A mutant of a function.

    Attributes:
        label: the lines that differ from the original.
        source: the whole source.
        line: line of the change in the source that was given, from 1.
    """

    label: str
    source: str
    line: int


class EndlessLoop(Exception):
    """The loops of a mutant had more iterations than allowed."""


def mutants(source: str, name: str) -> Iterator[Mutant]:
    """Yield each different first-order mutant of the body of a function.

    Args:
        source: source of the cell that defines the function.
        name: name of the function.
    """
    tree = ast.parse(source)
    [function] = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    if ast.get_docstring(function) is not None:
        del function.body[0]
    parameters = [argument.arg for argument in function.args.args]
    following = dict(zip(parameters, parameters[1:] + parameters[:1], strict=True))
    original = ast.unparse(tree)
    known = {original}
    for parent, field, index, node in _places(function):
        alternatives = [*_alternatives(node)]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in following:
            alternatives.append(ast.Name(following[node.id], ast.Load()))
        for new in alternatives:
            _put(parent, field, index, new)
            changed = ast.unparse(ast.fix_missing_locations(tree))
            _put(parent, field, index, node)
            if changed not in known:
                known.add(changed)
                yield Mutant(_label(original, changed), changed, _line(node, parent))


def compile_mutant(source: str, name: str, names: dict[str, Any], turns: int = 100_000) -> Any:
    """Execute a source in a copy of some names, and return the function that it defines.

    Args:
        source: source with the function.
        name: name of the function.
        names: names that the source needs.
        turns: iterations that all loops may have in total; then they raise ``EndlessLoop``.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While):
            node.body.insert(0, ast.parse("_count_turn()").body[0])
    left = turns

    def count_turn() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise EndlessLoop(f"more than {turns} turns")

    namespace = {**names, "_count_turn": count_turn}
    exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), namespace)
    return namespace[name]


def _places(function: ast.FunctionDef) -> list[tuple[ast.AST, str, int | None, ast.AST]]:
    """Return parent, field, index in it (None if it is no list) and node, of the whole body."""
    places: list[tuple[ast.AST, str, int | None, ast.AST]] = []
    waiting: list[tuple[ast.AST, str, int | None, ast.AST]] = [
        (function, "body", i, statement) for i, statement in enumerate(function.body)
    ]
    while waiting:
        place = waiting.pop(0)
        places.append(place)
        inside: list[tuple[ast.AST, str, int | None, ast.AST]] = []
        for field, value in ast.iter_fields(place[3]):
            if field == "annotation" or _is_option(place[3]):
                continue
            if isinstance(value, list):
                inside += [
                    (place[3], field, i, node)
                    for i, node in enumerate(value)
                    if isinstance(node, ast.AST)
                ]
            elif isinstance(value, ast.AST):
                inside.append((place[3], field, None, value))
        waiting = inside + waiting
    return places


def _is_option(node: ast.AST) -> bool:
    """Return whether a node is the keyword ``strict``, or a keyword with a text as its value."""
    return isinstance(node, ast.keyword) and (
        node.arg == "strict"
        or (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    )


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the replacements of a node."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.If | ast.For | ast.While):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)
    if isinstance(node, ast.For):
        yield _with(node, body=[*node.body, ast.Break()])
    if isinstance(node, ast.If | ast.IfExp):
        yield _with(node, test=ast.Constant(True))
        yield _with(node, test=ast.Constant(False))
    if isinstance(node, ast.comprehension):
        for i in range(len(node.ifs)):
            yield _with(node, ifs=node.ifs[:i] + node.ifs[i + 1 :])
    if isinstance(node, ast.cmpop):
        yield from (new() for new in _COMPARISONS.get(type(node), ()))
    if isinstance(node, ast.operator):
        yield from (new() for new in _ARITHMETIC.get(type(node), ()))
    if isinstance(node, ast.boolop):
        yield ast.Or() if isinstance(node, ast.And) else ast.And()
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Sub | ast.Div | ast.Pow | ast.MatMult):
            yield _with(node, left=node.right, right=node.left)
        yield node.left
        yield node.right
    if isinstance(node, ast.BoolOp):
        yield from node.values
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.Constant):
        yield from map(ast.Constant, _constants(node.value))
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from (ast.Name(new, ast.Load()) for new in _NAMES.get(node.id, ()))
    if isinstance(node, ast.Attribute):
        yield from (_with(node, attr=new) for new in _NAMES.get(node.attr, ()))
        if node.attr == "T":
            yield node.value
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield node.value
    if isinstance(node, ast.Slice):
        for bound in ("lower", "upper", "step"):
            if getattr(node, bound) is not None:
                yield _with(node, **{bound: None})
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        yield _with(node, elts=[node.elts[1], node.elts[0], *node.elts[2:]])
        yield _with(node, elts=[*node.elts[:-2], node.elts[-1], node.elts[-2]])


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    """Yield the call with two arguments swapped, without one keyword, and its argument alone."""
    called = node.func
    last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    for i in range(len(node.args) - 1 if last not in _SYMMETRIC else 0):
        swapped = [*node.args[:i], node.args[i + 1], node.args[i], *node.args[i + 2 :]]
        yield _with(node, args=swapped)
    for i, keyword in enumerate(node.keywords):
        if keyword.arg == "strict":  # it only rejects inputs that no exercise has
            continue
        yield _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
    if last in _OMITTED:
        if len(node.args) == 1:
            yield node.args[0]
        elif not node.args and isinstance(called, ast.Attribute):
            yield called.value


def _constants(value: Any) -> Iterator[Any]:
    """Yield constants close to a constant."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
        yield value - 1
    elif isinstance(value, float):
        yield float(f"{1.5 * value:.4g}") if value else 1.0
        yield -value if value else -1.0
    elif isinstance(value, str):
        yield value + "_"


def _with(node: Any, **fields: Any) -> Any:
    """Return a copy of a node with other fields; the copy shares the remaining children."""
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _label(original: str, changed: str) -> str:
    """Return the lines that only the mutant has, or those that it lacks."""
    old, new = original.splitlines(), changed.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    lacks = [line.strip() for line in old]
    has = [line.strip() for line in new]
    if has in ([], ["pass"]):
        return f"without: {'; '.join(lacks)}"
    return "; ".join(has) if lacks else f"with: {'; '.join(has)}"


def _line(node: ast.AST, parent: ast.AST) -> int:
    """Return the line of a node; an operator has that of its parent."""
    return int(getattr(node, "lineno", getattr(parent, "lineno", 0)))
