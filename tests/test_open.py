"""A method, a backbone and a dataset from outside the package go through every command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.methods.test_third_party import MODULE
from tests.models.test_third_party import TOY

METHOD_YAML = """
_target_: first_encoders.FirstEncoders
name: first
kept: 2
display:
  label: First encoders
  sentence: the first encoders of the fine-tuned model are trained on
  knob: method.kept
  marker: v
  colour: "#123456"
"""
MODEL_YAML = """
name: toy
path: null
checkpoint:
  _target_: powerbert.models.checkpoint.tiny
  folder: ${paths.cache}/toy
  backbone: toy
"""
DATASET_YAML = """
name: reviews
kind: sequence_classification
text_columns: [text]
label_names: [negative, positive]
metric: accuracy
max_length: 24
evaluation_split: dev
source:
  _target_: powerbert.data.folder.FolderSource
  path: CORPUS
  text_columns: ${..text_columns}
  label_names: ${..label_names}
  cache: ${paths.cache}
"""


@pytest.fixture
def outside(corpus, tmp_path) -> Path:
    """A folder with the modules of another author, their metadata, and yamls in its `conf`."""
    (tmp_path / "first_encoders.py").write_text(MODULE)
    (tmp_path / "toy_backbone.py").write_text(TOY)
    metadata = tmp_path / "toy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[powerbert.backbones]\ntoy = toy_backbone\n")
    for group, name, text in (
        ("method", "first", METHOD_YAML),
        ("model", "toy", MODEL_YAML),
        ("dataset", "reviews", DATASET_YAML.replace("CORPUS", str(corpus))),
    ):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    return tmp_path


def test_another_authors_parts_go_through_every_command(outside):
    runs = outside / "runs"

    def command(module: str, *arguments: str) -> None:
        path = os.pathsep.join([str(outside), *filter(None, [os.environ.get("PYTHONPATH")])])
        subprocess.run(
            [sys.executable, "-m", f"powerbert.{module}", f"paths.runs={runs}", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )

    command(
        "train",
        f"hydra.searchpath=[file://{outside / 'conf'}]",
        *("method=first", "model=toy", "dataset=reviews", "batch_size=16", "trainer.max_epochs=1"),
        *("trainer.enable_progress_bar=false", "measure.runs=1", "measure.warmup=0"),
        *("measure.padded_batch_size=8", "measure.dynamic_batches=1"),
    )
    (file,) = (runs / "records").glob("*.json")
    record = json.loads(file.read_text())
    assert (record["method"], record["model"], record["dataset"]) == ("first", "toy", "reviews")
    artifact = runs / "artifacts" / record["artifacts"]["retrain"]
    card = (artifact / "README.md").read_text()
    assert "First encoders" in card
    assert "kept=2" in card

    command("report", "report=pareto", f"output={outside / 'report'}")
    page = (outside / "report" / "pareto.html").read_text()
    assert "First encoders" in page
    assert "#123456" in page
    assert "#123456" in (outside / "report" / "pareto-reviews.svg").read_text()

    command("export", f"artifact={artifact}", "format=torch_export", f"output={outside / 'exported'}")
    assert list((outside / "exported").rglob("*.pt2"))
