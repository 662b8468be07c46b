"""ONNX files: what they take, what is in them, and their smaller variants."""

import sys

import numpy as np
import onnx
import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.export import export_onnx, load_onnx, onnx_session, quantize_onnx, trace
from powerbert.export.onnx_file import translations
from tests.models.backbones import make_host, make_power
from tests.models.batches import padded, ragged_inputs


@pytest.fixture(scope="module")
def model():
    host = make_host("bert", num_hidden_layers=1, hidden_size=64, intermediate_size=256)
    return make_power(host, retention_configuration=[5])


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return export_onnx(trace(model, token_type_ids=True), tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def batch():
    batch = padded(ragged_inputs((9, 1, 12, 4)))
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "token_type_ids": torch.zeros_like(batch["input_ids"]),
    }


def test_names_and_axes(path):
    session = onnx_session(path, threads=1)
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert {taken.name: (taken.type, taken.shape) for taken in session.get_inputs()} == {
        name: ("tensor(int64)", ["batch", "length"]) for name in names
    }
    (logits,) = session.get_outputs()
    assert (logits.name, logits.shape) == ("logits", ["batch", 3])
    assert session.get_session_options().intra_op_num_threads == 1


def test_the_file_is_complete_and_valid_and_tells_nothing_of_this_machine(model, path):
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    onnx.checker.check_model(path, full_check=True)
    content = path.read_bytes()
    assert b"/powerbert/" not in content
    assert b".py" not in content
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert weights < len(content) < weights + 100_000


@pytest.mark.parametrize("format", ["int8", "float16"])
def test_variants_are_smaller_and_give_about_the_same_logits(path, batch, format, tmp_path):
    target = quantize_onnx(path, tmp_path / f"{format}.onnx", format)
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
    assert target.stat().st_size < 0.7 * path.stat().st_size
    exact, rough = (load_onnx(file)(**batch).logits for file in (path, target))
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < {"int8": 0.5, "float16": 0.02}[format] * exact.std()


def test_int8_products_are_integer(path, tmp_path):
    graph = onnx.load(quantize_onnx(path, tmp_path / "int8.onnx", "int8")).graph
    operations = [node.op_type for node in graph.node]
    assert operations.count("MatMulInteger") >= 6
    weights = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    scales = {tensor.name: tensor for tensor in graph.initializer if tensor.name.endswith("_scale")}
    assert len([tensor for tensor in weights if len(tensor.dims) == 2]) >= 6
    assert any(np.prod(tensor.dims) == 256 for tensor in scales.values()), "one scale for each output"


def test_alberts_shared_weights_are_written_once(tmp_path):
    hosts = [make_host("albert", num_hidden_layers=layers) for layers in (2, 1)]
    shared, one = (
        export_onnx(trace(host, token_type_ids=False), tmp_path / f"{number}.onnx")
        for number, host in enumerate(hosts)
    )
    assert shared.stat().st_size < one.stat().st_size + 15_000


def test_equal_values_keep_their_order():
    """As they do in PyTorch, where the sort is stable."""

    class Order(torch.nn.Module):
        def forward(self, scores):
            return scores.argsort(dim=1, descending=True, stable=True)

    scores = torch.randint(3, (4, 200), generator=torch.Generator().manual_seed(0)).float()
    program = torch.onnx.export(Order().eval(), (scores,), custom_translation_table=translations())
    (order,) = program(scores)
    assert torch.equal(order, Order()(scores))


def test_an_input_of_padding_alone_gets_finite_logits(path, batch):
    mask = batch["attention_mask"].clone()
    mask[1] = 0
    assert load_onnx(path)(**batch | {"attention_mask": mask}).logits.isfinite().all()


def test_without_a_mask_every_word_is_real(path, batch):
    ids, types = batch["input_ids"], batch["token_type_ids"]
    expected = load_onnx(path)(input_ids=ids, token_type_ids=types, attention_mask=torch.ones_like(ids))
    assert load_onnx(path)(input_ids=ids, token_type_ids=types).logits.equal(expected.logits)


def test_another_format_is_refused(path, tmp_path):
    with pytest.raises(ConfigError, match=r"^format: 'int4' is unknown; choose one of int8, float16"):
        quantize_onnx(path, tmp_path / "int4.onnx", "int4")


def test_packages_that_are_missing_are_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ConfigError, match=r'^format: onnx needs onnxruntime.*pip install "powerbert\[onnx\]"'
    ):
        load_onnx(path)
