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
from typing import Any

from transformers import PreTrainedModel

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
    """Make a power model that was saved to a folder loadable where powerbert is not installed.

    Returns:
        The file with the modeling code, which `config.json` names from now on. None for a host model, which
        transformers knows, and for a backbone whose code cannot stand in one file, which is logged.

    Raises:
        ModelError: If the folder has no readable `config.json`.
    """
    backbone = find_backbone(model.config.model_type)
    if backbone is None or not isinstance(model.config, backbone.config):
        return None
    config = read_config(folder)
    try:
        code = modeling_code(backbone)
    except ValueError as error:
        log.warning("no modeling code is written beside the weights: %s", error)
        return None
    code_file = Path(folder) / f"{module_name(backbone)}.py"
    with output_file(code_file) as file:
        file.write(code)
    with output_file(Path(folder) / "config.json") as file:
        json.dump(config | {"auto_map": auto_map(backbone)}, file, indent=2, sort_keys=True)
        file.write("\n")
    return code_file


def read_config(folder: Path | str) -> dict[str, Any]:
    """Read the config.json of a saved model; raise ModelError if there is none that can be read."""
    path = Path(folder) / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); save the model there first") from error
    return config


def modeling_code(backbone: Backbone) -> str:
    """Return the text of a module with a backbone's config and models that does not import powerbert.

    Raises:
        ValueError: If the backbone's module cannot be part of one file; the message names the module.
    """
    code = _Code({"powerbert", backbone.model.__module__.partition(".")[0]})
    for one in (backbone.config, backbone.model, *backbone.tasks.values()):
        code.add(one.__module__, one.__name__)
    imports = "\n".join(sorted(code.imports))
    header = HEADER.format(version=import_module("powerbert").__version__)  # it names what is above this
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
    """Collect definitions, each after those that it uses; other packages than `packages` stay imports."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.imports: list[str] = []
        self.definitions: list[str] = []
        self.texts: dict[str, str] = {}

    def add(self, module: str, name: str) -> None:
        """Add what a name means at the top level of a module, after everything that it uses."""
        statement, text = _top_level(module).get(name, (None, ""))
        if statement is None:  # a local name or a builtin
            return
        if isinstance(statement, ast.ImportFrom) and self.is_own(statement.module):
            if statement.names[0].asname:
                raise ValueError(f"{module}: {name} must be imported under its original name")
            self.add(str(statement.module), name)
            return
        if name in self.texts:
            if self.texts[name] != text:
                raise ValueError(f"{module}: {name} means something else in another module; rename one")
            return
        self.texts[name] = text
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imports.append(text)
            return
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and self.is_own(node.module):
                raise ValueError(f"{module}: {node.module} is imported in {name}; import it at the top")
            if isinstance(node, ast.Name):
                self.add(module, node.id)
        self.definitions.append(f"# {module}\n{text}")

    def is_own(self, module: str | None) -> bool:
        return module is not None and module.partition(".")[0] in self.packages


@cache
def _top_level(module: str) -> dict[str, tuple[ast.stmt, str]]:
    """Map each name that a module binds at its top level to its statement and text; calls bind nothing."""
    try:
        source = inspect.getsource(import_module(module))
    except (OSError, TypeError) as error:
        raise ValueError(f"{module}: its source cannot be read ({error})") from error
    names: dict[str, tuple[ast.stmt, str]] = {}
    for statement in ast.parse(source).body:
        bound: dict[str, ast.stmt] = {}
        match statement:
            case ast.Expr():
                continue
            case ast.Import(names=aliases):
                bound = {one.asname or one.name.partition(".")[0]: ast.Import([one]) for one in aliases}
            case ast.ImportFrom(module=origin, names=aliases, level=0):
                bound = {one.asname or one.name: ast.ImportFrom(origin, [one], 0) for one in aliases}
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name))
            ):
                bound = {name: statement}
        if not bound or bound.keys() & names.keys():
            raise ValueError(f"{module}: the statement in line {statement.lineno} would be lost")
        names |= {name: (one, _text(one, source)) for name, one in bound.items()}
    return names


def _text(statement: ast.stmt, source: str) -> str:
    """Return a definition's text with its decorators and comments, or an import statement."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return ast.unparse(statement)
    first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", [])))
    return "\n".join(source.splitlines()[first - 1 : statement.end_lineno])
