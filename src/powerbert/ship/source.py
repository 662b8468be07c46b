"""The source text of a module, taken apart into imports and definitions."""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import resolve_name
from typing import NamedTuple


class Import(NamedTuple):
    """What an import binds a name to.

    Attributes:
        module: its full name.
        attribute: what of the module; None for the module itself.
    """

    module: str
    attribute: str | None


@dataclass(frozen=True)
class Definition:
    """A class, a function or a constant at the top level of a module.

    Attributes:
        text: as it stands there, with the comment above it and, of a constant, the docstring below it.
        uses: the names that occur in it.
        imports: the modules that are imported within it.
        is_constant: whether it is neither a class nor a function.
    """

    text: str
    uses: frozenset[str]
    imports: frozenset[str]
    is_constant: bool


@dataclass(frozen=True)
class Module:
    """A module taken apart.

    Attributes:
        name: its full name.
        summary: the first line of its docstring.
        imports: by the name that they bind.
        definitions: by name, in the order of the text.
        others: the lines of statements that are neither, or that bind a name once more.
    """

    name: str
    summary: str
    imports: Mapping[str, Import]
    definitions: Mapping[str, Definition]
    others: tuple[int, ...]


def read_module(name: str) -> Module:
    """Takes a module apart.

    Args:
        name: its full name; it is imported.
    """
    module = import_module(name)
    text = inspect.getsource(module)
    lines, tree = text.splitlines(), ast.parse(text)
    imports: dict[str, Import] = {}
    definitions: dict[str, Definition] = {}
    others = []
    for statement, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for bound, target in _bindings(statement, module.__package__).items():
                if imports.setdefault(bound, target) != target:
                    others.append(statement.lineno)
        elif (defined := _defined_name(statement)) and defined not in definitions:
            last = following if following is not None and _is_text(following) else statement
            definitions[defined] = _definition(lines, statement, last)
        elif not _is_text(statement):
            others.append(statement.lineno)
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Module(name, summary, imports, definitions, tuple(others))


def _bindings(statement: ast.Import | ast.ImportFrom, package: str | None) -> dict[str, Import]:
    """What an import binds to which names; nothing, if it is from `__future__`."""
    if isinstance(statement, ast.ImportFrom):
        module = resolve_name("." * statement.level + (statement.module or ""), package)
        names = [] if module == "__future__" else statement.names
        return {alias.asname or alias.name: Import(module, alias.name) for alias in names}
    return {
        alias.asname or alias.name.partition(".")[0]: Import(alias.name, None) for alias in statement.names
    }


def _defined_name(statement: ast.stmt) -> str | None:
    """The name that a definition gives something; None for a statement that is no definition."""
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _definition(lines: list[str], statement: ast.stmt, last: ast.stmt) -> Definition:
    """The text from `statement` to the end of `last`, with what is in it."""
    first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    nodes = list(ast.walk(statement))
    inner = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return Definition(
        text="\n".join(lines[first - 1 : last.end_lineno]),
        uses=frozenset(node.id for node in nodes if isinstance(node, ast.Name)),
        imports=frozenset(target.module for node in inner for target in _bindings(node, None).values()),
        is_constant=isinstance(statement, ast.Assign | ast.AnnAssign),
    )


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
