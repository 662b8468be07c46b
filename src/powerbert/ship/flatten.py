"""A few classes of a package, with everything that they use of it, as one module.

transformers loads the modeling code of a model folder as a module that cannot import a package which is not
installed. Where a module does what one file cannot say, flattening is refused: a text that is returned is
whole.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter

from powerbert.ship.source import Definition, Import, Module, read_module

LINE_LENGTH = 110


def flatten(package: str, classes: Iterable[type]) -> str:
    """Writes the text of a module that defines some classes of a package, and needs the package no more.

    Args:
        package: its name; what is imported from elsewhere stays an import.
        classes: defined in modules of the package.

    Returns:
        Imports, then the classes and what they use, directly or not. The definitions of a module stay
        together and in order, after those of the modules that it uses. The same package gives the same text.

    Raises:
        ValueError: naming the module, if something of it would be lost: a name that means two things, an
            import of the package's under another name or within a function, a statement at the top level that
            defines nothing.
    """
    flat = _Flattening(package)
    for one in classes:
        flat.include(one.__module__, one.__name__)
    return flat.text()


class _Flattening:
    """A module in the making.

    Attributes:
        meanings: what each of its names is: an import, or the definition in the module of that name.
        needs: the modules that a module uses definitions of.
    """

    def __init__(self, package: str):
        self.package = package
        self.modules: dict[str, Module] = {}
        self.meanings: dict[str, str | Import] = {}
        self.needs: dict[str, list[str]] = {}

    def include(self, module_name: str, name: str) -> str | None:
        """Takes in what a name means in a module, and what that uses.

        Returns:
            The module that defines it; None if that is none of the package's.
        """
        module = self._read(module_name)
        target = module.imports.get(name)
        if target is not None and not self._is_own(target.module):
            self._is_new(name, target)
            return None
        if target is not None:
            if target.attribute != name:
                raise ValueError(f"{module_name}: {name} must be imported by name, and by its own name")
            return self.include(target.module, name)
        if name not in module.definitions:
            raise ValueError(f"{module_name}: {name} is not defined at the top level")
        if self._is_new(name, module_name):
            self._include_uses(module, module.definitions[name])
        return module_name

    def text(self) -> str:
        """All that was taken in."""
        external = {name: what for name, what in self.meanings.items() if isinstance(what, Import)}
        order = TopologicalSorter(self.needs).static_order()
        sections = [import_block(external), *(self._section(self.modules[name]) for name in order)]
        return "\n\n\n".join(section for section in sections if section) + "\n"

    def _include_uses(self, module: Module, definition: Definition) -> None:
        if module.others:
            raise ValueError(f"{module.name}: the statement in line {module.others[0]} would be lost")
        if hidden := sorted(filter(self._is_own, definition.imports)):
            raise ValueError(f"{module.name}: {hidden[0]} must be imported at the top, not within a function")
        needs = self.needs.setdefault(module.name, [])
        for name in sorted(definition.uses & (module.imports.keys() | module.definitions.keys())):
            defined_in = self.include(module.name, name)
            if defined_in is not None and defined_in not in (module.name, *needs):
                needs.append(defined_in)

    def _is_new(self, name: str, meaning: str | Import) -> bool:
        """Settles what a name means, unless that is settled."""
        if name not in self.meanings:
            self.meanings[name] = meaning
            return True
        if self.meanings[name] != meaning:
            raise ValueError(
                f"{name} means two things, in {self.meanings[name]} and in {meaning}; rename one of them"
            )
        return False

    def _section(self, module: Module) -> str:
        """The definitions that were taken from a module, below its name."""
        taken = [one for name, one in module.definitions.items() if self.meanings.get(name) == module.name]
        text, close = f"# {module.name}\n# {module.summary}", True
        for definition in taken:
            text += ("\n\n" if close and definition.is_constant else "\n\n\n") + definition.text
            close = definition.is_constant
        return text

    def _read(self, name: str) -> Module:
        if name not in self.modules:
            self.modules[name] = read_module(name)
        return self.modules[name]

    def _is_own(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")


def import_block(imports: Mapping[str, Import]) -> str:
    """Writes import statements.

    Args:
        imports: by the name that they bind.

    Returns:
        The standard library's, an empty line, the others; each in alphabetical order.
    """
    groups: dict[bool, dict[str, Import]] = {True: {}, False: {}}
    for name, one in imports.items():
        groups[one.module.partition(".")[0] in sys.stdlib_module_names][name] = one
    return "\n\n".join("\n".join(_statements(group)) for group in groups.values() if group)


def _statements(imports: Mapping[str, Import]) -> Iterator[str]:
    """Imports of modules, then imports from modules."""
    for name, (module, attribute) in sorted(imports.items()):
        if attribute is None:
            yield f"import {module}" if name == module.partition(".")[0] else f"import {module} as {name}"
    for module in sorted({one.module for one in imports.values() if one.attribute is not None}):
        names = [
            name if name == one.attribute else f"{one.attribute} as {name}"
            for name, one in sorted(imports.items())
            if one.module == module and one.attribute is not None
        ]
        line = f"from {module} import {', '.join(names)}"
        yield line if len(line) <= LINE_LENGTH else _wrapped(module, names)


def _wrapped(module: str, names: list[str]) -> str:
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])
