import math
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from transformers import BertForMultipleChoice

from powerbert.analyse import mutual_information as analysis
from powerbert.base.errors import ConfigError
from powerbert.models import load_host_model
from powerbert.predict.subject import Subject
from tests.fixtures import ROWS
from tests.models.backbones import BACKBONES, make_host

LENGTHS, VOCABULARY = (9, 4, 7, 9, 5, 8, 8), 60


def test_mutual_information_of_labels_that_are_independent_determined_or_constant():
    entropy = -sum(share * math.log(share) for share in (5 / 8, 1 / 8, 2 / 8))
    assert analysis.mutual_information(np.outer([1, 3, 2], [5, 2, 4])) == pytest.approx(0, abs=1e-12)
    assert analysis.mutual_information(np.diag([5, 1, 2])) == pytest.approx(entropy)
    assert analysis.mutual_information(np.diag([5, 1, 2])[:, [1, 2, 0]]) == pytest.approx(entropy)
    assert str(analysis.mutual_information(np.array([[7, 0], [0, 0]]))) == "0.0"


def test_agrees_with_scikit_learn():
    x, y = np.random.default_rng(0).integers(0, 4, (2, 300))
    y[:150] = x[:150]
    joint = np.zeros((4, 4), dtype=int)
    np.add.at(joint, (x, y), 1)
    assert analysis.mutual_information(joint) == pytest.approx(mutual_info_score(x, y))


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
    counts = dict(analysis.count_labels(undecided_bert, batch, encoders, positions, classes=3))
    with torch.inference_mode():
        variants = dict(analysis.logits_without_one(undecided_bert, batch, encoders, positions))

    expected = {variant: np.zeros((3, 3), dtype=int) for variant in product(encoders, positions)}
    for number, (ids, length) in enumerate(zip(batch["input_ids"], LENGTHS, strict=True)):
        one = ids[None, :length]
        label = undecided_bert(one).logits.argmax()
        for encoder, k in expected:
            if k <= length:
                without = logits_without(undecided_bert, one, encoder, k)[0]
                torch.testing.assert_close(variants[encoder, k][number], without, atol=1e-5, rtol=1e-4)
                expected[encoder, k][label, without.argmax()] += 1
    assert counts.keys() == expected.keys()
    assert all((counts[variant] == expected[variant]).all() for variant in expected)
    assert [counts[1, k].sum() for k in positions] == [len(LENGTHS), len(LENGTHS), 5, 4]
    changed = {variant: joint.sum() - joint.trace() for variant, joint in counts.items()}
    assert any(changed[1, k] for k in positions), "no label changed, so the test shows nothing"
    assert not any(changed[3, k] for k in positions), "after the last encoder nothing reaches [CLS]"


def test_all_choices_of_an_input_lose_a_word(tiny_bert_config):
    torch.manual_seed(0)
    model = BertForMultipleChoice(tiny_bert_config).eval()
    lengths = (9, 8, 6, 7)
    batch = ragged_batch(lengths, tiny_bert_config.vocab_size)
    sequences = [ids[None, :length] for ids, length in zip(batch["input_ids"], lengths, strict=True)]
    counts = dict(analysis.count_labels(model, batch, [1], [3, 7], classes=2, choices=2))
    for k, inputs in ((3, (0, 2)), (7, (0,))):  # the second input has a choice of 6 words
        expected = np.zeros((2, 2), dtype=int)
        for first in inputs:
            pair = sequences[first : first + 2]
            label = torch.stack([model(ids[None]).logits.squeeze() for ids in pair]).argmax()
            changed = torch.stack([logits_without(model, ids, 1, k).squeeze() for ids in pair]).argmax()
            expected[label, changed] += 1
        assert counts[1, k].tolist() == expected.tolist()


