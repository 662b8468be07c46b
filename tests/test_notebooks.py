"""The notebooks of docs/ run, reduced, as Jupyter runs them; what is committed was run to its end."""

import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from powerbert.data.snippets import SnippetsSource
from tests.test_readme import REDUCED, SUB_MODELS

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))


def reduced(settings: list[str]) -> dict:
    return {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in settings)}


PARAMETERS = {
    "model": "tiny",
    "settings": reduced([*REDUCED["powerbert.train"][1:], "measure.patience=0"]),
    "records": str(ROOT / "experiments" / "pareto-minilm" / "records"),
}
"""What the notebooks name in their first cell, for a tiny model."""


def code(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_to_its_end_without_an_error(path):
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search("/(home|tmp|root|work)/", path.read_text()), "a path of the machine"


@pytest.fixture(scope="module")
def snippets(tmp_path_factory) -> Path:
    """A cache with the file that notebooks fetch."""
    cache = tmp_path_factory.mktemp("cache")
    SnippetsSource(cache).available()
    return cache


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, snippets, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copytree(snippets, tmp_path / "runs" / "cache")
    notebook = nbformat.read(path, 4)
    (given,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    names = re.findall(r"^(\w+) =", given.source, re.MULTILINE)
    given.source = "\n".join(f"{name} = {PARAMETERS[name]!r}" for name in names)
    small = f"target_speedup=1.2, **{reduced(SUB_MODELS.split())!r},"
    for cell in notebook.cells:
        cell.source = re.sub(r"target_speedup=[\d.]+,", small, cell.source)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    printed = [cell for cell in notebook.cells if cell.source.rstrip().endswith(("\nresult", "\nfaster"))]
    for cell in printed:  # a Result is its table, in Jupyter too
        assert "GFLOPs" in cell.outputs[-1]["data"]["text/plain"]
    assert {file.name for file in tmp_path.iterdir()} == {"runs"}, "nothing is written elsewhere"
