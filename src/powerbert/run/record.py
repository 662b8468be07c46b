"""The record of a finished run."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from powerbert.base.environment import default_device
from powerbert.data import TextDataModule
from powerbert.elimination import retained_by_encoder
from powerbert.measure import (
    compare_flops,
    describe_environment,
    evaluate_longer,
    mean_retained,
    measure_latencies,
    single_inputs,
    word_vectors,
)
from powerbert.models import load_model, num_encoders, retention_of
from powerbert.run.settings import Settings
from powerbert.store.artifacts import Artifact, ArtifactStore
from powerbert.store.chain import Chain


def build_record(
    settings: Settings,
    artifacts: Mapping[str, Artifact],
    reference: Artifact,
    chain: Chain,
    data: TextDataModule,
) -> dict[str, Any]:
    """Measure the final model against the fine-tuned one, on the inputs of the evaluation split.

    Args:
        artifacts: the finished stages by name, the final model last.
        reference: the fine-tuned model.
        chain: the trainings behind the final model; those of `artifacts` are the last.
    """
    final = list(artifacts.values())[-1]
    device = default_device()
    metrics = settings.method.metrics(final)
    model: Any = load_model(final.path)
    if settings.method.measured_speed is not None:
        model.set_speed(settings.method.measured_speed)
    baseline: Any = load_model(reference.path)
    for loaded in (model, baseline):
        loaded.to(device)
    length, task = data.max_length, data.task
    split = task.evaluation_split
    rows = data.dataset[split]
    retention = retention_of(model.config)
    retained: Sequence[float] = retained_by_encoder(retention, num_encoders(model.config), length)
    if "retention_thresholds" in retention:
        retained = mean_retained(model, rows, data.collate, data.eval_batch_size)
        retention["retained"] = retained
    record = {
        "record_version": 1,
        "identity": ArtifactStore.hash(settings.identity),
        "method": settings.method.name,
        "dataset": settings.dataset,
        "model": settings.model,
        "knob": dict(settings.method.knob),
        "seed": settings.seed,
        "metric": _metric(metrics, task.metric, split),
        "baseline": {
            **_metric(reference.manifest["metrics"], task.metric, split),
            "artifact": reference.id,
            "shape": json.loads(baseline.config.to_json_string()),
        },
        "shape": json.loads(model.config.to_json_string()),
        **retention,
        "max_length": length,
        "truncated": data.truncated,
        "word_vectors": word_vectors(
            retained,
            num_encoders(model.config),
            length,
            baseline_encoders=num_encoders(baseline.config),
        ),
        "flops": compare_flops(
            model,
            baseline,
            length,
            data.lengths(split),
            data.num_choices,
            partial(single_inputs, rows, data.collate),
        ),
        "latency": measure_latencies(
            [model],
            baseline,
            rows,
            max_length=length,
            collate=data.collate,
            settings=settings.measure,
        )[0],
        "parameters": {"model": model.num_parameters(), "baseline": baseline.num_parameters()},
        "epochs": {training["stage"]: training["epochs"] for training in chain[-len(artifacts) :]},
        "seconds": {stage: artifact.manifest.get("seconds") for stage, artifact in artifacts.items()},
        "trials": settings.trials,
        "chain": chain,
        "artifacts": {stage: artifact.path.name for stage, artifact in artifacts.items()},
        "environment": describe_environment(device),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": settings.portable_config,
    }
    if settings.longer_than is not None:
        record["longer_than"] = evaluate_longer(model, baseline, data, settings.longer_than)
    if (target := settings.method.target(artifacts)) is not None:
        record["target"] = dict(target)
    return record


def _metric(metrics: Mapping[str, Any], name: str, split: str) -> dict[str, Any]:
    """Return the metric on the evaluation split and on dev, and the metrics reported with it."""
    others = {key: value for key, value in metrics[split].items() if key != name}
    return {
        "name": name,
        "value": metrics[split][name],
        "split": split,
        "dev": metrics["dev"][name],
        **others,
    }
