"""PoWER-BERT as a transformers model: its keys, its heads, the Auto classes and pipelines."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForMultipleChoice,
    BertTokenizer,
)

from powerbert.models import (
    PowerBertConfig,
    PowerBertForMultipleChoice,
    PowerBertForSequenceClassification,
    PowerBertModel,
)

from .batches import padded, ragged_inputs

HARD = {"retention_configuration": [8, 5, 2]}
SOFT = {"soft_extract_length": 12}


def test_parameters_are_the_hosts(tiny_bert, power_bert):
    assert power_bert(**HARD).state_dict().keys() == tiny_bert.state_dict().keys()
    assert power_bert(**SOFT).state_dict().keys() == {
        *tiny_bert.state_dict(),
        "bert.soft_extract.retention_parameters",
    }


@pytest.mark.parametrize("fields", [{}, HARD, SOFT], ids=["dense", "hard", "soft"])
def test_saving_and_loading_gives_the_same_model(power_bert, fields, tmp_path):
    model, batch = power_bert(**fields), padded(ragged_inputs())
    model.save_pretrained(tmp_path)
    for loader in (PowerBertForSequenceClassification, AutoModelForSequenceClassification):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is PowerBertForSequenceClassification
        assert loaded.config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    base = AutoModel.from_pretrained(tmp_path)
    assert type(base) is PowerBertModel
    assert torch.equal(base(**batch).pooler_output, model.bert(**batch).pooler_output)


def test_loads_the_hosts_checkpoint(tiny_bert, tmp_path):
    tiny_bert.save_pretrained(tmp_path)
    config = PowerBertConfig(**tiny_bert.config.to_dict() | {"model_type": "power_bert"})
    model = PowerBertForSequenceClassification.from_pretrained(tmp_path, config=config)
    batch = padded(ragged_inputs())
    assert torch.equal(model(**batch).logits, tiny_bert(**batch).logits)


def test_retention_parameters_that_a_checkpoint_lacks_start_at_one(tiny_bert, tmp_path):
    tiny_bert.save_pretrained(tmp_path)
    config = PowerBertConfig(**tiny_bert.config.to_dict() | {"model_type": "power_bert"} | SOFT)
    model = PowerBertForSequenceClassification.from_pretrained(tmp_path, config=config)
    assert torch.equal(model.soft_extract.retention_parameters, torch.ones(3, 12))


@pytest.mark.parametrize("fields", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (torch.tensor([0, 2, 1, 1]), F.cross_entropy),
        (torch.tensor([[0.5], [-1.0], [2.0], [0.0]]), F.mse_loss),
        (torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]), F.binary_cross_entropy_with_logits),
    ],
    ids=["classes", "regression", "several classes at once"],
)
def test_loss_is_that_of_the_kind_of_labels(tiny_bert_config, fields, labels, loss):
    num_labels = 3 if labels.ndim == 1 else labels.shape[1]
    host = tiny_bert_config.to_dict() | {"model_type": "power_bert", "id2label": None, "label2id": None}
    model = PowerBertForSequenceClassification(PowerBertConfig(**host | fields, num_labels=num_labels))
    output = model(**padded(ragged_inputs()), labels=labels)
    assert output.logits.shape == (4, num_labels)
    torch.testing.assert_close(output.loss, loss(output.logits, labels))


def test_returns_tuples_on_demand(power_bert):
    model, batch = power_bert(**HARD), padded(ragged_inputs())
    (logits,) = model(**batch, return_dict=False)
    assert torch.equal(logits, model(**batch).logits)
    last, pooled = model.bert(**batch, return_dict=False)
    assert last.shape == (4, 2, 32)
    assert pooled.shape == (4, 32)


def test_takes_embeddings_instead_of_words(power_bert):
    model, batch = power_bert(**HARD), padded(ragged_inputs())
    expected = model(**batch).logits
    batch["inputs_embeds"] = model.get_input_embeddings()(batch.pop("input_ids"))
    assert torch.equal(model(**batch).logits, expected)


def test_eliminates_from_each_choice_by_itself(tiny_bert_config, tmp_path):
    torch.manual_seed(0)
    host = BertForMultipleChoice(tiny_bert_config).eval()
    host.save_pretrained(tmp_path)
    config = PowerBertConfig(**tiny_bert_config.to_dict() | {"model_type": "power_bert"} | HARD)
    model = PowerBertForMultipleChoice.from_pretrained(tmp_path, config=config)
    choices = {key: value.view(2, 2, -1) for key, value in padded(ragged_inputs((12, 9, 4, 10))).items()}
    output = model(**choices, labels=torch.tensor([0, 1]))
    assert output.logits.shape == (2, 2)
    apart = [model(**{key: value[:1, i : i + 1] for key, value in choices.items()}).logits for i in (0, 1)]
    torch.testing.assert_close(output.logits[:1], torch.cat(apart, dim=1), atol=1e-5, rtol=0)
    assert [encoder.positions.shape for encoder in model.retained_word_vectors(**choices)] == [
        (4, 8),
        (4, 5),
        (4, 2),
    ]
    model.bert.config.retention_configuration = [12, 12, 12]
    torch.testing.assert_close(model(**choices).logits, host(**choices).logits, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path / "saved")
    assert type(AutoModelForMultipleChoice.from_pretrained(tmp_path / "saved")) is PowerBertForMultipleChoice


USE = """
import powerbert, sys
from transformers import AutoTokenizer, pipeline
classify = pipeline("text-classification", model=sys.argv[1], top_k=None)
(scores,) = classify(["the film was good"])
assert {score["label"] for score in scores} == {"bad", "good", "so-so"}
print(type(classify.model).__name__, type(AutoTokenizer.from_pretrained(sys.argv[1])).__name__)
"""


def test_a_saved_folder_works_after_importing_the_package(power_bert, tokenizer, tmp_path):
    """In a fresh process, which knows nothing but ``import powerbert``."""
    model = power_bert(**HARD)
    model.resize_token_embeddings(len(tokenizer))
    model.config.id2label = {0: "bad", 1: "good", 2: "so-so"}
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    run = subprocess.run([sys.executable, "-c", USE, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["PowerBertForSequenceClassification", "BertTokenizer"]
    (tmp_path / "tokenizer_config.json").unlink()
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is BertTokenizer
