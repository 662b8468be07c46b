import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import instantiate
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, UserError
from powerbert.store.records import read_records
from tests.forked import finished
from tests.sweepers.multirun import multirun
from tests.tiny_runs import overrides


def linear(value):
    """Loses three times the parameter, so at most one point up to 0.00333, and is the faster for it."""
    return 3 * value, 1 + 100 * value


class Launcher:
    """Stands for Hydra's: calls the task with the value that a job gives the parameter.

    Args:
        task: as `linear`.
        parameter: the key of the value.
        folder: the sweep's, which a launcher makes.
    """

    def __init__(self, task, parameter: str, folder: Path):
        self.task, self.parameter, self.folder = task, parameter, folder
        self.jobs: list[dict[str, str]] = []

    def launch(self, job_overrides, initial_job_idx):
        assert initial_job_idx == len(self.jobs)
        self.folder.mkdir(parents=True, exist_ok=True)
        (job,) = job_overrides
        self.jobs.append(dict(override.split("=", 1) for override in job))
        returned = JobReturn(status=JobStatus.COMPLETED)
        try:
            returned.return_value = self.task(float(self.jobs[-1][self.parameter]))
        except RuntimeError as error:
            returned.return_value, returned.status = error, JobStatus.FAILED
        return [returned]


def search(runs: Path, *overrides: str, task=linear) -> list[float]:
    """The values in the order of the trials."""
    arguments = ["+sweep=max_loss", "lambda=0.001", f"paths.runs={runs}", *overrides]
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("train", arguments, return_hydra_config=True)
    sweeper = instantiate(cfg.hydra.sweeper)
    parameter = cfg.hydra.sweeper.parameter
    sweeper.config, sweeper.hydra_context = cfg, SimpleNamespace(config_loader=None)
    sweeper.launcher = Launcher(task, parameter, Path(cfg.hydra.sweep.dir))
    returns = sweeper.sweep([override for override in arguments if not override.startswith("hydra.")])
    assert len(returns) == len(sweeper.launcher.jobs)
    assert {job["sweep_size"] for job in sweeper.launcher.jobs} == {str(cfg.hydra.sweeper.trials)}
    return [float(job[parameter]) for job in sweeper.launcher.jobs]


def winner(runs: Path) -> float:
    (path,) = runs.glob("logs/*/optimization_results.yaml")
    return OmegaConf.load(path).best_params["lambda"]


def test_goes_up_until_the_loss_is_too_great_then_bisects(tmp_path):
    tried = search(tmp_path)
    assert tried == [0.001, 0.003, 0.009, 0.0052, 0.00395, 0.00344]
    assert winner(tmp_path) == 0.003


def test_goes_down_from_a_start_that_loses_too_much(tmp_path):
    tried = search(tmp_path, "max_loss=0.0005", "lambda=0.002")
    assert tried == [0.002, 0.000667, 0.000222, 7.4e-05, 0.000128, 0.000169]
    assert winner(tmp_path) == 0.000128


@pytest.mark.parametrize("start", [1e-5, 0.0003, 0.003, 0.0035, 0.1])
def test_closes_in_on_the_bound_from_anywhere(start, tmp_path):
    tried = search(tmp_path, f"lambda={start}", "hydra.sweeper.trials=30", "hydra.sweeper.tolerance=1.05")
    assert tried[0] == start
    assert 0.01 / 3 / 1.05 <= winner(tmp_path) <= 0.01 / 3
    assert len(tried) < 15


def test_says_who_won_and_how(tmp_path, capsys):
    search(tmp_path)
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if re.match(r"\s+\d", line)]
    assert rows[0] == ["0", "0.001", "0.30", "1.10x", "yes"]
    assert rows[2] == ["2", "0.009", "2.70", "1.90x", "no"]
    assert "At most 1.00 points of loss" in printed
    assert "winner: lambda=0.003, 1.30x at a loss of 0.90 points\n" in printed
    (path,) = tmp_path.glob("logs/*/optimization_results.yaml")
    assert OmegaConf.load(path) == {
        "name": "max_loss",
        "best_params": {"lambda": 0.003},
        "best_values": {"loss": pytest.approx(0.009), "speedup_flops": pytest.approx(1.3)},
    }


def test_takes_the_greatest_speed_up_not_the_greatest_lambda(tmp_path):
    speedups = {0.001: 1.4, 0.003: 1.3}
    search(tmp_path, task=lambda value: (3 * value, speedups.get(value, 2.0)))
    assert winner(tmp_path) == 0.001


def test_a_loss_that_is_not_monotone_is_searched_above_the_greatest_value_within(tmp_path):
    tried = search(
        tmp_path,
        task=lambda value: (0.0 if 0.005 < value < 0.0055 else 3 * value, 2 + value),
    )
    assert tried[:4] == [0.001, 0.003, 0.009, 0.0052]
    assert tried[4] == pytest.approx(math.sqrt(0.0052 * 0.009), rel=0.01)
    assert winner(tmp_path) == 0.0052


def failing(error_at: float, how):
    def task(value):
        return how() if value == error_at else linear(value)

    return task


def crash():
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("how", [crash, lambda: None, lambda: (math.nan, 9.0), lambda: (0.0, math.nan)])
@pytest.mark.parametrize("at", [0.001, 0.003])
def test_a_trial_that_failed_is_beyond_the_bound_and_the_search_goes_on(at, how, tmp_path):
    tried = search(tmp_path, task=failing(at, how))
    assert at in tried
    assert len(tried) == 6
    assert max(tried[tried.index(at) + 1 :]) < at
    assert at / 1.3 < winner(tmp_path) < at


