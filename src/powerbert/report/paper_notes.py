"""What must be said beneath Tables 1 and 2: under which conditions each side was measured."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from powerbert.report import paper
from powerbert.report.points import OperatingPoint, Record, chosen_on_evaluation
from powerbert.store.naming import METRIC_NAMES

Points = Mapping[str, OperatingPoint]
Names = Mapping[str, str]


def notes(points: Points, names: Names, model: str) -> list[str]:
    """Says how the paper's and our figures came about, and where they cannot be compared.

    Args:
        points: the run that represents a dataset, by dataset.
        names: of all the table's datasets, as they are to be written.
        model: ours.

    Returns:
        One line for each thing to know.
    """
    setup = paper.setup()
    batch = {
        dataset: f"{setup.datasets[dataset].batch_size}" for dataset in names if dataset in setup.datasets
    }
    lines = [
        f"paper: metric on the test split; {setup.device}, batch of {_varying(batch, names)}, "
        f"mean of {setup.runs} runs"
    ]
    if not points:
        return [*lines, f"ours: there are no records of power_bert on {model}"]

    def ours(value: Callable[[Record], str]) -> str:
        return _varying({dataset: value(point.records[0]) for dataset, point in points.items()}, names)

    seeds = _varying({dataset: f"{len(point.records)}" for dataset, point in points.items()}, names)
    lines += [
        f"ours: chosen on dev, metric on {ours(_split)}; {ours(_device)}, batch of {ours(_batch_size)}, "
        f"{ours(_timing)}; number of seeds: {seeds}",
        f"ours, knob: {ours(_knob)}",
        "times: every input padded to the dataset's length; dynamic: sorted by length, padded to the longest "
        f"input of the batch ({ours(_dynamic)})",
    ]
    optimistic = [
        names[key] for key, point in points.items() if any(map(chosen_on_evaluation, point.records))
    ]
    if optimistic:
        lines.append(
            f"dev is also the evaluation split, so the choice is optimistic: {', '.join(optimistic)}"
        )
    differences = {
        dataset: _difference(points[dataset].records[0], setup.datasets[dataset])
        for dataset in names
        if dataset in points and dataset in setup.datasets
    }
    stated = "; ".join(f"{names[dataset]} ({what})" for dataset, what in differences.items() if what)
    return [*lines, f"not as in the paper: {stated}"] if stated else lines


def _varying(values: Mapping[str, str], names: Names) -> str:
    """The commonest value, and in brackets the datasets with another."""
    (common, _), *others = Counter(values.values()).most_common()
    exceptions = [
        f"{', '.join(names[dataset] for dataset in names if values.get(dataset) == other)}: {other}"
        for other, _ in others
    ]
    return f"{common} ({'; '.join(exceptions)})" if exceptions else common


def _difference(record: Record, setup: paper.DatasetSetup) -> str:
    """What of our setup makes a column something else than the paper's; empty if nothing does."""
    metric = record["metric"]["name"]
    pairs: list[tuple[str, Any, Any]] = [
        ("metric", METRIC_NAMES.get(metric, metric), METRIC_NAMES.get(setup.metric, setup.metric)),
        ("length", record["max_length"], setup.max_length),
        ("batch", record["latency"]["padded"]["batch_size"], setup.batch_size),
    ]
    return ", ".join(f"{what} {ours}, paper {theirs}" for what, ours, theirs in pairs if ours != theirs)


def _split(record: Record) -> str:
    return str(record["metric"].get("split", "an unknown split"))


def _device(record: Record) -> str:
    environment = record["environment"]
    device = environment.get("device", "unknown device")
    return f"{environment['cpu']} (CPU)" if device == "cpu" and "cpu" in environment else str(device)


def _batch_size(record: Record) -> str:
    return str(record["latency"]["padded"]["batch_size"])


def _timing(record: Record) -> str:
    padded = record["latency"]["padded"]
    if "runs" not in padded:
        return "unknown number of runs"
    return f"{padded.get('statistic', 'average')} of {padded['runs']} runs"


def _dynamic(record: Record) -> str:
    return f"batch of {record['latency']['dynamic']['batch_size']}"


def _knob(record: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in record["knob"].items()) or "none"
