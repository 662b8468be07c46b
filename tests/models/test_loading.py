import json
import os
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertForMultipleChoice,
    BertForSequenceClassification,
)

from powerbert.base.errors import ConfigError, ModelError
from powerbert.models import load_host_model, load_model, load_power_model
from powerbert.models.backbones.bert import PowerBertForMultipleChoice, PowerBertForSequenceClassification

from .backbones import BACKBONES, host_config, make_host
from .batches import padded, ragged_inputs

CLASSES = {"id2label": {0: "bad", 1: "good", 2: "so-so"}, "label2id": {"bad": 0, "good": 1, "so-so": 2}}


@pytest.fixture
def finetuned(tiny_bert, tmp_path):
    """Folder of a fine-tuned host with three classes."""
    tiny_bert.save_pretrained(tmp_path / "finetuned")
    return tmp_path / "finetuned"


@pytest.fixture
def searched(finetuned, tmp_path):
    """Folder of a searched model; its retention parameters are 0.5."""
    model = load_power_model(finetuned, soft_extract_length=12, significance_diagonal=False)
    torch.nn.init.constant_(model.soft_extract.retention_parameters, 0.5)
    model.save_pretrained(tmp_path / "searched")
    return tmp_path / "searched"


def assert_equal(model, other):
    batch = padded(ragged_inputs())
    assert torch.equal(model(**batch).logits, other(**batch).logits)


# The host, to be fine-tuned.


