import json
from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import DataError
from powerbert.report.__main__ import report
from powerbert.report.paper import printed
from tests.forked import door
from tests.report.records import point

REPORTS = sorted(path.stem for path in (CONFIG_FOLDER / "report").glob("*.yaml"))


def composed(config_name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        return compose(config_name, overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_takes_records_and_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    instantiate(composed("report", f"report={name}").report)([point()], output=tmp_path / "files")
    assert list((tmp_path / "files").iterdir())


@pytest.mark.parametrize("override", ["model=minilm_l6", "report.model=minilm_l6"])
def test_the_model_can_be_chosen(override, capsys):
    records = [point(value=0.654), point(value=0.567, model="minilm_l6")]
    instantiate(composed("report", "report=table1", override).report)(records)
    printed = capsys.readouterr().out
    assert "56.7" in printed
    assert "65.4" not in printed


def test_prints_the_table_and_leaves_nothing_but_the_files_asked_for(tmp_path):
    records = tmp_path / "my records"
    records.mkdir()
    (records / "one.json").write_text(json.dumps(point("rte", value=0.654, baseline=0.66)))
    done = door(tmp_path, "powerbert.report", "report=table1", "records=my records", "output=out")
    assert done.wait() == 0, done.stderr
    assert "65.4" in done.stdout
    assert "\x1b" not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"my records", "out", "stdout", "stderr"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table1.csv", "table1.md"}


def test_a_folder_that_is_missing_is_named():
    with pytest.raises(DataError, match=r"^nowhere: there is no such folder of records"):
        report(composed("report", "records=nowhere"))


@cache
def search(dataset: str) -> DictConfig:
    """The configuration of a dataset's search."""
    return composed("train", f"+experiment={dataset}_search")


def sweep(experiment: str, *overrides: str) -> list[list[str]]:
    """The overrides of each point that Hydra's sweeper would launch."""
    cfg = composed("train", f"+experiment={experiment}")
    assert cfg.hydra.mode == RunMode.MULTIRUN
    params = [f"{key}={value}" for key, value in cfg.hydra.sweeper.params.items()]
    parsed = OverridesParser.create().parse_overrides([*params, f"+experiment={experiment}", *overrides])
    (points,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return points


@pytest.mark.parametrize(("experiment", "model"), [("table1", "bert_base"), ("table2", "albert_base")])
def test_every_point_of_a_table_has_its_searchs_hyper_parameters(experiment, model):
    points = [composed("train", *overrides) for overrides in sweep(experiment)]
    assert [cfg.dataset.name for cfg in points] == printed()[experiment]["datasets"]
    for cfg in points:
        name = cfg.dataset.name
        for key in ("learning_rate", "retention_learning_rate", "lambda", "batch_size", "stages"):
            assert cfg[key] == search(name)[key]
        paper = printed()["setup"]["datasets"][name]
        assert (cfg.dataset.metric, cfg.dataset.max_length) == (paper["metric"], paper["max_length"])
        assert cfg.measure.padded_batch_size == paper["batch_size"]
        assert (cfg.measure.runs, cfg.measure.statistic) == (100, "mean")
        assert instantiate(cfg.measure).runs == 100
        assert (cfg.model.name, cfg.method.name) == (model, "power_bert")


def test_the_selections_are_compared_under_the_papers_conditions():
    points = [composed("train", *overrides) for overrides in sweep("selection_table")]
    assert [cfg.elimination.selection for cfg in points] == ["attn", "head", "rand"]
    paper = printed()["table3"]
    for cfg in points:
        assert (cfg.dataset.name, cfg.model.name, cfg.batch_size) == (paper["dataset"], paper["model"], 64)
        assert cfg.longer_than == paper["length_threshold"]
        assert len(cfg.elimination.retention_configuration) == 12
        assert cfg.elimination.retention_configuration[:9] == paper["retention_configuration"]


def test_the_selections_are_compared_on_other_models_and_data_too():
    def configuration(*overrides):
        cfg = composed("train", *sweep("selection_table", *overrides)[0])
        return cfg.batch_size, cfg.elimination.retention_configuration

    assert configuration("dataset=snippets", "model=minilm_l6") == (32, [64, 32, 16, 16, 16, 16])
    assert configuration("model=bert_large") == (64, None)
    given = "elimination.retention_configuration=[9,8,7,6,5,4]"
    assert configuration("model=minilm_l6", given)[1] == [9, 8, 7, 6, 5, 4]


def test_the_command_line_wins_over_a_table():
    points = sweep(
        "table1", "dataset=rte,race", "seed=1,2", "lambda=0.5", "model=minilm_l6", "measure.runs=3"
    )
    assert len(points) == 4
    for overrides, dataset, batch_size in zip(
        points, ["rte", "rte", "race", "race"], [16, 16, 4, 4], strict=True
    ):
        cfg = composed("train", *overrides)
        assert (cfg.dataset.name, cfg.batch_size) == (dataset, batch_size)
        assert (cfg["lambda"], cfg.model.name, cfg.measure.runs) == (0.5, "minilm_l6", 3)


def test_the_command_line_wins_over_a_search():
    cfg = composed("train", "+experiment=rte_search", "lambda=0.5", "model=minilm_l6")
    assert (cfg["lambda"], cfg.model.name, cfg.batch_size) == (0.5, "minilm_l6", 16)
