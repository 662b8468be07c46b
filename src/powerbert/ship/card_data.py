"""The front matter of a model card: what the Hugging Face hub reads of a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id

from powerbert.data import Task
from powerbert.data.glue import packaged_layouts

HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "matthews_correlation": "matthews_correlation",
    "spearman": "spearmanr",
    "pearson": "pearsonr",
}
"""What the hub calls the metrics."""


def card_data(
    record: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> ModelCardData:
    """States a model's task, origin and results in the hub's terms; what is not known is left out.

    Args:
        record: of the run that made the model.
        manifest: of the model's artifact.
        config: what the artifact's `config.json` holds.
    """
    dataset = record["config"]["dataset"]
    task = Task.from_config(dataset)
    metrics = {name: value for name, value in _metrics(record["metric"]).items() if value is not None}
    tags = ["powerbert", record["method"].replace("_", "-")]
    tags += ["regression"] if task.is_regression else []
    tags += ["custom_code"] if "auto_map" in config else []
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=_pipeline(task),
        tags=tags,
        base_model=_hub_id(record["config"]["model"].get("path")),
        datasets=[dataset["source"]["hub"]] if "hub" in dataset["source"] else None,
        metrics=[HUB_METRICS[name] for name in _metrics(record["metric"])],
        model_name=manifest["id"],
        eval_results=[
            EvalResult(
                task_type=_pipeline(task),
                metric_type=HUB_METRICS[name],
                metric_value=value,
                **_evaluated_on(dataset, record["metric"].get("split")),
            )
            for name, value in metrics.items()
        ]
        or None,
    )


def _pipeline(task: Task) -> str:
    """What the hub calls the kind of task."""
    return "multiple-choice" if task.is_multiple_choice else "text-classification"


def _metrics(metric: Mapping[str, Any]) -> dict[str, float | None]:
    """The metric that the model is judged by, then those that are reported with it."""
    others = {name: value for name, value in metric.items() if name in HUB_METRICS}
    return {metric["name"]: metric["value"], **others}


def _evaluated_on(dataset: Mapping[str, Any], split: str | None) -> dict[str, Any]:
    """The evaluation data, by the names that the hub has for them where they are a dataset of the hub."""
    source, name = dataset["source"], " ".join(dataset["name"].split())
    layout = packaged_layouts().get(source.get("task"))
    return {
        "dataset_name": name,
        "dataset_type": source.get("hub", name),
        "dataset_config": None if layout is None else layout.hub,
        "dataset_split": split if layout is None or split is None else layout.hub_splits[split],
    }


def _hub_id(path: str | None) -> str | None:
    """A checkpoint's id on the hub; None for a folder, which means nothing elsewhere."""
    if path is None or Path(path).expanduser().is_dir():
        return None
    try:
        validate_repo_id(path)
    except HFValidationError:
        return None
    return path