@pytest.mark.parametrize("architecture", [AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_host_is_loaded_from_any_checkpoint_of_its_backbone(backbone, architecture, tmp_path):
    pretrained = architecture.from_config(host_config(backbone))
    pretrained.save_pretrained(tmp_path)
    model = load_host_model(tmp_path, **CLASSES, problem_type="single_label_classification")
    assert type(model) is type(make_host(backbone))
    assert (model.config.id2label, model.dtype, model.training) == (CLASSES["id2label"], torch.float32, False)
    expected = dict(pretrained.base_model.named_parameters())
    for name, parameter in model.base_model.named_parameters():
        assert name.startswith("pooler.") or torch.equal(parameter, expected[name])
    assert model(**padded(ragged_inputs())).logits.shape == (4, 3)
    with pytest.raises(ModelError, match=r"missing: .*classifier"):
        load_power_model(tmp_path, retention_configuration=[3, 2, 1])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_weight_of_the_backbone_that_is_missing_is_an_error(backbone, tmp_path):
    host = make_host(backbone)
    host.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = [
        name for name in weights if name.startswith(host.base_model_prefix) and "norm.weight" in name.lower()
    ][-1]
    del weights[lost]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for load in (load_host_model, load_power_model, load_model):
        with pytest.raises(ModelError, match=f"missing: {lost}$"):
            load(tmp_path)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_goes_through_the_three_stages(backbone, tmp_path):
    host, batch = make_host(backbone), padded(ragged_inputs())
    host.save_pretrained(tmp_path / "finetune")
    model = load_power_model(tmp_path / "finetune", soft_extract_length=12)
    assert torch.equal(model.soft_extract.retention_parameters, torch.ones(3, 12))
    torch.testing.assert_close(model(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path / "search")
    model = load_power_model(tmp_path / "search", retention_configuration=[12, 12, 12])
    model.save_pretrained(tmp_path / "retrain")
    model = load_model(tmp_path / "retrain")
    torch.testing.assert_close(model(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)


def test_pickled_weights_are_refused_with_a_command_that_converts_them(finetuned, tiny_bert, monkeypatch):
    weights = list(load_file(finetuned / "model.safetensors").items())
    for number, shard in enumerate((weights[:5], weights[5:]), start=1):
        torch.save(dict(shard), finetuned / f"pytorch_model-0000{number}-of-00002.bin")
    # Beside a DeBERTa-v3 lies the generator that it was trained with.
    torch.save({name: weight + 1 for name, weight in weights}, finetuned / "pytorch_model.generator.bin")
    (finetuned / "model.safetensors").unlink()
    for load in (load_host_model, load_power_model, load_model):
        with pytest.raises(ModelError, match=r"has pickled weights .* run code") as raised:
            load(finetuned)
    (program,) = re.findall('python -c "(.*)"', str(raised.value))
    monkeypatch.chdir(finetuned)
    exec(program)
    assert_equal(load_model(finetuned), tiny_bert)


class Code:
    """What runs when its pickle is read without care."""

    def __reduce__(self):
        return pytest.fail, ("ran",)


def test_code_in_a_pickled_file_is_not_run(finetuned):
    torch.save({"bert": Code()}, finetuned / "pytorch_model.bin")
    load_host_model(finetuned)
    (finetuned / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pickled"):
        load_host_model(finetuned)


@pytest.mark.parametrize("backbone", ["distilbert", "electra"])
def test_multiple_choice_is_refused_before_anything_is_trained(backbone, tmp_path):
    make_host(backbone).save_pretrained(tmp_path)
    able = "albert, bert, camembert, deberta-v2, modernbert, mpnet, roberta, xlm-roberta"
    message = f"multiple choice is not supported with {backbone} .* {able}$"
    for load in (load_host_model, load_power_model):
        with pytest.raises(ModelError, match=message):
            load(tmp_path, task="multiple_choice")


def test_a_host_of_another_task_gets_a_head_and_labels_of_its_own(finetuned, tiny_bert, tmp_path):
    model = load_host_model(finetuned, num_labels=1, problem_type="regression")
    assert model.classifier.weight.shape == (1, 32)
    assert torch.equal(model.bert.pooler.dense.weight, tiny_bert.bert.pooler.dense.weight)
    model.save_pretrained(tmp_path / "stsb")
    assert load_host_model(tmp_path / "stsb").config.problem_type == "regression"
    config = load_host_model(tmp_path / "stsb", num_labels=3).config
    assert config.problem_type is None
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


def test_the_classes_of_a_finished_classifier_count_by_their_index(tiny_checkpoint, tmp_path):
    names = {index: f"class {index}" for index in range(12)}
    load_host_model(tiny_checkpoint, id2label=names).save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    config["id2label"] = dict(sorted(config["id2label"].items()))  # 0, 1, 10, 11, 2
    file.write_text(json.dumps(config))
    load_host_model(tmp_path / "model", finished=True, id2label=names)
    swapped = {**names, 1: names[2], 2: names[1]}
    with pytest.raises(ConfigError, match=r"dataset.label_names: .* are not the classes of"):
        load_host_model(tmp_path / "model", finished=True, id2label=swapped)


def test_a_host_is_loaded_from_a_model_that_eliminates(searched, tiny_bert):
    model = load_host_model(searched)
    assert type(model) is BertForSequenceClassification
    assert "soft_extract_length" not in model.config.to_dict()
    assert_equal(model, tiny_bert)


def test_parameter_names_of_early_checkpoints(finetuned, tiny_bert):
    """BERT's own checkpoints call the parameters of LayerNorm gamma and beta."""
    weights = load_file(finetuned / "model.safetensors")
    for old, new in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
        weights = {name.replace(old, new): value for name, value in weights.items()}
    save_file(weights, finetuned / "model.safetensors", metadata={"format": "pt"})
    assert_equal(load_host_model(finetuned), tiny_bert)


def test_weights_are_loaded_in_float32(tiny_bert, tmp_path):
    tiny_bert.bfloat16().save_pretrained(tmp_path)
    assert load_host_model(tmp_path).dtype == torch.float32


# The power model, to search and to re-train.


def test_retraining_starts_from_the_fine_tuned_weights(finetuned, tiny_bert):
    model = load_power_model(finetuned, retention_configuration=[8, 5, 2])
    assert model.config.retention_configuration == [8, 5, 2]
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in tiny_bert.state_dict().items())


def test_retraining_from_the_searched_weights_drops_the_soft_extract_layers(searched, tmp_path):
    model = load_power_model(searched, retention_configuration=[8, 5, 2])
    assert model.soft_extract is None
    assert (model.config.soft_extract_length, model.config.significance_diagonal) == (None, False)
    model.save_pretrained(tmp_path / "retrained")
    assert not any("soft_extract" in key for key in load_file(tmp_path / "retrained" / "model.safetensors"))


def test_a_search_resumes_from_a_searched_model_of_the_same_length(searched):
    model = load_power_model(searched, soft_extract_length=12)
    assert torch.equal(model.soft_extract.retention_parameters, torch.full((3, 12), 0.5))
    with pytest.raises(ModelError, match=r"retention_parameters \(\[3, 12\] instead of \[3, 9\]\)"):
        load_power_model(searched, soft_extract_length=9)


def test_a_selection_replaces_another(finetuned, tmp_path):
    drawn = {"selection": "rand", "selection_order": list(range(12))}
    load_power_model(finetuned, retention_configuration=[8, 5, 2], **drawn).save_pretrained(tmp_path / "rand")

    def selection(**fields):
        config = load_power_model(tmp_path / "rand", **fields).config
        return config.selection, config.selection_order

    assert selection() == selection(retention_configuration=[4, 3, 2]) == tuple(drawn.values())
    assert selection(selection="head") == ("head", None)
    assert selection(selection="rand", selection_order=[0, 1]) == ("rand", [0, 1])
    assert selection(soft_extract_length=9) == ("attn", None)
    with pytest.raises(ConfigError, match=r"selection_order .* missing"):
        selection(selection="rand")


def test_elimination_can_be_switched_off(searched, tiny_bert):
    assert_equal(load_power_model(searched, soft_extract_length=None), tiny_bert)


def test_a_model_for_multiple_choice(finetuned, tmp_path):
    host = load_host_model(finetuned, task="multiple_choice", **CLASSES)
    assert type(host) is BertForMultipleChoice
    host.save_pretrained(tmp_path / "race")
    assert type(load_model(tmp_path / "race")) is BertForMultipleChoice
    model = load_power_model(tmp_path / "race", task="multiple_choice", retention_configuration=[8, 5, 2])
    assert type(model) is PowerBertForMultipleChoice
    assert model.config.id2label == CLASSES["id2label"]


def test_fields_that_do_not_fit_are_refused(finetuned):
    with pytest.raises(ConfigError, match=r"^soft_extract_length: 400 .* 48"):
        load_power_model(finetuned, soft_extract_length=400)
    with pytest.raises(TypeError, match="hidden_size"):
        load_power_model(finetuned, hidden_size=64)


# A finished model.


def test_a_finished_model_is_loaded_as_it_was_saved(finetuned, searched, tiny_checkpoint):
    assert type(load_model(finetuned)) is BertForSequenceClassification
    assert type(load_model(searched)) is PowerBertForSequenceClassification
    assert load_model(searched).soft_extract is not None
    with pytest.raises(ModelError, match=rf"{tiny_checkpoint} holds BertModel, .* fine-tune it"):
        load_model(tiny_checkpoint)


# Folders that cannot be loaded.


def without(name):
    return lambda folder: (folder / name).unlink()


def with_content(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def with_config(**fields):
    def edit(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return edit


def with_weights(change):
    def edit(folder):
        weights = load_file(folder / "model.safetensors")
        save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "does not exist"),
        (without("config.json"), "has no config.json"),
        (with_content("config.json", b"{"), "config.json cannot be read"),
        (with_content("config.json", b"\xff\xfe"), "config.json cannot be read"),
        (with_content("config.json", b"[1]"), "config.json cannot be read"),
        (with_config(model_type="gpt2"), "model type 'gpt2' is not supported; supported are albert"),
        (with_config(hidden_size="x"), "config.json does not fit .*hidden_size"),
        (with_config(hidden_size=33), "cannot be loaded .*multiple"),
        (with_config(hidden_size=64), r"missing: bert.\S+ \(\[32\] instead of \[64\]\).* and \d+ more"),
        (with_config(num_hidden_layers=5), "missing: bert.encoder.layer.3"),
        (without("model.safetensors"), "weights cannot be loaded .*model.safetensors"),
        (with_content("model.safetensors", b""), "weights cannot be loaded"),
        (lambda f: os.truncate(f / "model.safetensors", 50_000), "weights cannot be loaded"),
        (with_weights(lambda w: {f"model.{k}": v for k, v in w.items()}), "missing: bert.embeddings"),
        (
            with_weights(lambda w: {k: v for k, v in w.items() if "layer.1.output.dense" not in k}),
            "missing: bert.encoder.layer.1.output.dense.bias, bert.encoder.layer.1.output.dense.weight$",
        ),
    ],
)
def test_a_damaged_folder_is_named_with_what_is_wrong(finetuned, damage, message):
    damage(finetuned)
    for load in (load_host_model, load_power_model, load_model):
        with pytest.raises(ModelError, match=message) as raised:
            load(finetuned)
        assert str(raised.value).startswith(f"model folder {finetuned}")
        assert "\n" not in str(raised.value)


def test_loading_is_quiet(tiny_checkpoint, capfd):
    load_host_model(tiny_checkpoint)
    assert capfd.readouterr() == ("", "")
