"""Names and values as Markdown that shows them as they are."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&$#])")
"""What Markdown may take for more than text."""


def text(value: object) -> str:
    """A value as one line of plain Markdown text."""
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """A value as a span of code, which shows it as it is, in one line."""
    line = " ".join(str(value).split()) or '""'
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{space}{line}{space}{fence}"
