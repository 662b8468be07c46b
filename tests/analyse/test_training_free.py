import pandas as pd
import pytest
import torch

from powerbert.analyse.training_free import run
from powerbert.base.errors import ConfigError, ModelError
from powerbert.models import load_model
from powerbert.predict.subject import Subject


def test_the_first_row_is_the_model_and_the_others_take_fewer_operations(subject, tmp_path):
    table = run(subject, [1, 1.5, 2], 1, tmp_path)
    inputs = subject.predictor.tokenizer(subject.sample()["text"][:], padding=True, return_tensors="pt")
    right = load_model(subject.folder)(**inputs).logits.argmax(-1) == torch.tensor(
        subject.encoded["label"][:]
    )
    assert table["accuracy"][:2].tolist() == pytest.approx([right.float().mean().item()] * 2)
    assert table["operations"].tolist() == pytest.approx([1, 1.1, 1.5, 2], abs=0.35)
    assert (table["time"] > 0).all()
    assert table["shares"].tolist()[1] == "1 1 0"
    written = pd.read_csv(tmp_path / "training_free.csv")
    pd.testing.assert_frame_equal(written, table, rtol=1e-4, check_dtype=False)


@pytest.mark.parametrize(
    ("speeds", "message"),
    [([], "give at least one"), ([2, 0.5], "0.5 must be a number"), (0.5, "0.5 must be a number")],
)
def test_speeds_that_cannot_be_are_refused(subject, tmp_path, speeds, message):
    with pytest.raises(ConfigError, match=rf"^analysis\.speeds: {message}"):
        run(subject, speeds, 1, tmp_path)


def test_a_model_that_eliminates_is_refused(retrained, tmp_path):
    with pytest.raises(ModelError, match="eliminates already; give the fine-tuned model"):
        run(Subject(str(retrained)), [2], 1, tmp_path)
