"""Each method's colour and marker, the same in every figure and page."""

from collections.abc import Iterable
from dataclasses import dataclass

from powerbert.report.table import METHOD_NAMES


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


_METHODS = {
    "power_bert": Style("#0072B2", "o", "circle", "●"),
    "distilbert": Style("#D55E00", "s", "square", "■"),
    "bert_pkd": Style("#009E73", "^", "triangle-up", "▲"),
    "head_prune": Style("#CC79A7", "D", "diamond", "◆"),
    "dense": Style("#7A7A7A", "*", "star", "★"),
}

_OTHERS = tuple(
    Style(colour, marker, symbol, glyph, dashed=True)
    for marker, symbol, glyph in (("P", "cross", "✚"), ("v", "triangle-down", "▼"), ("h", "hexagon2", "⬢"))
    for colour in ("#E69F00", "#56B4E9", "#8C6D46", "#882255", "#44AA99")
)


def styles(methods: Iterable[str]) -> dict[str, Style]:
    """The look of each method.

    Args:
        methods: labels, as points have them. The paper's methods always look the same; the others, such as
            combinations, take what is left in alphabetical order.

    Returns:
        By label.
    """
    known = {METHOD_NAMES[name]: style for name, style in _METHODS.items()}
    others = sorted(set(methods) - set(known))
    return known | {method: _OTHERS[number % len(_OTHERS)] for number, method in enumerate(others)}
