"""Which loggers a run gets, and what it leaves in them."""

import os

import pytest

from powerbert.run.loggers import finish, wandb_logger
from tests.wandb_file import read_back


@pytest.fixture
def logged_out(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_wandb_works_offline_unless_logged_in(logged_out, tmp_path):
    logger = wandb_logger(project="powerbert", save_dir=tmp_path)
    run = logger.experiment
    assert run.settings.mode == "offline"
    logger.log_metrics({"search/mass_1": 3.0}, step=1)
    finish([logger], {"method": "power_bert", "retention_configuration": [3, 2, 1]})
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    summary, history = read_back(file)
    assert summary["method"] == "power_bert"
    assert summary["retention_configuration"] == [3, 2, 1]
    assert history["search/mass_1"] == 3.0


def test_each_point_of_a_sweep_is_a_run_of_its_own(logged_out, tmp_path):
    identifiers = []
    for _ in range(2):
        logger = wandb_logger(project="powerbert", save_dir=tmp_path)
        identifiers.append(logger.experiment.id)
        finish([logger], None)
    assert len(set(identifiers)) == 2


def test_the_mode_that_the_user_chose_stands(logged_out, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert "mode" not in wandb_logger(project="powerbert")._wandb_init
    monkeypatch.delenv("WANDB_MODE")
    assert wandb_logger(project="powerbert", mode="online")._wandb_init["mode"] == "online"
    assert "WANDB_MODE" not in os.environ
