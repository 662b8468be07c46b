import os
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER, options_first, quote_places, quote_values
from tests.forked import finished


def test_config_folder_holds_the_entry_points():
    assert (CONFIG_FOLDER / "train.yaml").is_file()


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("text=It's great, really!", 'text="It\'s great, really!"'),
        ('text=She said "no"', 'text="She said \\"no\\""'),
        ("text='already quoted'", "text='already quoted'"),
        ("lambda=0.1,0.2", "lambda=0.1,0.2"),
        ("text=", "text="),
    ],
)
def test_quotes_free_text_only(argument, quoted):
    assert quote_values({"text"}, [argument]) == [quoted]


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("artifact=[a,b]", "artifact=[a,b]"),
        ("artifact=my runs/a=b", 'artifact="my runs/a=b"'),
        ("artifact='my runs'", "artifact='my runs'"),
        ("artifact=null", "artifact=null"),
        ("artifact=", "artifact="),
        ("+dataset.source.path=a,b", '+dataset.source.path="a,b"'),
        ("model.path=google-bert/bert-base-uncased", "model.path=google-bert/bert-base-uncased"),
        ("paths.runs=~/x", "paths.runs=/home/me/x"),
        ("paths.runs=~/x y", 'paths.runs="/home/me/x y"'),
        ("records=${paths.runs}/a b", "records=${paths.runs}/a b"),
        ("lambda=0.1,0.2", "lambda=0.1,0.2"),
    ],
)
def test_paths_are_quoted_but_lists_null_and_interpolations_are_not(argument, quoted, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert quote_places([argument]) == [quoted]


@pytest.mark.parametrize("sweep", ["-m", "--multirun", "+sweep=lambda", "+experiment=rte_pareto"])
def test_a_comma_between_paths_of_a_sweep_separates_them_unless_there_is_such_a_file(sweep, tmp_path):
    (tmp_path / "a,b").mkdir()
    here = f"model.path={tmp_path}/a,b"
    assert quote_places([sweep, "model.path=a,b", here]) == [
        sweep,
        "model.path=a,b",
        f'model.path="{tmp_path}/a,b"',
    ]


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        ("a=1 -m b=2", "-m a=1 b=2"),
        ("a=1 b=2 --multirun", "--multirun a=1 b=2"),
        ("a=1 --cfg job b=2 ~c -p model", "--cfg job -p model a=1 b=2 ~c"),
        ("a=-1 b=2", "a=-1 b=2"),
        ("odd a=1 -m", "-m odd a=1"),
    ],
)
def test_options_may_stand_anywhere(arguments, ordered):
    assert options_first(arguments.split()) == ordered.split()


