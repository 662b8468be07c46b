"""Commands start quickly: what is refused, or needs no model, imports neither torch nor transformers."""

import subprocess
import sys

import pytest

from powerbert.__main__ import commands
from powerbert.base.cli import CONFIG_FOLDER
from tests.forked import finished

HEAVY = {"torch", "transformers", "datasets", "lightning"}

PROGRAM = f"""
import atexit, runpy, sys
atexit.register(lambda: print("imported:", *sorted({HEAVY} & set(sys.modules))))
runpy.run_module("powerbert", run_name="__main__", alter_sys=True)
"""


def python(program: str, *arguments: str, folder=None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("--help", 0),
        ("trian", 1),
        ("train --help", 0),
        ("train lamda=0.1", 1),
        ("train model=tinny", 1),
        ("train model=tiny batch_size=0", 1),
        ("train model=tiny method=bert_pkd method.alpha=2", 1),
        ("train model=tiny method=combined method.steepest=2", 1),
        ("train model=tiny measure.runs=0", 1),
        ("train model=tiny dataset.metric=bleu", 1),
        ("train model=tiny +dataset.evaluation_splt=test", 1),
        ("train model=tiny +trainer.fast_dev_run=true", 1),
        ("predict artifact=nowhere text=fine", 1),
        ("export artifact=nowhere", 1),
        ("benchmark artifact=nowhere", 1),
        ("analyse analysis=cosine artifact=nowhere", 1),
        ("analyse", 1),
        ("report records=nowhere", 1),
        ("retime records=nowhere output=new", 1),
        ("status", 1),
    ],
)
def test_is_refused_or_helps_without_heavy_imports(arguments, status, tmp_path):
    done = python(PROGRAM, *arguments.split(), folder=tmp_path)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"
    assert done.stderr.count("error: ") == status
    assert "Traceback" not in done.stderr


def test_status_and_a_table_import_nothing_heavy(tmp_path):
    records = CONFIG_FOLDER.parent / "experiments" / "pareto-minilm" / "records"
    done = python(PROGRAM, "report", f"records={records}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


LOADED = """
from transformers import AutoConfig, AutoModel
print(type(AutoModel.from_config(AutoConfig.for_model("power_bert", num_hidden_layers=1))).__name__)
"""


@pytest.mark.parametrize(
    "program",
    [
        f"import powerbert, sys\nassert not {HEAVY} & set(sys.modules)",
        "import transformers, powerbert",
        "import powerbert.models.modeling",
        "import powerbert.predict.predictor",
    ],
)
def test_transformers_knows_the_models_whichever_is_imported_first(program):
    done = python(program + LOADED)
    assert done.stdout == "PowerBertModel\n", done.stderr


def test_each_primary_yaml_is_a_command():
    assert set(commands()) == {path.stem for path in CONFIG_FOLDER.glob("*.yaml")}
    assert all(commands().values())


@pytest.mark.parametrize("name", commands())
def test_help_is_one_screen(name):
    done = finished(f"powerbert.{name}", "--help")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"powerbert {name}: ")
    assert len(lines) < 45
    assert max(map(len, lines)) <= 120


def test_the_help_of_train_lists_what_can_be_chosen():
    text = finished("powerbert.train", "--help").stdout
    for choice in ("snippets", "minilm_l6", "combined", "rte_search", "table1", "max_loss"):
        assert choice in text
