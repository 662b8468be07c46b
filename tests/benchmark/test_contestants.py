import pytest
import torch

from powerbert.benchmark.contestants import (
    EAGER,
    HOST,
    POWER,
    RUNTIMES,
    Contestant,
    Onnx,
    Torch,
    contestants,
)
from powerbert.benchmark.inputs import DrawnInputs
from tests.benchmark.conftest import RETENTION

CPU = torch.device("cpu")
TORCH = [name for name, runtime in RUNTIMES.items() if type(runtime) is Torch]


@pytest.fixture
def batch(inputs):
    return inputs.batches("padded", 2, 20, 1)[0]


@pytest.mark.parametrize("name", TORCH)
def test_torch_runs_the_model_in_its_format(name, pair, batch, tmp_path):
    logits = RUNTIMES[name].build(pair.host(), batch, tmp_path)(**batch).logits
    assert logits.dtype == RUNTIMES[name].dtype
    torch.testing.assert_close(logits.float(), pair.host()(**batch).logits, atol=0.05, rtol=0.05)
    assert pair.host().dtype == torch.float32


def test_packed_for_onednn_it_computes_the_same(pair, batch, tmp_path):
    runtime = RUNTIMES["onednn"]
    assert runtime.unavailable(CPU) is None
    logits = runtime.build(pair.host(), batch, tmp_path)(**batch).logits
    torch.testing.assert_close(logits, pair.host()(**batch).logits, atol=1e-5, rtol=1e-5)


def test_packed_for_onednn_it_says_why_it_is_unavailable(monkeypatch):
    assert RUNTIMES["onednn"].unavailable(torch.device("cuda")) == "it runs on the CPU, not on cuda"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert "without oneDNN" in RUNTIMES["onednn"].unavailable(CPU)


@pytest.fixture(scope="module")
def onnx(pair, tmp_path_factory):
    """The host in int8 and float32 on ONNX Runtime, and the folder of its files."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exports") / "host"
    (batch,) = DrawnInputs(pair.config, 0.5, seed=1).batches("padded", 2, 20, 1)
    models = {name: RUNTIMES[name].build(pair.host(), batch, folder) for name in ("onnx_int8", "onnx")}
    return models, folder


def test_onnx_computes_the_same_and_int8_nearly(onnx, pair, batch):
    models, _ = onnx
    expected = pair.host()(**batch).logits
    torch.testing.assert_close(models["onnx"](**batch).logits, expected, atol=1e-4, rtol=1e-4)
    int8 = models["onnx_int8"](**batch).logits
    torch.testing.assert_close(int8, expected, atol=0.05, rtol=0.05)
    assert not torch.equal(int8, models["onnx"](**batch).logits)


def test_onnx_exports_once(onnx, pair, batch):
    _, folder = onnx
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert {"float32.onnx", "int8.onnx"} <= before.keys()
    for name in ("onnx_int8", "onnx"):
        RUNTIMES[name].build(pair.host(), batch, folder)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_onnx_takes_a_batch_without_a_mask(onnx, pair, inputs):
    (unmasked,) = inputs.batches("full", 2, 5, 1)
    logits = onnx[0]["onnx"](**unmasked).logits
    torch.testing.assert_close(logits, pair.host()(**unmasked).logits, atol=1e-4, rtol=1e-4)


def test_onnx_says_why_it_is_unavailable(monkeypatch):
    assert RUNTIMES["onnx"].unavailable(torch.device("cuda")) == "it runs on the CPU here, not on cuda"
    monkeypatch.setattr("powerbert.benchmark.contestants.find_spec", lambda name: None)
    assert "powerbert[onnx]" in RUNTIMES["onnx"].unavailable(CPU)


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
    assert not {one.runtime for one in fused} & {
        "eager",
        *(name for name in RUNTIMES if isinstance(RUNTIMES[name], Onnx)),
    }


def test_contestants_share_the_pair_s_models(pair, batch, tmp_path):
    built = [one.build(pair, RETENTION, batch, tmp_path) for one in (EAGER, HOST, POWER)]
    assert built == [pair.host("eager"), pair.host("sdpa"), pair.power(RETENTION)]


def test_each_model_has_its_own_files(pair, batch, tmp_path, monkeypatch):
    class Noting(Onnx):
        def build(self, model, batch, folder):
            return model, folder

    monkeypatch.setitem(RUNTIMES, "onnx", Noting("onnx", "ONNX", "#000000"))
    host, power = (
        Contestant(role, "onnx").build(pair, RETENTION, batch, tmp_path) for role in ("host", "power")
    )
    assert host == (pair.host(), tmp_path / "host")
    assert power == (pair.power(RETENTION), tmp_path / "power-some")
