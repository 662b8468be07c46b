"""A record in words: names and values for a reader."""

from collections.abc import Iterator, Mapping
from typing import Any

from powerbert.store.naming import METRIC_NAMES, Record, knob_label, method_label

HYPER_PARAMETERS = (
    "learning_rate",
    "retention_learning_rate",
    "weight_decay",
    "warmup_ratio",
    "batch_size",
    "class_weights",
    "stages",
    "method",
)
"""Keys of a record's `config`: runs of one method, knob setting and seed that differ in them are trials."""

ENVIRONMENT = {
    "cpu": "",
    "threads": "threads ",
    "device": "device ",
    "torch": "torch ",
    "transformers": "transformers ",
    "git_commit": "commit ",
}
"""Keys of a record's `environment` -> what to write before the value."""


def facts(record: Record) -> list[tuple[str, str]]:
    """List the names and values of a record in reading order, without the fields that older records lack."""
    return [(name, text) for name, text in _facts(record) if text]


def retention_facts(record: Record) -> list[tuple[str, list[str]]]:
    """Name what the encoders of a record's model retain, and list it; empty for one that retains all."""
    counts, shares = record["retention_configuration"], record.get("retention_shares")
    found = [] if counts is None else [("retention configuration", list(map(str, counts)))]
    if shares is not None:
        found.append(("retention shares", [f"{share:g}" if share else "[CLS]" for share in shares]))
    if "retained" in record:
        thresholds = [f"{threshold:.4f}" for threshold in record["retention_thresholds"]]
        found.append(("retention thresholds", thresholds))
        found.append(("words retained on average", [f"{words:.1f}" for words in record["retained"]]))
    return found


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    metric, vectors = record["metric"], record["word_vectors"]
    name = METRIC_NAMES.get(metric["name"], metric["name"])
    yield "seed", str(record["seed"])
    yield f"{name}, {metric.get('split') or 'evaluation'}", _percent(metric["value"])
    if "dev" in metric and metric.get("split") != "dev":
        yield f"{name}, dev", _percent(metric["dev"])
    yield "fine-tuned model", _percent(record["baseline"]["value"])
    yield "method", method_label(record)
    yield "knob", knob_label(record)
    yield "target", _target(record)
    for name, values in retention_facts(record):
        yield name, ", ".join(values)
    yield "[CLS] alone", "in the last encoder" if record.get("cls_alone") else ""
    yield "word-vectors", f"{vectors['retained']} of {vectors['baseline']}"
    yield "epochs", ", ".join(f"{stage} {count}" for stage, count in record.get("epochs", {}).items())
    yield "earlier stages", _earlier(record)
    yield "trials", str(record.get("trials") or "")
    yield "settings", _settings(record["config"])
    weights = record["config"].get("class_weights") or ""
    yield "class weights", weights if isinstance(weights, str) else ", ".join(map(str, weights))
    for protocol in ("padded", "dynamic"):
        yield protocol, _latency(record["latency"][protocol])
    yield "FLOPs per input", _flops(record["flops"])
    yield "FLOPs, dynamic padding", _flops(record["flops"].get("dynamic"))
    if parameters := record.get("parameters"):
        yield "parameters", f"{parameters['model'] / 1e6:.1f} M of {parameters['baseline'] / 1e6:.1f} M"
    yield "artifacts", "\n".join(f"{stage}: {artifact}" for stage, artifact in record["artifacts"].items())
    known = ((label, record["environment"].get(key)) for key, label in ENVIRONMENT.items())
    yield "environment", ", ".join(f"{label}{value}" for label, value in known if value is not None)
    yield "record", str(record.get("identity") or "")


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f} %"


def _target(record: Record) -> str:
    target = record.get("target")
    if target is None:
        return ""
    predicted = target["predicted"]
    found = "" if predicted is None else f", {predicted:.2f}x predicted"
    return f"{target['speedup']:g}x faster ({target['protocol']}){found}"


def _flops(flops: Mapping[str, Any] | None) -> str:
    if flops is None or flops["ratio"] is None:
        return ""
    return f"{flops['model'] / 1e9:.3g} G of {flops['baseline'] / 1e9:.3g} G ({flops['ratio']:.2f}x fewer)"


def _latency(times: Mapping[str, Any]) -> str:
    if times["speedup"] is None:
        return ""
    return (
        f"{times['model_ms']:.1f} ms against {times['baseline_ms']:.1f} ms "
        f"per batch of {times['batch_size']} ({times['speedup']:.2f}x faster)"
    )


def _settings(config: Mapping[str, Any]) -> str:
    """List the hyper-parameters that are numbers: those of all methods, then those of this one."""
    method = config.get("method")
    settings = {key: config.get(key) for key in HYPER_PARAMETERS}
    settings |= method if isinstance(method, Mapping) else {}
    return ", ".join(f"{key} {value:g}" for key, value in settings.items() if isinstance(value, int | float))


def _earlier(record: Record) -> str:
    """List the stages of other methods that the run started from, oldest first."""
    own = record["method"], record["knob"]
    return "\n".join(
        f"{training.get('method')} {training.get('stage')}, {training.get('epochs')} epochs: "
        f"{training.get('artifact')}"
        for training in record.get("chain") or []
        if (training.get("method"), training.get("knob")) != own
    )