def test_table_has_information_entropy_and_counts():
    # Pr(X = 0) = 1/2, Pr(Y = 0) = 3/4; X = 0 always comes with Y = 0, X = 1 with either.
    first, second = np.array([[4, 0], [2, 2]]), np.eye(2, dtype=int)
    table = analysis.tabulate({(5, 3): second, (5, 2): first})
    assert table[["encoder", "position"]].to_numpy().tolist() == [[5, 2], [5, 3]]
    assert table["inputs"].tolist() == [8, 2]
    assert table["mutual_information"].tolist() == pytest.approx([0.215762, math.log(2)], abs=1e-6)
    assert table["entropy"].tolist() == pytest.approx([math.log(2)] * 2)
    assert table["agreement"].tolist() == [0.75, 1]


def test_writes_table_and_figure(subject, tmp_path):
    table = analysis.run(subject, tmp_path)
    assert table["encoder"].unique().tolist() == [1, 3]
    first = table[table["encoder"] == 1]
    assert first["position"].tolist() == list(range(2, 17))
    longest = [min(len(ids), 16) for ids in subject.encoded["input_ids"]]
    assert first["inputs"].tolist() == [sum(length >= k for length in longest) for k in range(2, 17)]
    assert first["inputs"].iloc[0] == ROWS
    last = table[table["encoder"] == 3]
    assert last["mutual_information"].tolist() == pytest.approx(last["entropy"].tolist())
    assert {path.suffix for path in tmp_path.glob("mutual_information.*")} == {".png", ".svg", ".csv"}


@pytest.mark.parametrize(
    ("resolve", "given", "longest", "expected"),
    [
        (analysis.resolve_encoders, None, 12, [1, 3, 6, 9]),
        (analysis.resolve_encoders, None, 6, [1, 3, 6]),
        (analysis.resolve_encoders, "all", 3, [1, 2, 3]),
        (analysis.resolve_encoders, [3, 1, 3], 3, [1, 3]),
        (analysis.resolve_positions, None, 5, [2, 3, 4, 5]),
        (analysis.resolve_positions, 3, 5, [2, 3]),
        (analysis.resolve_positions, 64, 5, [2, 3, 4, 5]),
        (analysis.resolve_positions, [5, 2], 5, [2, 5]),
    ],
)
def test_encoders_and_positions(resolve, given, longest, expected):
    assert resolve(given, longest) == expected


@pytest.mark.parametrize(
    ("resolve", "name", "refused"),
    [
        (analysis.resolve_encoders, "encoders", [[0], [4], [1.5], [True], "some", 3, []]),
        (analysis.resolve_positions, "positions", [1, [1, 2], [4], 0, "many", [2.5], True]),
    ],
)
def test_refuses_encoders_and_positions_that_the_model_has_not(resolve, name, refused):
    for given in refused:
        with pytest.raises(ConfigError, match=rf"^analysis\.{name}: "):
            resolve(given, 3)


def test_refuses_a_model_that_eliminates_already(retrained, tmp_path):
    with pytest.raises(ConfigError, match=r"^artifact: .*eliminates word-vectors already"):
        analysis.run(Subject(str(retrained)), tmp_path)


def test_refuses_a_model_that_predicts_a_number(tiny_checkpoint, tokenizer, dataset, tmp_path):
    folder = tmp_path / "regression"
    load_host_model(tiny_checkpoint, num_labels=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"^artifact: .*predicts a number"):
        analysis.run(Subject(str(folder), dataset=dataset), tmp_path)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_can_be_analysed(backbone):
    host, batch = make_host(backbone), ragged_batch(LENGTHS, VOCABULARY)
    joint = dict(analysis.count_labels(host, batch, [1, 3], [2, 3], classes=3))
    labels = host(**batch).logits.argmax(dim=-1).bincount(minlength=3).tolist()
    assert all(counts.sum(axis=1).tolist() == labels for counts in joint.values())
    for k in (2, 3):
        assert joint[3, k].trace() == len(LENGTHS), "what the last encoder eliminates never reaches [CLS]"
