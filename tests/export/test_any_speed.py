"""A model with several speeds as one graph, whose shares are an input."""

import shutil

import pytest
import torch

from powerbert.export import export_onnx, load_onnx, load_torch, trace
from powerbert.export.graph import shares_of
from powerbert.models import as_power_model, load_model
from tests.export.test_run import records_of, run
from tests.models.backbones import make_host, positions_for
from tests.models.batches import padded, ragged_inputs

SPEEDS = [
    {"speed": 1.2, "encoders": [0, 1], "shares": [0.6, 0.0]},
    {"speed": 1.5, "encoders": [0, 1], "shares": [0.25, 0.0]},
    {"speed": 2.0, "encoders": [1], "shares": [0.0]},
]


def elastic(backbone="bert", task="sequence_classification"):
    longest = positions_for(backbone, 48)
    host = make_host(backbone, task, num_hidden_layers=2, max_position_embeddings=longest)
    return as_power_model(host.eval(), cls_alone=True, speeds=SPEEDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, and its graph in both formats."""
    folder = tmp_path_factory.mktemp("files")
    model = elastic()
    program = trace(model, token_type_ids=False, any_speed=True)
    torch.export.save(program, folder / "model.pt2")
    export_onnx(program, folder / "model.onnx")
    return model, {"pt2": load_torch(folder / "model.pt2"), "onnx": load_onnx(folder / "model.onnx")}, folder


@pytest.mark.parametrize("format", ["pt2", "onnx"])
@pytest.mark.parametrize("lengths", [(9, 1, 12, 4), (7,), (2, 1), (46, 3)], ids=str)
def test_at_every_speed_the_file_computes_what_the_model_does(files, format, lengths):
    model, opened, _ = files
    batch = padded(ragged_inputs(lengths))
    with torch.no_grad():
        for entry in SPEEDS:
            alone = as_power_model(model, retention_shares=entry["shares"], active_encoders=entry["encoders"])
            logits = opened[format](**batch, shares=shares_of(model, entry["speed"])).logits
            torch.testing.assert_close(logits, alone(**batch).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_shares_of_encoders_that_never_run_together_give_no_logits(files, format):
    _, opened, _ = files
    batch = padded(ragged_inputs((5, 3)))
    assert opened[format](**batch, shares=torch.tensor([0.0, -1.0])).logits.isnan().all()


def test_weights_are_in_the_file_once(files):
    model, _, folder = files
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert weights < (folder / "model.onnx").stat().st_size < weights + 200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "task"),
    [
        ("roberta", "sequence_classification"),
        ("deberta-v2", "sequence_classification"),
        ("mpnet", "sequence_classification"),
        ("albert", "sequence_classification"),
        ("bert", "multiple_choice"),
    ],
)
def test_other_backbones_and_tasks(backbone, task, tmp_path):
    model = elastic(backbone, task)
    export_onnx(trace(model, token_type_ids=False, any_speed=True), tmp_path / "model.onnx")
    file = load_onnx(tmp_path / "model.onnx")
    batch = padded(ragged_inputs((9, 1, 12, 4)))
    del batch["position_ids"]  # which the file does not take; RoBERTa's begin elsewhere
    if task == "multiple_choice":
        batch = {name: value.unflatten(0, (2, 2)) for name, value in batch.items()}
    with torch.no_grad():
        for entry in SPEEDS:
            model.set_speed(entry["speed"])
            logits = file(**batch, shares=shares_of(model, entry["speed"])).logits
            torch.testing.assert_close(logits, model(**batch).logits, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("format", "precisions"), [("onnx", "float32,int8"), ("torch_export", "float32")])
def test_the_command_writes_one_file_for_all_speeds(artifacts, tmp_path, capsys, format, precisions):
    folder = tmp_path / artifacts[0].name
    shutil.copytree(artifacts[0], folder)
    speeds = [{**entry, "encoders": [2 * encoder for encoder in entry["encoders"]]} for entry in SPEEDS]
    model = as_power_model(load_model(folder), cls_alone=True, speeds=speeds)
    model.save_pretrained(folder)
    run(
        f"artifact={folder}",
        f"format={format}",
        f"precision=[{precisions}]",
        f"output={tmp_path}/out",
        "check=dev",
    )
    records = list(records_of(tmp_path / "out").values())
    assert len(records) == len(precisions.split(","))
    for record in records:
        assert [entry["speed"] for entry in record["speeds"]] == [1.2, 1.5, 2.0]
        assert [entry["shares"] for entry in record["speeds"]] == [[0.6, -1, 0], [0.25, -1, 0], [-1, -1, 0]]
        for entry in record["speeds"]:
            assert (entry["largest_difference"] < 1e-4) == (record["precision"] == "float32")
            assert entry["latency"]["dynamic"]["speedup"] > 0
    printed = capsys.readouterr().out
    assert "speed 1.5" in printed
    assert "[-1.0, -1.0, 0.0] for 2" in printed
