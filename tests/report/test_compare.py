import math
import random

import pytest

from powerbert.base.errors import DataError
from powerbert.report.compare import compare
from powerbert.report.frame import COSTS
from tests.report.records import point, study


def only(records):
    (comparison,) = compare(records)
    return comparison


def points(records):
    """The points of the only comparison, as dictionaries."""
    return only(records).points.to_dict("records")


def notes(comparison):
    """The notes but for the one on the split, which most records of these tests bring with them."""
    return [note for note in comparison.notes if "optimistic" not in note]


def link(method, stage, epochs, **knob):
    return {"artifact": f"{method}-{stage}", "stage": stage, "method": method, "knob": knob, "epochs": epochs}


def test_a_point_is_mean_and_standard_error_over_seeds():
    records = [
        point(seed=2, value=0.70, baseline=0.72, model_ms=100, baseline_ms=200, dynamic=1.5, flops=3.0),
        point(seed=1, value=0.66, baseline=0.70, model_ms=100, baseline_ms=400, dynamic=2.5, flops=3.0),
    ]
    comparison = only(records)
    (found,) = points(records)
    assert (found["method"], found["knob"]) == ("PoWER-BERT", "lambda=0.001")
    assert found["metric"] == pytest.approx(0.68)
    assert found["metric_standard_error"] == pytest.approx(0.02)
    assert comparison.baseline["metric"] == pytest.approx(0.71)
    assert comparison.baseline["metric_standard_error"] == pytest.approx(0.01)
    assert found["change"] == pytest.approx(-0.03)
    assert {cost: found[f"{cost}_speedup"] for cost in COSTS} == {"padded": 3, "dynamic": 2, "flops": 3}
    assert found["padded_speedup_standard_error"] == pytest.approx(1)
    assert found["padded_model"] == 100
    assert found["flops_model"] == pytest.approx(14.5e9)
    assert found["seeds"] == comparison.baseline["seeds"] == (1, 2)
    assert [record["seed"] for record in found["records"]] == [1, 2]
    assert notes(comparison) == []


def test_the_change_is_against_the_fine_tuned_models_of_the_same_seeds():
    """Seed 2 fine-tunes better; a point that has seed 1 only has not lost what it never had."""
    comparison = only(
        [
            point(knob=1e-3, seed=1, value=0.80, baseline=0.80),
            point(knob=1e-3, seed=2, value=0.90, baseline=0.90),
            point(knob=3e-3, seed=1, value=0.79, baseline=0.80, flops=4.0),
        ]
    )
    assert comparison.baseline["metric"] == pytest.approx(0.85)
    assert comparison.points.set_index("knob")["change"].to_dict() == pytest.approx(
        {"lambda=0.001": 0.0, "lambda=0.003": -0.01}
    )


def test_a_single_seed_has_no_standard_error():
    comparison = only([point()])
    assert math.isnan(comparison.baseline["metric_standard_error"])
    assert comparison.points.filter(like="_standard_error").isna().all(axis=None)


def test_latency_is_the_ratio_within_a_run_times_the_mean_of_the_baseline():
    quiet = point(knob=0.001, model_ms=50, baseline_ms=100)
    busy = point(knob=0.002, model_ms=150, baseline_ms=300)
    comparison = only([quiet, busy])
    assert comparison.baseline["padded"] == 200
    assert comparison.points["padded"].tolist() == [100, 100]
    assert comparison.points["padded_model"].tolist() == [50, 150]
    assert comparison.points["flops"][0] == pytest.approx(43.5e9 / 3.3)


def test_a_seed_counts_once_however_often_it_was_run():
    records = [point(seed=1, value=0.6), point(seed=1, value=0.8), point(seed=2, value=0.9)]
    (found,) = points(records)
    assert found["metric"] == pytest.approx(0.8)
    assert found["seeds"] == (1, 2)


def test_curves_are_in_the_papers_order_and_go_from_expensive_to_cheap():
    records = study(["rte"])
    random.Random(0).shuffle(records)
    comparison = only(records)
    curves = comparison.curves()
    assert list(curves) == ["PoWER-BERT", "DistilBERT", "More training"]
    assert curves["DistilBERT"]["knob"].tolist() == ["encoders=4", "encoders=3"]
    assert curves["More training"]["knob"].tolist() == ["no knob"]
    assert [place for one in curves.values() for place in one.index] == list(comparison.points.index)


