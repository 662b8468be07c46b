"""The page of `analysis=trace`: one HTML file that needs no other and no script."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from powerbert.analyse.survival import Trace


def write_page(path: Path, model: str, configuration: Sequence[int], traces: Sequence[Trace]) -> None:
    """Writes the page. Whatever the inputs hold is text on it, never markup.

    Args:
        path: the file; its folder must exist.
        model: the model's name.
        configuration: its retention configuration.
        traces: to show.
    """
    environment = Environment(
        loader=PackageLoader("powerbert.analyse", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("trace.html.jinja").render(
        model=model, configuration=configuration, traces=traces
    )
    path.write_text(page, encoding="utf-8")
