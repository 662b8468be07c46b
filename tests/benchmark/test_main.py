"""The command line: a list after a comma is one benchmark; the shapes of `conf/shape`."""

import pytest
import torch
from hydra.utils import instantiate

from powerbert.base.cli import CONFIG_FOLDER, list_values
from powerbert.benchmark.__main__ import LISTS
from tests.benchmark.conftest import composed

SHAPES = {"bert_base": 12, "bert_large": 24, "minilm_l6": 6, "tiny": 3}


@pytest.mark.parametrize(
    ("argument", "listed"),
    [
        ("batch_size=8,32", "batch_size=[8,32]"),
        ("batch_size=8", "batch_size=8"),
        ("batch_size=[8,32]", "batch_size=[8,32]"),
        ("retention=paper_rte,full", "retention=[paper_rte,full]"),
        ("retention=[[3,2],full]", "retention=[[3,2],full]"),
        ("seed=1,2", "seed=1,2"),
        ("--multirun", "--multirun"),
        ("output=a,b", "output=a,b"),
    ],
)
def test_commas_make_lists_of_the_keys_that_take_several_values(argument, listed):
    assert list_values(LISTS, [argument]) == [listed]


def test_hydra_takes_such_a_list_for_one_run():
    cfg = composed(*list_values(LISTS, ["batch_size=8,32", "retention=12,6,2", "protocols=padded,full"]))
    assert (list(cfg.batch_size), list(cfg.retention)) == ([8, 32], [12, 6, 2])
    assert list(cfg.protocols) == ["padded", "full"]


def test_each_shape_names_a_config_of_its_encoders():
    assert {path.stem for path in (CONFIG_FOLDER / "shape").glob("*.yaml")} == SHAPES.keys()
    for name, encoders in SHAPES.items():
        with torch.device("meta"):
            pair = instantiate(composed(f"shape={name}").shape)(seed=0)
        assert (pair.name, pair.encoders, pair.longest) == (name, encoders, 512)