@pytest.mark.parametrize(
    ("condition", "value"),
    {
        "model": "minilm_l6",
        "metric": "f1",
        "split": "test",
        "max_length": 128,
        "device": "cpu",
        "batch_size": 32,
    }.items(),
)
def test_what_was_measured_under_other_conditions_is_another_comparison(condition, value):
    comparisons = compare([point(), point(**{condition: value})])
    assert len(comparisons) == 2
    assert all(len(comparison.points) == 1 for comparison in comparisons)


def test_data_sets_are_apart_and_ordered():
    assert [one.conditions["dataset"] for one in compare(study(["sst2", "rte"]))] == ["rte", "sst2"]


def test_of_several_trials_the_best_on_dev_counts():
    records = [
        point(learning_rate=2e-5, value=0.90, dev=(0.60, 0.7), seed=1),
        point(learning_rate=3e-5, value=0.65, dev=(0.70, 0.7), seed=1),
        point(learning_rate=3e-5, value=0.67, dev=(0.50, 0.7), seed=2),
        point(learning_rate=4e-5, value=0.99, dev=(None, 0.7), seed=1),
    ]
    (found,) = points(records)
    assert found["records"][0]["config"]["learning_rate"] == 3e-5  # over seed 1, which all of them have
    assert found["metric"] == pytest.approx(0.66)
    assert found["trials"] == 3


def test_trials_without_a_common_seed_are_compared_over_their_own():
    records = [
        point(batch_size=128, warmup_ratio=0.1, value=0.6, seed=1),
        point(batch_size=128, warmup_ratio=0.2, value=0.7, seed=2),
    ]
    assert points(records)[0]["records"][0]["config"]["warmup_ratio"] == 0.2


def test_of_equal_trials_the_first_counts():
    records = [point(learning_rate=rate) for rate in (3e-5, 2e-5, 4e-5)]
    for order in (records, records[::-1]):
        assert points(order)[0]["records"][0]["config"]["learning_rate"] == 2e-5


@pytest.mark.parametrize(("stated", "trials"), [(6, 6), (1, 2), (None, 2)])
def test_the_greater_number_of_trials_is_stated(stated, trials):
    records = [point(learning_rate=rate, further={"trials": stated}) for rate in (1e-5, 2e-5)]
    assert points(records)[0]["trials"] == trials


def test_hyper_parameters_of_the_method_are_trials_but_its_knob_is_not():
    def run(temperature, encoders):
        method = {"name": "distilbert", "temperature": temperature, "encoders": encoders}
        config = {"config": {"method": method}}
        return point(method="distilbert", knob={"encoders": encoders}, further=config)

    found = points([run(2, 3), run(4, 3), run(2, 4)])
    assert [(one["knob"], one["trials"]) for one in found] == [("encoders=3", 2), ("encoders=4", 1)]


def test_a_chain_names_the_methods_that_came_before():
    chain = [
        link("power_bert", "finetune", 2, **{"lambda": 0.5}),  # the shared artifact belongs to no method
        link("distilbert", "retrain", 3, encoders=3),
        link("power_bert", "finetune", 1, **{"lambda": 0.001}),
        link("power_bert", "search", 1, **{"lambda": 0.001}),
        link("power_bert", "retrain", 2, **{"lambda": 0.001}),
    ]
    plain = point(further={"chain": [chain[0], *chain[3:]]})
    comparison = only([plain, point(further={"chain": chain})])
    assert list(comparison.curves()) == ["PoWER-BERT", "DistilBERT (encoders=3) + PoWER-BERT"]
    assert comparison.points["epochs"].tolist() == [5, 9]


def test_a_run_on_a_distilled_model_is_compared_with_the_models_own_baseline():
    plain = point()
    chain = [link("distilbert", "retrain", 1)] * 4
    distilled = point(knob=0.002, model="my_student", further={"chain": chain})
    for record in (plain, distilled):
        record["baseline"]["artifact"] = "the same"
    comparison = only([distilled, plain])
    assert comparison.conditions["model"] == "bert_base"
    assert len(comparison.points) == 2


