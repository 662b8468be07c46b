"""Reads a label as users write it: a class by its name or its index, or a number."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Value

from powerbert.base.errors import shorten


class LabelParser:
    """Turns a label of a file into what a loss takes.

    Attributes:
        feature: of the label's column: int64 for classes, float64 for regression.
    """

    def __init__(self, names: Sequence[str] | None):
        """Takes the classes.

        Args:
            names: in the order of their index; None for regression. A label may also be the index, unless
                a name is a whole number itself: then labels are names only.
        """
        self.names = None if names is None else tuple(str(name) for name in names)
        self.feature = Value("float64" if names is None else "int64")
        self._parse: Callable[[Any], int | float] = self._number if names is None else self._index
        indices = {str(index): index for index in range(len(self.names or ()))}
        if any(name.lstrip("-").isdecimal() for name in self.names or ()):
            indices = {}
        self._indices = indices | {name: index for index, name in enumerate(self.names or ())}

    def __call__(self, value: Any) -> int | float:
        """The class index, or the number.

        Args:
            value: as a file gives it: text, number, truth value or None.

        Returns:
            An index into `names`, or a finite number for regression.

        Raises:
            ValueError: with a message that says what is wrong, for anything else.
        """
        return self._parse(value)

    def _index(self, value: Any) -> int:
        text = str(value).strip()
        if isinstance(value, float) and value.is_integer():
            text = str(int(value))
        if isinstance(value, bool) and text not in self._indices:
            text = str(int(value))
        if value is None or text not in self._indices:
            shown = (
                "is missing" if value is None or not text else f"'{shorten(text)}' is not among the classes"
            )
            raise ValueError(f"{shown} ({', '.join(self.names or ())})")
        return self._indices[text]

    @staticmethod
    def _number(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            shown = (
                "is missing" if value is None or value == "" else f"'{shorten(value)}' is not a finite number"
            )
            raise ValueError(f"{shown}; a regression needs one in every row")
        return number
