import io

from markdown_it import MarkdownIt
from rich.console import Console

from powerbert.report.table import Row, publish

NASTY = "[x](http://y) | `a` <script>alert(1)</script>\n# b"


def test_names_are_text_in_markdown_and_on_the_terminal(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    rows = [Row(NASTY, "[red]ours[/]", {"a": 1.0}, str), Row(NASTY, "paper", {}, str)]
    publish("table", NASTY, rows, {"a": NASTY}, [NASTY], tmp_path, console)
    html = MarkdownIt("commonmark").enable("table").render((tmp_path / "table.md").read_text())
    assert "<script" not in html
    assert "<a " not in html
    assert "<h1" not in html
    assert html.count("<th") == 3 + 1, "two columns of names, one of numbers, and the head around them"
    assert html.count("&lt;script&gt;") == 4
    assert "[red]ours[/]" in console.file.getvalue()
