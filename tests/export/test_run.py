"""The command, from an artifact to a folder that is usable alone."""

import hashlib
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoConfig, BertConfig

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.export import Exported, load_torch
from powerbert.export.__main__ import export
from powerbert.export.formats import FORMATS
from powerbert.models import load_model, load_tokenizer

from .conftest import MAX_LENGTH

QUICK = ["measure.runs=1", "measure.warmup=0", "measure.padded_batch_size=4", "measure.dynamic_batches=1"]


def run(*overrides):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        export(compose("export", overrides=[*QUICK, *overrides]))


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def onnx_run(artifacts, tmp_path_factory):
    """An export of two precisions that was tried on the dev split: its folder, and what was printed."""
    folder = tmp_path_factory.mktemp("run")
    before = contents(artifacts[1])
    with redirect_stdout(StringIO()) as printed:
        given = [f"artifact={artifacts[1]}", "check=dev", f"paths.runs={folder}", "threads=1"]
        run("precision=[float32,int8]", *given)
    assert contents(artifacts[1]) == before, "the artifact stays as it was"
    assert [path.name for path in folder.iterdir()] == ["exports"]
    return folder / "exports" / artifacts[1].name, printed.getvalue()


def records_of(folder):
    return {path.name: json.loads(path.read_text()) for path in folder.glob("model*.json")}


def test_the_folder_is_complete(onnx_run):
    folder, _ = onnx_run
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("model.onnx", "model.onnx.json", "model_int8.onnx", "model_int8.onnx.json"),
        *("config.json", "tokenizer.json", "tokenizer_config.json"),
    }
    config = AutoConfig.from_pretrained(folder)
    assert type(config) is BertConfig
    assert config.architectures == ["BertForSequenceClassification"]
    assert config.id2label == {0: "negative", 1: "positive"}
    assert not hasattr(config, "retention_configuration")
    assert load_tokenizer(folder).model_max_length == MAX_LENGTH


def test_records_say_what_is_given_up_and_gained(onnx_run, artifacts):
    folder, _ = onnx_run
    fine_tuned, eliminating = artifacts
    exact, rough = (records_of(folder)[f"{name}.onnx.json"] for name in ("model", "model_int8"))
    for record in (exact, rough):
        assert record["artifact"] == eliminating.name
        assert record["retention_configuration"] == [9, 5, 2]
        assert record["bytes"] == (folder / record["file"]).stat().st_size
        assert (record["split"], record["inputs"]) == ("dev", 32)
        assert record["baseline"]["artifact"] == fine_tuned.name
        assert record["environment"]["onnxruntime"]
        for protocol in ("padded", "dynamic"):
            latency = record["latency"][protocol]
            assert latency["speedup"] == pytest.approx(latency["baseline_ms"] / latency["model_ms"])
        assert record["latency"]["padded"]["mean_length"] == MAX_LENGTH
    assert exact["precision"] == "float32"
    assert exact["labels_equal"] is True
    assert exact["largest_difference"] < 1e-4
    assert exact["metric"] == {"name": "accuracy", "value": exact["pytorch"]["metric"]}
    assert rough["precision"] == "int8"
    assert rough["largest_difference"] > exact["largest_difference"]
    assert rough["labels_equal"] == (rough["labels_differing"] == 0)


def test_the_code_that_is_printed_works_without_this_package(onnx_run, tmp_path):
    _, printed = onnx_run
    code = printed[printed.index("import onnxruntime") :]
    code += "import sys; assert 'powerbert' not in sys.modules\n"
    code += "print(logits.shape, logits.dtype)\n"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert process.stdout.splitlines()[-1] == "(1, 2) float32", process.stderr
    assert "model_int8.onnx" in printed


def test_the_table_has_a_line_for_each_model(onnx_run):
    _, printed = onnx_run
    assert "…" not in printed
    lines = [line.split() for line in printed.splitlines()]
    firsts = [line[0] for line in lines if line]
    assert {"fine-tuned", "before", "model.onnx", "model_int8.onnx"} <= set(firsts)
    (fine_tuned,) = (line for line in lines if line[:1] == ["fine-tuned"])
    assert fine_tuned[-2:] == ["1.00x", "1.00x"]


