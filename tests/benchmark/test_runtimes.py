import sys
from types import SimpleNamespace

import pytest
import torch

from powerbert.benchmark.contestants import EAGER, HOST, POWER, Contestant, contestants
from powerbert.benchmark.runtimes import RUNTIMES, Onnx, Place, Torch
from tests.benchmark.conftest import RETENTION

CPU = torch.device("cpu")
TORCH = [name for name, runtime in RUNTIMES.items() if type(runtime) is Torch]


@pytest.fixture
def batch(inputs):
    return inputs.batches("padded", 2, 20, 1)[0]


@pytest.fixture
def place(tmp_path):
    return Place(CPU, threads=1, folder=tmp_path / "host", token_types=True)


@pytest.mark.parametrize("name", TORCH)
def test_torch_runs_the_model_in_its_format(name, pair, batch, place):
    logits = RUNTIMES[name].build(pair.host, place)(batch).logits
    assert logits.dtype == RUNTIMES[name].dtype
    torch.testing.assert_close(logits.float(), pair.host()(**batch).logits, atol=0.05, rtol=0.05)
    assert pair.host().dtype == torch.float32


def test_eager_and_sdpa_are_the_host_s_attention(pair, place):
    models = [RUNTIMES[name].model(pair.host, place) for name in ("eager", "sdpa")]
    assert models == [pair.host("eager"), pair.host("sdpa")]


def test_packed_for_onednn_it_computes_the_same(pair, batch, place):
    runtime = RUNTIMES["onednn"]
    assert runtime.unavailable(CPU) is None
    logits = runtime.build(pair.host, place)(batch).logits
    torch.testing.assert_close(logits, pair.host()(**batch).logits, atol=1e-5, rtol=1e-5)


def test_packed_for_onednn_it_says_why_it_cannot_be_had(monkeypatch):
    assert RUNTIMES["onednn"].unavailable(torch.device("cuda")) == "it runs on the CPU, not on cuda"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert "without oneDNN" in RUNTIMES["onednn"].unavailable(CPU)


class FakeExport:
    """In place of `powerbert.export`: notes what is written, and gives the mask back as logits."""

    def __init__(self):
        self.written = []

    def export_onnx(self, model, path, *, token_type_ids):
        self.written.append((path.name, token_type_ids))
        path.write_text("exported")
        return path

    def quantize_onnx(self, path, target, format):
        self.written.append((target.name, format))
        target.write_text(f"{path.read_text()} {format}")
        return target

    def onnx_session(self, path, threads):
        names = [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]
        return SimpleNamespace(
            get_inputs=lambda: names,
            run=lambda outputs, feed: (path.read_text(), threads, outputs, feed["attention_mask"].tolist()),
        )


@pytest.fixture
def export(monkeypatch):
    fake = FakeExport()
    monkeypatch.setitem(sys.modules, "powerbert.export", fake)
    return fake


def test_onnx_exports_once_and_quantises_what_was_exported(export, pair, batch, place):
    for _ in range(2):
        int8 = RUNTIMES["onnx_int8"].build(pair.host, place)
        float32 = RUNTIMES["onnx"].build(pair.host, place)
    assert export.written == [("float32.onnx", True), ("int8.onnx", "int8")]
    assert int8(batch)[:3] == ("exported int8", 1, ["logits"])
    assert float32(batch)[0] == "exported"
    assert float32(batch)[3] == batch["attention_mask"].tolist()


def test_onnx_takes_a_batch_without_a_mask(export, pair, inputs, place):
    (unmasked,) = inputs.batches("full", 2, 5, 1)
    assert RUNTIMES["onnx"].build(pair.host, place)(unmasked)[3] == [[1] * 5] * 2


def test_onnx_says_why_it_cannot_be_had(monkeypatch):
    assert RUNTIMES["onnx"].unavailable(torch.device("cuda")) == "it runs on the CPU here, not on cuda"
    monkeypatch.setattr("powerbert.benchmark.runtimes.find_spec", lambda name: None)
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


def test_each_model_has_its_own_files(batch, tmp_path):
    folders = {one: one.place(RETENTION, batch, CPU, tmp_path).folder for one in (HOST, EAGER, POWER)}
    assert folders[HOST] == folders[EAGER] == tmp_path / "host"
    assert folders[POWER] == tmp_path / "power-some"


def test_a_contestant_makes_its_own_model(pair):
    assert EAGER.make(pair, RETENTION)("eager") is pair.host("eager")
    assert POWER.make(pair, RETENTION)("sdpa") is pair.power(RETENTION)
