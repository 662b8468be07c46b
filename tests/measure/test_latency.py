import pytest
import torch
from datasets import Dataset
from torch import nn

from powerbert.base.errors import ConfigError, DataError
from powerbert.measure import LatencySettings, latency, measure_latencies, timing
from powerbert.models.backbones.bert import PowerBertConfig, PowerBertForSequenceClassification


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No reading of the processors, so that what else the machine does repeats no run."""
    monkeypatch.setattr(timing, "read_processors", lambda: None)


class Recorder(nn.Module):
    """Notes the shapes of what it is called with, and when."""

    def __init__(self, name: str, calls: list):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.name, self.calls = name, calls

    def forward(self, input_ids, attention_mask):
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.calls.append((self.name, tuple(input_ids.shape), attention_mask.sum(-1).flatten().tolist()))


def rows_of(lengths):
    return [{"input_ids": [7] * n, "attention_mask": [1] * n, "labels": 0} for n in lengths]


def collate(rows, pad_to=None):
    length = pad_to or max(len(row["input_ids"]) for row in rows)

    def pad(name):
        return torch.tensor([row[name] + [0] * (length - len(row[name])) for row in rows])

    return {**{name: pad(name) for name in ("input_ids", "attention_mask")}, "labels": torch.zeros(len(rows))}


def timed(model, baseline, rows, **settings):
    made = LatencySettings(**settings)
    (result,) = measure_latencies([model], baseline, rows, max_length=20, collate=collate, settings=made)
    return result


def measure(rows, **settings):
    calls = []
    model = Recorder("model", calls).train()
    result = timed(model, Recorder("baseline", calls), rows, **settings)
    assert model.training
    return result, calls


def test_padded_pads_every_input_to_max_length_and_repeats_few_rows():
    result, calls = measure(rows_of([3, 5]), runs=3, warmup=2, padded_batch_size=6, dynamic_batch_size=2)
    padded = calls[: 2 * (3 + 2)]
    assert [shape for _, shape, _ in padded] == [(6, 20)] * 10
    assert padded[0][2] == [3, 5, 3, 5, 3, 5]
    assert result["padded"]["batch_size"] == 6
    assert result["padded"]["mean_length"] == 20
    assert result["padded"]["runs"] == 3


@pytest.mark.parametrize("kind", [list, Dataset.from_list])
def test_dynamic_batches_cover_the_rows_sorted_by_length(kind):
    lengths = [9, 2, 7, 4, 1, 8, 3, 6]
    rows = kind(rows_of(lengths))
    result, calls = measure(rows, runs=1, warmup=0, padded_batch_size=1, dynamic_batch_size=2)
    dynamic = [call for call in calls[2:] if call[0] == "model"]
    assert [shape for _, shape, _ in dynamic] == [(2, 2), (2, 4), (2, 7), (2, 9)]
    assert sorted(n for _, _, real in dynamic for n in real) == sorted(lengths)
    assert result["dynamic"]["batches"] == 4
    assert result["dynamic"]["mean_length"] == pytest.approx(22 / 4)


@pytest.mark.parametrize(("most", "expected"), [(1, [[4, 5]]), (2, [[2, 3], [6, 7]]), (9, None)])
def test_dynamic_batches_are_spread_evenly_over_the_lengths(most, expected):
    batches = latency.dynamic_batches(rows_of(range(1, 11)), 2, most)
    assert batches == (expected or [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]])


def test_dynamic_batches_are_full_where_the_rows_do_not_divide():
    batches = latency.dynamic_batches(rows_of(range(1, 11)), 4, 20)
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert {index for batch in batches for index in batch} == set(range(10))


@pytest.mark.parametrize(("statistic", "expected"), [("median", 1.0), ("mean", 1.5)])
def test_times_are_summarised_over_the_runs(monkeypatch, statistic, expected):
    """The model takes 1, 1, 1 and 3 ms after a warm-up of 50 ms; the baseline always 4 ms."""
    taken = {"model": iter([50.0, 1.0, 1.0, 1.0, 3.0] * 2), "baseline": iter([4.0] * 10)}
    monkeypatch.setattr(timing, "milliseconds", lambda call, device: next(taken[call.func.name]))
    result, _ = measure(rows_of([4]), runs=4, warmup=1, statistic=statistic)
    for protocol in ("padded", "dynamic"):
        assert result[protocol]["model_ms"] == expected
        assert result[protocol]["baseline_ms"] == 4.0
        assert result[protocol]["speedup"] == 4.0 / expected
        assert result[protocol]["model_iqr_ms"] == 0.5
        assert result[protocol]["baseline_iqr_ms"] == 0.0


def test_a_model_may_be_its_own_baseline():
    calls = []
    model = Recorder("model", calls)
    result = timed(model, model, rows_of([3, 4]), runs=2, warmup=0, padded_batch_size=2)
    assert len(calls) == 8
    assert result["padded"]["speedup"] > 0


def test_a_model_that_eliminates_is_timed(tiny_bert, tiny_bert_config):
    config = PowerBertConfig(**tiny_bert_config.to_diff_dict() | {"retention_configuration": [9, 4, 1]})
    model = PowerBertForSequenceClassification(config)
    model.load_state_dict(tiny_bert.state_dict())
    rows = rows_of([3, 12, 7, 20])
    result = timed(model, tiny_bert, rows, runs=2, warmup=1, padded_batch_size=4, dynamic_batch_size=2)
    for protocol in result.values():
        assert protocol["model_ms"] > 0
        assert protocol["speedup"] == protocol["baseline_ms"] / protocol["model_ms"]


def test_models_on_different_devices_are_refused(tiny_bert):
    with pytest.raises(ValueError, match="same device"):
        timed(Recorder("model", []).to("meta"), tiny_bert, rows_of([3]))


def test_rows_of_several_choices_are_sorted_by_their_longest():
    rows = [{"input_ids": [[1] * 2, [1] * 9]}, {"input_ids": [[1] * 5, [1] * 5]}, {"input_ids": [[1], [1]]}]
    assert latency.dynamic_batches(rows, 1, 3) == [[2], [1], [0]]


def test_no_rows_is_a_clear_error():
    with pytest.raises(DataError, match="at least one row"):
        measure([])


@pytest.mark.parametrize(
    ("field", "value"),
    [("runs", 0), ("warmup", -1), ("padded_batch_size", 0), ("dynamic_batches", 0), ("statistic", "mode")],
)
def test_settings_that_measure_nothing_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=rf"^measure\.{field}"):
        LatencySettings(**{field: value})
