"""Write the modeling code of a power model beside its weights.

transformers does not know the model type `power_bert`. Where powerbert is installed, its registered classes
are used. Elsewhere `trust_remote_code=True` makes transformers import the classes that `auto_map` in
config.json names from a file in the model's folder. That file holds the needed definitions of powerbert's
modules, each after the ones that it uses.
"""

import ast
import inspect
import json
import logging
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeGuard

from transformers import PreTrainedModel

import powerbert
from powerbert.base.errors import ModelError
from powerbert.base.files import output_file
from powerbert.models.backbone import TASKS, Backbone, find_backbone

log = logging.getLogger(__name__)

HEADER = """\
# Generated from powerbert {version}; do not edit. Comments name the modules that the definitions come from.
# With this file in its folder a model loads where powerbert is not installed, by transformers 5 or newer with
# trust_remote_code=True.
"""


def save_modeling_code(model: PreTrainedModel, folder: Path | str) -> Path | None:
    """Make a saved power model loadable where powerbert is not installed.

    Args:
        model: The saved model.
        folder: Where it was saved; `config.json` there gains the entry `auto_map`.

    Returns:
        The file with the modeling code. None for a host model, which transformers knows, and for a backbone
        whose code cannot stand in one file, which is logged.

    Raises:
        ModelError: If the folder has no readable `config.json`.
    """
    backbone = find_backbone(model.config.model_type)
    if backbone is None or not isinstance(model.config, backbone.config):
        return None
    config_file = Path(folder) / "config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{config_file}: cannot be read ({error}); save the model there first") from error
    try:
        code = modeling_code(backbone)
    except ValueError as error:
        log.warning("no modeling code is written beside the weights: %s", error)
        return None
    code_file = Path(folder) / f"{module_name(backbone)}.py"
    with output_file(code_file) as file:
        file.write(code)
    with output_file(config_file) as file:
        json.dump(config | {"auto_map": auto_map(backbone)}, file, indent=2, sort_keys=True)
        file.write("\n")
    return code_file


def modeling_code(backbone: Backbone) -> str:
    """Return the text of a module with a backbone's config and models that does not import powerbert.

    Raises:
        ValueError: If the backbone's module cannot be part of one file; the message names the module.
    """
    code = _Code({powerbert.__name__, backbone.model.__module__.partition(".")[0]})
    for one in (backbone.config, backbone.model, *backbone.tasks.values()):
        code.add(one.__module__, one.__name__)
    imports = "\n".join(sorted(code.imports))
    header = HEADER.format(version=powerbert.__version__)
    return "\n\n\n".join([f"{header}\n{imports}", *code.definitions]) + "\n"


def auto_map(backbone: Backbone) -> dict[str, str]:
    """Return which class of the modeling code each of transformers' Auto classes takes."""
    classes = {"AutoConfig": backbone.config, "AutoModel": backbone.model}
    classes |= {TASKS[task].__name__: model for task, model in backbone.tasks.items()}
    return {auto: f"{module_name(backbone)}.{one.__name__}" for auto, one in classes.items()}


def module_name(backbone: Backbone) -> str:
    """Return the module of the modeling code, such as `modeling_power_bert`."""
    return f"modeling_{backbone.config.model_type}"


class _Code:
    """The definitions for one file; those of other packages than ``packages`` stay imports.

    Attributes:
        imports: Import statements, one for each name.
        definitions: Texts, each after those that it uses.
    """

    def __init__(self, packages: set[str]) -> None:
        self._packages = packages
        self.imports: list[str] = []
        self.definitions: list[str] = []
        self._meanings: dict[str, str] = {}

    def add(self, module: str, name: str) -> None:
        """Add what a name means at the top level of a module, after everything that it uses."""
        statement, text = _top_level(module).get(name, (None, ""))
        if statement is None:  # a local name or a builtin
            return
        if isinstance(statement, ast.ImportFrom) and self._is_own(statement.module):
            if statement.names[0].asname:
                raise ValueError(f"{module}: {name} must be imported under its original name")
            # A package may only import what another module defines.
            defined_in = getattr(getattr(import_module(statement.module), name), "__module__", None)
            self.add(defined_in if self._is_own(defined_in) else statement.module, name)
            return
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        meaning = text if is_import else module
        if name in self._meanings:
            if self._meanings[name] != meaning:
                raise ValueError(f"{name} means two things: {self._meanings[name]}, {meaning}; rename one")
            return
        self._meanings[name] = meaning
        if is_import:
            self.imports.append(text)
            return
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and self._is_own(node.module):
                raise ValueError(f"{module}: {node.module} is imported in {name}; import it at the top")
            if isinstance(node, ast.Name):
                self.add(module, node.id)
        self.definitions.append(f"# {module}\n{text}")

    def _is_own(self, module: str | None) -> TypeGuard[str]:
        return module is not None and module.partition(".")[0] in self._packages


@cache
def _top_level(module: str) -> dict[str, tuple[ast.stmt, str]]:
    """Map the names that a module binds at its top level to their statements and texts.

    Calls, such as those that register a backbone, bind nothing and are left out.
    """
    try:
        source = inspect.getsource(import_module(module))
    except (OSError, TypeError) as error:
        raise ValueError(f"{module}: its source cannot be read ({error})") from error
    lines = source.splitlines()
    names: dict[str, tuple[ast.stmt, str]] = {}
    for statement in ast.parse(source).body:
        bound: dict[str, tuple[ast.stmt, str]] = {}
        match statement:
            case ast.Expr() | ast.ImportFrom(module="__future__"):
                continue
            case ast.Import(names=aliases):
                for alias in aliases:
                    bound[alias.asname or alias.name.partition(".")[0]] = _single(ast.Import([alias]))
            case ast.ImportFrom(module=origin, names=aliases, level=level):
                if level:
                    raise ValueError(f"{module}: the import in line {statement.lineno} must not be relative")
                for alias in aliases:
                    bound[alias.asname or alias.name] = _single(ast.ImportFrom(origin, [alias], 0))
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name))
            ):
                decorators = getattr(statement, "decorator_list", [])
                first = min(node.lineno for node in (statement, *decorators))
                bound[name] = statement, "\n".join(lines[first - 1 : statement.end_lineno])
        if not bound or bound.keys() & names.keys():
            raise ValueError(f"{module}: the statement in line {statement.lineno} would be lost")
        names |= bound
    return names


def _single(statement: ast.stmt) -> tuple[ast.stmt, str]:
    return statement, ast.unparse(statement)