def test_selections_of_word_vectors_are_methods_and_a_given_configuration_is_a_knob():
    def run(**elimination):
        method = {"name": "power_bert", "elimination": elimination}
        return point(knob={}, further={"config": {"method": method}})

    given = [8, 4, 2]
    found = points(
        [
            run(name="paper", retention_configuration=given),
            run(name="paper", selection="head", retention_configuration=given),
            run(name="released"),
        ]
    )
    assert [(one["method"], one["knob"]) for one in found] == [
        ("PoWER-BERT", "(8, 4, 2)"),
        ("PoWER-BERT (Head-WS)", "(8, 4, 2)"),
        ("PoWER-BERT (released)", "no knob"),
    ]


def test_epochs_are_those_of_all_stages_or_unknown():
    stages = {"finetune": 2, "search": 1, "retrain": 2}
    assert points([point(further={"epochs": stages})])[0]["epochs"] == 5
    assert math.isnan(points([point(seed=1), point(seed=2, further={"epochs": stages})])[0]["epochs"])
    assert math.isnan(points([point(further={"epochs": {**stages, "search": None}})])[0]["epochs"])


@pytest.mark.parametrize(
    ("undefined", "missing"),
    [
        ({"value": None}, "metric.value"),
        ({"value": math.nan}, "metric.value"),
        ({"baseline": None}, "baseline.value"),
        ({"model_ms": None}, "latency.padded.model_ms"),
        ({"dynamic": None}, "latency.dynamic.model_ms"),
        ({"flops": None}, "flops.model"),
    ],
)
def test_a_record_without_a_number_drops_out_with_a_note(undefined, missing):
    comparison = only([point(knob=0.5, seed=7, **undefined), point()])
    assert comparison.points["knob"].tolist() == ["lambda=0.001"]
    (note,) = notes(comparison)
    assert missing in note
    assert "PoWER-BERT, lambda=0.5, seed 7" in note
    with pytest.raises(DataError, match=f"none can be compared.*{missing}"):
        compare([point(**undefined)])


def test_a_data_set_of_which_nothing_is_left_is_warned_about(caplog):
    assert len(compare([point("rte"), point("cola", value=None)])) == 1
    assert "cola, bert_base: 1 record is left out" in caplog.text


def test_no_records_are_an_error():
    with pytest.raises(DataError, match="there are none to compare"):
        compare([])


def test_notes_tell_of_missing_seeds_and_of_other_machines():
    partial = [point(seed=1), point(seed=2), point(knob=0.002, seed=1)]
    (note,) = notes(only(partial))
    assert "seeds 1, 2" in note
    assert "PoWER-BERT, lambda=0.002" in note
    partial.append(point(knob=0.002, seed=2))
    partial[0]["environment"]["cpu"] = "Another CPU"
    (note,) = notes(only(partial))
    assert "Another CPU, Some CPU" in note


def test_each_fine_tuned_model_counts_once():
    records = [point(knob=knob, seed=1, baseline=0.70) for knob in (0.001, 0.002, 0.003)]
    records.append(point(knob=0.001, seed=2, baseline=0.80))
    assert only(records).baseline["metric"] == pytest.approx(0.75)


def test_axes_have_words_and_units():
    comparison = only([point(max_length=64, batch_size=128)])
    assert comparison.axis("padded") == "ms per batch of 128, padded to 64"
    assert comparison.axis("dynamic") == "ms per batch of 32, dynamic padding"
    assert comparison.axis("flops") == "FLOPs per input of 64 word pieces"


def test_a_point_is_disturbed_if_the_timing_of_any_of_its_runs_was():
    quiet, loud = point(seed=1, disturbed=False), point(seed=2, disturbed=True)
    (found,) = points([quiet, loud])
    assert [cost for cost in COSTS if found[f"{cost}_disturbed"]] == ["padded"]
    assert only([quiet, loud]).is_disturbed
    (found,) = points([quiet])
    assert (found["padded_disturbed"], found["dynamic_disturbed"]) == (False, None)
    assert points([quiet, point(seed=2)])[0]["padded_disturbed"] is None  # older records do not say
    assert not only([quiet]).is_disturbed