@example("100% (really?) {yes}: a=b, [c] 'd' \"e\" $f ~ é 😀")
@example('"Great" he said, "really"')
@example("'tis the season")
@example("\\${HOME} \\\\${x\\")
@given(
    st.text(
        st.sampled_from("ab \\${}\"',=:[]()~\n\té") | st.characters(exclude_categories=["Cs"]), min_size=1
    )
)
def test_hydra_reads_back_any_text(text):
    (argument,) = quote_values({"text"}, [f"text={text}"])
    assume(argument != f"text={text}")  # it is quoted already
    value = OverridesParser.create().parse_override(argument).value()
    assert OmegaConf.create({"text": value}).text == text


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m powerbert.train`, in a new interpreter if it needs another environment."""
    if env is None:
        return finished("powerbert.train", *arguments)
    command = [sys.executable, "-m", "powerbert.train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("lambda=-0.1", "lambda: -0.1"),
        ("lambda=nan", "lambda: nan"),
        ("stage=polish", "stage: 'polish'"),
        ("dataset.max_length=1000", "dataset.max_length: 1000"),
        ("elimination.retention_configuration=[8,9,4]", "elimination.retention_configuration"),
        ("elimination.retention_configuration=[9,8]", "elimination.retention_configuration"),
    ],
)
def test_a_bad_value_ends_in_one_message_that_names_it(override, named, tmp_path):
    done = run("model=tiny", f"paths.runs={tmp_path}", override)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {named}")
    assert done.stderr.count("\n") == 1
    assert "error" not in done.stdout
    assert f"error: {named}" in next(tmp_path.glob("logs/*/*.log")).read_text()
    assert not (tmp_path / "artifacts").exists()


def test_a_failed_point_does_not_stop_the_sweep(tmp_path):
    done = run("-m", "model=tiny", f"paths.runs={tmp_path}", "lambda=-1,-2")
    assert done.returncode == 1
    assert "2 point(s) of the sweep failed" in done.stderr
    assert "lambda: -1 " in done.stderr
    assert "lambda: -2 " in done.stderr


FORKING = """
import os
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf

class ForkingLauncher(BasicLauncher):
    'Each job in a process of its own, of which nothing comes back.'

    def launch(self, job_overrides, initial_job_idx):
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            child = os.fork()
            if child == 0:
                super().launch([overrides], number)
                os._exit(0)
            os.waitpid(child, 0)
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]

ConfigStore.instance().store(
    "forking", {"_target_": "hydra_plugins.forking.ForkingLauncher"}, group="hydra/launcher", provider="test"
)
"""


def test_a_sweep_fails_if_a_point_did_in_whichever_process_it_ran(tmp_path):
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "forking.py").write_text(FORKING)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    sweep = ("-m", "hydra/launcher=forking", "model=tiny", f"paths.runs={tmp_path}", "lambda=-1,-2")
    done = run(*sweep, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 1
    listed = done.stderr.split("2 point(s) of the sweep failed:\n")[1]
    assert ["lambda: -1 " in line or "lambda: -2 " in line for line in listed.splitlines()] == [True, True]


PROGRAM = """
import logging
import warnings
from powerbert.base.cli import entry_point

def task(cfg):
    logging.getLogger("somewhere").warning("look out")
    warnings.warn(f"deprecated: {cfg['lambda']}")
    raise ZeroDivisionError("a bug with \\x1b[2J in it")

entry_point(task, "train")
"""


@pytest.mark.parametrize(("arguments", "logs"), [(["lambda=1"], 1), (["-m", "lambda=1,2"], 2)])
def test_every_run_and_point_has_a_log_file_with_warnings_and_tracebacks(arguments, logs, tmp_path):
    command = [sys.executable, "-c", PROGRAM, *arguments, f"paths.runs={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    files = sorted(tmp_path.glob("logs/**/*.log"))
    assert len(files) == logs
    for file in files:
        text = file.read_text()
        assert "WARNING somewhere: look out" in text
        assert "deprecated: " in text
        assert r"ERROR powerbert.base.cli: error: a bug with \x1b[2J in it" in text
        assert "Traceback (most recent call last)" in text
        assert "\x1b" not in text
        assert "in task" in text


def test_a_sweep_that_cannot_be_meant_ends_in_one_message(tmp_path):
    done = run("+sweep=pareto", "method=dense", f"paths.runs={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: method: the points of this sweep set it")
    assert done.stderr.count("\n") == 1


def test_a_sweep_that_gives_up_still_lists_the_points_that_failed(tmp_path):
    done = run("+sweep=max_loss", "model=tiny", f"paths.runs={tmp_path}", "seed=-1", "hydra.sweeper.trials=2")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors, listed = done.stderr.split("2 point(s) of the sweep failed:\n")
    assert errors.count("error: seed: -1 ") == 2
    assert errors.endswith("error: max_loss: no trial came to a loss; see the errors above\n")
    assert "lambda=0.0003 " in listed
    assert "lambda=0.0001 " in listed


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("lamda=0.1", "'lamda'; did you mean lambda?"),
        ("+lamda=0.1", "lamda: there is no such setting; did you mean lambda?"),
        ("max_epochs=2", "'max_epochs'; did you mean trainer.max_epochs?"),
        ("dataset.evaluation_splt=test", "; did you mean dataset.evaluation_split?"),
        ("+dataset.evaluation_splt=test", "; did you mean dataset.evaluation_split?"),
        ("+method.lamdba_=1", "method.lamdba_: there is no such setting; did you mean method.lambda_?"),
        ("method=elastic method.sped=2", "'method.sped'; did you mean method.speed?"),
        ("+experimnt=rte_search", "experimnt: there is no such setting; did you mean experiment?"),
        ("modle=tiny", "'modle'; did you mean model?"),
        ("model=minilm_l5", "Could not find 'model/minilm_l5'; did you mean minilm_l6?"),
        ("+zzzzzz=1", "zzzzzz: there is no such setting\n"),
        ("hydra.job.chdir=true", "hydra.job.chdir"),
        ("model=berd", "Could not find 'model/berd'"),
        ("lambda=[0.1", "lambda=[0.1"),
        ("hydra/sweeper=points hydra.sweeper.points=null -m", "hydra.sweeper.points"),
        ("logger.csv._target_=nowhere.Logger", "logger.csv._target_: nowhere.Logger"),
    ],
)
def test_what_hydra_refuses_is_one_line(override, named, tmp_path):
    done = run("model=tiny", f"paths.runs={tmp_path}", *override.split())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert (done.stdout + done.stderr).count("\n") == 1


def test_a_sweep_starts_wherever_its_option_stands(tmp_path):
    done = run("model=tiny", "lambda=-1,-2", "-m", f"paths.runs={tmp_path}")
    assert "2 point(s) of the sweep failed" in done.stderr


@pytest.mark.parametrize("name", ["a b", "a,b", "a=b", "(a) 'b'", "~/a"])
def test_everything_goes_to_a_folder_of_any_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run("model=tiny", f"paths.runs={name}", "lambda=-1").returncode == 1
    folder = tmp_path / name.replace("~", "home")
    assert "lambda" in next(folder.glob("logs/*/*.log")).read_text()
    assert [path.name for path in tmp_path.iterdir()] == [folder.relative_to(tmp_path).parts[0]]


def test_without_hub_and_files_one_message_says_what_was_missing_and_what_runs_offline(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "GLUE_DIR"}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    done = run("+experiment=rte_search", "lambda=0.001", f"paths.runs={tmp_path}", env=environment)
    assert done.returncode == 1
    message = done.stdout + done.stderr
    for named in (
        "google-bert/bert-base-uncased",
        "GLUE_DIR",
        "model.path=",
        "model=minilm_l6",
        "dataset=snippets",
    ):
        assert named in message
    assert "Traceback" not in message
