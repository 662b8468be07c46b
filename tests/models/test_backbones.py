"""The power models as transformers models: their keys, their heads, the Auto classes and pipelines."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    CONFIG_MAPPING,
    TOKENIZER_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from powerbert.models import load_host_model, load_power_model
from powerbert.models.backbone import BACKBONES as TABLE
from powerbert.models.tiny import tiny, tiny_tokenizer

from .backbones import BACKBONES, ROBERTAS, make_host, make_power
from .batches import padded, ragged_inputs

HARD = {"retention_configuration": [8, 5, 2]}
RAND = {**HARD, "selection": "rand", "selection_order": [0, 7, 3, 1, 2, 11, 4, 5, 6, 8, 9, 10]}
SOFT = {"soft_extract_length": 12}


def power_classes(host):
    return TABLE[host.config.model_type]


def test_parameters_are_the_hosts(host, power):
    retention_parameters = f"{host.base_model_prefix}.soft_extract.retention_parameters"
    assert power(**HARD).state_dict().keys() == host.state_dict().keys()
    assert power(**RAND).state_dict().keys() == host.state_dict().keys()
    model = power(**SOFT)
    assert model.state_dict().keys() == {*host.state_dict(), retention_parameters}
    assert model.soft_extract.retention_parameters.shape == (3, 12)


@pytest.mark.parametrize("backbone", ROBERTAS)
@pytest.mark.parametrize("fields", [{"cls_alone": True}, HARD, SOFT], ids=["dense", "hard", "soft"])
def test_robertas_by_other_names_compute_what_roberta_does(backbone, fields, tmp_path):
    host, roberta, batch = make_host(backbone), make_host("roberta"), padded(ragged_inputs())
    roberta.load_state_dict(host.state_dict())
    model = make_power(host, **fields)
    torch.testing.assert_close(model(**batch).logits, make_power(roberta, **fields)(**batch).logits)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is power_classes(host).tasks["sequence_classification"]
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize(
    "fields",
    [{}, HARD, RAND, SOFT, {"retention_thresholds": [0.1] * 3}, {"soft_threshold_temperature": 0.01}],
    ids=["dense", "hard", "rand", "soft", "thresholds", "soft thresholds"],
)
def test_saving_and_loading_gives_the_same_model(host, power, fields, tmp_path):
    model, batch, classes = power(**fields), padded(ragged_inputs()), power_classes(host)
    model.save_pretrained(tmp_path)
    for loader in (classes.tasks["sequence_classification"], AutoModelForSequenceClassification):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is classes.tasks["sequence_classification"]
        assert loaded.config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    base = AutoModel.from_pretrained(tmp_path)
    assert type(base) is classes.model
    states = [m(**batch, output_hidden_states=True).hidden_states for m in (base, model)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*states, strict=True))


def test_loads_the_hosts_checkpoint(host, tmp_path):
    host.save_pretrained(tmp_path)
    classes, batch = power_classes(host), padded(ragged_inputs())
    config = classes.config(**host.config.to_dict() | {"model_type": classes.config.model_type} | SOFT)
    model = classes.tasks["sequence_classification"].from_pretrained(tmp_path, config=config)
    assert torch.equal(model.soft_extract.retention_parameters, torch.ones(3, 12))
    torch.testing.assert_close(model(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)


def test_base_models_output_what_the_last_encoder_retained(host, power):
    model, batch = power(**HARD), padded(ragged_inputs())
    base = power_classes(host).model(model.config).eval()
    base.load_state_dict(model.base_model.state_dict(), strict=False)  # a pooler may be new
    output = base(**batch)
    assert output.last_hidden_state.shape == (4, 2, 32)
    assert output.pooler_output is None or output.pooler_output.shape == (4, 32)
    first, *_ = base(**batch, return_dict=False)
    assert torch.equal(first, output.last_hidden_state)


@pytest.mark.parametrize(
    ("labels", "kind", "loss"),
    [
        (torch.tensor([0, 2, 1, 1]), "single_label_classification", F.cross_entropy),
        (torch.tensor([[0.5], [-1.0], [2.0], [0.0]]), "regression", F.mse_loss),
        (
            torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]),
            "multi_label_classification",
            F.binary_cross_entropy_with_logits,
        ),
    ],
    ids=["classes", "regression", "several classes at once"],
)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_loss_is_that_of_the_kind_of_labels(backbone, labels, kind, loss):
    num_labels = 3 if labels.ndim == 1 else labels.shape[1]
    # DeBERTa does not infer the same kind from the labels; tasks of powerbert always name it.
    told = {"problem_type": kind} if backbone == "deberta-v2" else {}
    model = make_power(make_host(backbone, num_labels=num_labels, **told), **HARD)
    output = model(**padded(ragged_inputs()), labels=labels)
    assert output.logits.shape == (4, num_labels)
    torch.testing.assert_close(output.loss, loss(output.logits, labels))


def test_takes_embeddings_instead_of_words_and_returns_tuples_on_demand(power):
    model, batch = power(**HARD), padded(ragged_inputs())
    expected = model(**batch).logits
    batch["inputs_embeds"] = model.get_input_embeddings()(batch.pop("input_ids"))
    (logits,) = model(**batch, return_dict=False)
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_token_types_are_the_hosts(backbone):
    """Some have none and take no notice of them; a tokenizer may give some all the same."""
    host = make_host(backbone, type_vocab_size=2)
    batch = padded(ragged_inputs())
    types = {"token_type_ids": (batch["position_ids"] > 3).long()}
    model = make_power(host, retention_configuration=[12, 12, 12])
    torch.testing.assert_close(
        model(**batch, **types).logits, host(**batch, **types).logits, atol=1e-5, rtol=0
    )
    assert torch.equal(model(**batch, **types).logits, model(**batch).logits) == (
        backbone in ("distilbert", "mpnet")
    )


@pytest.mark.parametrize(
    "backbone", ["bert", "albert", "camembert", "deberta-v2", "mpnet", "roberta", "xlm-roberta"]
)
def test_eliminates_from_each_choice_by_itself(backbone, tmp_path):
    task = "multiple_choice"
    host = make_host(backbone, task)
    model = make_power(host, task, **HARD)
    choices = {key: value.view(2, 2, -1) for key, value in padded(ragged_inputs((12, 9, 4, 10))).items()}
    output = model(**choices, labels=torch.tensor([0, 1]))
    assert output.logits.shape == (2, 2)
    apart = [model(**{key: value[:1, i : i + 1] for key, value in choices.items()}).logits for i in (0, 1)]
    torch.testing.assert_close(output.logits[:1], torch.cat(apart, dim=1), atol=1e-5, rtol=0)
    retained = model.retained_word_vectors(**choices)
    assert [encoder.positions.shape for encoder in retained] == [(4, 8), (4, 5), (4, 2)]
    full = make_power(host, task, retention_configuration=[12, 12, 12])
    torch.testing.assert_close(full(**choices).logits, host(**choices).logits, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForMultipleChoice.from_pretrained(tmp_path)
    assert type(loaded) is TABLE[backbone].tasks[task]
    assert torch.equal(loaded(**choices).logits, model(**choices).logits)


# ALBERT's encoders share their weights.


@pytest.mark.parametrize(("groups", "inner"), [(1, 1), (3, 1), (2, 1), (1, 2), (2, 2)])
def test_shared_encoders_run_in_alberts_order(groups, inner):
    host = make_host("albert", num_hidden_groups=groups, inner_group_num=inner)
    encoders = 3 * inner
    model = make_power(host, retention_configuration=[12] * encoders)
    batch = padded(ragged_inputs())
    real = batch["attention_mask"].bool()
    ours, hosts = (m(**batch, output_hidden_states=True).hidden_states for m in (model, host))
    assert len(ours) == encoders + 1
    for states, expected in zip(ours, hosts, strict=True):
        torch.testing.assert_close(states[real], expected[real], atol=1e-5, rtol=0)


def test_shared_encoders_have_retention_parameters_of_their_own():
    model = make_power(make_host("albert"), **SOFT)
    r = model.soft_extract.retention_parameters
    assert r.shape == (3, 12)
    assert not torch.equal(r[0], r[1])
    model(**padded(ragged_inputs())).logits.sum().backward()
    assert all(gradient.any() for gradient in r.grad)
    assert len({gradient.norm().item() for gradient in r.grad}) == 3


# After importing the package.

USE = """
import powerbert, sys
from transformers import AutoTokenizer, pipeline
for folder in sys.argv[1:]:
    classify = pipeline("text-classification", model=folder, top_k=None)
    (scores,) = classify(["the film was good"])
    assert {score["label"] for score in scores} == {"bad", "good", "so-so"}
    print(type(classify.model).__name__, type(AutoTokenizer.from_pretrained(folder)).__name__)
