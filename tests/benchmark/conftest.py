"""A tiny pair of models, and settings to time it with."""

from dataclasses import dataclass

import pytest
from hydra import compose, initialize_config_dir

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.benchmark.contestants import RUNTIMES, Runtime
from powerbert.benchmark.inputs import Inputs, drawn_inputs
from powerbert.benchmark.pair import Pair, Retention, from_shape
from powerbert.benchmark.settings import Settings
from powerbert.models.tiny import SIZES
from tests.analyse.conftest import corpus, dataset, finetuned, make_artifact, retrained  # noqa: F401

RETENTION = Retention("some", (9, 5, 2))


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        return compose("benchmark", overrides=["shape=tiny", "output=null", *overrides])


def settings(*overrides: str) -> Settings:
    """Settings of one quick run, with a test's overrides."""
    quick = ("runs=1", "warmup=0", "dynamic_batches=2", "runtimes=[sdpa]", "batch_size=2", "device=cpu")
    return Settings.from_config(composed(*quick, *overrides))


@pytest.fixture(scope="session")
def pair() -> Pair:
    return from_shape("tiny", "bert", seed=3, **SIZES)


@pytest.fixture
def inputs(pair) -> Inputs:
    return drawn_inputs(pair.config, 0.5, seed=1)


@pytest.fixture
def broken(monkeypatch):
    """Makes a runtime fail whenever it builds a model."""

    @dataclass(frozen=True)
    class Broken(Runtime):
        def build(self, model, batch, folder):
            raise RuntimeError("no such\n  kernel")

    return lambda name: monkeypatch.setitem(RUNTIMES, name, Broken("broken", "#000000"))