def test_stops_where_a_greater_lambda_changes_nothing(tmp_path, capsys):
    tried = search(tmp_path, task=lambda value: (0.0, min(1 + 100 * value, 1.2)))
    assert tried == [0.001, 0.003, 0.009]
    assert winner(tmp_path) == 0.003
    assert "No trial lost too much: a greater lambda brings no further speed-up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        ("hydra.sweeper.high=0.002", "hydra.sweeper.high=0.02"),
        ("hydra.sweeper.trials=2", "hydra.sweeper.trials=4"),
    ],
)
def test_says_what_ended_a_search_that_never_met_the_bound(limit, advice, tmp_path, capsys):
    tried = search(tmp_path, "max_loss=1", limit)
    assert len(tried) == 2
    assert winner(tmp_path) == tried[1]
    assert f"No trial lost too much: try {advice}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "tried", "advice"),
    [
        ("hydra.sweeper.low=0.0005", [0.001, 0.0005], "hydra.sweeper.low=5e-05"),
        ("hydra.sweeper.trials=2", [0.001, 0.000333], "hydra.sweeper.trials=4"),
    ],
)
def test_none_within_the_bound_is_an_error_with_the_least_loss_and_what_to_try(
    limit, tried, advice, tmp_path, capsys
):
    seen = []
    message = (
        f"max_loss: no trial is within 0.00 points; the least loss was {300 * tried[1]:.2f} points "
        f"with lambda={tried[1]}. Allow a greater loss, or try {advice}"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        search(tmp_path, "max_loss=0", limit, task=lambda value: seen.append(value) or linear(value))
    assert seen == tried
    assert str(tried[1]) in capsys.readouterr().out, "the trials are printed first"
    assert not list(tmp_path.glob("logs/*/optimization_results.yaml"))


def test_starts_within_the_limits(tmp_path):
    assert search(tmp_path, "lambda=0", "hydra.sweeper.trials=1") == [1e-5]
    assert search(tmp_path, "lambda=5", "max_loss=9", "hydra.sweeper.trials=1") == [0.1]


def test_another_parameter(tmp_path):
    tried = search(
        tmp_path,
        *("method=head_prune", "method.pruned=0.2", "hydra.sweeper.parameter=method.pruned"),
        "hydra.sweeper.high=0.9",
        task=lambda value: (value - 0.25, 1 + value),
    )
    assert tried[:3] == [0.2, 0.6, 0.346]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_loss=little", "max_loss: 'little' must be a number at least 0"),
        ("max_loss=nan", "max_loss: nan must be a number at least 0"),
        ("max_loss=-1", "max_loss: -1 must be a number at least 0"),
        ("hydra.sweeper.parameter=lamda", "hydra.sweeper.parameter: 'lamda' must be a key whose value is a"),
        ("hydra.sweeper.low=0", "hydra.sweeper.low: 0.0 must be a number greater than 0"),
        ("hydra.sweeper.high=1e-6", "hydra.sweeper.high: 1e-06 must be a number greater than 1e-05"),
        ("hydra.sweeper.factor=1", "hydra.sweeper.factor: 1.0 must be a number greater than 1"),
        ("hydra.sweeper.tolerance=0.9", "hydra.sweeper.tolerance: 0.9 must be a number greater than 1"),
        ("hydra.sweeper.trials=0", "hydra.sweeper.trials: 0 must be a whole number of at least 1"),
        ("objectives=[loss]", "objectives: ['loss'] must be two: a loss and a speed-up"),
        ("by=watts", "objectives: 'speedup_watts' is unknown"),
        ("seed=1,2", "seed: the search for lambda starts from one value of it; run the command once"),
        ("lambda=0.01,0.1", "lambda: the search for lambda starts from one value of it"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_any_trial(override, message, tmp_path):
    ran = []
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        multirun(tmp_path, "+sweep=max_loss", override, task=ran.append)
    assert not ran


def test_trials_are_ordinary_runs_that_share_the_fine_tuned_model(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rows = [f"a film that is {('bad', 'good')[number % 2]} \t{number % 2}" for number in range(32)]
    for split in ("train", "dev"):
        (corpus / f"{split}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    done = finished(
        *("powerbert.train", "+sweep=max_loss", "max_loss=1", "hydra.sweeper.trials=2"),
        *overrides(corpus, tmp_path, "trainer.max_epochs=1", "retention_learning_rate=0.1"),
    )
    assert done.returncode == 0, done.stderr
    records = {record["knob"]["lambda"]: record for record in read_records(tmp_path / "records")}
    assert records.keys() == {0.01, 0.03}
    assert len({record["artifacts"]["finetune"] for record in records.values()}) == 1
    record = records[winner(tmp_path)]
    assert record["flops"]["ratio"] == max(other["flops"]["ratio"] for other in records.values())
    loss = record["baseline"]["dev"] - record["metric"]["dev"]
    assert (
        f"winner: lambda={record['knob']['lambda']}, {record['flops']['ratio']:.2f}x "
        f"at a loss of {100 * loss:.2f} points" in done.stdout
    )
    assert "training" not in done.stdout, "the console is kept for results"
    assert "HYDRA" not in done.stdout
    assert "retrain: " in next(tmp_path.glob("logs/*/1/*.log")).read_text()