def test_exported_programs_join_in_a_folder_of_their_model(artifacts, tmp_path, capsys):
    given = [f"artifact={artifacts[1]}", "format=torch_export", f"output={tmp_path}/out"]
    for precision in ("bfloat16", "float32"):
        run(*given, f"precision={precision}")
    records = records_of(tmp_path / "out")
    assert set(records) == {"model.pt2.json", "model_bfloat16.pt2.json"}
    for record in records.values():
        assert (record["split"], record["metric"], record["latency"]) == (None, None, None)
        assert record["inputs"] > 10
    assert records["model.pt2.json"]["largest_difference"] < 1e-4
    assert records["model_bfloat16.pt2.json"]["largest_difference"] > 1e-4
    printed = capsys.readouterr().out
    names = {}
    exec(printed[printed.rindex("import torch") :], names)  # the code that is printed
    model, tokenizer = load_model(artifacts[1]), load_tokenizer(artifacts[1])
    batch = tokenizer(["A joy to watch."], return_tensors="pt")
    torch.testing.assert_close(names["logits"], model(**batch).logits, atol=1e-4, rtol=0)
    with pytest.raises(ConfigError, match=rf"^output: .* holds exports of {artifacts[1].name}; give another"):
        run(*given, f"artifact={artifacts[0]}")


def test_a_file_that_computes_something_else_is_not_kept(artifacts, tmp_path, monkeypatch):
    def wrong(path, threads):
        file = load_torch(path)
        return Exported(file.names, lambda batch: file.run(batch) + 0.01)

    monkeypatch.setitem(FORMATS, "torch_export", replace(FORMATS["torch_export"], load=wrong))
    with pytest.raises(ModelError, match=r"nothing was written, .* 21 of 21"):
        run(f"artifact={artifacts[0]}", "format=torch_export", f"output={tmp_path}/out")
    assert list(tmp_path.iterdir()) == []


def test_without_the_fine_tuned_model_its_shape_is_timed(artifacts, tmp_path):
    moved = shutil.copytree(artifacts[1], tmp_path / "moved")
    run(f"artifact={moved}", "format=torch_export", "check=dev", "limit=5", f"output={tmp_path}/out")
    (record,) = records_of(tmp_path / "out").values()
    assert record["inputs"] == 5
    assert record["baseline"] == {"artifact": None, "metric": None}
    assert record["latency"]["padded"]["speedup"] > 0


def test_any_classifier_of_hugging_face_can_be_exported(artifacts, tmp_path):
    plain = shutil.copytree(artifacts[0], tmp_path / "plain", ignore=shutil.ignore_patterns("manifest.json"))
    run(f"artifact={plain}", "format=torch_export", f"output={tmp_path}/out")
    (record,) = records_of(tmp_path / "out").values()
    assert record["artifact"] == "plain"
    assert record["retention_configuration"] is None
    with pytest.raises(ConfigError, match=r"^dataset: .* give dataset=<name>"):
        run(f"artifact={plain}", "format=torch_export", "check=dev")


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["artifact=null"], ConfigError, "artifact: give the folder of one trained model"),
        (["artifact=nowhere"], ModelError, "artifact: there is no folder nowhere"),
        (["format=tflite"], ConfigError, "format: 'tflite' is unknown; choose one of onnx, torch_export"),
        (["precision=int4"], ConfigError, "precision: 'int4' is unknown; format=onnx has float32, int8"),
        (
            ["precision=bfloat16"],
            ConfigError,
            "precision: bfloat16 with format=onnx: .* use precision=int8, or",
        ),
        (
            ["format=torch_export", "precision=int8"],
            ConfigError,
            "precision: int8 with format=torch_export: .* use format=onnx",
        ),
        (["precision=[]"], ConfigError, "precision: give one"),
        (["check=validation"], ConfigError, "check: 'validation' is unknown; choose one of train, dev, test"),
        (["check=test"], DataError, "dataset 'folder' has no split 'test'"),
        (["batch_size=0"], ConfigError, "batch_size: 0 must be"),
        (["threads=0"], ConfigError, "threads: 0 must be"),
        (["limit=0", "check=dev"], ConfigError, "limit: 0 must be"),
        (["output=<artifact>"], ConfigError, "output: .* is the artifact itself"),
    ],
)
def test_an_invalid_setting_is_one_message(artifacts, tmp_path, overrides, error, message):
    overrides = [override.replace("<artifact>", str(artifacts[0])) for override in overrides]
    with pytest.raises(error, match=f"^{message}"):
        run(f"artifact={artifacts[0]}", f"paths.runs={tmp_path}", *overrides)
    assert list(tmp_path.rglob("model*")) == []


def test_cls_alone_can_be_exported_of_any_model(artifacts, tmp_path):
    for number, folder in enumerate(artifacts):
        output = tmp_path / str(number)
        run(f"artifact={folder}", "format=torch_export", f"output={output}", "cls_alone=true")
        (record,) = records_of(output).values()
        assert record["cls_alone"] is True
        batch = load_tokenizer(folder)(["A joy to watch."], return_tensors="pt")
        found = load_torch(output / record["file"])(**batch).logits
        torch.testing.assert_close(found, load_model(folder)(**batch).logits, atol=1e-4, rtol=0)
