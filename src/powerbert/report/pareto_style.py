"""The colour and marker of each method, the same in every figure and page."""

from collections.abc import Iterable
from dataclasses import dataclass

from powerbert.store.naming import METHODS, Display, Record, display, packaged_display


@dataclass(frozen=True)
class Style:
    """How the points of a method look.

    Attributes:
        colour: hexadecimal; colour-blind readers tell the colours apart (after Okabe and Ito), on a
            light and on a dark ground.
        marker: for matplotlib.
        symbol: the same marker for plotly.
        glyph: the same marker as a character.
        dashed: whether the line is; it is for what is not a method of its own.
    """

    colour: str
    marker: str
    symbol: str
    glyph: str
    dashed: bool = False


SHAPES = {
    "o": ("circle", "●"),
    "s": ("square", "■"),
    "^": ("triangle-up", "▲"),
    "D": ("diamond", "◆"),
    "*": ("star", "★"),
    "P": ("cross", "✚"),
    "v": ("triangle-down", "▼"),
    "h": ("hexagon2", "⬢"),
}
"""By matplotlib's marker, plotly's name of it and a character; any other marker is drawn as the first."""

_OTHERS = tuple(
    Style(colour, marker, *SHAPES[marker], dashed=True)
    for marker in "Pvh"
    for colour in ("#E69F00", "#56B4E9", "#8C6D46", "#882255", "#44AA99")
)


def styles(methods: Iterable[str], records: Iterable[Record] = ()) -> dict[str, Style]:
    """Choose the look of each method.

    Args:
        methods: labels, as points have them.
        records: whose methods may bring their own colour and marker (`display`).

    Returns:
        By label. A packaged method and one with its own colour always look the same; the others, such as
        combinations, take the remaining looks in alphabetical order.
    """
    shown = [*map(packaged_display, METHODS), *map(display, records)]
    known = {look.label: _style(look) for look in shown if look.colour != Display.colour}
    others = sorted(set(methods) - set(known))
    return known | {method: _OTHERS[number % len(_OTHERS)] for number, method in enumerate(others)}


def _style(look: Display) -> Style:
    marker = look.marker if look.marker in SHAPES else Display.marker
    return Style(look.colour, marker, *SHAPES[marker])