"""


def test_a_saved_folder_works_after_importing_the_package(tmp_path):
    """In a fresh process, which knows nothing but ``import powerbert``."""
    expected = []
    for backbone in BACKBONES:
        folder = tmp_path / backbone
        checkpoint, tokenizer = (
            tiny(tmp_path / "tiny" / backbone, backbone=backbone),
            tiny_tokenizer(backbone),
        )
        load_host_model(checkpoint, id2label={0: "bad", 1: "good", 2: "so-so"}).save_pretrained(folder)
        load_power_model(folder, **HARD).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model_class = TABLE[backbone].tasks["sequence_classification"]
        expected.append(f"{model_class.__name__} {type(tokenizer).__name__}")
    folders = [tmp_path / backbone for backbone in BACKBONES]
    run = subprocess.run([sys.executable, "-c", USE, *folders], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == expected
    for folder in folders:
        (folder / "tokenizer_config.json").unlink()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert type(tokenizer) is TOKENIZER_MAPPING[CONFIG_MAPPING[folder.name]]


@pytest.mark.parametrize("backbone", sorted(TABLE))
def test_a_reranker_learns_by_binary_cross_entropy(backbone):
    host = make_host(backbone, num_labels=1, problem_type="multi_label_classification")
    batch, labels = padded(ragged_inputs()), torch.tensor([[1.0], [0.0], [0.25], [1.0]])
    for model in (host, make_power(host, retention_configuration=[12, 12, 1])):
        output = model(**batch, labels=labels)
        expected = F.binary_cross_entropy_with_logits(output.logits, labels)
        torch.testing.assert_close(output.loss, expected)
