"""Hydra's launchers: points of a sweep at once, in other processes, on a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.store.records import read_records
from tests.sweepers.multirun import multirun
from tests.tiny_runs import overrides


def sweep(corpus: Path, runs: Path, *more: str, **environment: str) -> None:
    """Runs a sweep of two points as a user would; what is swept says the values of lambda."""
    settings = overrides(corpus, runs, "trainer.max_epochs=1", *more)
    fixed = [setting for setting in settings if setting != "lambda=0.01"]
    words = ["-m", "powerbert.train", "-m", *fixed]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **environment}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check(runs: Path) -> list[dict]:
    """Both points have records, fine-tuned once, and ran at the same time."""
    records = read_records(runs / "records")
    assert len(records) == 2
    assert len({record["artifacts"]["finetune"] for record in records}) == 1
    logs = sorted(runs.glob("logs/*/[01]/*.log"))
    assert sum("finetune: training" in log.read_text() for log in logs) == 1
    started = [path.stat().st_mtime for path in runs.glob("logs/*/[01]/.hydra/overrides.yaml")]
    ended = [path.stat().st_mtime for path in runs.glob("records/*.json")]
    assert max(started) < min(ended), "one after the other"
    return records


@pytest.fixture(scope="module")
def ray_cluster():
    """The address of a cluster of two machines, each a worker with one core."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
def test_ray_runs_the_points_of_a_sweep_on_two_workers(corpus, tmp_path, ray_cluster):
    sweep(corpus, tmp_path, "lambda=0.01,0.0001", "hydra/launcher=ray", RAY_ADDRESS=ray_cluster)
    records = check(tmp_path)
    assert {record["knob"]["lambda"] for record in records} == {0.01, 0.0001}


@pytest.mark.slow
def test_ray_returns_to_optuna_what_it_optimises(corpus, tmp_path, ray_cluster):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    more = ("+sweep=optuna", "hydra/launcher=ray", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    sweep(corpus, tmp_path, *more, RAY_ADDRESS=ray_cluster)
    check(tmp_path)
    (results,) = tmp_path.glob("logs/*/optimization_results.yaml")
    assert "values" in results.read_text()


@pytest.mark.slow
def test_submitit_runs_the_points_of_a_sweep(corpus, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    dropped = ["unchanged", "distilbert", "bert_pkd", "head_prune", "ltp", "combined", "elastic"]
    without = [f"hydra.sweeper.points.{name}=null" for name in dropped]
    sweep(corpus, tmp_path, "+sweep=pareto", *without, "grid.lambda=[0.01]", "hydra/launcher=submitit_local")
    assert {record["method"] for record in check(tmp_path)} == {"dense", "power_bert"}


LAUNCHERS = sorted(path.stem for path in (CONFIG_FOLDER / "hydra" / "launcher").glob("*.yaml"))


def test_there_are_launchers():
    assert {"ray", "submitit_slurm"} <= set(LAUNCHERS)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_composes_and_instantiates(name, tmp_path):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        given = [f"paths.runs={tmp_path}", f"hydra/launcher={name}"]
        launcher = compose("train", overrides=given, return_hydra_config=True).hydra.launcher
    pytest.importorskip(launcher._target_.rpartition(".")[0])
    assert isinstance(instantiate(launcher), Launcher)


def test_the_configuration_for_slurm_is_what_sbatch_is_given(tmp_path, monkeypatch):
    """`sbatch` here keeps the job's file and refuses it."""
    submitit = pytest.importorskip("submitit")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"srun": "exit 0", "sbatch": f"cp $1 {tmp_path}/job.sh; exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    given = (
        "hydra.launcher.partition=gpu",
        "hydra.launcher.gpus_per_node=2",
        "hydra.launcher.setup=[module load cuda]",
    )
    with pytest.raises(submitit.core.utils.FailedJobError):
        multirun(tmp_path / "runs", "lambda=0.1,0.2", "hydra/launcher=submitit_slurm", *given)
    job = (tmp_path / "job.sh").read_text()
    for line in ("--partition=gpu", "--gpus-per-node=2", "--cpus-per-task=8", "--mem=32GB", "--time=720"):
        assert f"#SBATCH {line}\n" in job
    assert "#SBATCH --array=0-1" in job
    assert "module load cuda" in job
