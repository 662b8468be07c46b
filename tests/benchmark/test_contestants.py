import sys

import pytest
import torch

from powerbert.base.errors import ConfigError
from powerbert.benchmark.contestants import EAGER, HOST, POWER, RUNTIMES, Contestant, contestants
from powerbert.benchmark.inputs import drawn_inputs
from tests.benchmark.conftest import RETENTION

TORCH = [name for name, runtime in RUNTIMES.items() if runtime.kind == "torch"]


@pytest.fixture
def batch(inputs):
    return inputs.batches("padded", 2, 20, 1)[0]


@pytest.mark.parametrize("name", TORCH)
def test_torch_runs_the_model_in_its_format(name, pair, batch, tmp_path):
    model = Contestant("host", name).build(pair, RETENTION, batch, tmp_path)
    assert (model is pair.host(RUNTIMES[name].attention)) == (RUNTIMES[name].precision == "float32")
    logits = model(**batch).logits
    assert logits.dtype == getattr(torch, RUNTIMES[name].precision)
    torch.testing.assert_close(logits.float(), pair.host()(**batch).logits, atol=0.05, rtol=0.05)
    assert pair.host().dtype == torch.float32


def test_packed_for_onednn_it_computes_the_same(pair, batch, tmp_path):
    logits = RUNTIMES["onednn"].build(pair.host(), batch, tmp_path)(**batch).logits
    torch.testing.assert_close(logits, pair.host()(**batch).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["onednn", "onnx"])
def test_some_runtimes_are_for_the_cpu_only(name, pair, tmp_path):
    batch = {"input_ids": torch.empty(2, 20, device="meta")}
    with pytest.raises(ConfigError, match="runs on the CPU here, not on meta"):
        RUNTIMES[name].build(pair.host(), batch, tmp_path)


def test_missing_libraries_are_named(pair, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name, message in (("onednn", "without oneDNN"), ("onnx", r"powerbert\[onnx\]")):
        with pytest.raises(ConfigError, match=message):
            RUNTIMES[name].build(pair.host(), batch, tmp_path)


@pytest.fixture(scope="module")
def onnx(pair, tmp_path_factory):
    """Contestants on ONNX Runtime and the folder of their files."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exports")
    (batch,) = drawn_inputs(pair.config, 0.5, seed=1).batches("padded", 2, 20, 1)
    entrants = [Contestant("host", "onnx_int8"), Contestant("host", "onnx"), Contestant("power", "onnx")]
    return [one.build(pair, RETENTION, batch, folder) for one in entrants], folder


def test_onnx_computes_the_same_and_int8_nearly(onnx, pair, batch):
    int8, host, power = (model(**batch).logits for model in onnx[0])
    torch.testing.assert_close(host, pair.host()(**batch).logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(power, pair.power(RETENTION)(**batch).logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(int8, host, atol=0.05, rtol=0.05)
    assert not torch.equal(int8, host)


def test_onnx_exports_each_model_once(onnx, pair, batch):
    _, folder = onnx
    before = {file.relative_to(folder).as_posix(): file.stat().st_mtime_ns for file in folder.rglob("*.onnx")}
    assert before.keys() == {"host/float32.onnx", "host/int8.onnx", "power-some/float32.onnx"}
    for name in ("onnx_int8", "onnx"):
        Contestant("host", name).build(pair, RETENTION, batch, folder)
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def test_onnx_takes_a_batch_without_a_mask(onnx, pair, inputs):
    (unmasked,) = inputs.batches("full", 2, 5, 1)
    logits = onnx[0][1](**unmasked).logits
    torch.testing.assert_close(logits, pair.host()(**unmasked).logits, atol=1e-4, rtol=1e-4)


def test_the_host_and_power_bert_run_on_each_runtime_that_differs():
    chosen = contestants(("eager", "bf16"))
    assert chosen == [EAGER, HOST, Contestant("host", "bf16"), POWER, Contestant("power", "bf16")]
    assert [one.label for one in chosen] == [
        "host, eager",
        "host, sdpa",
        "host, bfloat16",
        "PoWER-BERT",
        "PoWER-BERT, bfloat16",
    ]


def test_only_a_host_with_fused_attention_writes_no_attention_matrix():
    fused = {one for one in contestants(tuple(RUNTIMES)) if one.fused}
    assert {one.role for one in fused} == {"host"}
    assert not {one.runtime for one in fused} & {"eager", "onnx", "onnx_int8", "onnx_float16"}
