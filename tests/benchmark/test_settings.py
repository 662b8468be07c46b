from pathlib import Path

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark.pair import Retention
from powerbert.benchmark.settings import USUAL_LENGTH, Settings
from tests.benchmark.conftest import composed, settings

SHORT, LONG, FULL = Retention("short", (9,), 64), Retention("long", (99,), 256), Retention("full", None)


def grid(chosen, *retentions):
    return [
        (cell.retention.name, cell.length, cell.batch_size) for cell in chosen.cells(retentions, longest=512)
    ]


def test_each_retention_goes_with_its_own_length():
    assert grid(settings("batch_size=[2,4]"), SHORT, LONG) == [
        ("short", 64, 2),
        ("short", 64, 4),
        ("long", 256, 2),
        ("long", 256, 4),
    ]


def test_one_without_a_length_goes_with_the_usual_one():
    assert grid(settings(), LONG, FULL) == [("long", 256, 2), ("full", USUAL_LENGTH, 2)]


def test_given_lengths_hold_for_all():
    assert grid(settings("length=[32,16]"), SHORT, FULL) == [
        ("short", 32, 2),
        ("short", 16, 2),
        ("full", 32, 2),
        ("full", 16, 2),
    ]


def test_a_value_given_twice_counts_once():
    assert settings("batch_size=[8,2,8]").batch_size == (8, 2)


def test_one_value_stands_for_a_list_of_it():
    one = settings("length=8", "runtimes=sdpa", "protocols=full")
    assert (one.length, one.runtimes, one.protocols) == ((8,), ("sdpa",), ("full",))


def test_the_defaults_are_valid():
    defaults = Settings.from_config(composed())
    assert defaults.length == ()
    assert defaults.runtimes == ("eager", "sdpa", "onednn", "bf16", "onnx", "onnx_int8")


def test_files_lie_with_those_of_all_runs_unless_told_otherwise():
    assert settings("output=${paths.runs}/benchmark", "paths.runs=there").output == Path("there/benchmark")
    assert settings("output=here").output == Path("here")
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
def test_refuses_by_name(override, message):
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
