import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMultipleChoice, BertForSequenceClassification

from powerbert.elimination.significance import SHORT
from powerbert.measure import compare_flops, count_flops, flops, word_vectors
from powerbert.measure.flops import flops_of_lengths
from powerbert.models.backbone import BACKBONES
from powerbert.models.backbones.bert import PowerBertConfig, PowerBertForSequenceClassification
from tests.models.backbones import make_host, make_power

HIDDEN, HEADS, ENCODERS, LABELS = 48, 4, 3, 2
RTE = [153, 125, 111, 105, 85, 80, 72, 48, 35, 27, 22, 5]  # the paper's retention configuration


def bert(attention: str = "sdpa") -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=50,
        hidden_size=HIDDEN,
        num_hidden_layers=ENCODERS,
        num_attention_heads=4,
        intermediate_size=4 * HIDDEN,
        num_labels=LABELS,
    )
    return BertForSequenceClassification._from_config(config, attn_implementation=attention)


def closed_form(n: int) -> int:
    """q, k, v and output projection; scores and context; feed-forward; pooler; classifier."""
    encoder = 8 * n * HIDDEN**2 + 4 * n**2 * HIDDEN + 16 * n * HIDDEN**2
    return ENCODERS * encoder + 2 * HIDDEN**2 + 2 * HIDDEN * LABELS


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("length", [1, 17, 64])
def test_bert_agrees_with_the_closed_form(attention, length):
    assert count_flops(bert(attention), length) == closed_form(length)


COUNTS = {"retention_configuration": [16, 16, 3]}
SHARES = {"retention_shares": [0.8, 0.8, 0.1]}


@pytest.mark.parametrize(
    ("backbone", "eliminates"),
    [
        *((backbone, COUNTS) for backbone in sorted(BACKBONES)),
        *(("bert", given | {"cls_alone": True}) for given in (COUNTS, SHARES)),
        *(("bert", given | {"protected_until": 31}) for given in (COUNTS, SHARES)),
    ],
)
def test_small_passes_that_are_computed_have_as_many_operations(backbone, eliminates, monkeypatch):
    model = make_power(make_host(backbone), **eliminates)
    computed = count_flops(model, 20)
    monkeypatch.setattr(flops, "COMPUTED", 0)
    assert count_flops(model, 20) == computed


def power_closed_form(n: int, retention_configuration: list[int]) -> int:
    """Significance takes all n queries and their scores; then k of them attend, and only they go on.

    An encoder that retains [CLS] alone needs neither. Of long inputs a product sums the attention.
    """
    total = 2 * HIDDEN**2 + 2 * HIDDEN * LABELS
    for k in (min(k, n) for k in retention_configuration):
        scores = 1 < k < n
        queries = 2 * (n if scores else k) * HIDDEN**2
        summed = HEADS if n > SHORT else 0
        total += queries + 4 * n * HIDDEN**2 + scores * 2 * n**2 * (HIDDEN + summed)
        total += 4 * k * n * HIDDEN + 18 * k * HIDDEN**2
        n = k
    return total


@pytest.mark.parametrize("configuration", [[40, 20, 5], [64, 1, 1], [64, 64, 64]])
@pytest.mark.parametrize("length", [10, 64])
def test_eliminated_word_vectors_cost_nothing(configuration, length):
    config = PowerBertConfig(**bert().config.to_diff_dict() | {"retention_configuration": configuration})
    model = PowerBertForSequenceClassification(config)
    assert count_flops(model, length) == power_closed_form(length, configuration)


@pytest.mark.parametrize(
    ("length", "configuration", "ratio"),
    [
        (256, RTE, 3.34),
        (64, [17, 15, 14, 13, 12, 11, 11, 9, 6, 5, 5, 5], 5.61),
    ],
    ids=["rte", "cola"],
)
def test_ratio_of_bert_base_with_the_papers_configurations(length, configuration, ratio):
    with torch.device("meta"):
        host = PowerBertForSequenceClassification(PowerBertConfig())
        model = PowerBertForSequenceClassification(PowerBertConfig(retention_configuration=configuration))
    assert count_flops(host, length) / count_flops(model, length) == pytest.approx(ratio, abs=0.01)


def test_a_batch_costs_as_much_as_its_inputs():
    assert count_flops(bert(), 16, batch_size=5) == 5 * closed_form(16)


def test_multiple_choice_costs_one_sequence_per_choice():
    model = BertForMultipleChoice(bert().config)
    one_label_less = 2 * HIDDEN * (LABELS - 1)
    assert count_flops(model, 16, num_choices=4) == 4 * (closed_form(16) - one_label_less)


def test_the_model_is_left_as_it_was():
    model = bert().train()
    model.dropout.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_flops(model, 8)
    assert model.training
    assert not model.dropout.training
    assert {str(parameter.device) for parameter in model.parameters()} == {"cpu"}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "retained", "baseline"),
    [
        ((RTE, 12, 256), 868, 3072),
        ((None, 12, 256), 3072, 3072),
        ((None, 3, 256, 12), 768, 3072),
        (([64, 40, 8], 3, 32), 32 + 32 + 8, 96),  # an encoder retains no more than there are
    ],
)
def test_word_vectors_are_those_that_the_encoders_process(arguments, retained, baseline):
    assert word_vectors(*arguments) == {"retained": retained, "baseline": baseline}


def test_a_mean_input_costs_the_mean_of_its_lengths():
    lengths = [3, 3, 10, 17]
    assert flops_of_lengths(bert(), lengths) == pytest.approx(np.mean([closed_form(n) for n in lengths]))


def test_many_lengths_are_interpolated_between_quantiles():
    lengths = np.random.default_rng(0).integers(3, 400, 5000)
    exact = np.mean([closed_form(n) for n in lengths])
    assert flops_of_lengths(bert(), lengths, most=12) == pytest.approx(exact, rel=5e-3)


def test_two_models_compared_at_the_maximum_length_and_at_real_lengths():
    fields = {"retention_shares": [0.5, 0.25, 0.0], "cls_alone": True}
    config = PowerBertConfig(**bert().config.to_diff_dict() | fields)
    model = PowerBertForSequenceClassification(config)
    found = compare_flops(model, bert(), 64, [5, 12])
    assert found["model"] == power_closed_form(64, [32, 16, 1])
    assert found["baseline"] == closed_form(64)
    own = power_closed_form(5, [3, 2, 1]) + power_closed_form(12, [6, 3, 1])
    assert found["dynamic"]["model"] == pytest.approx(own / 2)
    assert found["dynamic"]["baseline"] == pytest.approx((closed_form(5) + closed_form(12)) / 2)
    assert found["dynamic"]["ratio"] == found["dynamic"]["baseline"] / found["dynamic"]["model"]
