"""Packages whose names load on first use, so that a command is refused before torch is imported."""

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that imports what its `__init__` names under `if TYPE_CHECKING` when it is asked for it."""

    _homes: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self._homes:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        value = getattr(import_module(self._homes[name]), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._homes or not isinstance(value, ModuleType):  # a submodule hides none
            super().__setattr__(name, value)


def lazy_package(name: str) -> None:
    """Make a package, which calls this in its `__init__`, a `LazyPackage`."""
    package = sys.modules[name]
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    package._homes = {alias.name: str(node.module) for node in imports for alias in node.names}  # type: ignore[attr-defined]
    package.__class__ = LazyPackage
