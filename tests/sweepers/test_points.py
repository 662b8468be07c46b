import re
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_launcher import BasicLauncherConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydra_plugins.powerbert_experiments import MODELS
from hydra_plugins.powerbert_sweepers.points import expand
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError
from powerbert.run.settings import method_settings, plain
from tests.run.test_settings import files
from tests.sweepers.multirun import multirun

DATASETS = [*MODELS]
GRID = "{lambda:[0.1,0.2],encoders:[1],pruned:[0.3,0.6],target_speedup:[3],speed:[2],regularization:[0.5]}"
PARETO = ("model=tiny", "+sweep=pareto", f"grid={GRID}")


def knob(cfg) -> dict:
    return dict(instantiate(method_settings(plain(cfg))).knob)


def settings(cfg) -> str:
    own = method_settings(plain(cfg))
    assert instantiate(own).name == cfg.method.name
    return f"{own} {cfg.cls_alone}"


def points(text: str) -> tuple[str, str]:
    return "hydra/sweeper=points", f"++hydra.sweeper.points={text}"


def test_each_entry_is_a_product_and_the_command_line_is_outermost(tmp_path):
    given = points("{few: {stage: search}, many: {lambda: [0.1, 0.2], batch_size: [8, 16]}}")
    jobs = multirun(tmp_path, *given, "seed=1,2")
    expected = [["stage=search"]] + [[f"lambda={a}", f"batch_size={b}"] for a in (0.1, 0.2) for b in (8, 16)]
    assert jobs == [[f"seed={seed}", *job, "sweep_size=10"] for seed in (1, 2) for job in expected]


def test_params_of_the_configuration_are_crossed_too(tmp_path):
    jobs = multirun(tmp_path, "+sweep=lambda", *points("{a: {batch_size: [8, 16]}}"))
    assert [job[:2] for job in jobs] == [
        [f"lambda={value}", f"batch_size={size}"]
        for value in (0.0001, 0.0003, 0.001, 0.003, 0.01)
        for size in (8, 16)
    ]


def test_a_job_takes_the_values_of_its_point(tmp_path):
    seen = []
    multirun(
        tmp_path,
        *PARETO,
        "seed=7,8",
        task=lambda cfg: seen.append(
            (cfg.seed, cfg.method.name, dict(instantiate(method_settings(plain(cfg))).knob))
        ),
    )
    knobs = [
        ("unchanged", {}),
        ("dense", {}),
        ("power_bert", {"lambda": 0.1}),
        ("power_bert", {"lambda": 0.2}),
        ("distilbert", {"encoders": 1}),
        ("bert_pkd", {"encoders": 1}),
        ("head_prune", {"pruned": 0.3}),
        ("head_prune", {"pruned": 0.6}),
        ("ltp", {"regularization": 0.5}),
        ("combined", {"target_speedup": 3}),
        ("elastic", {"speed": 2}),
    ]
    assert seen == [(seed, *knob) for seed in (7, 8) for knob in knobs]


@pytest.mark.parametrize("experiment", ["ablation", "demo", "dynamic", "pareto_minilm"])
def test_every_point_of_an_experiment_is_a_valid_method(experiment, tmp_path):
    seen = []
    multirun(
        tmp_path,
        f"+experiment={experiment}",
        "dataset=snippets",
        "seed=42",
        task=lambda cfg: seen.append((cfg.method.name, settings(cfg), cfg.dataset.name, cfg.seed)),
    )
    assert len(set(seen)) == len(seen)
    assert {"power_bert"} < {method for method, *_ in seen}


@pytest.mark.parametrize("dropped", ["hydra.sweeper.points.b=null", "hydra.sweeper.points.b.seed=[]"])
def test_an_entry_is_dropped_by_null_and_by_an_empty_list(dropped, tmp_path):
    jobs = multirun(tmp_path, *points("{a: {lambda: 0.1}, b: {seed: [1, 2]}, c: {}}"), dropped)
    assert jobs == [["lambda=0.1", "sweep_size=2"], ["sweep_size=2"]]


@pytest.mark.parametrize(("limit", "batches"), [("null", [5]), ("2", [2, 2, 1])])
def test_the_launcher_gets_all_jobs_at_once_or_in_batches(limit, batches, tmp_path, monkeypatch):
    launched = []
    launcher = Plugins.instance().class_name_to_class[BasicLauncherConf._target_]
    launch = launcher.launch

    def noted(self, job_overrides, initial_job_idx):
        launched.append(len(job_overrides))
        return launch(self, job_overrides, initial_job_idx)

    monkeypatch.setattr(launcher, "launch", noted)
    given = points("{a: {lambda: [0.1, 0.2, 0.3, 0.4, 0.5]}}")
    jobs = multirun(tmp_path, *given, f"hydra.sweeper.max_batch_size={limit}")
    assert launched == batches
    assert {job[-1] for job in jobs} == {"sweep_size=5"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (points("{}"), "hydra.sweeper.points: there is none to run"),
        (points("{a: null, b: {seed: []}}"), "hydra.sweeper.points: there is none to run"),
        (points("{a: dense}"), "hydra.sweeper.points.a: 'dense' is no mapping"),
        (
            (*PARETO, "method=distilbert"),
            "method: the points of this sweep set it (unchanged, dense, power_bert, distilbert, bert_pkd, "
            "head_prune, ltp, combined, elastic); "
            "to leave some out, give hydra.sweeper.points.<name>=null",
        ),
        (
            (*PARETO, "lambda=0.1,0.2"),
            "lambda: the points of this sweep set it (power_bert); for other values, give grid.lambda=[...]",
        ),
        ((*PARETO, "+method.pruned=0.1"), "method.pruned: the points of this sweep set it (head_prune);"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_job(overrides, message, tmp_path):
    ran = []
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        multirun(tmp_path, *overrides, task=ran.append)
    assert not ran


def test_values_survive_hydras_grammar():
    values = ["a=b, c", "[1]: (x)", "$x", None, True, 2.0e-5, [64, 32]]
    parser = OverridesParser.create()
    (read,) = zip(*(parser.parse_overrides(job) for job in expand({"key": values})), strict=True)
    assert [override.value() for override in read] == values


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_a_pareto_sweep_of_all_methods(dataset):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("train", [f"+experiment={dataset}_pareto"], return_hydra_config=True)
    assert cfg.dataset.name == dataset
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert cfg.skip_recorded
    entries = OmegaConf.to_container(cfg.hydra.sweeper.points, resolve=True)
    counts = {name: len(expand(entry)) for name, entry in entries.items()}
    assert counts.keys() == set(files("method")), "a method is missing from the comparison"
    assert counts.pop("dense") == counts.pop("unchanged") == 1
    assert cfg.cls_alone  # to all methods, since some always have it
    assert all(count >= 3 for count in counts.values()), "too few points for a curve"
    assert {entry["method"] for entry in entries.values()} == set(entries)


def test_plugins_are_found_beside_others_and_import_nothing_heavy():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    found = {plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)}
    assert {"PointSweeper", "MaxLossSweeper", "OptunaSweeper"} <= found
    program = (
        "import sys; from hydra_plugins.powerbert_sweepers import max_loss, points; "
        "sys.exit(bool({'torch', 'powerbert', 'rich'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
