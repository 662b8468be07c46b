import pytest

from powerbert.base.errors import ConfigError
from powerbert.report.paper import COMPARISONS, comparison_table, selection_table, setup


@pytest.mark.parametrize("name", COMPARISONS)
def test_figures_agree_with_one_another(name):
    table = comparison_table(name)
    assert set(table.comparisons) <= set(setup().datasets)
    for dataset, figures in table.comparisons.items():
        assert figures.speedup == pytest.approx(figures.baseline_ms / figures.model_ms, abs=0.051), dataset
        assert -1.01 <= figures.metric - figures.baseline_metric <= 1.01, dataset  # the paper's bound


def test_figures_are_the_printed_ones():
    bert, albert = comparison_table("table1"), comparison_table("table2")
    assert list(bert.comparisons) == (
        ["cola", "rte", "qqp", "mrpc", "sst2", "mnli_m", "mnli_mm", "qnli", "stsb", "imdb", "race"]
    )
    assert list(albert.comparisons) == (
        ["cola", "rte", "qqp", "mrpc", "sst2", "stsb", "mnli_m", "mnli_mm", "qnli"]
    )
    rte = bert.comparisons["rte"]
    assert (rte.baseline_metric, rte.metric, rte.baseline_ms, rte.model_ms) == (68.1, 67.4, 3993, 1189)
    qqp = albert.comparisons["qqp"]
    assert (qqp.baseline_metric, qqp.metric, qqp.baseline_ms, qqp.model_ms) == (68.3, 67.4, 1950, 287)
    assert (bert.model, albert.model) == ("bert_base", "albert_base")


def test_selection_figures():
    table = selection_table()
    assert table.all == {"head": 85.4, "rand": 85.7, "attn": 88.3}
    assert table.long == {"head": 83.7, "rand": 83.4, "attn": 87.4}
    assert table.retention_configuration == (64, 32, 16, 16, 16, 16, 16, 16, 16)


def test_an_unknown_table_is_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"^report\.table: 'table3' is unknown; choose one of table1, table2"
    ):
        comparison_table("table3")
