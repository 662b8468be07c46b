"""A record in words: what a reader wants to know about a point's runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from powerbert.report.naming import Record, knob_label, method_label
from powerbert.report.points import HYPER_PARAMETERS
from powerbert.report.table import METRIC_NAMES


def facts(record: Record) -> list[tuple[str, str]]:
    """What a record says.

    Args:
        record: a valid one; fields that older records lack are passed over.

    Returns:
        Pairs of a field's name and its value, in reading order; the same names for records of one point.
    """
    return [(name, text) for name, text in _facts(record) if text]


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    metric, baseline = record["metric"], record["baseline"]
    name = METRIC_NAMES.get(metric["name"], metric["name"])
    yield "seed", str(record["seed"])
    yield f"{name}, {metric.get('split') or 'evaluation'}", _percent(metric["value"])
    if "dev" in metric and metric.get("split") != "dev":
        yield f"{name}, dev", _percent(metric["dev"])
    yield "fine-tuned model", _percent(baseline["value"])
    yield "method", method_label(record)
    yield "knob", knob_label(record)
    yield "retention configuration", ", ".join(map(str, record["retention_configuration"] or ()))
    vectors = record["word_vectors"]
    yield "word-vectors", f"{vectors['retained']} of {vectors['baseline']}"
    yield "epochs", ", ".join(f"{stage} {count}" for stage, count in record.get("epochs", {}).items())
    yield "earlier stages", _earlier(record)
    yield "trials", str(record.get("trials") or "")
    yield "settings", _settings(record["config"])
    for protocol in ("padded", "dynamic"):
        yield protocol, _latency(record["latency"][protocol])
    flops = record["flops"]
    yield (
        "FLOPs per input",
        f"{flops['model'] / 1e9:.3g} G of {flops['baseline'] / 1e9:.3g} G ({flops['ratio']:.2f}x fewer)",
    )
    if parameters := record.get("parameters"):
        yield "parameters", f"{parameters['model'] / 1e6:.1f} M of {parameters['baseline'] / 1e6:.1f} M"
    yield "artifacts", "\n".join(f"{stage}: {artifact}" for stage, artifact in record["artifacts"].items())
    yield "environment", _environment(record["environment"])
    yield "record", str(record.get("identity") or "")


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f} %"


def _latency(latency: Mapping[str, Any]) -> str:
    if latency["speedup"] is None:
        return ""
    return (
        f"{latency['model_ms']:.1f} ms against {latency['baseline_ms']:.1f} ms "
        f"per batch of {latency['batch_size']} ({latency['speedup']:.2f}x faster)"
    )


def _settings(config: Mapping[str, Any]) -> str:
    """The hyper-parameters that are numbers, those of the method after those of all methods."""
    method = config.get("method")
    own = method if isinstance(method, Mapping) else {}
    settings = {key: config.get(key) for key in HYPER_PARAMETERS} | dict(own)
    return ", ".join(f"{key} {value:g}" for key, value in settings.items() if isinstance(value, int | float))


def _earlier(record: Record) -> str:
    """The stages of other methods that the run's own started from, oldest first."""
    own = record["method"], record["knob"]
    return "\n".join(
        f"{entry.get('method')} {entry.get('stage')}, {entry.get('epochs')} epochs: {entry.get('artifact')}"
        for entry in record.get("chain") or []
        if (entry.get("method"), entry.get("knob")) != own
    )


def _environment(environment: Mapping[str, Any]) -> str:
    parts = [
        f"{label}{environment[key]}"
        for key, label in (
            ("cpu", ""),
            ("threads", "threads "),
            ("device", "device "),
            ("torch", "torch "),
            ("transformers", "transformers "),
            ("git_commit", "commit "),
        )
        if environment.get(key) is not None
    ]
    return ", ".join(parts)
