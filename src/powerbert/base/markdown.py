"""Escape names and values for Markdown."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&$#])")
"""Characters that have a meaning in Markdown."""


def text(value: object) -> str:
    """Return a value as one line of plain Markdown text."""
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """Return a value as a span of code in one line."""
    line = " ".join(str(value).split()) or '""'
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{space}{line}{space}{fence}"
