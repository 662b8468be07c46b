import numpy as np
import pytest
import torch
from transformers import BertForMultipleChoice

from powerbert.analyse.mutual_information import (
    count_labels,
    logits_without_one,
    resolve_encoders,
    resolve_positions,
    run,
    tabulate,
)
from powerbert.base.errors import ConfigError
from powerbert.models import load_host_model
from powerbert.predict.subject import Subject
from tests.fixtures import ROWS
from tests.models.backbones import BACKBONES, make_host

LENGTHS, VOCABULARY = (9, 4, 7, 9, 5, 8, 8), 60


def logits_without(model, input_ids, encoder, k):
    """One input without padding; the k-th significant word-vector leaves before the feed-forward network."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model.bert(input_ids, output_attentions=True, output_hidden_states=True)
        significance = outputs.attentions[encoder - 1][0].sum(dim=(0, 1)).tolist()
        ordered = [0, *sorted(range(1, len(significance)), key=lambda word: -significance[word])]
        kept = [word for word in range(len(significance)) if word != ordered[k - 1]]
        layer = model.bert.encoder.layer[encoder - 1]
        attended = layer.attention(outputs.hidden_states[encoder - 1])[0]
        hidden = layer.feed_forward_chunk(attended[:, kept])
        for layer in model.bert.encoder.layer[encoder:]:
            output = layer(hidden)
            hidden = output if isinstance(output, torch.Tensor) else output[0]
        return model.classifier(model.bert.pooler(hidden))


def ragged_batch(lengths, vocab_size):
    ids = torch.randint(
        5, vocab_size, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(3)
    )
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.fixture
def undecided_bert(tiny_bert):
    """The tiny BERT, its logits shifted to be near one another, so that a single word can change a label."""
    with torch.no_grad():
        tiny_bert.classifier.bias -= tiny_bert(**ragged_batch(LENGTHS, VOCABULARY)).logits.mean(dim=0)
    return tiny_bert


def test_counts_are_those_of_eliminating_one_word_at_a_time(undecided_bert):
    encoders, positions = [1, 2, 3], [2, 4, 7, 8]
    batch = ragged_batch(LENGTHS, VOCABULARY)
    counts = count_labels(undecided_bert, batch, encoders, positions, classes=3)
    with torch.inference_mode():
        variants = dict(logits_without_one(undecided_bert, batch, encoders, positions))

    expected = np.zeros((3, 4, 3, 3), dtype=int)
    for number, (ids, length) in enumerate(zip(batch["input_ids"], LENGTHS, strict=True)):
        one = ids[None, :length]
        label = undecided_bert(one).logits.argmax()
        for row, encoder in enumerate(encoders):
            for column, k in enumerate(positions):
                logits = variants[encoder, k][number]
                if k <= length:
                    without = logits_without(undecided_bert, one, encoder, k)[0]
                    torch.testing.assert_close(logits, without, atol=1e-5, rtol=1e-4)
                    expected[row, column, label, without.argmax()] += 1
    assert counts.tolist() == expected.tolist()
    assert counts.sum(axis=(2, 3))[0].tolist() == [len(LENGTHS), len(LENGTHS), 5, 4]
    agreeing = np.trace(counts, axis1=2, axis2=3).sum(axis=1)
    assert agreeing[0] < counts[0].sum(), "no label changed, so the test shows nothing"
    assert agreeing[2] == counts[2].sum(), "after the last encoder nothing reaches [CLS]"


def test_all_choices_of_an_input_lose_a_word(tiny_bert_config):
    torch.manual_seed(0)
    model = BertForMultipleChoice(tiny_bert_config).eval()
    lengths = (9, 8, 6, 7)
    batch = ragged_batch(lengths, tiny_bert_config.vocab_size)
    expected = np.zeros((1, 2, 2, 2), dtype=int)
    sequences = [ids[None, :length] for ids, length in zip(batch["input_ids"], lengths, strict=True)]
    for column, k in enumerate((3, 7)):
        for first in (0, 2):
            if k > min(lengths[first : first + 2]):
                continue
            pair = sequences[first : first + 2]
            label = torch.stack([model(ids[None]).logits.squeeze() for ids in pair]).argmax()
            changed = torch.stack([logits_without(model, ids, 1, k).squeeze() for ids in pair]).argmax()
            expected[0, column, label, changed] += 1
    counts = count_labels(model, batch, [1], [3, 7], classes=2, choices=2)
    assert counts.tolist() == expected.tolist()
    assert counts.sum(axis=(2, 3)).tolist() == [[2, 1]]


def test_table_has_information_entropy_and_counts():
    joint = np.zeros((1, 3, 2, 2), dtype=np.int64)
    joint[0, 0] = [[4, 0], [2, 2]]
    joint[0, 1] = [[1, 0], [0, 1]]
    table = tabulate(joint, [5], [2, 3, 4])
    assert table["encoder"].tolist() == [5, 5]
    assert table["position"].tolist() == [2, 3], "no input has a fourth word-vector"
    assert table["inputs"].tolist() == [8, 2]
    assert table["mutual_information"].tolist() == pytest.approx([0.215762, 0.693147], abs=1e-6)
    assert table["entropy"].tolist() == pytest.approx([0.693147, 0.693147], abs=1e-6)
    assert table["agreement"].tolist() == [0.75, 1]


def test_writes_table_and_figure(subject, tmp_path):
    table = run(subject, tmp_path)
    assert table["encoder"].unique().tolist() == [1, 3]
    first = table[table["encoder"] == 1]
    assert first["position"].tolist() == list(range(2, 17))
    longest = [min(len(ids), 16) for ids in subject.encoded["input_ids"]]
    assert first["inputs"].tolist() == [sum(length >= k for length in longest) for k in range(2, 17)]
    assert first["inputs"].iloc[0] == ROWS
    last = table[table["encoder"] == 3]
    assert last["mutual_information"].tolist() == pytest.approx(last["entropy"].tolist())
    assert {path.suffix for path in tmp_path.glob("mutual_information.*")} == {".png", ".svg", ".csv"}


def test_encoders():
    assert resolve_encoders(None, 12) == [1, 3, 6, 9]
    assert resolve_encoders(None, 6) == [1, 3, 6]
    assert resolve_encoders("all", 3) == [1, 2, 3]
    assert resolve_encoders([3, 1, 3], 3) == [1, 3]


def test_positions():
    assert resolve_positions(None, 5) == [2, 3, 4, 5]
    assert resolve_positions(3, 5) == [2, 3]
    assert resolve_positions(64, 5) == [2, 3, 4, 5]
    assert resolve_positions([5, 2], 5) == [2, 5]


@pytest.mark.parametrize("encoders", [[0], [4], [1.5], [True], "some", 3, []])
def test_refuses_encoders_that_the_model_has_not(encoders):
    with pytest.raises(ConfigError, match=r"analysis\.encoders: .*encoders 1 to 3"):
        resolve_encoders(encoders, 3)


@pytest.mark.parametrize("positions", [1, [1, 2], [6], 0, "many", [2.5], True])
def test_refuses_positions_that_no_word_vector_has(positions):
    with pytest.raises(ConfigError, match=r"analysis\.positions: .*the longest input has 5 .*\[CLS\]"):
        resolve_positions(positions, 5)


def test_refuses_a_model_that_eliminates_already(retrained, tmp_path):
    with pytest.raises(ConfigError, match=r"^artifact: .*eliminates word-vectors already"):
        run(Subject(str(retrained)), tmp_path)


def test_refuses_a_model_that_predicts_a_number(tiny_checkpoint, tokenizer, dataset, tmp_path):
    folder = tmp_path / "regression"
    load_host_model(tiny_checkpoint, num_labels=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"^artifact: .*predicts a number"):
        run(Subject(str(folder), dataset=dataset), tmp_path)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_can_be_analysed(backbone):
    host, batch = make_host(backbone), ragged_batch(LENGTHS, VOCABULARY)
    joint = count_labels(host, batch, [1, 3], [2, 3], classes=3)
    labels = host(**batch).logits.argmax(dim=-1).bincount(minlength=3)
    assert (joint.sum(axis=-1) == labels.numpy()).all()
    for counts in joint[1]:
        assert counts.trace() == len(LENGTHS), "what the last encoder eliminates has no influence on [CLS]"
