"""The experiments that are registered by name instead of written as files."""

import pytest

from hydra_plugins.powerbert_experiments import MODELS
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.run.checks import check
from tests.run.test_settings import composed

GRIDS = {"snippets": ([0.0002, 0.0005, 0.001, 0.002, 0.005], [2, 3, 4, 5])}
PAPER_GRID = [0.0001, 0.0003, 0.001, 0.003, 0.01], [3, 4, 6]


def test_each_dataset_with_hyper_parameters_has_its_experiments():
    assert sorted(MODELS) == sorted(path.stem for path in (CONFIG_FOLDER / "hyperparameters").glob("*.yaml"))


@pytest.mark.parametrize("dataset", MODELS)
def test_each_composes(dataset, tmp_path):
    search = composed(tmp_path, f"+experiment={dataset}_search")
    pareto = composed(tmp_path, f"+experiment={dataset}_pareto")
    for cfg in (search, pareto):
        check(cfg)
        assert (cfg.dataset.name, cfg.method.name) == (dataset, "power_bert")
        assert cfg.model.name == ("minilm_l6" if dataset == "snippets" else "bert_base")
    assert search.learning_rate == pareto.learning_rate
    assert (pareto.grid["lambda"], pareto.grid.encoders) == GRIDS.get(dataset, PAPER_GRID)
    assert pareto.skip_recorded
