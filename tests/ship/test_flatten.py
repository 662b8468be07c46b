from importlib import import_module
from itertools import count
from textwrap import dedent

import pytest

from powerbert.ship.flatten import flatten, import_block
from powerbert.ship.source import Import

NUMBER = count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes the modules of a package and returns its name; PACKAGE stands for it in them."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules):
        name = f"toy_package_{next(NUMBER)}"
        (tmp_path / name).mkdir()
        for module, text in {"__init__": "", **modules}.items():
            text = dedent(text).replace("PACKAGE", name)
            (tmp_path / name / f"{module}.py").write_text(text, encoding="utf-8")
        return name

    return write


def flat(name, module, *classes):
    return flatten(name, [getattr(import_module(f"{name}.{module}"), one) for one in classes])


def run(text):
    namespace = {"__name__": "flattened"}
    exec(compile(text, "flattened", "exec"), namespace)
    return namespace


SHELF = '''\
    """A shelf of sizes.

    More about it.
    """

    import math
    from collections import OrderedDict as Ordered

    from PACKAGE import double

    __all__ = ["Shelf"]

    UNUSED = double(1)

    # How many there are.
    SIZE = 3
    """The size of a shelf."""

    WIDTH = 4


    def unused() -> Ordered:
        return Ordered()


    class Shelf:
        """Holds things."""

        area = math.floor(SIZE * WIDTH)

        def size(self) -> int:
            return double(self.area)
    '''
DOUBLE = '''\
    """Doubling."""

    TWICE = 2


    def double(number):
        return TWICE * number


    def halve(number):
        return number / TWICE
    '''


def test_what_is_used_comes_first_under_the_name_of_its_module_and_nothing_else(package):
    name = package(__init__="from PACKAGE.doubling import double", doubling=DOUBLE, shelf=SHELF)
    text = flat(name, "shelf", "Shelf")
    assert text == dedent(
        f'''\
        import math


        # {name}.doubling
        # Doubling.

        TWICE = 2


        def double(number):
            return TWICE * number


        # {name}.shelf
        # A shelf of sizes.

        # How many there are.
        SIZE = 3
        """The size of a shelf."""

        WIDTH = 4


        class Shelf:
            """Holds things."""

            area = math.floor(SIZE * WIDTH)

            def size(self) -> int:
                return double(self.area)
        '''
    )
    assert run(text)["Shelf"]().size() == 24
    assert flat(name, "shelf", "Shelf") == text


def test_relative_imports_decorators_and_functions_that_call_each_other(package):
    name = package(
        marks="def mark(cls):\n    cls.marked = True\n    return cls\n",
        pair="""\
            from .marks import mark


            @mark
            class Pair:
                def parity(self, number):
                    return even(number)


            def even(number):
                return number == 0 or odd(number - 1)


            def odd(number):
                return number != 0 and even(number - 1)
            """,
    )
    pair = run(flat(name, "pair", "Pair"))["Pair"]
    assert pair.marked
    assert pair().parity(4)
    assert not pair().parity(5)


def test_imports_are_sorted_and_wrapped_the_standard_library_first():
    names = [f"a_name_of_some_length_{number}" for number in range(5)]
    imports = {name: Import("elsewhere", name) for name in reversed(names)} | {
        "F": Import("torch.nn", "functional"),
        "t": Import("torch", None),
        "Named": Import("typing", "NamedTuple"),
        "Any": Import("typing", "Any"),
        "os": Import("os.path", None),
    }
    assert import_block(imports) == (
        "import os.path\nfrom typing import Any, NamedTuple as Named\n\nimport torch as t\n"
        f"from elsewhere import (\n{''.join(f'    {name},{chr(10)}' for name in names)})\n"
        "from torch.nn import functional as F"
    )


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"other": "def help(): pass\ndef more(): help()"}, "help means two things"),
        ({"other": "from os import path as help\ndef more(): help"}, "help means two things"),
        ({"other": "def more():\n    from PACKAGE import main"}, "imported at the top"),
        ({"other": "def more(): pass\nprint(more)"}, r"statement in line 2 would be lost"),
        ({"other": "def more(): pass\ndef more(): return 1"}, r"statement in line 2 would be lost"),
        ({"other": "if True:\n    def more(): pass"}, "more is not defined at the top level"),
        ({"other": "from PACKAGE.third import less as more", "third": "def less(): pass"}, "its own name"),
        ({"other": "from PACKAGE import third as more", "third": ""}, "its own name"),
    ],
)
def test_what_would_be_lost_is_refused(package, modules, message):
    main = "from PACKAGE.other import more\ndef help(): pass\nclass Main:\n    uses = (help, more)\n"
    name = package(main=main, **modules)
    with pytest.raises(ValueError, match=message):
        flat(name, "main", "Main")
