import json
import shutil

import pytest
import torch
from transformers import pipeline

from powerbert.base.errors import DataError, ModelError
from powerbert.data import Task
from powerbert.predict import Predictor
from tests.untrained import untrained_model

TEXTS = ["good", "a film that is far too long " * 9, "", "the film was bad", 'x "y", {z}\t!']


@pytest.fixture
def plain_folder(tiny_checkpoint, tokenizer, tmp_path):
    """Saves a Hugging Face model without a manifest."""

    def save(**task):
        fields = {"name": "plain", "text_columns": ("text",), "metric": "accuracy", "max_length": 16}
        folder = tmp_path / "plain"
        untrained_model(tiny_checkpoint, tokenizer, Task(**(fields | task))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


def test_the_labels_do_not_hang_on_the_library_of_products(artifact, monkeypatch):
    folder, texts = artifact("sst2"), [("a good film",), ("dull",), ("",)]
    packed = Predictor(folder)(texts)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    for one, other in zip(packed, Predictor(folder)(texts), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_predictions_are_in_the_order_of_the_texts(artifact, batch_size):
    predictor = Predictor(artifact("sst2"), batch_size)
    predictions = predictor([(text,) for text in TEXTS])
    assert len({prediction["label"] for prediction in predictions}) == 2
    for text, prediction in zip(TEXTS, predictions, strict=True):
        encoded = predictor.tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            scores = predictor.model(**encoded).logits.softmax(-1)[0].tolist()
        assert prediction["scores"] == pytest.approx({"negative": scores[0], "positive": scores[1]}, abs=1e-4)
        assert prediction["score"] == max(prediction["scores"].values())
        assert prediction["scores"][prediction["label"]] == prediction["score"]


def test_pairs(artifact):
    predictor = Predictor(artifact("rte"))
    pairs = [("the film", "a good film"), ("a good film", "the film")]
    one, other = predictor(pairs)
    assert set(one["scores"]) == {"entailment", "not_entailment"}
    assert one["scores"] != other["scores"]
    with pytest.raises(DataError, match=r"text 2: has 1 part.* 'rte' takes 2 \(sentence1, sentence2\)"):
        predictor([pairs[0], ("the film",)])


def test_regression_gives_a_value(artifact):
    predictor = Predictor(artifact("stsb"))
    values = [prediction["value"] for prediction in predictor([("a film", text) for text in TEXTS])]
    assert len(set(values)) == len(TEXTS)


def test_multiple_choice_gives_a_letter(artifact):
    predictor = Predictor(artifact("race"))
    choices = ["the film was bad", "good", "it is a film", "no"]
    straight, turned = predictor([("A story.", choices), ("A story.", choices[::-1])])
    assert list(straight["scores"].values()) == pytest.approx(list(turned["scores"].values())[::-1], abs=1e-5)
    assert {straight["label"], turned["label"]} in ({"A", "D"}, {"B", "C"})


def test_no_texts_no_predictions(artifact):
    assert Predictor(artifact("sst2"))([]) == []


@pytest.mark.parametrize("names", [("bad", "fair", "good"), None])
def test_a_plain_hugging_face_folder(plain_folder, names):
    predictor = Predictor(plain_folder(label_names=names, metric="accuracy" if names else "spearman"))
    assert predictor.task.text_columns == ("text",)
    (prediction,) = predictor([("a film " * 600,)])
    assert set(prediction.get("scores", {"value"})) == set(names or {"value"})
    assert (names is None) == ("value" in prediction)


def test_a_plain_folder_of_several_labels(plain_folder):
    names = ("toxic", "insult", "threat")
    folder = plain_folder(label_names=names, metric="micro_f1", kind="multi_label_classification")
    predictor = Predictor(folder)
    (prediction,) = predictor([("a film",)])
    encoded = predictor.tokenizer("a film", return_tensors="pt")
    with torch.inference_mode():
        expected = dict(zip(names, predictor.model(**encoded).logits[0].sigmoid().tolist(), strict=True))
    assert prediction["scores"] == pytest.approx(expected, abs=1e-5)
    assert prediction["labels"] == [name for name in names if expected[name] >= 0.5]


@pytest.mark.parametrize(("problem", "key"), [("regression", "value"), (None, "score")])
def test_one_logit_is_a_number_or_a_probability_as_in_the_pipeline(plain_folder, problem, key):
    folder = plain_folder(label_names=None, metric="spearman")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": problem}))
    predictor, classify = Predictor(folder), pipeline("text-classification", model=str(folder), device="cpu")
    for given in ({"text": "a film"}, {"text": "a film", "text_pair": "good"}):
        (prediction,) = predictor([tuple(given.values())])
        assert prediction == {key: pytest.approx(classify(given)["score"], abs=1e-5)}


def test_several_numbers(plain_folder):
    folder = plain_folder(label_names=("a", "b", "c"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "regression"}))
    (prediction,) = Predictor(folder)([("a film",)])
    assert set(prediction["values"]) == {"a", "b", "c"}
    assert sum(prediction["values"].values()) != pytest.approx(1)


def test_a_plain_classifier_takes_pairs(plain_folder):
    predictor = Predictor(plain_folder(label_names=("no", "yes")))
    (one,), (two,), (again,) = (
        predictor([texts]) for texts in (("a film",), ("a film", "good"), ("a film",))
    )
    assert one == again
    assert one["scores"] != two["scores"]


def test_a_plain_multiple_choice_folder_is_refused(plain_folder):
    folder = plain_folder(label_names=("A", "B"), kind="multiple_choice", text_columns=("text", "choices"))
    with pytest.raises(ModelError, match="does not say how many choices"):
        Predictor(folder)


@pytest.mark.parametrize("manifest", [True, False])
def test_truncated_weights_are_one_message(artifact, tmp_path, manifest):
    folder = shutil.copytree(artifact("sst2"), tmp_path / "broken")
    if not manifest:
        (folder / "manifest.json").unlink()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=str(folder)) as caught:
        Predictor(folder)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path):
    with pytest.raises(ModelError, match="nowhere does not exist"):
        Predictor(tmp_path / "nowhere")


def test_cls_alone_gives_the_same_predictions(artifact):
    texts = [(text,) for text in TEXTS]
    alone = Predictor(artifact("sst2"), cls_alone=True)
    assert alone.model.config.cls_alone
    for one, other in zip(Predictor(artifact("sst2"))(texts), alone(texts), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
