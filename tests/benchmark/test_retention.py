from types import SimpleNamespace

import pytest

from powerbert.base.errors import ConfigError
from powerbert.benchmark.pair import Retention
from powerbert.benchmark.settings import read_retentions
from tests.benchmark.conftest import composed


def read(*overrides, encoders=12, longest=512, own=None):
    model = SimpleNamespace(encoders=encoders, longest=longest, own=own)
    return read_retentions(composed(*overrides), model)


def test_the_paper_s_configurations_have_its_totals():
    """Section 3.2: 123 of 768 word-vectors on CoLA, 868 of 3072 on RTE. Figure 1: 48 eliminated, then 7."""
    cola, figure1, rte = read("retention=[paper_cola,paper_figure1,paper_rte]")
    assert (sum(cola.configuration), 12 * cola.length) == (123, 768)
    assert (sum(rte.configuration), 12 * rte.length) == (868, 3072)
    assert figure1.length - figure1.configuration[0] == 48
    assert figure1.configuration[0] - figure1.configuration[1] == 7
    assert figure1.configuration[-1] == 3


def test_without_a_choice_all_that_fit_the_model_are_taken():
    assert {one.name for one in read()} == {"paper_cola", "paper_figure1", "paper_rte", "full"}
    assert [one.name for one in read(encoders=6)] == ["full"]


def test_an_artifact_comes_with_its_own():
    own = Retention("artifact", (4, 2), 16)
    assert read(encoders=2, own=own) == [own]
    assert [one.name for one in read("retention=full", encoders=2, own=own)] == ["full"]


def test_a_list_is_a_configuration():
    (custom,) = read("retention=[9,5,1]", encoders=3)
    assert custom.configuration == (9, 5, 1)
    assert custom.length is None


def test_further_ones_can_be_named():
    added = "+retentions.mine={configuration: [7, 3], length: 8}"
    assert read(added, "retention=mine", encoders=2) == [Retention("mine", (7, 3), 8)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retention=paper", "retention: 'paper' is unknown; choose one of paper_cola, "),
        ("retention=[]", "retention: the list is empty"),
        ("retention=paper_rte", "retention: 'paper_rte' does not fit the model: .*12 entries.*3 encoders"),
        ("retention=[[9,5,1],full]", r"retention: '\[9, 5, 1\]' is unknown"),
        ("retention=[9,5]", "retention: 'custom' does not fit the model: .*2 entries.*3 encoders"),
        ("retention=[5,9,1]", "retention: 'custom' does not fit the model: .*grows from 5 to 9"),
        ("retention=[600,5,1]", "retention: 'custom' does not fit the model: .*600.*512"),
        ("+retentions.odd={configuration: [5, 9, 1], length: 8}", "retention: 'odd' does not fit"),
        ("+retentions.odd=[1,2]", "retentions.odd: give a configuration and a length"),
    ],
)
def test_refuses_by_name(override, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        read(override, encoders=3)


def test_entries_are_capped_at_the_length():
    assert Retention("some", (153, 80, 5)).at(100) == [100, 80, 5]
    assert Retention("full", None).at(100) is None
