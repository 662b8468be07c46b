from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark.pair import Retention
from powerbert.benchmark.settings import USUAL_LENGTH, Settings, read_retentions
from tests.benchmark.conftest import composed, settings

SHORT, LONG, FULL = Retention("short", (9,), 64), Retention("long", (99,), 256), Retention("full", None)


@pytest.mark.parametrize(
    ("overrides", "cells"),
    [
        (["batch_size=[2,4]"], [("short", 64), ("long", 256), ("full", USUAL_LENGTH)]),
        (["batch_size=[2,4]", "length=[9]"], [("short", 9), ("long", 9), ("full", 9)]),
    ],
)
def test_each_retention_is_timed_at_the_given_lengths_or_at_its_own(overrides, cells):
    found = settings(*overrides).cells([SHORT, LONG, FULL], longest=512)
    expected = [(name, length, size) for name, length in cells for size in (2, 4)]
    assert [(cell.retention.name, cell.length, cell.batch_size) for cell in found] == expected


def test_one_value_is_a_list_of_it_and_repeated_values_count_once():
    one = settings("length=8", "batch_size=[8,2,8]", "runtimes=sdpa", "protocols=full")
    assert (one.length, one.batch_size, one.runtimes, one.protocols) == ((8,), (8, 2), ("sdpa",), ("full",))


def test_the_defaults_are_valid():
    defaults = Settings.from_config(composed("output=${paths.runs}/benchmark", "paths.runs=there"))
    assert defaults.length == ()
    assert defaults.runtimes == ("eager", "sdpa", "onednn", "bf16", "onnx", "onnx_int8")
    assert defaults.output == Path("there/benchmark")
    assert settings("output=null").output is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch_size=0", "batch_size: 0 must be a whole number of at least 1"),
        ("batch_size=[8,x]", "batch_size: 'x' must be"),
        ("batch_size=[]", "batch_size: the list is empty"),
        ("length=[64,2]", "length: 2 must be a whole number of at least 3"),
        ("runs=0", "runs: 0"),
        ("warmup=-1", "warmup: -1"),
        ("seconds=0", "seconds: 0 must be a number greater than 0"),
        ("median_length=1.5", "median_length: 1.5 must be a number at least 0 and at most 1"),
        ("runtimes=[sdpa,jax]", "runtimes: 'jax' is unknown; choose one of eager, sdpa"),
        ("protocols=[]", "protocols: the list is empty"),
        ("protocols=ragged", "protocols: 'ragged' is unknown; choose one of padded, dynamic, full"),
        ("device=abacus", "device: 'abacus' cannot be used here"),
        ("threads=0", "threads: 0"),
        ("inference=false", "inference, training, memory: all are false"),
    ],
)
def test_an_error_names_the_key(override, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        settings(override)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"^device: 'cuda' cannot be used here"):
        settings("device=cuda")


def test_refuses_a_length_beyond_the_model_s_positions():
    some = settings("length=64")
    assert some.cells([FULL], longest=64)
    with pytest.raises(ConfigError, match=r"^length: 64 is beyond the 63 positions"):
        some.cells([FULL], longest=63)


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


def test_without_a_choice_all_that_fit_the_model_are_taken_or_the_artifact_s():
    assert {one.name for one in read()} == {"paper_cola", "paper_figure1", "paper_rte", "full"}
    assert [one.name for one in read(encoders=6)] == ["full"]
    own = Retention("artifact", (4, 2), 16)
    assert read(encoders=2, own=own) == [own]
    assert [one.name for one in read("retention=full", encoders=2, own=own)] == ["full"]


def test_a_list_is_a_configuration_and_further_ones_can_be_named():
    assert read("retention=[9,5,1]", encoders=3) == [Retention("custom", (9, 5, 1), None)]
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
def test_a_retention_that_is_invalid_is_named(override, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        read(override, encoders=3)


def test_entries_are_capped_at_the_length():
    assert Retention("some", (153, 80, 5)).at(100) == [100, 80, 5]
    assert Retention("full", None).at(100) is None
